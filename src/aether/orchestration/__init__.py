"""Starting agents that are not there, through orchestrators (tasks 13)."""
