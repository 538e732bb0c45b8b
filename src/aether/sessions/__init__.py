"""Sessions: identity locks and the operations on live sessions."""
