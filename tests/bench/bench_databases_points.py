"""Points into databases and out of them, beside the bare driver on the same engine: ``python tests/bench/bench_databases_points.py``.

Both engines run as in production: PostgreSQL with fsync, full_page_writes and synchronous_commit on, MariaDB with
innodb_flush_log_at_trx_commit = 1. Each figure is the median of three runs or more that alternate with those of the limit. Names of engines
as arguments choose among them.
"""

import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from modelbox.entities.series import SeriesBlock
from modelbox_server.storage.databases.mysql import mysql_engine
from modelbox_server.storage.databases.postgres import postgres_engine
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.storage.metrics.mysql import MysqlMetricsStore
from modelbox_server.storage.metrics.postgres import PostgresMetricsStore
from modelbox_server.storage.metrics.postgres_copy import RowStream, number_rows
from modelbox_server.storage.metrics.server import ServerMetricsStore
from modelbox_server.testing.bench import print_row
from modelbox_server.testing.engines import MariaDbServer, PostgresServer

if TYPE_CHECKING:
    from sqlalchemy.pool import PoolProxiedConnection
    from typing_extensions import Buffer

KEYS = [f"metric {index}" for index in range(10)]
STEPS = 100_000
POINTS = STEPS * len(KEYS)
BATCH_STEPS = 1000
RUNS, RUN_METRICS = 10_000, 20

DICE = np.random.default_rng(0)
STEP_COLUMN = np.arange(STEPS)
CLOCK_COLUMN = 1_700_000_000_000_000 + np.cumsum(DICE.integers(1500, 2600, STEPS))
VALUES = [np.exp(-STEP_COLUMN / 30_000) + DICE.normal(0, 0.02, STEPS) for _ in KEYS]


def parts() -> Iterator[slice]:
    for start in range(0, STEPS, BATCH_STEPS):
        yield slice(start, start + BATCH_STEPS)


def blocks_of(object_id: str, part: slice, keys: Sequence[str] = KEYS) -> list[SeriesBlock]:
    steps, clocks_us = cast("Buffer", STEP_COLUMN[part]), cast("Buffer", CLOCK_COLUMN[part])
    return [
        SeriesBlock(
            object_id=object_id, key=key, steps=steps, wall_times_us=clocks_us, values=cast("Buffer", VALUES[at % len(VALUES)][part])
        )
        for at, key in enumerate(keys)
    ]


