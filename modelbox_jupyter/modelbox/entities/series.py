"""Metrics as columns: a block of points of one series, and what is known of a series without reading it.

A *series* is what was logged under one (object, key) with one kind of value. Blocks hold buffers, never one Python object per number:
anything with the buffer protocol serves, such as ``array.array`` in the client and ``numpy.ndarray`` in the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["SeriesBlock", "SeriesSummary", "ValueKind"]


class ValueKind(StrEnum):
    """What the values of a series are."""

    FLOAT = "float"
    TEXT = "text"
    BYTES = "bytes"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SeriesBlock:
    """Points of one series, column by column, all of the same length.

    Parameters
    ----------
    object_id
        The experiment, checkpoint, model or model version they belong to.
    key
        Name of the metric.
    kind
        Kind of the values.
    steps
        ``int64`` buffer: the step of each point; any order, repeats and negative steps included.
    wall_times_us
        ``int64`` buffer: the wall clock of each point in microseconds since 1970-01-01 UTC.
    values
        ``float64`` buffer for `FLOAT` (NaN, infinities, -0.0 and denormals are values), a list of ``str`` for
        `TEXT`, of ``bytes`` for `BYTES`.
    """

    object_id: str
    key: str
    kind: ValueKind = ValueKind.FLOAT
    steps: Buffer
    wall_times_us: Buffer
    values: Buffer | Sequence[str] | Sequence[bytes]

    def __len__(self) -> int:
        """Return how many points the block has."""
        return memoryview(self.steps).nbytes // 8


class SeriesSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):  # numbers and text refer to nothing: no cycles to look for
    """What is known of a series without reading its points.

    `last` is the value at the greatest (step, wall clock), the later arrival where both are equal; `first_step` and `last_step` bound the
    steps. `min`, `max` and `mean` ignore NaN and are ``None`` where nothing is left, as for text and bytes. `last` of bytes is ``None``: a
    summary stays small.
    """

    object_id: str
    key: str
    kind: ValueKind
    count: int
    first_step: int
    last_step: int
    last_wall_time_us: int
    last: float | str | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
