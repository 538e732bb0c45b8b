"""gRPC over HTTP/2 for trio. Knows nothing about Aether: import from its modules."""
