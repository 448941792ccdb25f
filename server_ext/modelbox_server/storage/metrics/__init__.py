"""Backends that keep points."""
