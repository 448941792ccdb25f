"""What an append makes of steps and wall clocks, once for all series that came with the same ones.

Arrays are told apart by the memory that they lie in: :func:`modelbox_server.storage.metrics.columns.grouped` gives series whose blocks
share their columns the same arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from modelbox.entities.series import ValueKind
from modelbox_server.storage.metrics.chunks import packed_axis
from modelbox_server.storage.metrics.columns import Points
from modelbox_server.storage.metrics.totals import Bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox_server.storage.metrics.chunks import PackedChunk
    from modelbox_server.storage.metrics.columns import Integers

__all__ = ["Axes"]

_Place: TypeAlias = tuple[int, int, int]


class Axes:
    """The axes of one append, which holds on to their arrays as long as it runs."""

    def __init__(self) -> None:
        self._packed: dict[_Place, bytes] = {}
        self._bounds: dict[_Place, Bounds] = {}
        self._joined: dict[tuple[tuple[bytes, ...], _Place], tuple[Integers, Integers]] = {}
        self._kept: list[Points] = []

    def packed(self, points: Points) -> bytes:
        """Return the axis of `points` as it stands in a chunk."""
        place = self._place(points)
        if place not in self._packed:
            self._packed[place] = packed_axis(points)
        return self._packed[place]

    def bounds(self, points: Points) -> Bounds:
        """Return where the steps of `points` begin and end."""
        place = self._place(points)
        if place not in self._bounds:
            self._bounds[place] = Bounds.of(points)
        return self._bounds[place]

    def joined(self, chunks: Sequence[PackedChunk], points: Points) -> Points:
        """Return the points of `chunks` followed by `points`.

        Raises
        ------
        DamagedChunk
            A chunk cannot be unpacked.
        """
        if points.kind is not ValueKind.FLOAT:
            return Points.joined([*(chunk.points() for chunk in chunks), points])
        key = (tuple(chunk.axis for chunk in chunks), self._place(points))
        if key not in self._joined:
            axes = [chunk.unpacked_axis() for chunk in chunks]
            self._joined[key] = (
                np.concatenate([*(steps for steps, _ in axes), points.steps]),
                np.concatenate([*(clocks_us for _, clocks_us in axes), points.clocks_us]),
            )
        before = sum(chunk.count for chunk in chunks)
        values = np.empty(before + len(points))
        place = 0
        for chunk in chunks:
            chunk.fill(values[place : place + chunk.count])
            place += chunk.count
        values[before:] = points.values
        return Points(points.kind, *self._joined[key], values)

    def _place(self, points: Points) -> _Place:
        self._kept.append(points)  # memory that was given back could become that of other arrays
        return points.steps.__array_interface__["data"][0], points.clocks_us.__array_interface__["data"][0], len(points)
