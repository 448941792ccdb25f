"""Points that come one by one are stored together: what arrives while one transaction is on its way to the disk goes into the next.

Each caller is answered after the transaction that holds its point. A point that the store refuses is refused alone.
"""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import ModelBoxError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelbox_server.http.face import Face
    from modelbox_server.service.access import Access
    from modelbox_server.service.context import Caller

__all__ = ["Gatherer", "Point", "merged"]

_MAX_POINTS = 10_000


class Point(NamedTuple):
    """One point of one series."""

    object_id: str
    key: str
    kind: ValueKind
    step: int
    wall_time_us: int
    value: float | str | bytes


Stored: TypeAlias = "Callable[[BaseException | None], None]"
"""Is told when a point is stored, or why it is not."""


class _Waiting(NamedTuple):
    caller: Caller
    point: Point
    stored: Stored


class Gatherer:
    """Stores points of many callers in few transactions. Everything but the storing runs on one event loop.

    Parameters
    ----------
    face
        The services, and the threads for ingest.
    """

    def __init__(self, face: Face) -> None:
        self._face = face
        self._waiting: list[_Waiting] = []
        self._storing: asyncio.Task[None] | None = None

    async def append(self, caller: Caller, point: Point) -> None:
        """Return when a point is stored.

        Raises
        ------
        ModelBoxError
            As :meth:`modelbox_server.service.metrics.MetricsService.append` raises it.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(error: BaseException | None) -> None:
            if stored.done():  # the caller went away
                return
            if error is None:
                stored.set_result(None)
            else:
                stored.set_exception(error)

        self.submit(caller, point, settle)
        await stored

    def submit(self, caller: Caller, point: Point, stored: Stored) -> None:
        """Take a point, and tell when it is stored."""
        self._waiting.append(_Waiting(caller, point, stored))
        if self._storing is None:
            # Begins when everything that is there to be read has been, so that points which came together are stored together.
            self._storing = asyncio.get_running_loop().create_task(self._store())

    async def _store(self) -> None:
        try:
            while self._waiting:
                # What is stored in one call is stored with the rights, and counts for the limits, of one caller.
                first = _whose(self._waiting[0])
                batch = [one for one in self._waiting[:_MAX_POINTS] if _whose(one) == first]
                rest = [one for one in self._waiting[:_MAX_POINTS] if _whose(one) != first]
                self._waiting = rest + self._waiting[_MAX_POINTS:]
                await self._store_together(batch)
        finally:
            self._storing = None

    async def _store_together(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._face.ingest(self._append, batch[0].caller, merged([one.point for one in batch]))
        except ModelBoxError as error:
            if len(batch) == 1:
                batch[0].stored(error)
                return
            # Nothing was written: find out whose point it was.
            for one in batch:
                await self._store_together([one])
        except BaseException as error:
            for one in batch:
                one.stored(error)
            raise
        else:
            for one in batch:
                one.stored(None)

    def _append(self, caller: Caller, blocks: list[SeriesBlock]) -> None:
        self._face.services().metrics.append(caller, blocks)


def _whose(waiting: _Waiting) -> tuple[str, Access]:
    return waiting.caller.name, waiting.caller.access


def merged(points: Sequence[Point]) -> list[SeriesBlock]:
    """Return points as one block per series, in the order in which they came."""
    by_series: dict[tuple[str, str, ValueKind], list[Point]] = {}
    for point in points:
        by_series.setdefault(point[:3], []).append(point)
    return [_block(of_series) for of_series in by_series.values()]


def _block(points: Sequence[Point]) -> SeriesBlock:
    first = points[0]
    steps = array("q", [point.step for point in points])
    wall_times_us = array("q", [point.wall_time_us for point in points])
    listed = [point.value for point in points]
    values = array("d", cast("list[float]", listed)) if first.kind is ValueKind.FLOAT else cast("list[str]", listed)
    return SeriesBlock(object_id=first.object_id, key=first.key, kind=first.kind, steps=steps, wall_times_us=wall_times_us, values=values)
