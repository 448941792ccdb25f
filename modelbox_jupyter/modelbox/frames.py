"""Runs and points as pandas DataFrames; the only module of the client that imports pandas.

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

Within a block columns are sorted by name. What is too long for a cell, the installed packages and the patch of uncommitted changes
(``environment.packages``, ``git.diff``), is left out; :func:`with_long_metadata` adds it, and ``df.modelbox.diff()`` compares it. Printed
lines (``console/…``) have no columns: :meth:`modelbox.Experiment.console` returns them. ``df.attrs["modelbox"]`` says where the runs come
from (no secrets).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import pandas as pd

from modelbox.client.shared import default_connection
from modelbox.client.tracked import TrackedObject
from modelbox.entities.own_keys import CONSOLE_PREFIX, LONG_METADATA
from modelbox.entities.series import ValueKind
from modelbox.entities.times import to_us
from modelbox.entities.values import json_from_wire
from modelbox.errors import InvalidRequest, shortened

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import ArrayLike
    from typing_extensions import Buffer

    from modelbox.client.connection import ModelBox
    from modelbox.client.discovery import Where
    from modelbox.entities.records import ExperimentRecord, Json, ModelRecord
    from modelbox.entities.series import SeriesBlock
    from modelbox.wire.messages import ExperimentFrame

__all__ = ["experiment_table", "experiments", "metrics", "model_table", "models", "point_table", "with_long_metadata"]

Array: TypeAlias = np.ndarray[tuple[int], np.dtype[np.generic]]

_TEXT_FIELDS = ("name", "namespace", "status", "owner", "group", "framework", "parent_id")
_TIME_FIELDS = ("created_at", "started_at", "finished_at")
_EXACT_IN_FLOAT = 2**53
# They travel in the address, and proxies take only so long ones.
_IDS_PER_REQUEST = 150
_NOT_A_TIME = -(2**63)
_NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


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
    connection: ModelBox | None = None,
) -> pd.DataFrame:
    """Return experiments as a DataFrame, one row each, newest first; the columns stand at the top of :mod:`modelbox.frames`.

    Parameters
    ----------
    q
        Query, such as ``"metrics.accuracy.max > 0.9 and params.lr < 0.01 or tags.baseline order by metrics.loss.min limit 20"``;
        :mod:`modelbox.wire.query` has the whole language.
    namespace
        Only those in this namespace or below it.
    name, status, owner, group, parent_id, ids
        Only those that have this value; all that are given must hold.
    limit
        At most so many.
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
    frame = box.experiment_frame(
        q=q, namespace=namespace, name=name, status=status, owner=owner, group=group, parent_id=parent_id, ids=ids, limit=limit
    )
    return experiment_table(frame, box.where)


def metrics(
    runs: pd.DataFrame | TrackedObject | str | Iterable[TrackedObject | str],
    keys: str | Sequence[str] | None = None,
    *,
    wide: bool = False,
    max_points: int | None = None,
    connection: ModelBox | None = None,
) -> pd.DataFrame:
    """Return the points of many runs and metrics in one call, every one of them, ordered by run, metric and (step, wall clock).

    Parameters
    ----------
    runs
        A table of runs, or experiments, or ids (of checkpoints, models and versions as well).
    keys
        Metrics; all when left out.
    wide
        One column per metric instead of the columns ``key`` and ``value``; of points at the same step the later one counts.
    max_points
        Thin each series to about so many points, keeping minima and maxima.
    connection
        Where to look; the shared connection when left out.

    Returns
    -------
    pandas.DataFrame
        ``experiment_id``, ``key``, ``step`` (int64), ``wall_time`` (aware UTC) and ``value`` (float64; object when text or bytes are among
        the values). Wide: ``experiment_id``, ``step`` and one column per metric.
    """
    box = connection or default_connection()
    wanted = [keys] if isinstance(keys, str) else keys
    ids = _ids(runs)
    blocks = box.read_metrics(ids, wanted, max_points=max_points) if ids else []
    table = point_table(blocks)
    table.attrs["modelbox"] = _origin(box.where)
    return _widened(table) if wide else table


