"""Backends that keep bytes."""
