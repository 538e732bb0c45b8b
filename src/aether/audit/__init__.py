"""The audit log: what happened, by whom, under which authority, in a chain that shows tampering."""
