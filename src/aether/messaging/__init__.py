"""Messages: routing, the topic log, lanes and groups."""
