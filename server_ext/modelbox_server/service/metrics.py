"""Metrics: append points to series of objects, and read them back, whole or thinned."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from modelbox.entities.checks import checked_count
from modelbox.entities.names import checked_key, checked_name
from modelbox.entities.records import Role
from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import InvalidQuery, InvalidRequest, NotFound, TooLarge, shortened
from modelbox.wire.messages import AppendResult, MetricsQuery, SeriesSummaries, SummariesQuery
from modelbox_server.service.context import Caller
from modelbox_server.service.fair_use import FairUse
from modelbox_server.service.guarded import Records
from modelbox_server.service.objects import missing_among, namespaces_of
from modelbox_server.storage.interfaces import BatchKey, MetricsStore

__all__ = ["MAX_BATCH_POINTS", "MAX_OBJECTS", "MetricsService", "thinned"]

MAX_BATCH_POINTS = 1_000_000
"""Most points of one batch."""

MAX_OBJECTS = 10_000
"""Most objects of one query."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class MetricsService:
    """Append and read points."""

    def __init__(self, records: Records, metrics: MetricsStore, fair_use: FairUse) -> None:
        self._records = records
        self._metrics = metrics
        self._fair_use = fair_use

    def append(self, caller: Caller, blocks: Sequence[SeriesBlock], batch: BatchKey | None = None) -> AppendResult:
        """Add points to series, all of them or none. The status of an experiment does not matter: late points are welcome.

        Raises
        ------
        InvalidRequest
            There is no point, a key breaks the rules, or the columns of a block differ in length.
        NotFound
            One of the objects does not exist.
        TooLarge
            The batch has more than 1,000,000 points, or more than the caller may send in a minute.
        RateLimited, QuotaExceeded
            The caller has to wait, or there is no room for so many points.
        BatchConflict
            The batch number was used before with other content.
        """
        if batch is not None:
            checked_name(batch.client, "client", field="client")
            if not 0 <= batch.number <= _INT64_MAX:
                raise InvalidRequest(f"The batch number {shortened(batch.number, 40)} must be between 0 and 2^63-1.", field="batch")
        checked = [checked_block(block, f"series[{i}]") for i, block in enumerate(blocks) if len(block)]
        points = sum(len(block) for block in checked)
        if points == 0:
            raise InvalidRequest("The batch has no points: send at least one.", field="series")
        if points > MAX_BATCH_POINTS:
            raise TooLarge(
                f"The batch has {points} points: at most {MAX_BATCH_POINTS} are taken at once, send it in parts.",
                field="series",
                limit=f"{MAX_BATCH_POINTS} points",
            )
        counts: dict[str, int] = {}
        for block in checked:
            counts[block.object_id] = counts.get(block.object_id, 0) + len(block)
        self._require(caller, dict.fromkeys(counts), Role.WRITER)
        self._fair_use.admit_points(caller, counts, batch)
        outcome = self._metrics.append(checked, batch)
        return AppendResult(points=outcome.points, duplicate=outcome.duplicate)

    def read(self, caller: Caller, query: MetricsQuery) -> list[SeriesBlock]:
        """Return one block of numpy columns per series, ordered by (step, wall clock).

        Raises
        ------
        InvalidQuery
            `skip`, `max_points` or the range of steps is out of bounds.
        NotFound
            One of the objects does not exist.
        """
        checked_count(query.objects, MAX_OBJECTS, "objects", field="objects")
        if query.max_points is not None and query.max_points < 4:
            raise InvalidQuery(f"max_points is {query.max_points}: a curve needs at least 4 points.", field="max_points")
        skip = {(object_id, normalize("NFC", key)): count for object_id, counts in query.skip.items() for key, count in counts.items()}
        if any(not 0 <= count <= _INT64_MAX for count in skip.values()):
            raise InvalidQuery("skip holds a count outside 0 to 2^63-1: pass how many points you already have.", field="skip")
        objects = list(dict.fromkeys(query.objects))
        keys = None if query.keys is None else list(dict.fromkeys(normalize("NFC", key) for key in query.keys))
        if not objects or keys == []:
            return []
        steps = _checked_steps(query)
        self._require(caller, dict.fromkeys(objects))
        blocks = self._metrics.read(objects, keys, skip=skip or None, steps=steps)
        return blocks if query.max_points is None else [thinned(block, query.max_points) for block in blocks]

    def summaries(self, caller: Caller, query: SummariesQuery) -> SeriesSummaries:
        """Return count, bounds and last value of every series of the objects."""
        checked_count(query.objects, MAX_OBJECTS, "objects", field="objects")
        objects = list(dict.fromkeys(query.objects))
        if not objects:
            return SeriesSummaries(series=[])
        self._require(caller, dict.fromkeys(objects))
        return SeriesSummaries(series=self._metrics.summaries(objects))

    def _require(self, caller: Caller, object_ids: dict[str, None], role: Role = Role.READER) -> None:
        # One query per batch, and never an answer remembered from before: another process may have deleted the object.
        with self._records.read(caller) as tx:
            missing = missing_among(tx, object_ids)
            if missing is None and not caller.access.is_everything:
                for namespace in namespaces_of(tx, object_ids):
                    caller.access.require(role, namespace, "log")
        if missing is not None:
            raise NotFound(f"There is no object {shortened(missing, 60)}: it was never created, or it was deleted.", field="object_id")


