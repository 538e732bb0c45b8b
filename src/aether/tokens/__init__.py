"""API keys: issued once, stored hashed, bound to what they are for."""
