"""``modelbox client``: what a notebook does, from a shell."""
