"""Which rows of a frame of runs a query means: asked of the store where there is one, decided from the frame itself elsewhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import pandas as pd

from modelbox.client.connection import ModelBox
from modelbox.entities.records import ExperimentRecord, Json, Status
from modelbox.entities.series import SeriesSummary, ValueKind
from modelbox.entities.times import now, to_us
from modelbox.wire.query.evaluate import Facts, decide
from modelbox.wire.query.ordering import in_order, sortable
from modelbox.wire.query.parser import parse
from modelbox_widgets.runs import ID, MetricColumns, is_missing, metric_columns, setting_columns

__all__ = ["ids_in_store", "rows_in_frame"]

_TEXT_FIELDS = ("name", "namespace", "owner", "framework", "external_id", "group")


def ids_in_store(query: str, box: ModelBox) -> list[str]:
    """Return the ids of the experiments that a query means, in its order."""
    return [experiment.id for experiment in box.experiments(q=query)]


def rows_in_frame(query: str, frame: pd.DataFrame) -> list[int]:
    """Return the positions of the rows that a query means, in its order; what the frame does not have counts as not there.

    Raises
    ------
    InvalidQuery
        The query is not of the language.
    """
    wanted = parse(query)
    moment = to_us(now())
    facts = _facts(frame)
    where = wanted.where
    found = [at for at, one in enumerate(facts) if where is None or decide(where, one, moment)]
    if wanted.order:
        found = [found[i] for i in in_order([sortable(wanted.order, facts[at], moment) for at in found], wanted.order)]
    return found if wanted.limit is None else found[: wanted.limit]


def _facts(frame: pd.DataFrame) -> list[Facts]:
    settings, metrics = setting_columns(frame), metric_columns(frame)
    return [_of_row(row, settings, metrics) for row in cast("list[dict[str, Any]]", frame.to_dict("records"))]


def _of_row(row: Mapping[str, Any], settings: list[str], metrics: Mapping[str, MetricColumns]) -> Facts:
    created = _moment(row.get("created_at")) or _moment(row.get("started_at")) or now()
    status = row.get("status")
    record = ExperimentRecord(
        id=str(row[ID]),
        **{field: "" if is_missing(row.get(field)) else str(row[field]) for field in _TEXT_FIELDS},
        status=Status(status) if status in set(Status) else Status.FINISHED,
        parent_id=None if is_missing(row.get("parent_id")) else str(row["parent_id"]),
        created_at=created,
        updated_at=_moment(row.get("updated_at")) or created,
        started_at=_moment(row.get("started_at")) or created,
        finished_at=_moment(row.get("finished_at")),
    )
    metadata: dict[str, Json] = {column: _plain(row[column]) for column in settings if not is_missing(row[column])}
    series = {key: _summary(record.id, key, row, columns) for key, columns in metrics.items() if not is_missing(row[columns.last])}
    return Facts(record, metadata, series)


def _summary(run_id: str, key: str, row: Mapping[str, Any], columns: MetricColumns) -> SeriesSummary:
    last, low, high = (_plain(row[column]) for column in (columns.last, columns.min, columns.max))
    is_text = isinstance(last, str)
    return SeriesSummary(
        object_id=run_id,
        key=key,
        kind=ValueKind.TEXT if is_text else ValueKind.FLOAT,
        count=1,
        first_step=0,
        last_step=0,
        last_wall_time_us=0,
        last=last if is_text else float(last),
        min=None if is_text or is_missing(low) else float(low),
        max=None if is_text or is_missing(high) else float(high),
    )


def _plain(value: Any) -> Json:
    """Return a value of NumPy as one of Python: the query language tells numbers from booleans by their type."""
    return value.item() if hasattr(value, "item") else value


def _moment(value: object) -> datetime | None:
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) and not is_missing(value) else None
