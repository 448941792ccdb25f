"""Widgets of runs, connected to the store that the runs come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelbox import frames
from modelbox.client.shared import default_connection

if TYPE_CHECKING:
    import pandas as pd

    from modelbox.client.connection import ModelBox
    from modelbox_widgets.run_table import RunTable

__all__ = ["run_table", "table_of"]


def run_table(query: str | None = None, *, namespace: str | None = None, connection: ModelBox | None = None, **settings: Any) -> RunTable:
    """Return all runs as a table to sort, filter and select in; ``.selected`` is a DataFrame.

    Parameters
    ----------
    query
        What its filter box says at first; the language is that of :func:`modelbox.experiments`.
    namespace
        Only runs in this namespace or below it.
    connection
        Where to look; the shared connection when left out.
    **settings
        Those of :class:`modelbox_widgets.RunTable`: ``columns``, ``sort_by``, ``ascending``, ``baseline``, ``sparkline``, ``height``.

    Examples
    --------
    >>> table = modelbox.run_table("status = finished", sort_by="metrics.loss")  # doctest: +SKIP
    >>> table.selected.modelbox.compare()                                        # doctest: +SKIP
    """
    from modelbox_widgets.run_table import RunTable

    box = connection or default_connection()

    def read() -> pd.DataFrame:
        return frames.experiments(namespace=namespace, connection=box)

    return RunTable(read(), query=query or "", connection=box, reload=read, **settings)


def table_of(runs: pd.DataFrame, **settings: Any) -> RunTable:
    """Return a frame of runs as a table; its queries are answered by the store when :func:`modelbox.experiments` made the frame."""
    from modelbox_widgets.run_table import RunTable

    return RunTable(runs, connection=default_connection() if "modelbox" in runs.attrs else None, **settings)
