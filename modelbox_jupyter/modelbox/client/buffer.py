"""Points on their way from ``log()`` to the wire: whole records first, then columns.

Thread safety: ``log()`` hands over one finished :class:`Record` with one ``deque.append``, which no other thread, signal handler or Ctrl-C
can see half done. Only the sender thread folds records into :class:`Columns`, so columns need no lock.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
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


class _Axis:
    """Steps and wall clocks; of many series as long as these grow together, which nearly all do."""

    __slots__ = ("steps", "users", "wall_times_us")

    def __init__(self, users: int = 1) -> None:
        self.steps = array("q")
        self.wall_times_us = array("q")
        self.users = users


class _Series:
    """One growing series."""

    __slots__ = ("axis", "values")

    def __init__(self, kind: ValueKind, axis: _Axis | None = None) -> None:
        self.axis = axis or _Axis()
        self.values: array[float] | list[str] | list[bytes] = array("d") if kind is ValueKind.FLOAT else []

    def own_axis(self) -> _Axis:
        """Return the axis for this series alone to extend."""
        if self.axis.users > 1:
            shared = self.axis
            shared.users -= 1
            self.axis = _Axis()
            self.axis.steps.extend(shared.steps)
            self.axis.wall_times_us.extend(shared.wall_times_us)
        return self.axis


class Columns:
    """Records folded into one column block per series; 8 bytes a point, and 16 for each step of series that grow together."""

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
            axis = series.own_axis()
            axis.steps.append(step)
            axis.wall_times_us.append(wall_time_us)
            series.values.append(value)  # type: ignore[arg-type]  # the branch above chose the column for this type
        self.points += len(values)

    def extend(self, object_id: str, keys: Sequence[str], steps: bytes, wall_times_us: bytes, values: Iterable[bytes]) -> None:
        """Add a run of numbers to series: their columns as they lie in memory, eight bytes a number."""
        axes = self._axes_of(object_id, keys)
        for axis in axes:
            axis.steps.frombytes(steps)
            axis.wall_times_us.frombytes(wall_times_us)
        for key, column in zip(keys, values, strict=True):
            cast("array[float]", self._floats[object_id, key].values).frombytes(column)
        self.points += len(keys) * len(steps) // 8

    def _axes_of(self, object_id: str, keys: Sequence[str]) -> list[_Axis]:
        """Return the axes that a point of each of these series extends: a single one if they have grown together so far."""
        known = [series for key in keys if (series := self._floats.get((object_id, key))) is not None]
        axis = known[0].axis if known else _Axis(users=len(keys))
        if not known or (len(known) == len(keys) == axis.users and all(series.axis is axis for series in known)):
            for key in keys[len(known) :]:
                self._floats[object_id, key] = _Series(ValueKind.FLOAT, axis)
            return [axis]
        return [self._floats.setdefault((object_id, key), _Series(ValueKind.FLOAT)).own_axis() for key in keys]

    def blocks(self) -> list[SeriesBlock]:
        """Return one block per series, in the order in which the series appeared."""
        floats = [(object_id, key, ValueKind.FLOAT, series) for (object_id, key), series in self._floats.items()]
        others = [(object_id, key, kind, series) for (object_id, key, kind), series in self._others.items()]
        return [
            SeriesBlock(
                object_id=object_id,
                key=key,
                kind=kind,
                steps=series.axis.steps,
                wall_times_us=series.axis.wall_times_us,
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
