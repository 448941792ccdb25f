"""Runs as DataFrames.

Columns of a table of runs, in this order:

=================================== =================================================================================================
column                              holds
=================================== =================================================================================================
experiment_id, name, namespace,     the fields of the experiment, as text; missing parents are missing values
status, owner, group, framework,
parent_id
created_at, started_at, finished_at aware UTC times
duration_s                          seconds from start to end; missing while it runs
params.NAME                         hyperparameters: ``int64`` (``Int64`` where some are missing), ``float64``, ``bool`` or ``str`` where
                                    all values agree, ``object`` elsewhere
tags.NAME                           ``bool``
KEY                                 all other metadata, typed like parameters, such as ``git.commit``
metrics.KEY, metrics.KEY.last       value at the greatest step
metrics.KEY.min, metrics.KEY.max    bounds over all steps, NaN left out
=================================== =================================================================================================

Within a block columns are sorted by name. What is too long for a cell is left out: the installed packages, the patch of uncommitted
changes, and the source and the exception of a notebook cell that is an experiment (``environment.packages``, ``git.diff``, ``cell.source``,
``cell.error``); :func:`with_long_metadata` adds it, and ``df.modelbox.diff()`` compares it. Printed
lines (``console/…``) have no columns: :meth:`modelbox.Experiment.console` returns them. ``df.attrs["modelbox"]`` says where the runs come
from (no secrets).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pandas as pd

from modelbox.client.experiment_queries import joined_frames, newest_first
from modelbox.client.shared import default_connection
from modelbox.entities.own_keys import CONSOLE_PREFIX, LONG_METADATA
from modelbox.entities.times import from_us
from modelbox.entities.values import json_from_wire
from modelbox.errors import InvalidRequest
from modelbox.frames.arrow_columns import ArrowTable
from modelbox.frames.columns import (
    by_key,
    numbers_column,
    objects_column,
    plain_values,
    tag_column,
    text_column,
    times_column,
    typed_column,
)
from modelbox.frames.subjects import checked_format, ids_of, origin
from modelbox.wire.query.parser import parse

if TYPE_CHECKING:
    from modelbox.client.connection import ModelBox
    from modelbox.client.discovery import Where
    from modelbox.entities.records import ExperimentRecord, Json
    from modelbox.wire.messages import ExperimentFrame, ShownColumn

__all__ = ["experiment_table", "experiments", "with_long_metadata"]

_TEXT_FIELDS = ("name", "namespace", "status", "owner", "group", "framework", "parent_id")
_TIME_FIELDS = ("created_at", "started_at", "finished_at")
# They travel in the address, and proxies take only so long ones.
_IDS_PER_REQUEST = 150


@overload
def experiments(
    q: str | None = None,
    *,
    namespace: str | None = None,
    name: str | None = None,
    status: str | None = None,
    owner: str | None = None,
    group: str | None = None,
    parent_id: str | None = None,
    ids: Iterable[str] | None = None,
    limit: int | None = None,
    format: Literal["pandas"] = "pandas",
    connection: ModelBox | None = None,
) -> pd.DataFrame: ...


@overload
def experiments(
    q: str | None = None,
    *,
    namespace: str | None = None,
    name: str | None = None,
    status: str | None = None,
    owner: str | None = None,
    group: str | None = None,
    parent_id: str | None = None,
    ids: Iterable[str] | None = None,
    limit: int | None = None,
    format: Literal["arrow"],
    connection: ModelBox | None = None,
) -> ArrowTable: ...


def experiments(
    q: str | None = None,
    *,
    namespace: str | None = None,
    name: str | None = None,
    status: str | None = None,
    owner: str | None = None,
    group: str | None = None,
    parent_id: str | None = None,
    ids: Iterable[str] | None = None,
    limit: int | None = None,
    format: Literal["pandas", "arrow"] = "pandas",  # noqa: A002 - the word that libraries of tables use
    connection: ModelBox | None = None,
) -> pd.DataFrame | ArrowTable:
    """Return experiments as a DataFrame, one row each, newest first.

    The columns stand at the top of :mod:`modelbox.frames.runs`.

    Parameters
    ----------
    q
        Query, such as ``"metrics.accuracy.max > 0.9 and params.lr < 0.01 or tags.baseline order by metrics.loss.min limit 20"``;
        :mod:`modelbox.wire.query` has the whole language. With ``show name, params.lr, metrics.loss.at(100)`` in it the table has just
        these columns, behind ``experiment_id``.
    namespace
        Only those in this namespace or below it.
    name, status, owner, group, parent_id, ids
        Only those that have this value; all that are given must hold.
    limit
        At most so many.
    format
        ``"arrow"`` returns the columns for polars, pyarrow and others, without making a DataFrame of them.
    connection
        Where to look; the shared connection when left out.

    Examples
    --------
    >>> import modelbox, modelbox.testing
    >>> with modelbox.testing.memory_connection() as box:
    ...     with box.start("digits", params={"lr": 0.1}) as run:
    ...         run.log(loss=0.25)
    ...     modelbox.experiments(connection=box)[["name", "params.lr", "metrics.loss"]]
    ...     len(modelbox.experiments("params.lr > 1 or metrics.loss.min > 1", connection=box))
         name  params.lr  metrics.loss
    0  digits        0.1          0.25
    0
    """
    box = connection or default_connection()
    filters: dict[str, Any] = {"q": q, "namespace": namespace, "name": name, "status": status, "owner": owner, "group": group}
    filters["parent_id"] = parent_id
    wanted = None if ids is None else [ids] if isinstance(ids, str) else list(dict.fromkeys(map(str, ids)))
    if wanted is None or len(wanted) <= _IDS_PER_REQUEST:
        frame = box.experiment_frame(ids=wanted, limit=limit, **filters)
    else:
        frame = _of_many(box, wanted, filters, limit)
    return ArrowTable(_columns(frame)[0]) if checked_format(format) == "arrow" else experiment_table(frame, box.where)


def _of_many(box: ModelBox, ids: list[str], filters: dict[str, Any], limit: int | None) -> ExperimentFrame:
    """Return experiments of more ids than one request takes, newest first."""
    query = parse(filters["q"] or "")
    if query.order or query.limit or limit is not None:
        raise InvalidRequest(
            f"{len(ids)} ids are asked for in parts of {_IDS_PER_REQUEST}, which cannot be ordered or limited together: leave 'order by' "
            "and limit out, and sort what comes back.",
            field="ids",
        )
    parts = [ids[begin : begin + _IDS_PER_REQUEST] for begin in range(0, len(ids), _IDS_PER_REQUEST)]
    return newest_first(joined_frames([box.experiment_frame(ids=part, **filters) for part in parts]))


def with_long_metadata(runs: pd.DataFrame, *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return a table of runs with the metadata that such tables leave out for its length, such as ``environment.packages``.

    Parameters
    ----------
    runs
        A table with the column ``experiment_id``. Columns that it has already stay, and so do rows of runs that are gone.
    connection
        Where to look; the shared connection when left out.
    """
    box = connection or default_connection()
    ids = ids_of(runs)
    found: dict[str, dict[str, Json]] = {key: {} for key in LONG_METADATA if key not in runs.columns}
    for begin in range(0, len(ids), _IDS_PER_REQUEST):
        frame = box.experiment_frame(ids=ids[begin : begin + _IDS_PER_REQUEST], long=True)
        for row, key, value in zip(frame.metadata.row, frame.metadata.key, frame.metadata.value, strict=True):
            if key in found:
                found[key][frame.experiments[row].id] = json_from_wire(value)
    columns = {
        key: objects_column([values.get(str(run_id)) for run_id in runs["experiment_id"]]) for key, values in found.items() if values
    }
    table = runs.assign(**columns)
    table.attrs = dict(runs.attrs)
    return table


