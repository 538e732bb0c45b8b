"""Workspaces: what is known of them, and who is in them (tasks 15.3)."""
