"""Points of metrics as DataFrames, or as Arrow tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, overload

import numpy as np
import pandas as pd

from modelbox.client.shared import default_connection
from modelbox.entities.series import ValueKind
from modelbox.errors import InvalidRequest
from modelbox.frames.arrow_tables import ArrowPoints
from modelbox.frames.columns import Array, categories_column, joined, objects_column
from modelbox.frames.subjects import checked_format, ids_of, origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from modelbox.client.connection import ModelBox
    from modelbox.entities.series import SeriesBlock
    from modelbox.frames.subjects import Subjects

__all__ = ["metrics", "point_table"]


@overload
def metrics(
    runs: Subjects,
    keys: str | Sequence[str] | None = None,
    *,
    wide: bool = False,
    max_points: int | None = None,
    format: Literal["pandas"] = "pandas",
    connection: ModelBox | None = None,
) -> pd.DataFrame: ...


@overload
def metrics(
    runs: Subjects,
    keys: str | Sequence[str] | None = None,
    *,
    wide: bool = False,
    max_points: int | None = None,
    format: Literal["arrow"],
    connection: ModelBox | None = None,
) -> ArrowPoints: ...


def metrics(
    runs: Subjects,
    keys: str | Sequence[str] | None = None,
    *,
    wide: bool = False,
    max_points: int | None = None,
    format: Literal["pandas", "arrow"] = "pandas",  # noqa: A002 - the word that libraries of tables use
    connection: ModelBox | None = None,
) -> pd.DataFrame | ArrowPoints:
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
    format
        ``"arrow"`` returns the long table for polars, pyarrow, DuckDB and others, without making a DataFrame of it.
    connection
        Where to look; the shared connection when left out.

    Returns
    -------
    pandas.DataFrame
        ``experiment_id``, ``key`` (categories of text, so that a million points repeat no name), ``step`` (int64), ``wall_time`` (aware
        UTC) and ``value`` (float64; object when text or bytes are among the values). Wide: ``experiment_id``, ``step`` and one column per
        metric; one that is called like these two is in ``metrics.NAME``.
    ArrowPoints
        Where `format` asks for it.
    """
    if checked_format(format) == "arrow" and wide:
        raise InvalidRequest("A wide table is a DataFrame: leave format out, or take the long table and pivot it.", field="format")
    box = connection or default_connection()
    wanted = [keys] if isinstance(keys, str) else keys
    ids = ids_of(runs)
    blocks = box.read_metrics(ids, wanted, max_points=max_points) if ids else []
    if format == "arrow":
        return ArrowPoints(blocks)
    table = point_table(blocks)
    table.attrs["modelbox"] = origin(box.where)
    return _widened(table) if wide else table


def point_table(blocks: Sequence[SeriesBlock]) -> pd.DataFrame:
    """Return points as a long table: ``experiment_id``, ``key``, ``step``, ``wall_time``, ``value``."""
    blocks = [block for block in blocks if len(block)]
    lengths = [len(block) for block in blocks]
    walls = joined([np.frombuffer(memoryview(block.wall_times_us), np.int64) for block in blocks], np.dtype(np.int64))
    only_numbers = all(block.kind is ValueKind.FLOAT for block in blocks)
    return pd.DataFrame(
        {
            "experiment_id": categories_column([block.object_id for block in blocks], lengths),
            "key": categories_column([block.key for block in blocks], lengths, in_order=True),
            "step": joined([np.frombuffer(memoryview(block.steps), np.int64) for block in blocks], np.dtype(np.int64)),
            "wall_time": pd.DatetimeIndex(walls.view("M8[us]"), tz="UTC"),
            "value": joined([_block_values(block) for block in blocks], np.dtype(np.float64 if only_numbers else object)),
        },
        copy=False,  # nobody else has these columns
    )


def _block_values(block: SeriesBlock) -> Array:
    if block.kind is ValueKind.FLOAT:
        return np.frombuffer(memoryview(cast("Buffer", block.values)), np.float64)
    return objects_column(cast("Sequence[object]", block.values))


def _widened(table: pd.DataFrame) -> pd.DataFrame:
    last = table.drop_duplicates(["experiment_id", "step", "key"], keep="last")
    last = last.astype({"experiment_id": "str", "key": "str"})  # no category that has no point becomes a row or a column
    wide = last.pivot(index=["experiment_id", "step"], columns="key", values="value")
    wide = wide.rename(columns={name: f"metrics.{name}" for name in wide.index.names}).reset_index()
    wide.columns.name = None
    wide.attrs = dict(table.attrs)
    return wide