def experiment_table(frame: ExperimentFrame, where: Where | None = None) -> pd.DataFrame:
    """Return a table of runs from the columns that a store answers with; see the top of the module."""
    columns, attributes = _columns(frame)
    table = pd.DataFrame(columns)
    table.attrs["modelbox"] = {**origin(where), **attributes}
    return table


def _columns(frame: ExperimentFrame) -> tuple[dict[str, object], dict[str, object]]:
    """Return the columns of a table of runs, and what is said of it beside where it comes from."""
    records = frame.experiments
    if frame.shown:
        return _shown_columns(frame), {}
    columns: dict[str, object] = _field_columns(records)
    documents = by_key(frame.metadata.key, frame.metadata.row, plain_values(frame.metadata.value))
    for name in sorted(documents, key=_metadata_order):
        rows, values = documents[name]
        # A key of the user may be spelled like a field: the field stays, the key moves behind a prefix.
        column = f"metadata.{name}" if name in columns else name
        columns[column] = tag_column(rows, values, len(records)) if name.startswith("tags.") else typed_column(rows, values, len(records))
    return columns, {"metrics": _add_metrics(columns, frame, len(records))}


def _shown_columns(frame: ExperimentFrame) -> dict[str, object]:
    """Return the columns that the query chose, behind the ids."""
    columns: dict[str, object] = {"experiment_id": text_column([record.id for record in frame.experiments])}
    columns.update({column.label: _shown_column(column) for column in frame.shown if column.label not in columns})
    return columns


def _shown_column(column: ShownColumn) -> object:
    height = len(column.values)
    if column.kind == "text":
        return text_column(column.values)
    if column.kind == "time":
        return times_column([None if us is None else from_us(us) for us in column.values])
    if column.kind == "duration":
        return np.array([np.nan if us is None else us / 1e6 for us in column.values], np.float64)
    values = plain_values(column.values)
    rows = [row for row, value in enumerate(values) if value is not None]
    make = {"tag": tag_column, "number": numbers_column, "value": typed_column}[column.kind]
    return make(rows, [values[row] for row in rows], height)


def _field_columns(records: Sequence[ExperimentRecord]) -> dict[str, object]:
    columns: dict[str, object] = {"experiment_id": text_column([record.id for record in records])}
    for field in _TEXT_FIELDS:
        columns[field] = text_column(list(map(attrgetter(field), records)))
    times = {field: times_column([getattr(record, field) for record in records]) for field in _TIME_FIELDS}
    columns.update(times)
    columns["duration_s"] = (times["finished_at"] - times["started_at"]).total_seconds().to_numpy()
    return columns


def _metadata_order(name: str) -> tuple[int, str]:
    return (0 if name.startswith("params.") else 1 if name.startswith("tags.") else 2), name


def _add_metrics(columns: dict[str, object], frame: ExperimentFrame, height: int) -> list[str]:
    summaries = frame.metrics
    found = by_key(summaries.key, summaries.row, summaries.last, summaries.min, summaries.max)
    names = sorted(name for name in found if not name.startswith(CONSOLE_PREFIX))
    # A metric called "loss.min" keeps its column; the minimum of "loss" steps aside.
    taken = {f"metrics.{name}" for name in names} | columns.keys()
    for name in names:
        rows, last, low, high = found[name]
        columns[f"metrics.{name}"] = value = numbers_column(rows, last, height)
        derived = {
            f"metrics.{name}.last": value,
            f"metrics.{name}.min": numbers_column(rows, low, height),
            f"metrics.{name}.max": numbers_column(rows, high, height),
        }
        columns.update({column: array for column, array in derived.items() if column not in taken})
    return names
