"""Pytest fixtures: services over every set of stores. A ``conftest.py`` imports what it needs."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from modelbox_server.service.context import Caller, Clock
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.testing.engines import DatabaseServer, mariadb_server, postgres_server
from modelbox_server.testing.s3_engine import S3Engine, s3_engine
from modelbox_server.testing.samples import JumpingClock
from modelbox_server.wiring import Services, StorageSettings, build_services, ephemeral_services, local_services

__all__ = ["ON_ALL_STORES", "Storage", "caller", "database_server", "s3", "services", "storage_services"]

Storage: TypeAlias = Literal["memory", "sqlite", "postgres", "mariadb"]
"""Where services of a test keep things."""

ON_ALL_STORES = pytest.mark.parametrize("services", ["memory", "sqlite", "postgres", "mariadb"], indirect=True)
"""Makes a test run with services over database servers as well."""


@pytest.fixture
def caller() -> Caller:
    """Somebody whose name is not ASCII."""
    return Caller("Zoë", "embedded")


@pytest.fixture(params=["memory", "sqlite"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Services]:
    """Services over memory, and over SQLite and files, with a clock that jumps; over databases for those that ask with `ON_ALL_STORES`."""
    with ExitStack() as kept:
        settings = kept.enter_context(_server(request.param).database()) if request.param in {"postgres", "mariadb"} else None
        opened = storage_services(request.param, tmp_path / "store", settings)
        kept.callback(opened.close)
        yield opened


def storage_services(storage: Storage, folder: Path, settings: DatabaseSettings | None = None, *, clock: Clock | None = None) -> Services:
    """Return services over one kind of storage.

    Parameters
    ----------
    folder
        Where files are kept.
    settings
        The database, for those that need one.
    clock
        One that jumps when left out.
    """
    clock = clock or JumpingClock()
    if storage == "memory":
        return ephemeral_services(clock=clock)
    if settings is None:
        return local_services(folder, clock=clock)
    named = ("postgres", "timescaledb") if storage == "postgres" else ("mysql", "mysql")
    chosen = StorageSettings(folder, *named, metadata_database=settings, metrics_database=settings)
    return build_services(chosen, clock=clock)


@pytest.fixture(params=["postgres", "mariadb"], scope="session")
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    """PostgreSQL and MariaDB; shared by all tests of the process, so each takes a database of its own."""
    return _server(request.param)


def _server(storage: str) -> DatabaseServer:
    return postgres_server() if storage == "postgres" else mariadb_server()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Engine]:
    """Run a service that speaks the protocol of S3; tests take buckets of their own."""
    with s3_engine() as started:
        yield started
