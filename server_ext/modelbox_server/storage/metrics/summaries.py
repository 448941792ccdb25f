"""Summaries of the series of many objects as columns: what tables of runs are made of."""

from __future__ import annotations

from itertools import chain
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from modelbox.wire.messages import SummaryColumns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelbox.entities.series import SeriesSummary

__all__ = ["by_key", "summary_columns"]


def summary_columns(object_ids: Sequence[str], summaries: Iterable[SeriesSummary]) -> SummaryColumns:
    """Return `summaries`, which come by object as asked, then by key, then by kind, as columns."""
    row = {object_id: at for at, object_id in enumerate(object_ids)}
    by_key = sorted(summaries, key=attrgetter("key"))
    return SummaryColumns(
        row=[row[one.object_id] for one in by_key],
        key=[one.key for one in by_key],
        count=[one.count for one in by_key],
        last_step=[one.last_step for one in by_key],
        last=[one.last for one in by_key],
        min=[one.min for one in by_key],
        max=[one.max for one in by_key],
        mean=[one.mean for one in by_key],
    )


def by_key(columns: Sequence[list[Any]]) -> list[list[Any]]:
    """Return columns that come by object and then by key, by key and then by object; the first column is the key, the second the object."""
    keys, rows = columns[0], columns[1]
    if len(keys) < 2:
        return list(columns)
    width = rows.count(rows[0])
    if len(set(keys[:width])) == width and keys == keys[:width] * (len(keys) // width):
        # All objects have the same keys, as the runs of a search over parameters do.
        return [list(chain.from_iterable(column[start::width] for start in range(width))) for column in columns]
    pick = itemgetter(*sorted(range(len(keys)), key=keys.__getitem__))
    return [list(pick(column)) for column in columns]
