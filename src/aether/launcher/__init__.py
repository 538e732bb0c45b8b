"""An orchestrator: starts agents on this machine when a gateway asks for them (tasks 13, 16)."""