def with_long_metadata(runs: pd.DataFrame, *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return a table of runs with the metadata that such tables leave out for its length: ``environment.packages``, ``git.diff``.

    Parameters
    ----------
    runs
        A table with the column ``experiment_id``. Columns that it has already stay, and so do rows of runs that are gone.
    connection
        Where to look; the shared connection when left out.
    """
    box = connection or default_connection()
    ids = _ids(runs)
    found: dict[str, dict[str, Json]] = {key: {} for key in LONG_METADATA if key not in runs.columns}
    for begin in range(0, len(ids), _IDS_PER_REQUEST):
        frame = box.experiment_frame(ids=ids[begin : begin + _IDS_PER_REQUEST], long=True)
        for row, key, value in zip(frame.metadata.row, frame.metadata.key, frame.metadata.value, strict=True):
            if key in found:
                found[key][frame.experiments[row].id] = json_from_wire(value)
    columns = {key: _objects([values.get(str(run_id)) for run_id in runs["experiment_id"]]) for key, values in found.items() if values}
    table = runs.assign(**columns)
    table.attrs = dict(runs.attrs)
    return table


def models(*, namespace: str | None = None, name: str | None = None, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return models as a DataFrame, one row each, newest first.

    Parameters
    ----------
    namespace, name
        Only those in this namespace or below it, and of this name.
    connection
        Where to look; the shared connection when left out.

    Returns
    -------
    pandas.DataFrame
        ``model_id``, ``name``, ``namespace``, ``owner``, ``task``, ``description`` (text), ``created_at``, ``updated_at`` (aware UTC).
    """
    box = connection or default_connection()
    table = model_table([model.record for model in box.models(namespace, name=name)])
    table.attrs["modelbox"] = _origin(box.where)
    return table


# --- tables ------------------------------------------------------------------------------------------------------------------------------


def experiment_table(frame: ExperimentFrame, where: Where | None = None) -> pd.DataFrame:
    """Return a table of runs from the columns that a store answers with; see the top of the module."""
    records = frame.experiments
    columns: dict[str, object] = _field_columns(records)
    documents = _by_key(frame.metadata.key, frame.metadata.row, [json_from_wire(value) for value in frame.metadata.value])
    for name in sorted(documents, key=_metadata_order):
        rows, values = documents[name]
        # A key of the user may be spelled like a field: the field stays, the key moves behind a prefix.
        column = f"metadata.{name}" if name in columns else name
        columns[column] = _tag_column(rows, values, len(records)) if name.startswith("tags.") else _typed(rows, values, len(records))
    metric_keys = _add_metrics(columns, frame, len(records))
    table = pd.DataFrame(columns)
    table.attrs["modelbox"] = {**_origin(where), "metrics": metric_keys}
    return table


def _field_columns(records: Sequence[ExperimentRecord]) -> dict[str, object]:
    columns: dict[str, object] = {"experiment_id": _text([record.id for record in records])}
    for field in _TEXT_FIELDS:
        columns[field] = _text([None if (value := getattr(record, field)) is None else str(value) for record in records])
    times = {field: _times([getattr(record, field) for record in records]) for field in _TIME_FIELDS}
    columns.update(times)
    columns["duration_s"] = (times["finished_at"] - times["started_at"]).total_seconds().to_numpy()
    return columns


def _metadata_order(name: str) -> tuple[int, str]:
    return (0 if name.startswith("params.") else 1 if name.startswith("tags.") else 2), name


def _add_metrics(columns: dict[str, object], frame: ExperimentFrame, height: int) -> list[str]:
    summaries = frame.metrics
    last = _by_key(summaries.key, summaries.row, summaries.last)
    low = _by_key(summaries.key, summaries.row, summaries.min)
    high = _by_key(summaries.key, summaries.row, summaries.max)
    names = sorted(name for name in last if not name.startswith(CONSOLE_PREFIX))
    values = {name: _numbers(*last[name], height) for name in names}
    # A metric called "loss.min" keeps its column; the minimum of "loss" steps aside.
    taken = {f"metrics.{name}" for name in names} | columns.keys()
    for name in names:
        columns[f"metrics.{name}"] = values[name]
        derived = {
            f"metrics.{name}.last": values[name],
            f"metrics.{name}.min": _numbers(*low[name], height),
            f"metrics.{name}.max": _numbers(*high[name], height),
        }
        columns.update({column: array for column, array in derived.items() if column not in taken})
    return names


def point_table(blocks: Sequence[SeriesBlock]) -> pd.DataFrame:
    """Return points as a long table: ``experiment_id``, ``key``, ``step``, ``wall_time``, ``value``."""
    blocks = [block for block in blocks if len(block)]
    lengths = [len(block) for block in blocks]
    walls = _joined([np.frombuffer(memoryview(block.wall_times_us), np.int64) for block in blocks], np.dtype(np.int64))
    only_numbers = all(block.kind is ValueKind.FLOAT for block in blocks)
    return pd.DataFrame(
        {
            "experiment_id": _repeated([block.object_id for block in blocks], lengths),
            "key": _repeated([block.key for block in blocks], lengths),
            "step": _joined([np.frombuffer(memoryview(block.steps), np.int64) for block in blocks], np.dtype(np.int64)),
            "wall_time": pd.DatetimeIndex(walls.view("M8[us]")).tz_localize("UTC"),
            "value": _joined([_block_values(block) for block in blocks], np.dtype(np.float64 if only_numbers else object)),
        }
    )


def _block_values(block: SeriesBlock) -> Array:
    if block.kind is ValueKind.FLOAT:
        return np.frombuffer(memoryview(cast("Buffer", block.values)), np.float64)
    return _objects(cast("Sequence[object]", block.values))


def model_table(records: Sequence[ModelRecord]) -> pd.DataFrame:
    """Return models as a table; see :func:`models`."""
    columns: dict[str, object] = {"model_id": _text([record.id for record in records])}
    for field in ("name", "namespace", "owner", "task", "description"):
        columns[field] = _text([getattr(record, field) for record in records])
    for field in ("created_at", "updated_at"):
        columns[field] = _times([getattr(record, field) for record in records])
    return pd.DataFrame(columns)


def _widened(table: pd.DataFrame) -> pd.DataFrame:
    last = table.drop_duplicates(["experiment_id", "step", "key"], keep="last")
    wide = last.pivot(index=["experiment_id", "step"], columns="key", values="value").reset_index()
    wide.columns.name = None
    wide.attrs = dict(table.attrs)
    return wide


# --- columns -----------------------------------------------------------------------------------------------------------------------------


def _by_key(keys: Sequence[str], rows: Sequence[int], values: Sequence[Json]) -> dict[str, tuple[list[int], list[Json]]]:
    grouped: dict[str, tuple[list[int], list[Json]]] = {}
    for key, row, value in zip(keys, rows, values, strict=True):
        group = grouped.get(key)
        if group is None:
            group = grouped[key] = ([], [])
        group[0].append(row)
        group[1].append(value)
    return grouped


def _typed(rows: list[int], values: list[Json], height: int) -> object:
    """Return the values as the narrowest column that holds each of them unchanged."""
    kinds = set(map(type, values)) - {type(None)}
    complete = len(rows) == height and type(None) not in set(map(type, values))
    if kinds == {int}:
        return _placed(rows, values, height, np.dtype(np.int64), 0) if complete else _nullable(rows, values, height, "Int64")
    if kinds == {bool}:
        return _placed(rows, values, height, np.dtype(np.bool_), False) if complete else _nullable(rows, values, height, "boolean")
    if kinds == {float} or (kinds == {int, float} and all(type(v) is float or abs(v) <= _EXACT_IN_FLOAT for v in values if v is not None)):
        return _placed(rows, [np.nan if value is None else value for value in values], height, np.dtype(np.float64), np.nan)
    if kinds == {str}:
        return _text(cast("list[str | None]", _spread(rows, values, height)))
    return _objects(_spread(rows, values, height))


def _tag_column(rows: list[int], values: list[Json], height: int) -> object:
    return _placed(rows, [bool(value) for value in values], height, np.dtype(np.bool_), False)


def _numbers(rows: list[int], values: list[Json], height: int) -> object:
    """Return summaries as float64; text series have text there, and NaN may have travelled as a word."""
    if set(map(type, values)) == {float}:
        return _placed(rows, values, height, np.dtype(np.float64), np.nan)
    plain = [float(value) if isinstance(value, int) or value in _NON_FINITE else value for value in values]
    if any(isinstance(value, str) for value in plain):
        return _objects(_spread(rows, plain, height))
    return _placed(rows, [np.nan if value is None else value for value in plain], height, np.dtype(np.float64), np.nan)


def _placed(rows: list[int], values: Sequence[object], height: int, dtype: np.dtype[np.generic], missing: object) -> object:
    column = np.full(height, missing, dtype=dtype)
    column[rows] = cast("ArrayLike", values)
    return column


def _nullable(rows: list[int], values: Sequence[object], height: int, dtype: str) -> object:
    return pd.array([pd.NA if value is None else value for value in _spread(rows, values, height)], dtype=dtype)  # type: ignore[call-overload]


def _spread(rows: list[int], values: Sequence[object], height: int) -> list[object]:
    spread: list[object] = [None] * height
    for row, value in zip(rows, values, strict=True):
        spread[row] = value
    return spread


def _objects(values: Sequence[object]) -> Array:
    column = np.empty(len(values), dtype=object)
    # A plain assignment of lists would try to make a second dimension of them.
    for i, value in enumerate(values):
        column[i] = value
    return column


def _text(values: Sequence[str | None]) -> object:
    return pd.array(values, dtype="str")


def _times(moments: Sequence[datetime | None]) -> pd.DatetimeIndex:
    us = [_NOT_A_TIME if moment is None else to_us(moment) for moment in moments]
    return pd.DatetimeIndex(np.array(us, dtype=np.int64).view("M8[us]")).tz_localize("UTC")


def _repeated(values: list[str], lengths: Sequence[int]) -> object:
    return pd.array(values, dtype="str").take(np.repeat(np.arange(len(values)), lengths))


def _joined(arrays: Sequence[Array], dtype: np.dtype[np.generic]) -> Array:
    return np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.empty(0, dtype=dtype)


def _ids(runs: pd.DataFrame | TrackedObject | str | Iterable[TrackedObject | str]) -> list[str]:
    if isinstance(runs, pd.DataFrame):
        if "experiment_id" not in runs.columns:
            names = ", ".join(map(str, runs.columns[:10]))
            raise InvalidRequest(
                f"The table has no column 'experiment_id': take one from modelbox.experiments(). It has: {names or 'none'}."
            )
        return list(dict.fromkeys(runs["experiment_id"].astype(str)))
    if isinstance(runs, str):
        return [runs]
    if isinstance(runs, TrackedObject):
        return [runs.id]
    if not isinstance(runs, Iterable):
        raise InvalidRequest(f"runs is {type(runs).__name__} {shortened(runs, 40)}: give a table of runs, experiments or ids.")
    return list(dict.fromkeys(run if isinstance(run, str) else run.id for run in runs))


def _origin(where: Where | None) -> dict[str, object]:
    return {} if where is None else {"kind": where.kind, "address": where.address}
