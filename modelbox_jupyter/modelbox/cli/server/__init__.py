"""``modelbox server``: a server of one's own."""
