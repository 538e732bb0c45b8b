"""Stores in memory, with the same rules; for tests and throw-away gateways."""
