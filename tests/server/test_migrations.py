"""The schema comes up right whatever interrupts it, and only ever forwards."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.schema import CreateIndex, CreateTable

from modelbox.errors import SchemaTooNew, StorageError
from modelbox_server.storage.metadata.sqlite import SqliteMetadataStore
from modelbox_server.storage.metadata.tables import METADATA
from modelbox_server.storage.migrations import (
    m0001_initial,
    m0002_operations,
    m0003_documents,
    m0004_actions,
    m0006_access,
    m0007_members,
    m0008_limits,
)
from modelbox_server.storage.migrations.runner import Migration, Migrations
from modelbox_server.storage.migrations.steps import METADATA_STEPS


class Killed(Exception):
    """What a test raises where a process would be killed."""


def database(path: Path) -> sa.Engine:
    """Return connections to a database with real transactions, also around changes of the schema."""
    engine = sa.create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare(connection: DBAPIConnection, _: object) -> None:
    connection.isolation_level = None
    # These tests kill no machine, and wait for its disk some hundred times otherwise.
    connection.cursor().execute("PRAGMA synchronous=OFF")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """Return connections to an empty database."""
    engine = database(tmp_path / "some.db")
    yield engine
    engine.dispose()


def over(engine: sa.Engine, *steps: Migration) -> Migrations:
    return Migrations(steps or METADATA_STEPS, engine.connect, engine.begin)


def makes(table: str) -> Callable[[sa.Connection], None]:
    return lambda connection: sa.Table(table, sa.MetaData(), sa.Column("x", sa.Integer)).create(connection, checkfirst=True)


def shape(engine: sa.Engine) -> dict[str, object]:
    """Return everything that a database knows of its tables."""
    inspector = sa.inspect(engine)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")
        options = {str(name): ("WITHOUT ROWID" in str(sql), "AUTOINCREMENT" in str(sql)) for name, sql in rows}
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)],
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted((unique["name"], tuple(unique["column_names"])) for unique in inspector.get_unique_constraints(name)),
            sorted((index["name"], tuple(index["column_names"])) for index in inspector.get_indexes(name)),
            options[name],
        )
        for name in inspector.get_table_names()
        if name not in {"modelbox_migrations", "sqlite_sequence"}
    }


def test_all_steps_together_make_the_schema_of_today(engine: sa.Engine, tmp_path: Path) -> None:
    over(engine).apply()
    today = sa.create_engine(f"sqlite:///{tmp_path / 'today.db'}")
    METADATA.create_all(today)
    assert shape(engine) == shape(today)
    today.dispose()


@pytest.mark.parametrize("engine_name", ["postgresql+psycopg2", "mysql+pymysql"])
def test_the_steps_make_the_schema_of_today_on_servers_too(engine_name: str) -> None:
    """Holds while steps only add tables: one that changes a table needs a comparison with what a real server reflects."""
    dialect = sa.make_url(f"{engine_name}://").get_dialect()()

    def ddl(metadata: sa.MetaData) -> dict[str, set[str]]:
        return {
            table.name: {str(CreateTable(table).compile(dialect=dialect))}
            | {str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes}
            for table in metadata.sorted_tables
        }

    steps = (m0001_initial, m0002_operations, m0003_documents, m0004_actions, m0006_access, m0007_members, m0008_limits)
    assert len(METADATA_STEPS) == len(steps) + 1  # the one with the locks of MySQL is about no table of METADATA
    assert {name: made for step in steps for name, made in ddl(step._TABLES).items()} == ddl(METADATA)


def test_asking_for_the_status_writes_nothing(engine: sa.Engine) -> None:
    migrations = over(engine)
    status = migrations.status()
    assert (status.applied, status.pending) == ((), METADATA_STEPS)
    assert sa.inspect(engine).get_table_names() == []


def test_each_step_is_applied_once_and_remembered(engine: sa.Engine) -> None:
    one, two = Migration(1, "one", makes("a")), Migration(2, "two", makes("b"))
    assert over(engine, one).apply() == [one]
    assert over(engine, one, two).apply() == [two]
    assert over(engine, one, two).apply() == []
    status = over(engine, one, two).status()
    assert [(step.number, step.name) for step in status.applied] == [(1, "one"), (2, "two")]
    assert status.applied[0].at <= status.applied[1].at
    assert status.pending == ()


def test_a_step_that_fails_stays_pending_and_leaves_nothing(engine: sa.Engine) -> None:
    def fail(connection: sa.Connection) -> None:
        makes("half")(connection)
        raise Killed

    one, broken, mended = Migration(1, "one", makes("a")), Migration(2, "two", fail), Migration(2, "two", makes("b"))
    with pytest.raises(Killed):
        over(engine, one, broken).apply()
    assert [step.name for step in over(engine, one, broken).status().pending] == ["two"]
    assert set(sa.inspect(engine).get_table_names()) == {"a", "modelbox_migrations"}
    assert over(engine, one, mended).apply() == [mended]


def test_a_kill_after_any_change_is_mended_by_the_next_start(engine: sa.Engine, tmp_path: Path) -> None:
    over(engine).apply()
    whole = shape(engine)
    kills = 0
    while killed_after(kills, tmp_path / f"{kills}.db"):
        restarted = database(tmp_path / f"{kills}.db")
        assert len(over(restarted).status().applied) < len(METADATA_STEPS)
        over(restarted).apply()
        assert shape(restarted) == whole
        restarted.dispose()
        kills += 1
    assert kills > 20


def killed_after(changes: int, path: Path) -> bool:
    """Migrate until so many changes were made, and tell whether there were more."""
    engine = database(path)
    left = changes

    def kill(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        nonlocal left
        if statement.split()[0] in {"CREATE", "INSERT"}:
            left -= 1
            if left < 0:
                raise Killed

    event.listen(engine, "after_cursor_execute", kill)
    try:
        over(engine).apply()
    except Killed:
        return True
    finally:
        engine.dispose()
    return False


def test_the_first_step_can_go_on_where_it_was_interrupted(engine: sa.Engine) -> None:
    """As it must on MySQL, which commits every single statement: whatever table or index is missing is made."""
    over(engine).apply()
    whole = shape(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_changes_namespace_seq")
        connection.exec_driver_sql("DROP TABLE events")
        m0001_initial.apply(connection)
        m0001_initial.apply(connection)
    assert shape(engine) == whole


def test_no_step_drops_or_deletes(engine: sa.Engine) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: statements.append(statement.split()[0]))
    over(engine).apply()
    assert not {"DROP", "DELETE", "ALTER"} & set(statements)


def test_threads_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: SqliteMetadataStore(tmp_path / "modelbox.db"), range(8)))
    assert len(stores[0].migrations.status().applied) == len(METADATA_STEPS)
    for store in stores:
        store.close()


def test_a_newer_database_is_refused_and_left_alone(engine: sa.Engine) -> None:
    one, two = Migration(1, "one", makes("a")), Migration(2, "two", makes("b"))
    over(engine, one, two).apply()
    with pytest.raises(SchemaTooNew, match=r"step 2 'two' by a newer ModelBox.*upgrade modelbox-jupyter"):
        over(engine, one).apply()
    assert len(over(engine, one, two).status().applied) == 2


def test_a_database_of_another_program_is_refused(engine: sa.Engine) -> None:
    over(engine, Migration(1, "theirs", makes("a"))).apply()
    with pytest.raises(StorageError, match=r"migration 1 'theirs' where this program has 1 'ours'"):
        over(engine, Migration(1, "ours", makes("b"))).apply()


@pytest.mark.parametrize("numbers", [[2], [1, 3], [1, 1], [2, 1]])
def test_steps_are_numbered_without_gaps(engine: sa.Engine, numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="numbered"):
        over(engine, *(Migration(number, f"step {at}", makes("a")) for at, number in enumerate(numbers)))
