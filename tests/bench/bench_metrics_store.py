"""How fast the metrics stores are, beside what SQLite itself can do: ``python tests/bench/bench_metrics_store.py``."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import numpy as np

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox_server.storage.interfaces import BatchKey, MetricsStore
from modelbox_server.storage.metrics.chunks import packed, unpacked
from modelbox_server.storage.metrics.columns import Points
from modelbox_server.storage.metrics.memory import MemoryMetricsStore
from modelbox_server.storage.metrics.sqlite import SqliteMetricsStore
from modelbox_server.testing.bench import best_s, print_row

if TYPE_CHECKING:
    from typing_extensions import Buffer

RUN = "a" * 40
KEYS = [f"metric {index}" for index in range(10)]
STEPS = 100_000
BATCH_STEPS = 1000
POINTS = STEPS * len(KEYS)

DICE = np.random.default_rng(0)
STEP_COLUMN = np.arange(STEPS)
CLOCK_COLUMN = 1_700_000_000_000_000 + np.cumsum(DICE.integers(1500, 2600, STEPS))
VALUES = [np.exp(-STEP_COLUMN / 30_000) + DICE.normal(0, 0.02, STEPS) for _ in KEYS]


def batches(size: int = BATCH_STEPS, stop: int = STEPS) -> Iterator[list[SeriesBlock]]:
    for start in range(0, stop, size):
        part = slice(start, start + size)
        yield [
            SeriesBlock(
                object_id=RUN,
                key=key,
                steps=cast("Buffer", STEP_COLUMN[part]),
                wall_times_us=cast("Buffer", CLOCK_COLUMN[part]),
                values=cast("Buffer", values[part]),
            )
            for key, values in zip(KEYS, VALUES, strict=True)
        ]


def raw_limit(path: Path) -> tuple[float, float]:
    """Return the seconds that SQLite needs to keep, and to give back, the same points as plain blobs of 24 bytes a point."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE chunks (id INTEGER PRIMARY KEY, key TEXT, data BLOB)")
    started_s = time.perf_counter()
    for blocks in batches():
        connection.execute("BEGIN IMMEDIATE")
        for block in blocks:
            data = b"".join(bytes(memoryview(cast("Buffer", column))) for column in (block.steps, block.wall_times_us, block.values))
            connection.execute("INSERT INTO chunks (key, data) VALUES (?, ?)", (block.key, data))
        connection.execute("COMMIT")
    write_s = time.perf_counter() - started_s

    def read_all() -> None:
        rows = connection.execute("SELECT data FROM chunks ORDER BY key, id").fetchall()
        np.concatenate([np.frombuffer(data, np.int64).reshape(3, -1) for (data,) in rows], axis=1)

    read_s = best_s(read_all)
    connection.close()
    return write_s, read_s


def ingest_s(store: MetricsStore) -> float:
    started_s = time.perf_counter()
    for number, blocks in enumerate(batches()):
        store.append(blocks, BatchKey("bench", number, b"d" * 32))
    return time.perf_counter() - started_s


def measure(store: MetricsStore, limit_write_s: float, limit_read_s: float) -> None:
    write_s = ingest_s(store)
    print_row(
        f"{store.name}: ingest 1 run x 10 metrics x 100,000 steps",
        points_per_s=POINTS / write_s,
        times_of_raw_blobs=write_s / limit_write_s,
    )
    one_s = best_s(lambda: store.read([RUN], KEYS[3:4]))
    print_row(f"{store.name}: read one series of 100,000 points", ms=one_s * 1e3)
    all_s = best_s(lambda: store.read([RUN]))
    print_row(f"{store.name}: read all 1,000,000 points", ms=all_s * 1e3, times_of_raw_blobs=all_s / limit_read_s)
    new_s = best_s(lambda: store.read([RUN], KEYS[3:4], skip={(RUN, KEYS[3]): STEPS - 10}))
    print_row(f"{store.name}: read what is new in one series", ms=new_s * 1e3)
    summaries_s = best_s(lambda: store.summaries([RUN]))
    print_row(f"{store.name}: summaries of 10 series", ms=summaries_s * 1e3)


def small_appends(store: MetricsStore, count: int = 300) -> None:
    times_s: list[float] = []
    for blocks in batches(1, count):
        started_s = time.perf_counter()
        store.append(
            [SeriesBlock(object_id="b" * 40, key=b.key, steps=b.steps, wall_times_us=b.wall_times_us, values=b.values) for b in blocks]
        )
        times_s.append(time.perf_counter() - started_s)
    times_s.sort()
    print_row(f"{store.name}: append 1 point to each of 10 series, durable", p50_ms=times_s[count // 2] * 1e3, p99_ms=times_s[-3] * 1e3)


def codec() -> None:
    points = Points(ValueKind.FLOAT, STEP_COLUMN[:4096], CLOCK_COLUMN[:4096], VALUES[0][:4096])
    chunk = packed(points)
    pack_s, unpack_s = best_s(lambda: packed(points), runs=50), best_s(lambda: unpacked(chunk), runs=50)
    print_row("chunk codec", pack_points_per_s=4096 / pack_s, unpack_points_per_s=4096 / unpack_s, bytes_per_point=len(chunk) / 4096)


def main() -> None:
    codec()
    with TemporaryDirectory() as name:
        folder = Path(name)
        limit_write_s, limit_read_s = raw_limit(folder / "raw.db")
        print_row("limit: SQLite, raw blobs of 1000 points", write_points_per_s=POINTS / limit_write_s, read_ms=limit_read_s * 1e3)
        measure(MemoryMetricsStore(), limit_write_s, limit_read_s)
        path = folder / "metrics.db"
        store = SqliteMetricsStore(path)
        measure(store, limit_write_s, limit_read_s)
        small_appends(store)
        store.close()
        print_row("integrated: bytes of the file per point", bytes=path.stat().st_size / POINTS)


if __name__ == "__main__":
    main()
