"""The use cases: what is checked, and what changes together."""
