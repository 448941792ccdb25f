"""Migrations on database servers: interrupted anywhere, they end in the schema of today with all data."""

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from modelbox.entities.records import NamespaceRecord
from modelbox.errors import StorageUnavailable
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.metadata.tables import METADATA
from modelbox_server.storage.migrations.m0005_locks import LOCKS, OBJECT_LOCKS
from modelbox_server.storage.migrations.runner import APPLIED
from modelbox_server.storage.migrations.steps import METADATA_STEPS
from modelbox_server.testing.database_writer import open_metadata
from modelbox_server.testing.engines import DatabaseServer


class Killed(BaseException):
    """What a test raises where a process would be killed."""


def shape(server: DatabaseServer, settings: DatabaseSettings) -> dict[str, object]:
    """Return everything that a database knows of its tables."""
    engine = server.engine(settings)
    inspector = sa.inspect(engine)
    found: dict[str, object] = {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)],
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted((unique["name"], tuple(unique["column_names"])) for unique in inspector.get_unique_constraints(name)),
            sorted((index["name"], tuple(index["column_names"])) for index in inspector.get_indexes(name)),
        )
        for name in inspector.get_table_names()
        if name not in {APPLIED.name, LOCKS.name}
    }
    engine.dispose()
    return found


def killed_at(server: DatabaseServer, settings: DatabaseSettings, statement_number: int) -> bool:
    """Migrate until a statement was carried out, and lose process and connection there; tell whether there were so many."""
    left = statement_number

    def kill(connection: sa.Connection, _cursor: object, statement: str, *_: Any) -> None:
        nonlocal left
        if statement.split()[0] in {"CREATE", "INSERT", "ALTER", "UPDATE"}:
            left -= 1
            if left < 0:
                driver: Any = connection.connection.dbapi_connection
                driver.close() if server.kind == "postgres" else driver._force_close()
                raise Killed

    with closing(open_metadata(server.kind, replace(settings, auto_migrate=False))) as store:
        event.listen(store._engine, "after_cursor_execute", kill)
        try:
            store.migrations.apply()
        except (Killed, StorageUnavailable):
            return left < 0
    return False


def size(connection: sa.Connection) -> tuple[int, int]:
    """Return how many tables and indexes there are, and how many steps are recorded."""
    parts = {
        "postgresql": "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        "mysql": "SELECT count(DISTINCT table_name, index_name) FROM information_schema.statistics WHERE table_schema = database()",
    }
    recorded = sa.select(sa.func.count()).select_from(APPLIED)
    is_recorded = sa.inspect(connection).has_table(APPLIED.name)
    return connection.exec_driver_sql(parts[connection.dialect.name]).scalar_one(), connection.execute(
        recorded
    ).scalar_one() if is_recorded else 0


def test_an_interruption_after_any_statement_is_mended_by_the_next_start(database_server: DatabaseServer) -> None:
    """On PostgreSQL a step that was interrupted leaves nothing; on MySQL each change of the schema stays, and the next start goes on."""
    with database_server.database() as settings, database_server.database() as today, ExitStack() as opened:
        engine = database_server.engine(today)
        METADATA.create_all(engine)
        engine.dispose()
        connection = opened.enter_context(
            closing(database_server.engine(settings).connect().execution_options(isolation_level="AUTOCOMMIT"))
        )
        opened.callback(connection.engine.dispose)
        noted: list[str] = []
        kills = spared = 0
        before = (0, 0)
        while killed_at(database_server, settings, spared):
            kills += 1
            after = size(connection)
            if database_server.kind == "postgres":
                assert (after[1] == before[1]) <= (after == before)
            spared = spared + 1 if after == before else 0
            if after[1] > before[1]:
                noted.append(f"after step {after[1]}")
                connection.execute(METADATA.tables["namespaces"].insert().values(name=noted[-1], created_at=0))
            before = after
        assert kills > 40
        assert len(noted) == len(METADATA_STEPS) - 1  # the last one was not interrupted any more
        with closing(open_metadata(database_server.kind, settings)) as store, store.read() as tx:
            assert sorted(record.name for record in tx.select(NamespaceRecord)) == sorted(noted)
            assert len(store.migrations.status().applied) == len(METADATA_STEPS)
        assert shape(database_server, settings) == shape(database_server, today)
        if database_server.kind == "mysql":
            assert connection.execute(sa.select(sa.func.count()).select_from(LOCKS)).scalar() == 2 + OBJECT_LOCKS


def test_a_migration_that_waits_too_long_says_for_whom(database_server: DatabaseServer) -> None:
    with database_server.database() as settings:
        open_metadata(database_server.kind, settings).close()
        impatient = replace(settings, lock_wait_s=1)
        with (
            closing(open_metadata(database_server.kind, settings)) as first,
            closing(open_metadata(database_server.kind, impatient)) as second,
        ):
            with first._migration_connection(), pytest.raises(StorageUnavailable) as caught, second._migration_connection():
                pass
            assert caught.value.retry_after_s
