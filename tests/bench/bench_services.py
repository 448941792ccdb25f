"""Print what the services take in process on the local store: a table of 1,000 runs x 40 columns, and single calls.

Run it as ``python tests/bench/bench_services.py``. `limit` is the bare SQL underneath, fetched by ``sqlite3``.
"""

import json
import sqlite3
import time
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory

from modelbox.entities.ids import random_id
from modelbox.entities.series import SeriesBlock
from modelbox.wire.json import encode
from modelbox.wire.limits import LimitSet
from modelbox.wire.messages import ExperimentCreate, ExperimentsQuery, MetadataDocument
from modelbox_server.service.context import Caller
from modelbox_server.service.people import Person
from modelbox_server.testing.bench import best_s, print_row
from modelbox_server.wiring import Services, local_services

_RUNS = 1_000
_PARAMS = 20
_METRICS = 20
_CALLS = 200
_CALLER = Caller("bench", "embedded")


def main() -> None:
    """Fill a store and measure."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        services = local_services(folder)
        ids = _filled(services)
        query = ExperimentsQuery(limit=_RUNS)
        frame = services.frames.experiments(_CALLER, query)
        limit_s = _bare_sql_s(folder, ids)
        frame_s = best_s(lambda: services.frames.experiments(_CALLER, query))
        print_row("frame of 1,000 x 40 in process", best_ms=frame_s * 1e3, limit_ms=limit_s * 1e3, ratio=frame_s / limit_s)
        print_row("frame of 1,000 x 40 as JSON", best_ms=best_s(lambda: encode(frame)) * 1e3, size_mb=len(encode(frame)) / 1e6)
        print_row("list of 1,000 experiments", best_ms=best_s(lambda: services.experiments.list(_CALLER, query)) * 1e3)
        _single_calls(services, ids[0])
        _limited(services)
        services.close()


def _filled(services: Services) -> list[str]:
    metadata = {f"params.p{i}": i * 0.1 if i % 2 else f"v{i}" for i in range(_PARAMS)}
    requests = [ExperimentCreate(name="run", id=random_id(), metadata=metadata) for _ in range(_RUNS)]
    ids = [services.experiments.create(_CALLER, request).item.id for request in requests]
    for start in range(0, _RUNS, 100):
        services.metrics.append(_CALLER, [_block(i, f"m{key}", 10) for i in ids[start : start + 100] for key in range(_METRICS)])
    return ids


def _block(object_id: str, key: str, points: int) -> SeriesBlock:
    return SeriesBlock(
        object_id=object_id,
        key=key,
        steps=array("q", range(points)),
        wall_times_us=array("q", range(points)),
        values=array("d", range(points)),
    )


def _bare_sql_s(folder: Path, ids: list[str]) -> float:
    wanted = (json.dumps(ids),)
    metadata, metrics = (sqlite3.connect(folder / name) for name in ("modelbox.db", "metrics.db"))
    chosen = "WHERE object_id IN (SELECT value FROM json_each(?))"
    series = f"SELECT object_id, key, kind, points, last_step, last, low, high, mean FROM series {chosen}"
    seconds = best_s(
        lambda: (
            metadata.execute(f"SELECT object_id, key, value FROM metadata {chosen}", wanted).fetchall(),
            metrics.execute(series, wanted).fetchall(),
        )
    )
    metadata.close()
    metrics.close()
    return seconds


def _single_calls(services: Services, object_id: str) -> None:
    numbers = iter(range(10_000_000))

    def update() -> None:
        for _ in range(_CALLS):
            services.metadata.update(_CALLER, object_id, MetadataDocument(metadata={"k": next(numbers)}))

    def append() -> None:
        for _ in range(_CALLS):
            services.metrics.append(_CALLER, [_block(object_id, "single", 1)])

    def create() -> None:
        for _ in range(_CALLS):
            services.experiments.create(_CALLER, ExperimentCreate(name=f"n{next(numbers)}"))

    def get() -> None:
        for _ in range(_CALLS):
            services.experiments.get(_CALLER, object_id)

    for name, action in (("update_metadata", update), ("append one point", append), ("new_experiment", create), ("get_experiment", get)):
        print_row(f"{name}, one at a time", calls_per_s=_CALLS / best_s(action, runs=3))


def _limited(services: Services) -> None:
    """Measure what quotas and rates cost ingest: the same appends of one person without any, and with all of them."""
    caller = services.people.caller(Person("bench"), face="http")
    object_id = services.experiments.create(caller, ExperimentCreate(name="limited")).item.id

    def append(points: int, calls: int) -> float:
        began_s = time.thread_time()
        for _ in range(calls):
            services.metrics.append(caller, [_block(object_id, f"m{points}", points)])
        return (time.thread_time() - began_s) / calls * 1e6

    best_us: dict[tuple[bool, int], float] = {}
    for _ in range(7):
        for is_limited in (False, True):
            most = 2**40 if is_limited else 0
            services.limits.set(_CALLER, LimitSet(subject="user:bench", points=most, points_per_s=most))
            services.limits.set(_CALLER, LimitSet(subject="namespace:~bench", points=most))
            for points, calls in ((10, _CALLS), (100_000, 3)):
                best_us[is_limited, points] = min(append(points, calls), best_us.get((is_limited, points), float("inf")))
    for points in (10, 100_000):
        print_row(
            f"append {points:,} points, CPU", without_limits_us=best_us[False, points], with_limits_us=best_us[True, points],
            ratio=best_us[True, points] / best_us[False, points],
        )  # fmt: skip


if __name__ == "__main__":
    main()
