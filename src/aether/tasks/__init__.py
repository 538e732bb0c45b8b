"""Tasks: durable units of work, from their creation to their end (tasks 2 to 12)."""
