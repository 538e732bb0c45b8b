"""Registered agents: how they are started, and what they bring (tasks 15.2)."""
