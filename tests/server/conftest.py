"""Fixtures of the server's tests."""

from modelbox_server.testing.fixtures import caller, services

__all__ = ["caller", "services"]
