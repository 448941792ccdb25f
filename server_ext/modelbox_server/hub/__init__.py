"""ModelBox behind a JupyterHub: its users, its groups and its tokens are those of ModelBox."""
