"""The summaries of all series of an object in one row: what a table of runs reads instead of a row per series.

A table of 1,000 runs with 20 metrics shows 20,000 series. Fetched row by row they cost 180,000 objects of Python; as one blob per run numpy
takes them apart at once. An overview is made of what is known of the series, in the transaction that changes them, and says nothing that
those do not say: an object may well be without one, and what reads it makes it on the fly then.
"""

from __future__ import annotations

from itertools import chain, pairwise, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
import numpy as np

from modelbox.entities.series import ValueKind
from modelbox.wire.messages import SummaryColumns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MAX_SERIES", "FoundOverview", "Overview", "OverviewRow", "columns_of", "overview_of"]

MAX_SERIES = 1000
"""An object with more series has no overview: making it anew with every batch would take longer than it ever saves."""

OverviewRow: TypeAlias = "tuple[str, int, int, int, int, float | str | None, float | None, float | None, float | None]"
"""Key, number of the kind, points, last step, how many of them are numbers, last value, least, greatest, mean."""

_KINDS = list(ValueKind)
_FLOAT, _TEXT = _KINDS.index(ValueKind.FLOAT), _KINDS.index(ValueKind.TEXT)
_NUMBERS = np.dtype(
    [("count", "<i8"), ("last_step", "<i8"), ("numbers", "<i8"), ("last", "<f8"), ("min", "<f8"), ("max", "<f8"), ("mean", "<f8")]
)


class Overview(NamedTuple):
    """The series of one object, by key and then by kind.

    `layout` is JSON, a list of keys and one of kinds; equal for objects with the same series. `numbers` has one item of :data:`_NUMBERS`
    per series, `texts` is JSON of what text series have last, in their order.
    """

    layout: str
    numbers: bytes
    texts: str


FoundOverview: TypeAlias = tuple[int, str, bytes, str]
"""The place of an object among those that were asked for, and its overview."""


def overview_of(rows: Sequence[OverviewRow]) -> Overview:
    """Return the overview of the series of one object, at least one, which come by key and then by kind."""
    keys, kinds, counts, last_steps, numbers, lasts, lows, highs, means = zip(*rows, strict=True)
    packed = np.empty(len(rows), _NUMBERS)
    packed["count"], packed["last_step"], packed["numbers"] = counts, last_steps, numbers
    packed["last"] = [last if kind == _FLOAT else None for last, kind in zip(lasts, kinds, strict=True)]
    packed["min"], packed["max"], packed["mean"] = lows, highs, means
    texts = [last for last, kind in zip(lasts, kinds, strict=True) if kind == _TEXT]
    return Overview(_json([keys, kinds]), packed.tobytes(), _json(texts))


def columns_of(found: Iterable[FoundOverview]) -> SummaryColumns:
    """Return overviews as columns, by key, then by place, then by kind."""
    rows_of: dict[str, list[tuple[int, bytes, str]]] = {}
    for row, layout, numbers, texts in found:
        rows_of.setdefault(layout, []).append((row, numbers, texts))
    return _columns([part for layout, rows in rows_of.items() for part in _parts(layout, rows)])


class _Part(NamedTuple):
    """One series of all objects of one layout."""

    key: str
    kind: int
    rows: np.ndarray[Any, np.dtype[np.int64]]
    numbers: np.ndarray[Any, np.dtype[Any]]
    texts: list[str]


def _parts(layout: str, found: list[tuple[int, bytes, str]]) -> Iterator[_Part]:
    """Yield the series of objects of one layout."""
    keys, kinds = msgspec.json.decode(layout, type=tuple[list[str], list[int]])
    found.sort(key=itemgetter(0))
    rows = np.array([row for row, _, _ in found], np.int64)
    table = np.frombuffer(b"".join([numbers for _, numbers, _ in found]), _NUMBERS).reshape(len(rows), len(keys))
    texts = [msgspec.json.decode(texts, type=list[str]) for _, _, texts in found] if _TEXT in kinds else []
    text_at = 0
    for at, (key, kind) in enumerate(zip(keys, kinds, strict=True)):
        of_series: list[str] = []
        if kind == _TEXT:
            of_series = [of_object[text_at] for of_object in texts]
            text_at += 1
        yield _Part(key, kind, rows, table[:, at], of_series)


def _columns(parts: list[_Part]) -> SummaryColumns:
    if not parts:
        return SummaryColumns()
    parts.sort(key=lambda part: (part.key, part.rows[0], part.kind))
    heights = [len(part.rows) for part in parts]
    rows = np.concatenate([part.rows for part in parts])
    numbers = np.concatenate([part.numbers for part in parts])
    last: list[float | str | None] = numbers["last"].tolist()
    if any(part.kind != _FLOAT for part in parts):
        start = 0
        for part, height in zip(parts, heights, strict=True):
            if part.kind != _FLOAT:
                last[start : start + height] = part.texts if part.kind == _TEXT else [None] * height
            start += height
    if any(one.key == other.key for one, other in pairwise(parts)):
        # Objects of different layouts share keys.
        first_of = {part.key: at for at, part in reversed(list(enumerate(parts)))}
        order = np.lexsort((rows, np.repeat([first_of[part.key] for part in parts], heights)))
        rows, numbers, last = rows[order], numbers[order], [last[at] for at in order.tolist()]
    columns = {name: numbers[name].tolist() for name in ("count", "last_step", "min", "max", "mean")}
    if not numbers["numbers"].all():
        # Nothing but NaN, or no numbers at all: there are no bounds. Everything else that is NaN is so itself.
        for name in ("min", "max", "mean"):
            columns[name] = [value if some else None for value, some in zip(columns[name], numbers["numbers"].tolist(), strict=True)]
    key = list(chain.from_iterable(repeat(part.key, height) for part, height in zip(parts, heights, strict=True)))
    return SummaryColumns(key=key, row=rows.tolist(), last=last, **columns)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
