"""Every metrics store behaves as a list of points does."""

import math
import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelbox.entities.series import ValueKind
from modelbox_server.storage.interfaces import BatchKey, MetricsStore
from modelbox_server.storage.metrics.memory import MemoryMetricsStore
from modelbox_server.storage.metrics.mysql import MysqlMetricsStore
from modelbox_server.storage.metrics.postgres import PostgresMetricsStore
from modelbox_server.storage.metrics.server import ServerMetricsStore
from modelbox_server.storage.metrics.sqlite import SqliteMetricsStore
from modelbox_server.testing.engines import mariadb_server, postgres_server
from modelbox_server.testing.metrics_suite import Point, block, points_of, same_bits

INT64 = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))
VALUES = {
    ValueKind.FLOAT: st.one_of(st.floats(), st.floats(width=32), st.integers(-(2**54), 2**54).map(float)),
    ValueKind.TEXT: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    ValueKind.BYTES: st.binary(max_size=8),
}
OBJECTS = ["a" * 40, "équipe/vision"]
KEYS = ["val/loss @1", "VAL/loss @1"]
BLOCKS = st.sampled_from(list(ValueKind)).flatmap(
    lambda kind: st.tuples(
        st.sampled_from(OBJECTS), st.sampled_from(KEYS), st.just(kind), st.lists(st.tuples(INT64, INT64, VALUES[kind]), max_size=12)
    )
)
BATCHES = st.none() | st.integers(0, 3)
APPENDS = st.tuples(st.just("append"), st.lists(BLOCKS, max_size=3), BATCHES)
DELETES = st.tuples(st.just("delete"), st.sampled_from(OBJECTS), st.none())
# A block of many points makes full chunks, which small ones only reach after hundreds of appends.
BULKS = st.tuples(st.just("bulk"), st.sampled_from([300, 1100, 9000]), st.none())
HISTORIES = st.lists(st.one_of(APPENDS, APPENDS, APPENDS, DELETES, BULKS), max_size=12)

Series = dict[tuple[str, str, ValueKind], list[Point]]
History = list[tuple[str, object, int | None]]

clients = count()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


@given(history=HISTORIES, skip=st.integers(0, 40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_memory_and_sqlite_equal_a_list_of_points(history: History, skip: int, folder: Path) -> None:
    path = folder / f"{len(list(folder.iterdir()))}.db"
    sqlite, memory = SqliteMetricsStore(path), MemoryMetricsStore()
    model = told(history, sqlite, memory)
    for store in (sqlite, memory):
        compare(store, model, skip)
    assert repr(sqlite.summaries(OBJECTS)) == repr(memory.summaries(OBJECTS))
    sqlite.close()
    again = SqliteMetricsStore(path)
    compare(again, model, skip)
    again.close()


@pytest.fixture(scope="module")
def server_stores() -> Iterator[list[ServerMetricsStore]]:
    with postgres_server().database() as of_postgres, mariadb_server().database() as of_mariadb:
        stores: list[ServerMetricsStore] = [PostgresMetricsStore(of_postgres), MysqlMetricsStore(of_mariadb)]
        yield stores
        for store in stores:
            store.close()


@given(history=HISTORIES, skip=st.integers(0, 40))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_stores_on_database_servers_equal_a_list_of_points(history: History, skip: int, server_stores: list[ServerMetricsStore]) -> None:
    for store in server_stores:
        store.delete(OBJECTS)
    model = told(history, *server_stores, client=str(next(clients)))
    for store in server_stores:
        compare(store, model, skip)
    assert repr(server_stores[0].summaries(OBJECTS)) == repr(server_stores[1].summaries(OBJECTS))
    assert repr(server_stores[0].summary_columns(OBJECTS)) == repr(server_stores[1].summary_columns(OBJECTS))


def told(history: History, *stores: MetricsStore, client: str = "client") -> Series:
    """Have stores do what a history says, and return what they must hold then."""
    model: Series = {}
    ledger: set[int] = set()
    for action, what, number in history:
        if action == "delete":
            assert isinstance(what, str)
            expected = sum(len(points) for key, points in model.items() if key[0] == what)
            assert [store.delete([what]) for store in stores] == [expected] * len(stores)
            model = {key: points for key, points in model.items() if key[0] != what}
            continue
        if action == "bulk":
            assert isinstance(what, int)
            what = [(OBJECTS[0], KEYS[0], ValueKind.FLOAT, [(index % 7, -index, index / 3) for index in range(what)])]
        assert isinstance(what, list)
        blocks = [block(points, object_id=object_id, key=key, kind=kind) for object_id, key, kind, points in what]
        batch = None if number is None else BatchKey(client, number, b"the same for each number".ljust(32))
        outcomes = {store.append(blocks, batch).duplicate for store in stores}
        assert outcomes == {number in ledger}
        if number in ledger:
            continue
        ledger |= set() if number is None else {number}
        for object_id, key, kind, points in what:
            if points:
                model.setdefault((object_id, key, kind), []).extend(points)
    return model


def compare(store: MetricsStore, model: Series, skip: int) -> None:
    kinds = list(ValueKind)
    order = sorted(model, key=lambda key: (OBJECTS.index(key[0]), key[1], kinds.index(key[2])))
    for seen in (0, skip):
        found = store.read(OBJECTS, skip={(object_id, key): seen for object_id, key, _ in model})
        expected = [key for key in order if len(model[key]) > seen]
        assert [(one.object_id, one.key, one.kind) for one in found] == expected
        for one, key in zip(found, expected, strict=True):
            assert same_bits(points_of(one)) == same_bits(sorted(model[key][seen:], key=lambda point: point[:2]))
    for summary, key in zip(store.summaries(OBJECTS), order, strict=True):
        points = model[key]
        last = max(range(len(points)), key=lambda index: (*points[index][:2], index))
        assert (summary.count, summary.first_step, summary.last_step) == (len(points), min(point[0] for point in points), points[last][0])
        assert summary.last_wall_time_us == points[last][1]
        if key[2] is ValueKind.FLOAT:
            assert isinstance(summary.last, float)
            assert math.isnan(summary.last) or struct.pack("d", summary.last) == struct.pack("d", points[last][2])
            numbers = [value for _, _, value in points if isinstance(value, float) and not math.isnan(value)]
            assert (summary.min, summary.max) == (min(numbers, default=None), max(numbers, default=None))
        else:
            assert summary.last == (points[last][2] if key[2] is ValueKind.TEXT else None)
