"""Series put together from chunks, with as little work for each point as can be.

Series of one object that were logged together share the arrays of their steps and wall clocks: these are unpacked, joined and checked for
order once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modelbox.entities.series import ValueKind
from modelbox_server.storage.metrics.columns import Points, order_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox_server.storage.metrics.chunks import PackedChunk
    from modelbox_server.storage.metrics.columns import Floats, Integers, Order

__all__ = ["Assembler"]


class _Axis:
    """Steps and wall clocks in order of arrival, perhaps of many series."""

    def __init__(self, steps: Integers, clocks_us: Integers) -> None:
        self.steps = steps
        self.clocks_us = clocks_us
        for shared in (steps, clocks_us):  # nobody may change what others hold as well
            shared.flags.writeable = False
        self._order: Order | None = None
        self._ordered: _Axis | None = None

    def ordered(self) -> tuple[Order | None, _Axis]:
        """Return which point comes where (``None`` when all stand right) and the axis in that order."""
        if self._ordered is None:
            self._order = order_of(self.steps, self.clocks_us)
            self._ordered = self if self._order is None else _Axis(self.steps[self._order], self.clocks_us[self._order])
        return self._order, self._ordered


class Assembler:
    """Puts series together, one object after the other."""

    def __init__(self) -> None:
        self._axes: dict[tuple[int, int], tuple[bytes, _Axis]] = {}
        self._joined: dict[tuple[int, ...], tuple[list[_Axis], _Axis]] = {}

    def next_object(self) -> None:
        """Forget the axes of the object before: no other shares its clocks."""
        self._axes.clear()
        self._joined.clear()

    def series(self, kind: ValueKind, chunks: Sequence[tuple[int, PackedChunk]], *, seen: int = 0, steps: tuple[int, int] | None) -> Points:
        """Return the points of chunks, ordered by (step, wall clock).

        Parameters
        ----------
        kind
            What the values are.
        chunks
            Each with how many points came before it.
        seen
            Leave out these first points, in order of arrival.
        steps
            Leave out all others, if given.

        Raises
        ------
        DamagedChunk
            A chunk cannot be unpacked.
        """
        if not chunks:
            return Points.none(kind)
        axis = self._axis(chunks)
        if kind is not ValueKind.FLOAT:
            items = [item for _, chunk in chunks for item in chunk.items()]
            whole = Points(kind, axis.steps, axis.clocks_us, items)  # type: ignore[arg-type]  # the kind says which of both
            return whole.part(max(0, seen - chunks[0][0])).within(steps).ordered()
        values = _filled(chunks)
        if seen > chunks[0][0] or steps is not None:
            return Points(kind, axis.steps, axis.clocks_us, values).part(max(0, seen - chunks[0][0])).within(steps).ordered()
        order, axis = axis.ordered()
        if order is not None:
            values[:] = values[order]
        return Points(kind, axis.steps, axis.clocks_us, values)

    def _axis(self, chunks: Sequence[tuple[int, PackedChunk]]) -> _Axis:
        axes = [self._axis_of(start, chunk) for start, chunk in chunks]
        if len(axes) == 1:
            return axes[0]
        names = tuple(map(id, axes))
        known = self._joined.get(names)
        if known is None:
            joined = _Axis(np.concatenate([axis.steps for axis in axes]), np.concatenate([axis.clocks_us for axis in axes]))
            known = self._joined[names] = (axes, joined)  # who holds the axes keeps their ids from being given to others
        return known[1]

    def _axis_of(self, start: int, chunk: PackedChunk) -> _Axis:
        place = (start, len(chunk.axis))
        known = self._axes.get(place)
        if known is None or known[0] != chunk.axis:
            known = self._axes[place] = (chunk.axis, _Axis(*chunk.unpacked_axis()))
        return known[1]


def _filled(chunks: Sequence[tuple[int, PackedChunk]]) -> Floats:
    values = np.empty(sum(chunk.count for _, chunk in chunks))
    place = 0
    for _, chunk in chunks:
        chunk.fill(values[place : place + chunk.count])
        place += chunk.count
    return values
