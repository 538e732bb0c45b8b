"""Adapters: how each technology serves the ports of the features."""
