"""Fixtures of the server's tests."""

from modelbox_server.testing.fixtures import caller, database_server, s3, services

__all__ = ["caller", "database_server", "s3", "services"]
