"""Pytest fixtures: services over every embedded set of stores. A ``conftest.py`` imports what it needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox_server.service.context import Caller
from modelbox_server.testing.engines import DatabaseServer, mariadb_server, postgres_server
from modelbox_server.testing.samples import JumpingClock
from modelbox_server.wiring import Services, ephemeral_services, local_services

__all__ = ["caller", "database_server", "services"]


@pytest.fixture
def caller() -> Caller:
    """Somebody whose name is not ASCII."""
    return Caller("Zoë", "embedded")


@pytest.fixture(params=["memory", "sqlite"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Services]:
    """Services over memory, and over SQLite and files, with a clock that jumps."""
    opened = (
        ephemeral_services(clock=JumpingClock()) if request.param == "memory" else local_services(tmp_path / "store", clock=JumpingClock())
    )
    yield opened
    opened.close()


@pytest.fixture(params=["postgres", "mariadb"], scope="session")
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    """PostgreSQL and MariaDB; shared by all tests of the process, so each takes a database of its own."""
    return postgres_server() if request.param == "postgres" else mariadb_server()
