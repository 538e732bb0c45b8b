"""Checkpoints: private snapshots of one identity."""
