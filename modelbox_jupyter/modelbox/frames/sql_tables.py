"""SQL over what is stored, answered as a DataFrame."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import pandas as pd

from modelbox.client.shared import default_connection
from modelbox.entities.values import json_from_wire
from modelbox.frames.arrow_columns import ArrowTable
from modelbox.frames.columns import typed_column
from modelbox.frames.subjects import checked_format, origin
from modelbox.wire.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelbox.client.connection import ModelBox
    from modelbox.entities.records import Json

__all__ = ["sql", "views"]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


@overload
def sql(
    statement: str,
    parameters: Sequence[Json] | Mapping[str, Json] = (),
    *,
    format: Literal["pandas"] = "pandas",
    connection: ModelBox | None = None,
) -> pd.DataFrame: ...


@overload
def sql(
    statement: str,
    parameters: Sequence[Json] | Mapping[str, Json] = (),
    *,
    format: Literal["arrow"],
    connection: ModelBox | None = None,
) -> ArrowTable: ...


def sql(
    statement: str,
    parameters: Sequence[Json] | Mapping[str, Json] = (),
    *,
    format: Literal["pandas", "arrow"] = "pandas",  # noqa: A002 - the word that libraries of tables use
    connection: ModelBox | None = None,
) -> pd.DataFrame | ArrowTable:
    """Return what an SQL statement selects, as a DataFrame. It reads :func:`views`, and can change nothing.

    Parameters
    ----------
    statement
        One statement in the SQL of SQLite, whatever the store: ``select``, ``with`` or ``values``.
    parameters
        Values for each ``?`` in it, or by name for each ``:name``.
    format
        ``"arrow"`` returns the columns for polars, pyarrow and others, without making a DataFrame of them.
    connection
        Where to look; the shared connection when left out.

    Returns
    -------
    pandas.DataFrame
        Typed like a table of runs: ``int64`` (``Int64`` where some are missing), ``float64``, ``str``, or ``object`` for a mixture. Times
        of the views become aware UTC times. A second column of one name is called ``name_2``.

    Raises
    ------
    InvalidQuery
        It is no SQL, does more than read the views, or takes longer than 30 s.
    TooLarge
        It returns more than 100,000 rows or 2,000,000 values.

    Examples
    --------
    >>> import modelbox, modelbox.testing
    >>> with modelbox.testing.memory_connection() as box:
    ...     for lr in (0.1, 0.01):
    ...         with box.start("digits", params={"lr": lr}) as run:
    ...             run.log(loss=lr * 2)
    ...     modelbox.sql(
    ...         "select value as lr, min from params join metrics on object_id = experiment_id and key = 'loss' "
    ...         "where name = ? order by min",
    ...         ["lr"],
    ...         connection=box,
    ...     )
         lr   min
    0  0.01  0.02
    1  0.10  0.20
    """
    checked_format(format)
    box = connection or default_connection()
    result = box.sql(statement, parameters)
    columns: dict[str, object] = {}
    for column in result.columns:
        columns[_unused(column.name, columns)] = _column([json_from_wire(value) for value in column.values])
    if format == "arrow":
        return ArrowTable(columns)
    table = pd.DataFrame(columns)
    table.attrs["modelbox"] = origin(box.where)
    return table


def views() -> pd.DataFrame:
    """Return the views that :func:`sql` reads: one row per column, with ``view``, ``column`` and ``meaning``.

    Examples
    --------
    >>> modelbox.views().groupby("view", sort=False).size().index.tolist()[:5]
    ['experiments', 'params', 'tags', 'metadata', 'metrics']
    """
    rows = [(view.name, column, meaning) for view in VIEWS.values() for column, meaning in view.columns.items()]
    return pd.DataFrame(rows, columns=["view", "column", "meaning"], dtype="str")


def _unused(name: str, taken: Mapping[str, object]) -> str:
    number, unused = 1, name
    while unused in taken:
        number += 1
        unused = f"{name}_{number}"
    return unused


def _column(values: list[Json]) -> object:
    rows = [row for row, value in enumerate(values) if value is not None]
    if rows and all(isinstance(values[row], str) and _TIME.fullmatch(values[row]) for row in rows):
        moments = np.array(["NaT" if value is None else value[:-1] for value in values], "M8[us]")
        return pd.DatetimeIndex(moments).tz_localize("UTC")
    return typed_column(rows, [values[row] for row in rows], len(values))