def took_s(action: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    action()
    return time.perf_counter() - started_s


def medians_s(*actions: Callable[[], object], runs: int = 3) -> list[float]:
    """Return the median time of each action; they take turns."""
    times_s: list[list[float]] = [[] for _ in actions]
    for _ in range(runs):
        for action, of_action in zip(actions, times_s, strict=True):
            of_action.append(took_s(action))
    return [median(of_action) for of_action in times_s]


def ingest(store: ServerMetricsStore) -> Callable[[], None]:
    def run() -> None:
        object_id = f"{time.time_ns():040x}"
        for number, part in enumerate(parts()):
            store.append(blocks_of(object_id, part), BatchKey(object_id, number, b"d" * 32))

    return run


def frame_of(store: ServerMetricsStore, object_id: str) -> pd.DataFrame:
    (found,) = store.read([object_id], [KEYS[3]])
    clocks = pd.to_datetime(np.asarray(cast("Any", found.wall_times_us)), unit="us", utc=True)
    return pd.DataFrame({"step": np.asarray(cast("Any", found.steps)), "wall_time": clocks, "value": np.asarray(cast("Any", found.values))})


def listing(store: ServerMetricsStore, engine: str, bare: Callable[[list[str]], object]) -> None:
    """Fill a store with many runs of a few points, and read what a table of them shows."""
    ids = [f"{number:040x}" for number in range(RUNS)]
    keys = [f"metric {number}" for number in range(RUN_METRICS)]
    fill_s = took_s(
        lambda: [
            store.append([block for object_id in ids[begin : begin + 500] for block in blocks_of(object_id, slice(0, 5), keys)])
            for begin in range(0, RUNS, 500)
        ]
    )
    print_row(
        f"{engine}: append 5 points to each of {RUNS * RUN_METRICS} new series, 500 runs at once", series_per_s=RUNS * RUN_METRICS / fill_s
    )
    ours_s, bare_s = medians_s(lambda: store.summary_columns(ids), lambda: bare(ids), runs=5)
    assert len(store.summary_columns(ids).key) == RUNS * RUN_METRICS
    print_row(
        f"{engine}: summaries of {RUNS} runs x {RUN_METRICS} metrics",
        ms=ours_s * 1e3,
        bare_rows_of_series_ms=bare_s * 1e3,
        limit_ratio=bare_s / ours_s,
    )


def small_appends(store: ServerMetricsStore, engine: str, bare: Callable[[], object]) -> None:
    """One point to each of ten series, durable each time, beside one row that is committed."""
    at = iter(range(STEPS))

    def one() -> None:
        step = next(at)
        store.append(blocks_of("small", slice(step, step + 1)))

    for _ in range(20):
        one()
    ours_s, bare_s = medians_s(one, bare, runs=200)
    print_row(f"{engine}: append 1 point to each of 10 series, durable", p50_ms=ours_s * 1e3, bare_commit_of_a_row_p50_ms=bare_s * 1e3)


def reading(store: ServerMetricsStore, engine: str, bare: Callable[[], object]) -> None:
    """100,000 points of one series to a DataFrame, and all ten series of it."""
    for part in parts():
        store.append(blocks_of("read", part))
    assert len(frame_of(store, "read")) == STEPS
    ours_s, bare_s = medians_s(lambda: frame_of(store, "read"), bare, runs=5)
    print_row(
        f"{engine}: {STEPS} points of one series to a DataFrame",
        ms=ours_s * 1e3,
        bare_query_ms=bare_s * 1e3,
        times_of_bare_query=ours_s / bare_s,
    )
    (all_s,) = medians_s(lambda: store.read(["read"]))
    print_row(f"{engine}: read {POINTS} points of 10 series", ms=all_s * 1e3)


def postgres_ingest(store: ServerMetricsStore, connection: "PoolProxiedConnection") -> None:
    """Ingest all points, and leave them in the table ``bare``."""
    cursor = cast("Any", connection.cursor())
    copy = "COPY bare (series_id, number, step, clock_us, value) FROM STDIN (FORMAT binary)"

    def empty(table: str) -> None:
        # Both begin with an empty table: what does not fit into the memory of the engine any more takes longer.
        cursor.execute(f"TRUNCATE {table}")
        connection.commit()

    def ours() -> None:
        empty("metric_points")
        ingest(store)()

    def ours_at_once() -> None:
        empty("metric_points")
        store.append(blocks_of(f"{time.time_ns():040x}", slice(0, STEPS)))

    def packed(part: slice) -> bytes:
        rows = ((at, part.start, STEP_COLUMN[part], CLOCK_COLUMN[part], values[part]) for at, values in enumerate(VALUES))
        stream = RowStream(number_rows(rows, len(KEYS) * (part.stop - part.start)))
        return b"".join(iter(lambda: stream.read(0), b""))

    def copied(batches: list[bytes]) -> Callable[[], None]:
        def run() -> None:
            empty("bare")
            for batch in batches:
                cursor.copy_expert(copy, io.BytesIO(batch), size=1 << 20)
                connection.commit()

        return run

    same, whole = [packed(part) for part in parts()], [packed(slice(0, STEPS))]
    ours_s, same_s, whole_s = medians_s(ours, copied(same), copied(whole), runs=5)
    print_row(
        f"PostgreSQL: ingest {POINTS} points in transactions of {BATCH_STEPS * len(KEYS)}",
        points_per_s=POINTS / ours_s,
        bare_copy_points_per_s=POINTS / same_s,
        share_of_bare_copy=same_s / ours_s,
        bare_copy_in_one_transaction_points_per_s=POINTS / whole_s,
    )
    large_s, large_bare_s = medians_s(ours_at_once, copied(whole), runs=5)
    print_row(
        f"PostgreSQL: ingest {POINTS} points in one transaction",
        points_per_s=POINTS / large_s,
        bare_copy_points_per_s=POINTS / large_bare_s,
        share_of_bare_copy=large_bare_s / large_s,
    )
    copied(same)()


def postgres(settings: DatabaseSettings) -> None:
    store = PostgresMetricsStore(settings)
    connection = postgres_engine(settings).raw_connection()
    cursor = cast("Any", connection.cursor())
    cursor.execute("CREATE TABLE bare (LIKE metric_points INCLUDING ALL)")
    connection.commit()
    postgres_ingest(store, connection)

    def query() -> pd.DataFrame:
        cursor.execute(
            "SELECT step, timestamptz 'epoch' + clock_us * interval '1 microsecond', value FROM bare WHERE series_id = 3 ORDER BY step"
        )
        return pd.DataFrame(cursor.fetchall(), columns=["step", "wall_time", "value"])

    cursor.execute("ANALYZE bare")
    connection.commit()
    reading(store, "PostgreSQL", query)

    def row() -> None:
        cursor.execute("INSERT INTO metric_probe VALUES (2, 0) ON CONFLICT (id) DO UPDATE SET at_us = metric_probe.at_us + 1")
        connection.commit()

    small_appends(store, "PostgreSQL", row)

    def series_rows(ids: list[str]) -> object:
        cursor.execute(
            "SELECT object_id, key, points, last_step, last, low, high, mean FROM metric_series WHERE object_id = ANY(%s)", (ids,)
        )
        return cursor.fetchall()

    listing(store, "PostgreSQL", series_rows)
    connection.close()
    store.close()


def mariadb(settings: DatabaseSettings) -> None:
    store = MysqlMetricsStore(settings)
    connection = mysql_engine(settings).raw_connection()
    cursor = cast("Any", connection.cursor())
    cursor.execute(
        "CREATE TABLE bare (series_id BIGINT, step BIGINT, clock_us BIGINT, value DOUBLE, PRIMARY KEY (series_id, step)) ENGINE = InnoDB"
    )
    upsert = "INSERT INTO bare VALUES (%s, %s, %s, %s) ON DUPLICATE KEY UPDATE clock_us = VALUES(clock_us), value = VALUES(value)"
    batches = [
        [
            row
            for at, values in enumerate(VALUES)
            for row in zip([at] * BATCH_STEPS, *(c[part].tolist() for c in (STEP_COLUMN, CLOCK_COLUMN, values)), strict=True)
        ]
        for part in parts()
    ]

    def upserted() -> None:
        cursor.execute("TRUNCATE bare")
        for rows in batches:
            cursor.executemany(upsert, rows)
            connection.commit()

    ours_s, bare_s = medians_s(ingest(store), upserted)
    print_row(
        f"MariaDB: ingest {POINTS} points in transactions of {BATCH_STEPS * len(KEYS)}",
        points_per_s=POINTS / ours_s,
        bare_upsert_points_per_s=POINTS / bare_s,
        share_of_bare_upsert=bare_s / ours_s,
    )

    def query() -> pd.DataFrame:
        cursor.execute("SELECT step, clock_us, value FROM bare WHERE series_id = 3 ORDER BY step")
        frame = pd.DataFrame(cursor.fetchall(), columns=["step", "wall_time", "value"])
        frame["wall_time"] = pd.to_datetime(frame["wall_time"], unit="us", utc=True)
        return frame

    reading(store, "MariaDB", query)
    connection.commit()

    def row() -> None:
        cursor.execute("INSERT INTO metric_probe VALUES (2, 0) ON DUPLICATE KEY UPDATE at_us = at_us + 1")
        connection.commit()

    small_appends(store, "MariaDB", row)

    def series_rows(ids: list[str]) -> object:
        cursor.execute("SELECT object_id, `key`, points, last_step, floats FROM metric_series WHERE object_id IN %s", (tuple(ids),))
        return cursor.fetchall()

    listing(store, "MariaDB", series_rows)
    connection.close()
    store.close()


def main() -> None:
    wanted = sys.argv[1:] or ["postgres", "mariadb"]
    if "postgres" in wanted:
        with PostgresServer(durable=True) as server, server.database() as settings:
            postgres(settings)
    if "mariadb" in wanted:
        with MariaDbServer(durable=True) as server, server.database() as settings:
            mariadb(settings)


if __name__ == "__main__":
    main()
