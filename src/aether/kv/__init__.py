"""Key/value state."""
