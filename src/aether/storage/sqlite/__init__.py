"""The local tier: one SQLite file, one writer thread."""
