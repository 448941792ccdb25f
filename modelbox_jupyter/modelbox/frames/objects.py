"""Models as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from modelbox.client.shared import default_connection
from modelbox.frames.columns import text_column, times_column
from modelbox.frames.subjects import origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox.client.connection import ModelBox
    from modelbox.entities.records import ModelRecord

__all__ = ["model_table", "models"]


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
    table.attrs["modelbox"] = origin(box.where)
    return table


def model_table(records: Sequence[ModelRecord]) -> pd.DataFrame:
    """Return models as a table; see :func:`models`."""
    columns: dict[str, object] = {"model_id": text_column([record.id for record in records])}
    for field in ("name", "namespace", "owner", "task", "description"):
        columns[field] = text_column([getattr(record, field) for record in records])
    for field in ("created_at", "updated_at"):
        columns[field] = times_column([getattr(record, field) for record in records])
    return pd.DataFrame(columns)