def _checked_steps(query: MetricsQuery) -> tuple[int, int] | None:
    if query.first_step is None and query.last_step is None:
        return None
    first = _INT64_MIN if query.first_step is None else query.first_step
    last = _INT64_MAX if query.last_step is None else query.last_step
    for field, step in (("first_step", first), ("last_step", last)):
        if not _INT64_MIN <= step <= _INT64_MAX:
            raise InvalidQuery(f"{field} is {shortened(step, 40)}: steps are integers within 64 bits.", field=field)
    if first > last:
        raise InvalidQuery(f"first_step is {first} and last_step {last}: give the smaller one first.", field="first_step")
    return first, last


def checked_block(block: SeriesBlock, field: str) -> SeriesBlock:
    """Return a block whose key is in NFC and whose columns have one length."""
    key = checked_key(block.key, "metric", field=f"{field}.key")
    points = len(block)
    values = memoryview(cast(bytes, block.values)).nbytes // 8 if block.kind is ValueKind.FLOAT else len(cast(Sequence[str], block.values))
    wall_times = memoryview(block.wall_times_us).nbytes // 8
    if not points == wall_times == values:
        raise InvalidRequest(
            f"The columns of {shortened(key)} differ in length: {points} steps, {wall_times} wall clocks, {values} values.", field=field
        )
    return block if key == block.key else replace(block, key=key)


def thinned(block: SeriesBlock, max_points: int) -> SeriesBlock:
    """Return at most `max_points` points of a float series: the first and the last, and minimum and maximum of equal stretches between.

    NaN never hides a minimum or a maximum; a stretch of nothing but NaN stays NaN, so that a chart shows the gap. Text and bytes
    come whole.
    """
    points = len(block)
    if block.kind is not ValueKind.FLOAT or points <= max_points:
        return block
    from tsdownsample import MinMaxDownsampler

    values: npt.NDArray[np.float64] = np.ascontiguousarray(cast(npt.NDArray[np.float64], block.values), dtype=np.float64)
    middle = MinMaxDownsampler().downsample(  # type: ignore[no-untyped-call]
        values, n_out=(max_points - 2) // 2 * 2
    )
    picks = np.unique(np.concatenate(([0], middle.astype(np.int64), [points - 1])))
    return replace(
        block,
        steps=np.asarray(cast(npt.NDArray[np.int64], block.steps))[picks],
        wall_times_us=np.asarray(cast(npt.NDArray[np.int64], block.wall_times_us))[picks],
        values=values[picks],
    )
