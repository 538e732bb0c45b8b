"""One connection, from handshake to cleanup, and the root that composes everything."""
