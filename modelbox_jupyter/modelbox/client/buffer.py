"""Points on their way from ``log()`` to the wire: whole records first, then columns.

Thread safety: ``log()`` hands over one finished :class:`Record` with one ``deque.append``, which no other thread, signal handler or Ctrl-C
can see half done. Only the sender thread folds records into :class:`Columns`, so columns need no lock.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from modelbox.entities.series import SeriesBlock, ValueKind

if TYPE_CHECKING:
    from modelbox.client.values import Value

__all__ = ["Columns", "Record", "split_blocks"]


class Record(NamedTuple):
    """Everything that one call of ``log()`` kept."""

    object_id: str
    step: int
    wall_time_us: int
    values: Mapping[str, Value]


class _Series:
    """One growing series."""

    __slots__ = ("steps", "values", "wall_times_us")

    def __init__(self, kind: ValueKind) -> None:
        self.steps = array("q")
        self.wall_times_us = array("q")
        self.values: array[float] | list[str] | list[bytes] = array("d") if kind is ValueKind.FLOAT else []


class Columns:
    """Records folded into one column block per series; about 24 bytes a point."""

    def __init__(self) -> None:
        self.points = 0
        self._floats: dict[tuple[str, str], _Series] = {}
        self._others: dict[tuple[str, str, ValueKind], _Series] = {}

    def add(self, record: Record) -> None:
        """Add the points of one record."""
        object_id, step, wall_time_us, values = record
        floats = self._floats
        for key, value in values.items():
            if type(value) is float:
                series = floats.get((object_id, key))
                if series is None:
                    series = floats[object_id, key] = _Series(ValueKind.FLOAT)
            else:
                kind = ValueKind.TEXT if type(value) is str else ValueKind.BYTES
                series = self._others.setdefault((object_id, key, kind), _Series(kind))
            series.steps.append(step)
            series.wall_times_us.append(wall_time_us)
            series.values.append(value)  # type: ignore[arg-type]  # the branch above chose the column for this type
        self.points += len(values)

    def extend(self, object_id: str, key: str, steps: bytes, wall_times_us: bytes, values: bytes) -> None:
        """Add a run of numbers to one series: its columns as they lie in memory, eight bytes a number."""
        series = self._floats.get((object_id, key))
        if series is None:
            series = self._floats[object_id, key] = _Series(ValueKind.FLOAT)
        series.steps.frombytes(steps)
        series.wall_times_us.frombytes(wall_times_us)
        cast("array[float]", series.values).frombytes(values)
        self.points += len(values) // 8

    def blocks(self) -> list[SeriesBlock]:
        """Return one block per series, in the order in which the series appeared."""
        floats = [(object_id, key, ValueKind.FLOAT, series) for (object_id, key), series in self._floats.items()]
        others = [(object_id, key, kind, series) for (object_id, key, kind), series in self._others.items()]
        return [
            SeriesBlock(
                object_id=object_id,
                key=key,
                kind=kind,
                steps=series.steps,
                wall_times_us=series.wall_times_us,
                values=series.values,
            )
            for object_id, key, kind, series in floats + others
        ]


def split_blocks(blocks: list[SeriesBlock], *, points: bool) -> tuple[list[SeriesBlock], list[SeriesBlock]] | None:
    """Return two halves of `blocks`, or ``None`` when a single series (with `points`: a single point) is left.

    Objects are parted first, then series, then points: what one deleted experiment spoils stays in its half.
    """
    if len(blocks) == 1:
        return _split_points(blocks[0]) if points else None
    objects = list(dict.fromkeys(block.object_id for block in blocks))
    if len(objects) > 1:
        first = set(objects[: len(objects) // 2])
        return [block for block in blocks if block.object_id in first], [block for block in blocks if block.object_id not in first]
    middle = len(blocks) // 2
    return blocks[:middle], blocks[middle:]


def _split_points(block: SeriesBlock) -> tuple[list[SeriesBlock], list[SeriesBlock]] | None:
    middle = len(block) // 2
    if not middle:
        return None
    steps, walls = memoryview(block.steps).cast("B").cast("q"), memoryview(block.wall_times_us).cast("B").cast("q")

    def part(begin: int, end: int) -> list[SeriesBlock]:
        values = block.values
        return [
            SeriesBlock(
                object_id=block.object_id,
                key=block.key,
                kind=block.kind,
                steps=array("q", steps[begin:end]),
                wall_times_us=array("q", walls[begin:end]),
                # The kind of the block decides what its values are, which its type cannot say.
                values=values[begin:end] if isinstance(values, list | array) else memoryview(values).cast("B").cast("d")[begin:end],  # type: ignore[arg-type]
            )
        ]

    return part(0, middle), part(middle, len(block))
