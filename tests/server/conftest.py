"""Fixtures of the server's tests."""

from modelbox_server.testing.fixtures import caller, database_server, services

__all__ = ["caller", "database_server", "services"]
