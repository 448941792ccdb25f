"""Points that come one by one are stored together: what arrives while one transaction is on its way to the disk goes into the next.

Each caller is answered after the transaction that holds its point. A point that the store refuses is refused alone.
"""

from __future__ import annotations

import asyncio
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import ModelBoxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox_server.http.face import Face
    from modelbox_server.service.context import Caller

__all__ = ["Gatherer", "merged"]

_MAX_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    caller: Caller
    block: SeriesBlock
    stored: asyncio.Future[None]


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

    async def append(self, caller: Caller, block: SeriesBlock) -> None:
        """Return when the point of `block` is stored.

        Raises
        ------
        ModelBoxError
            As :meth:`modelbox_server.service.metrics.MetricsService.append` raises it.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(caller, block, loop.create_future())
        self._waiting.append(waiting)
        if self._storing is None:
            self._storing = loop.create_task(self._store())
        await waiting.stored

    async def _store(self) -> None:
        try:
            while self._waiting:
                # What is stored in one call is stored with the rights of one caller.
                access = self._waiting[0].caller.access
                batch = [one for one in self._waiting[:_MAX_POINTS] if one.caller.access == access]
                rest = [one for one in self._waiting[:_MAX_POINTS] if one.caller.access != access]
                self._waiting = rest + self._waiting[_MAX_POINTS:]
                await self._store_together(batch)
        finally:
            self._storing = None

    async def _store_together(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._face.ingest(self._append, batch[0].caller, merged([one.block for one in batch]))
        except ModelBoxError as error:
            if len(batch) == 1:
                _settle(batch[0], error)
                return
            # Nothing was written: find out whose point it was.
            for one in batch:
                await self._store_together([one])
        except BaseException as error:
            for one in batch:
                _settle(one, error)
            raise
        else:
            for one in batch:
                _settle(one, None)

    def _append(self, caller: Caller, blocks: list[SeriesBlock]) -> None:
        self._face.services().metrics.append(caller, blocks)


def _settle(one: _Waiting, error: BaseException | None) -> None:
    if one.stored.done():  # the caller went away
        return
    if error is None:
        one.stored.set_result(None)
    else:
        one.stored.set_exception(error)


def merged(blocks: Sequence[SeriesBlock]) -> list[SeriesBlock]:
    """Return blocks of single points as one block per series, points in the order in which they came."""
    by_series: dict[tuple[str, str, ValueKind], list[SeriesBlock]] = {}
    for block in blocks:
        by_series.setdefault((block.object_id, block.key, block.kind), []).append(block)
    return [_joined(parts) for parts in by_series.values()]


def _joined(parts: Sequence[SeriesBlock]) -> SeriesBlock:
    first = parts[0]
    if len(parts) == 1:
        return first
    steps, wall_times_us = array("q"), array("q")
    numbers, others = array("d"), list[str | bytes]()
    for part in parts:
        steps.frombytes(bytes(part.steps))
        wall_times_us.frombytes(bytes(part.wall_times_us))
        if first.kind is ValueKind.FLOAT:
            numbers.frombytes(bytes(cast("array[float]", part.values)))
        else:
            others.extend(cast("list[str | bytes]", part.values))
    values = numbers if first.kind is ValueKind.FLOAT else cast("list[str]", others)
    return SeriesBlock(object_id=first.object_id, key=first.key, kind=first.kind, steps=steps, wall_times_us=wall_times_us, values=values)
