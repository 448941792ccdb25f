"""Points of one series as numpy columns: what every metrics store works on between the wire and its own format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import InvalidRequest, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

__all__ = ["Floats", "Integers", "Order", "Points", "SeriesKey", "grouped", "order_of"]

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Order: TypeAlias = npt.NDArray[np.intp]
Values: TypeAlias = "Floats | list[str] | list[bytes]"

SeriesKey: TypeAlias = tuple[str, str, ValueKind]
"""What a series is stored under: object id, key, kind of value."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Columns of one length, in order of arrival unless said otherwise.

    Parameters
    ----------
    kind
        What the values are.
    steps, clocks_us
        Step and wall clock (microseconds since 1970-01-01 UTC) of each point.
    values
        An array for floats, a list for text and bytes.
    """

    kind: ValueKind
    steps: Integers
    clocks_us: Integers
    values: Values

    def __len__(self) -> int:
        """Return how many points there are."""
        return len(self.steps)

    @classmethod
    def of_block(cls, block: SeriesBlock, known: dict[int, Integers] | None = None) -> Points:
        """Return the columns of `block`; they may be views into its buffers.

        Blocks that share columns get the same arrays of steps and wall clocks for these if `known`, by the id of the column, is passed on
        from one to the next.

        Raises
        ------
        InvalidRequest
            The columns differ in length, or a text has a lone surrogate.
        """
        known = {} if known is None else known
        for column in (block.steps, block.wall_times_us):
            if id(column) not in known:
                known[id(column)] = np.frombuffer(memoryview(column), np.int64)
        steps, clocks_us = known[id(block.steps)], known[id(block.wall_times_us)]
        values: Values
        match block.kind:
            case ValueKind.FLOAT:
                values = np.frombuffer(memoryview(cast("Buffer", block.values)), np.float64)
            case ValueKind.TEXT:
                values = list(cast("Sequence[str]", block.values))
                _check_texts(values, block.key)
            case ValueKind.BYTES:
                values = [bytes(value) for value in cast("Sequence[bytes]", block.values)]
        if not len(steps) == len(clocks_us) == len(values):
            raise InvalidRequest(
                f"The series {shortened(block.key)} has {len(steps)} steps, {len(clocks_us)} wall clocks and {len(values)} values: "
                "send as many of each."
            )
        return cls(block.kind, steps, clocks_us, values)

    @classmethod
    def none(cls, kind: ValueKind) -> Points:
        """Return no points."""
        numbers = np.empty(0, np.int64)
        return cls(kind, numbers, numbers, np.empty(0) if kind is ValueKind.FLOAT else [])

    @classmethod
    def joined(cls, parts: Sequence[Points]) -> Points:
        """Return the points of all `parts`, one after the other; there must be at least one, all of one kind."""
        if len(parts) == 1:
            return parts[0]
        kind = parts[0].kind
        if kind is ValueKind.FLOAT:
            values: Values = np.concatenate([cast("Floats", part.values) for part in parts])
        else:
            values = [value for part in parts for value in cast("list[str]", part.values)]
        return cls(kind, np.concatenate([part.steps for part in parts]), np.concatenate([part.clocks_us for part in parts]), values)

    def part(self, start: int, stop: int | None = None) -> Points:
        """Return the points from `start` up to `stop`."""
        return Points(self.kind, self.steps[start:stop], self.clocks_us[start:stop], self.values[start:stop])

    def copied(self) -> Points:
        """Return the same points in memory of their own."""
        values = self.values.copy()
        return Points(self.kind, self.steps.copy(), self.clocks_us.copy(), values)

    def ordered(self) -> Points:
        """Return the points ordered by (step, wall clock), those equal in both as they were."""
        order = order_of(self.steps, self.clocks_us)
        return self if order is None else self._at(order)

    def _at(self, places: Order) -> Points:
        if isinstance(self.values, np.ndarray):
            values: Values = self.values[places]
        else:
            values = cast("list[str]", [self.values[place] for place in places])
        return Points(self.kind, self.steps[places], self.clocks_us[places], values)

    def is_rising(self) -> bool:
        """Tell whether every step is greater than the one before."""
        return len(self) == 1 or bool((self.steps[1:] > self.steps[:-1]).all())

    def within(self, steps: tuple[int, int] | None) -> Points:
        """Return the points from the first to the last of these two steps, as they were; all of them for ``None``."""
        if steps is None or not len(self):
            return self
        wanted = (self.steps >= steps[0]) & (self.steps <= steps[1])
        if bool(wanted.all()):
            return self
        places = np.flatnonzero(wanted)
        if len(places) and places[-1] - places[0] == len(places) - 1:
            return self.part(int(places[0]), int(places[-1]) + 1)
        return self._at(places)

    def block(self, object_id: str, key: str) -> SeriesBlock:
        """Return these points as a block of the series (`object_id`, `key`)."""
        # numpy arrays are buffers, but before Python 3.12 no type can say so.
        values = cast("Buffer", self.values) if isinstance(self.values, np.ndarray) else self.values
        return SeriesBlock(
            object_id=object_id,
            key=key,
            kind=self.kind,
            steps=cast("Buffer", self.steps),
            wall_times_us=cast("Buffer", self.clocks_us),
            values=values,
        )


def order_of(steps: Integers, clocks_us: Integers) -> Order | None:
    """Return which point comes where by (step, wall clock), those equal in both as they are; ``None`` when all stand right."""
    later = steps[1:] > steps[:-1]
    if later.all() or (later | ((steps[1:] == steps[:-1]) & (clocks_us[1:] >= clocks_us[:-1]))).all():
        return None
    return np.lexsort((clocks_us, steps))


def grouped(blocks: Sequence[SeriesBlock]) -> dict[SeriesKey, Points]:
    """Return the points of each series in `blocks`, in order of arrival; series without points are left out."""
    parts: dict[SeriesKey, list[Points]] = {}
    known: dict[int, Integers] = {}
    for block in blocks:
        points = Points.of_block(block, known)
        if len(points):
            parts.setdefault((block.object_id, block.key, block.kind), []).append(points)
    return {series: Points.joined(found) for series, found in parts.items()}


def _check_texts(texts: Sequence[str], key: str) -> None:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"A text of the series {shortened(key)} contains a lone surrogate: send valid Unicode.") from error
