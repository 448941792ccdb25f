"""Summaries of the series of many objects as columns: what tables of runs are made of."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from modelbox.wire.messages import SummaryColumns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelbox.entities.series import SeriesSummary

__all__ = ["summary_columns"]


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
