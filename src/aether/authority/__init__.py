"""Authority on behalf of others: grants, delegation, and requests that somebody approves."""
