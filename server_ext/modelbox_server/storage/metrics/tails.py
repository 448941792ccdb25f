"""Which chunks of a series become one, and how its points are cut into chunks: the same rules for every store that keeps chunks.

New points join the small chunks at the end of their series, so that a run which logs one point a second ends as a few full chunks all the
same: a chunk is rewritten while it is small, or not larger than what joins it, which keeps the number of chunks logarithmic and rewrites
each point a few times at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from modelbox_server.storage.metrics.chunks import MAX_CHUNK_POINTS, DamagedChunk, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from modelbox.entities.series import ValueKind
    from modelbox_server.storage.metrics.chunks import PackedChunk
    from modelbox_server.storage.metrics.columns import Points

__all__ = ["FULL_POINTS", "MAX_CONTENT_BYTES", "MAX_MERGED_BYTES", "ChunkRow", "Tail", "joining", "opened_chunks", "parts"]

FULL_POINTS = 1024
"""A chunk with as many points is never rewritten."""

MAX_MERGED_BYTES = 1 << 18
"""Nor is one with more bytes."""

MAX_CONTENT_BYTES = 1 << 22
"""Texts and bytes of one chunk, unless a single one is larger."""

_SMALL_POINTS = 256

ChunkRow: TypeAlias = tuple[int, int, int, bytes | None]
"""Id, how many points came before, how many it has, and its data unless nobody asked for it."""


class Tail(NamedTuple):
    """A chunk at the end of a series, without its data."""

    id: int
    start: int
    points: int
    size_bytes: int


def joining(tail: Sequence[Tail], added: int) -> list[Tail]:
    """Return those of the last chunks, newest first, that `added` points should be packed together with."""
    joined: list[Tail] = []
    for chunk in tail:
        is_small = chunk.points < _SMALL_POINTS or chunk.points <= added
        if not is_small or chunk.points >= FULL_POINTS or chunk.size_bytes > MAX_MERGED_BYTES or added + chunk.points > MAX_CHUNK_POINTS:
            break
        joined.append(chunk)
        added += chunk.points
    return joined


def parts(points: Points) -> Iterator[Points]:
    """Cut `points` so that no part is too large for a chunk."""
    start = 0
    while start < len(points):
        stop = min(start + MAX_CHUNK_POINTS, len(points))
        if not isinstance(points.values, np.ndarray):
            sizes = np.cumsum([len(value) for value in points.values[start:stop]])
            stop = start + max(1, int(np.searchsorted(sizes, MAX_CONTENT_BYTES, "right")))
        yield points.part(start, stop)
        start = stop


def opened_chunks(rows: Iterable[ChunkRow], kind: ValueKind, start: int, name: Callable[[int], int] = int) -> list[tuple[int, PackedChunk]]:
    """Return chunks, each with how many points came before it; those without data, which nobody asked for, are passed over.

    Parameters
    ----------
    rows
        In order of arrival.
    kind
        What the values of the series are.
    start
        How many points came before the first one.
    name
        Makes of an id what a message calls the chunk.

    Raises
    ------
    DamagedChunk
        One is missing, cannot be read, or belongs elsewhere.
    """
    chunks: list[tuple[int, PackedChunk]] = []
    for id_, first, count, data in rows:
        if first != start:
            raise DamagedChunk("some of its chunks are missing")
        if data is not None:
            try:
                chunk = opened(data)
            except DamagedChunk as error:
                raise DamagedChunk(f"chunk {name(id_)} cannot be read, {error}") from error
            if chunk.kind is not kind or chunk.count != count:
                raise DamagedChunk(f"chunk {name(id_)} is not the one that belongs there")
            chunks.append((first, chunk))
        start += count
    return chunks
