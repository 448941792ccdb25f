"""Print what metadata in PostgreSQL and in MariaDB costs: a table of 10,000 experiments, and single calls, beside bare SQL.

Run it as ``python tests/bench/bench_databases.py``. Both servers are throw-away ones on this machine that do not wait for its disk, so the
figures are what the programs cost. `limit` is the same rows fetched, or written, by the bare driver.
"""

from __future__ import annotations

import os
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelbox.entities.ids import random_id
from modelbox.entities.records import ObjectRef, ObjectType
from modelbox.entities.series import SeriesBlock
from modelbox.wire.messages import EventCreate, ExperimentCreate, ExperimentsQuery, MetadataDocument
from modelbox_server.service.context import Caller
from modelbox_server.storage.blobs.memory import MemoryBlobStore
from modelbox_server.storage.registry import open_store
from modelbox_server.testing.bench import best_s, print_row
from modelbox_server.testing.database_writer import open_metadata
from modelbox_server.testing.engines import mariadb_server, postgres_server
from modelbox_server.testing.metadata_samples import entry, experiment
from modelbox_server.wiring import Services, services_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox_server.storage.databases.settings import DatabaseSettings
    from modelbox_server.testing.engines import DatabaseServer

_RUNS = int(os.environ.get("BENCH_RUNS", "10000"))
_PARAMS = 20
_METRICS = 20
_CREATED = 500
_CALLS = 200
_WRITERS = 8
_CALLER = Caller("bench", "embedded")


def main() -> None:
    """Measure on both."""
    for server, metrics in ((postgres_server(), "timescaledb"), (mariadb_server(), "mysql")):
        with server.database() as settings:
            _measure(server, settings, metrics)


def _measure(server: DatabaseServer, settings: DatabaseSettings, metrics: str) -> None:
    store = open_metadata(server.kind, replace(settings, pool_size=2 * _WRITERS))
    services = services_over(store, open_store("metrics", metrics, Path(), settings), MemoryBlobStore())
    ids = _filled(services)
    engine = server.engine(settings)
    name = server.kind

    query = ExperimentsQuery(limit=1000)

    def table() -> None:
        page, token = 0, None
        while True:
            frame = services.frames.experiments(_CALLER, msgspec.structs.replace(query, page_token=token))
            page += len(frame.experiments)
            token = frame.next_page_token
            if token is None:
                break
        assert page == _RUNS

    def bare() -> None:
        with engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            cursor = driver.cursor()
            cursor.execute("SELECT * FROM experiments ORDER BY created_at DESC, id DESC")
            assert len(cursor.fetchall()) == _RUNS
            cursor.execute("SELECT object_id, document FROM documents")
            assert len(cursor.fetchall()) == _RUNS
            cursor.close()

    table_s, bare_s = best_s(table, runs=3), best_s(bare, runs=3)
    cpu_s = time.process_time()
    table()
    cpu_s = time.process_time() - cpu_s
    title = f"{name}: table of {_RUNS} x {_PARAMS + _METRICS}, all pages"
    print_row(title, best_ms=table_s * 1e3, cpu_ms=cpu_s * 1e3, limit_ms=bare_s * 1e3, ratio=table_s / bare_s)
    first_s = best_s(lambda: services.frames.experiments(_CALLER, query))
    print_row(f"{name}: first page of 1,000 x {_PARAMS + _METRICS}", best_ms=first_s * 1e3)
    filtered = ExperimentsQuery(limit=1000, q="params.p1 > 0.5 and metrics.m3.max > 100")
    print_row(f"{name}: a query that nothing meets", best_ms=best_s(lambda: services.frames.experiments(_CALLER, filtered), runs=2) * 1e3)
    _single_calls(services, ids, name, server, settings)
    engine.dispose()
    services.close()


def _filled(services: Services) -> list[str]:
    metadata = {f"params.p{i}": i * 0.1 if i % 2 else f"v{i}" for i in range(_PARAMS)}
    requests = [ExperimentCreate(name="run", id=random_id(), metadata=metadata) for _ in range(_CREATED)]
    began_s = time.perf_counter()
    with ThreadPoolExecutor(_WRITERS) as pool:
        ids = list(pool.map(lambda request: services.experiments.create(_CALLER, request).item.id, requests))
    took_s = time.perf_counter() - began_s
    print_row(f"{services.stores.metadata.name}: {_WRITERS} threads create experiments of {_PARAMS} params", per_s=_CREATED / took_s)
    for start in range(_CREATED, _RUNS, 100):
        made = [experiment(f"run {number}") for number in range(start, min(start + 100, _RUNS))]
        with services.stores.metadata.write() as tx:
            tx.put(made)
            tx.put([ObjectRef(id=one.id, type=ObjectType.EXPERIMENT, namespace=one.namespace) for one in made])
            tx.put([entry(one.id, key, value) for one in made for key, value in metadata.items()])
        ids += [one.id for one in made]
    for start in range(0, _RUNS, 100):
        services.metrics.append(_CALLER, [_block(i, f"m{key}", 3) for i in ids[start : start + 100] for key in range(_METRICS)])
    return ids


def _block(object_id: str, key: str, points: int) -> SeriesBlock:
    numbers = range(points)
    return SeriesBlock(
        object_id=object_id, key=key, steps=array("q", numbers), wall_times_us=array("q", numbers), values=array("d", numbers)
    )


def _single_calls(services: Services, ids: list[str], name: str, server: DatabaseServer, settings: DatabaseSettings) -> None:
    engine = server.engine(settings)
    numbers = iter(range(10_000_000))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bare (id varchar(64) PRIMARY KEY, a varchar(512), b varchar(512), c bigint, d bigint)")
    driver: Any = engine.raw_connection()

    def bare() -> None:
        cursor = driver.cursor()
        cursor.execute("INSERT INTO bare VALUES (%s, %s, %s, %s, %s)", (random_id(), "name", "namespace", 1, 2))
        cursor.close()
        driver.commit()

    limit_s = _each(bare)

    def row(what: str, call: Callable[[], object]) -> None:
        taken_s = _each(call)
        print_row(f"{name}: {what}", each_ms=taken_s * 1e3, bare_insert_ms=limit_s * 1e3, ratio=taken_s / limit_s)

    row(
        "create an experiment",
        lambda: services.experiments.create(_CALLER, ExperimentCreate(name="n", id=random_id(), metadata={"params.x": 1})),
    )
    row("set one key", lambda: services.metadata.update(_CALLER, ids[0], MetadataDocument(metadata={"k": next(numbers)})))
    row("log an event", lambda: services.events.log(_CALLER, ids[0], EventCreate(name=f"e{next(numbers)}", source="bench")))
    row("get an experiment", lambda: services.experiments.get(_CALLER, ids[0]))
    driver.close()
    engine.dispose()


def _each(call: Callable[[], object]) -> float:
    def calls() -> None:
        for _ in range(_CALLS):
            call()

    return best_s(calls, runs=3) / _CALLS


if __name__ == "__main__":
    main()
