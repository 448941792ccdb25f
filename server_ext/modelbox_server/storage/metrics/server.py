"""Points in a database that many servers share: what the stores on PostgreSQL and on MySQL have in common.

An append is one transaction. It remembers its batch first, so that the same batch that comes to another server at the same moment waits and
then finds itself stored. Then it locks the rows of its objects, in the order of their ids, so that appends which share an object go
one after the other and never wait for each other in a circle: the place of each point in order of arrival is known, and whoever asks for
"all after the first n" misses none. What is known of each series, and the overview of each object, changes in the same transaction.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbox.entities.series import ValueKind
from modelbox_server.storage.interfaces import AppendOutcome
from modelbox_server.storage.metrics.axes import Axes
from modelbox_server.storage.metrics.columns import grouped
from modelbox_server.storage.metrics.ledger import repeated
from modelbox_server.storage.metrics.overviews import MAX_SERIES, columns_of, overview_of
from modelbox_server.storage.metrics.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from modelbox.entities.series import SeriesBlock, SeriesSummary
    from modelbox.wire.messages import SummaryColumns
    from modelbox_server.storage.interfaces import BatchKey
    from modelbox_server.storage.metrics.columns import Points, SeriesKey
    from modelbox_server.storage.metrics.overviews import FoundOverview, Overview, OverviewRow
    from modelbox_server.storage.metrics.transactions import Cursor, Transactions

__all__ = ["KINDS", "Addition", "ServerMetricsStore", "StoredSeries", "WantedSeries"]

KINDS = list(ValueKind)
"""Kinds by the number that stands for them in a table."""

_POINTS_AT_ONCE = 1_000_000
_SERIES_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """A series as it is stored.

    Parameters
    ----------
    id
        In the database; 0 for one that is to be added.
    key, totals
        What it is, and what is known of it.
    is_rising
        Whether every point that arrived had a greater step than all before; false where nobody asks.
    """

    id: int
    key: SeriesKey
    totals: Totals
    is_rising: bool = False

    def plus(self, points: Points, totals: Totals) -> StoredSeries:
        """Return the series with `points`, whose totals are known, at its end."""
        is_rising = self.is_rising and points.is_rising() and int(points.steps[0]) > self.totals.last_step
        return StoredSeries(self.id, self.key, self.totals.plus(totals), is_rising)


@dataclass(frozen=True, slots=True)
class Addition:
    """Points that join a series which has `start` already."""

    id: int
    key: SeriesKey
    start: int
    points: Points


@dataclass(frozen=True, slots=True)
class WantedSeries:
    """A series whose points are to be read, without the first `seen` in order of arrival."""

    series: StoredSeries
    seen: int

    def places(self, steps: tuple[int, int] | None) -> tuple[int, int]:
        """Return between which places in order of arrival, both included, all points lie that are wanted, at these steps if any."""
        last = self.series.totals.count - 1
        if steps is None or not self.series.is_rising:
            return self.seen, last
        # Steps are integers and differ: from one place to the next they grow by one at least.
        of = self.series.totals
        return max(self.seen, last - (of.last_step - steps[0])), min(last, steps[1] - of.first_step)


class ServerMetricsStore(ABC):
    """See :class:`modelbox_server.storage.interfaces.MetricsStore` for what it promises; what differs between servers is abstract.

    Parameters
    ----------
    transactions
        Those of its database, whose tables are there.
    """

    name: str

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self.migrations = transactions.migrations
        """The steps of its tables."""

    # --- the promises --------------------------------------------------------------------------------------------------------------------

    def append(self, blocks: Sequence[SeriesBlock], batch: BatchKey | None = None) -> AppendOutcome:
        """Add points; all of them or none, committed when this returns."""
        added = grouped(blocks)
        return self._transactions.write(lambda cursor: self._append(cursor, added, batch))

    def read(
        self,
        object_ids: Sequence[str],
        keys: Sequence[str] | None = None,
        *,
        skip: Mapping[tuple[str, str], int] | None = None,
        steps: tuple[int, int] | None = None,
    ) -> list[SeriesBlock]:
        """Return the points of every series of these objects, ordered by (step, wall clock)."""
        skip = skip or {}
        blocks: list[SeriesBlock] = []
        with self._transactions.read() as cursor:
            wanted = [
                WantedSeries(series, seen)
                for series in self._ordered_series(cursor, object_ids, keys)
                if (seen := skip.get(series.key[:2], 0)) < series.totals.count
                and (steps is None or (series.totals.first_step <= steps[1] and series.totals.last_step >= steps[0]))
            ]
            for some in _groups(wanted):
                found = self._read_points(cursor, some, steps)
                blocks += [
                    found[one.series.id].block(*one.series.key[:2]) for one in some if one.series.id in found and len(found[one.series.id])
                ]
        return blocks

    def summaries(self, object_ids: Sequence[str], keys: Sequence[str] | None = None) -> list[SeriesSummary]:
        """Return what is known of every series of these objects without reading points."""
        with self._transactions.read() as cursor:
            return [series.totals.summary(series.key) for series in self._ordered_series(cursor, object_ids, keys)]

    def summary_columns(self, object_ids: Sequence[str]) -> SummaryColumns:
        """Return the summaries of every series of these objects as columns by key."""
        place_of = {object_id: place for place, object_id in enumerate(object_ids)}
        asked = _storable(object_ids)
        if not asked:
            return columns_of([])
        with self._transactions.read() as cursor:
            found: list[FoundOverview] = []
            without: list[str] = []
            for object_id, layout, numbers, texts in self._overviews(cursor, asked):
                if layout:
                    found.append((place_of[object_id], layout, numbers, texts))
                else:
                    without.append(object_id)
            for object_id, rows in _rows_by_object(self._ordered_series(cursor, without, None)).items():
                made = overview_of(rows)
                found.append((place_of[object_id], made.layout, made.numbers, made.texts))
        return columns_of(found)

    def delete(self, object_ids: Sequence[str]) -> int:
        """Delete all series of these objects and return how many points they had."""
        ids = sorted(_storable(object_ids))
        return self._transactions.write(lambda cursor: self._delete(cursor, ids)) if ids else 0

    def pool_status(self) -> Mapping[str, int]:
        """Return how many connections there may be, are open, and are in use now; costs nothing."""
        return self._transactions.pool_status()

    def check(self) -> None:
        """Return if a row can be written now, raise the reason otherwise."""
        self._transactions.write(lambda cursor: self._probe(cursor, time.time_ns() // 1000))

    def close(self) -> None:
        """Close the connections."""
        self._transactions.close()

    # --- one transaction -----------------------------------------------------------------------------------------------------------------

    def _append(self, cursor: Cursor, added: Mapping[SeriesKey, Points], batch: BatchKey | None) -> AppendOutcome:
        count = sum(map(len, added.values()))
        if batch is not None:
            stored = self._remember(cursor, batch, count)
            if stored is not None:
                return repeated(batch, *stored)
        if not added:
            return AppendOutcome(count)
        widths = self._lock_or_add(cursor, sorted({object_id for object_id, _, _ in added}))
        known = self._known(cursor, widths, added)
        axes = Axes()
        totals = {key: Totals.of(points, axes.bounds(points) if len(points) > 1 else None) for key, points in added.items()}
        new = [StoredSeries(0, key, totals[key], points.is_rising()) for key, points in added.items() if key not in known]
        grown = [known[key].plus(points, totals[key]) for key, points in added.items() if key in known]
        new_ids = self._add_series(cursor, new) if new else {}
        self._add_points(
            cursor,
            [
                Addition(known[key].id, key, known[key].totals.count, points) if key in known else Addition(new_ids[key], key, 0, points)
                for key, points in added.items()
            ],
            axes,
        )
        known |= {one.key: one for one in grown}
        known |= {one.key: one for one in new}
        for one in new:
            widths[one.key[0]] += 1
        self._change(cursor, grown, list(_overviews_of(widths, known.values())))
        return AppendOutcome(count)

    def _known(self, cursor: Cursor, widths: Mapping[str, int], added: Iterable[SeriesKey]) -> dict[SeriesKey, StoredSeries]:
        """Return the series of these objects, but of those with very many series just what is to grow."""
        few = [object_id for object_id, width in widths.items() if 0 < width <= MAX_SERIES]
        series = list(self._series(cursor, few, None)) if few else []
        for object_id in (object_id for object_id, width in widths.items() if width > MAX_SERIES):
            series += self._series(cursor, [object_id], list(dict.fromkeys(key for owner, key, _ in added if owner == object_id)))
        return {one.key: one for one in series}

    def _delete(self, cursor: Cursor, object_ids: Sequence[str]) -> int:
        # What is not locked may come at any moment, and is then not part of this.
        locked = self._lock(cursor, object_ids)
        if not locked:
            return 0
        series = list(self._series(cursor, locked, None))
        self._delete_series(cursor, locked, [one.id for one in series])
        return sum(one.totals.count for one in series)

    def _ordered_series(self, cursor: Cursor, object_ids: Sequence[str], keys: Sequence[str] | None) -> list[StoredSeries]:
        """Return series by object as asked, then by key, then by kind."""
        ids = _storable(object_ids)
        names = None if keys is None else _storable(keys)
        if not ids or names == []:
            return []
        place_of = {object_id: place for place, object_id in enumerate(ids)}
        found = list(self._series(cursor, ids, names))
        found.sort(key=lambda one: (place_of[one.key[0]], one.key[1], KINDS.index(one.key[2])))
        return found

    # --- what differs between servers ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _remember(self, cursor: Cursor, batch: BatchKey, points: int) -> tuple[bytes, int] | None:
        """Note a batch; return digest and points of the one that was noted before under its number."""

    @abstractmethod
    def _lock_or_add(self, cursor: Cursor, object_ids: Sequence[str]) -> dict[str, int]:
        """Lock the rows of these objects, which are sorted, making those that are not there; return how many series each has.

        Raises
        ------
        Collision
            One of them was deleted meanwhile.
        """

    @abstractmethod
    def _lock(self, cursor: Cursor, object_ids: Sequence[str]) -> list[str]:
        """Lock the rows of these objects, which are sorted, as far as they are there, and return which are."""

    @abstractmethod
    def _series(self, cursor: Cursor, object_ids: Sequence[str], keys: Sequence[str] | None) -> Iterable[StoredSeries]:
        """Return the series of these objects, with `keys` only those, in no order."""

    @abstractmethod
    def _add_series(self, cursor: Cursor, new: Sequence[StoredSeries]) -> dict[SeriesKey, int]:
        """Add series and return the id of each."""

    @abstractmethod
    def _add_points(self, cursor: Cursor, additions: Sequence[Addition], axes: Axes) -> None:
        """Add points to series."""

    @abstractmethod
    def _change(self, cursor: Cursor, grown: Sequence[StoredSeries], objects: Sequence[tuple[str, int, Overview | None]]) -> None:
        """Keep new totals of series, and of each object how many series it has, and its overview."""

    @abstractmethod
    def _overviews(self, cursor: Cursor, object_ids: Sequence[str]) -> Iterable[tuple[str, str, bytes, str]]:
        """Return the overviews of these objects; the layout of an object without one is empty."""

    @abstractmethod
    def _read_points(self, cursor: Cursor, wanted: Sequence[WantedSeries], steps: tuple[int, int] | None) -> Mapping[int, Points]:
        """Return the points of series by their ids, ordered by (step, wall clock); a series without any may be left out."""

    @abstractmethod
    def _delete_series(self, cursor: Cursor, object_ids: Sequence[str], series_ids: Sequence[int]) -> None:
        """Delete series with their points, and the objects that had them."""

    @abstractmethod
    def _probe(self, cursor: Cursor, at_us: int) -> None:
        """Write a row that says nothing."""


def _groups(wanted: Sequence[WantedSeries]) -> Iterator[Sequence[WantedSeries]]:
    """Cut a list of series into parts that are not too large to be read at once, unless a single series is."""
    part: list[WantedSeries] = []
    points = 0
    for one in wanted:
        if part and (points + one.series.totals.count > _POINTS_AT_ONCE or len(part) == _SERIES_AT_ONCE):
            yield part
            part, points = [], 0
        part.append(one)
        points += one.series.totals.count
    if part:
        yield part


def _rows_by_object(series: Iterable[StoredSeries]) -> dict[str, list[OverviewRow]]:
    rows: dict[str, list[OverviewRow]] = {}
    for one in series:
        (object_id, key, kind), of = one.key, one.totals
        row = (key, KINDS.index(kind), of.count, of.last_step, of.numbers, of.last, of.low, of.high, of.mean)
        rows.setdefault(object_id, []).append(row)
    return rows


def _overviews_of(widths: Mapping[str, int], series: Iterable[StoredSeries]) -> Iterator[tuple[str, int, Overview | None]]:
    rows = _rows_by_object(one for one in series if widths[one.key[0]] <= MAX_SERIES)
    for object_id, width in widths.items():
        yield object_id, width, overview_of(sorted(rows[object_id], key=lambda row: row[:2])) if object_id in rows else None


def _storable(names: Sequence[str]) -> list[str]:
    """Return the different names among these, without those that no database could hold, and so does not."""
    unique = list(dict.fromkeys(names))
    return unique if _is_storable("".join(unique)) else [name for name in unique if _is_storable(name)]


def _is_storable(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text))
