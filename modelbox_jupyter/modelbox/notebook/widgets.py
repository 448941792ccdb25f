"""Widgets by one call, connected to the store that their objects come from. Each is a line or two over its class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelbox import frames
from modelbox.client.shared import default_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from modelbox.client.connection import ModelBox
    from modelbox.client.tracked import TrackedObject
    from modelbox.frames.subjects import Subjects
    from modelbox_widgets.artifact_browser import ArtifactBrowser
    from modelbox_widgets.event_feed import EventFeed
    from modelbox_widgets.live_chart import LiveChart
    from modelbox_widgets.model_registry import ModelRegistry
    from modelbox_widgets.run_table import RunTable

__all__ = ["artifact_browser", "event_feed", "live", "registry", "run_table", "table_of"]


def artifact_browser(subject: TrackedObject, **settings: Any) -> ArtifactBrowser:
    """Show the artifacts of an experiment, checkpoint, model or version: list, preview, download; ``.selected`` is the chosen one.

    Parameters
    ----------
    subject
        Whose artifacts.
    **settings
        Those of :class:`modelbox_widgets.ArtifactBrowser`: ``selected_id``.

    Examples
    --------
    >>> modelbox.artifact_browser(exp)  # doctest: +SKIP
    """
    from modelbox_widgets.artifact_browser import ArtifactBrowser

    return ArtifactBrowser(subject, **settings)


def event_feed(
    namespace: str | None = None, *, subject: TrackedObject | None = None, connection: ModelBox | None = None, **settings: Any
) -> EventFeed:
    """Show what happens in a store, newest first and live: logged events, and what is created, changed, deleted, sent and fetched.

    Parameters
    ----------
    namespace
        Only what happens in this namespace or below it.
    subject
        Only what happens to this object and what hangs on it.
    connection
        Where to look; the shared connection when left out.
    **settings
        Those of :class:`modelbox_widgets.EventFeed`: ``kinds``, ``contains``, ``following``, ``limit``.

    Examples
    --------
    >>> modelbox.event_feed("team/vision", kinds=["event", "uploaded"])  # doctest: +SKIP
    """
    from modelbox_widgets.event_feed import EventFeed

    return EventFeed(namespace, subject=subject, connection=connection, **settings)


def live(runs: Subjects, metrics: str | Sequence[str] | None = None, **settings: Any) -> LiveChart:
    """Show metrics of runs as an interactive chart that goes on while they run.

    Parameters
    ----------
    runs
        Experiments, their ids, or a table of :func:`modelbox.experiments`.
    metrics
        Which metrics; all that were logged when left out.
    **settings
        As for :class:`modelbox_widgets.LiveChart`: ``smoothing``, ``log_scale``, ``x_axis``, ``window`` …

    Examples
    --------
    >>> modelbox.live(modelbox.experiments("status = running"), ["loss"], smoothing=0.6)  # doctest: +SKIP
    """
    from modelbox_widgets.live_chart import LiveChart

    return LiveChart(runs, metrics, **settings)


def registry(namespace: str | None = None, *, connection: ModelBox | None = None, **settings: Any) -> ModelRegistry:
    """Show models, their versions and tags, with where each version came from; ``.selected`` is the version chosen in the page.

    Parameters
    ----------
    namespace
        Only models in this namespace or below it.
    connection
        Where to look; the shared connection when left out.
    **settings
        Those of :class:`modelbox_widgets.ModelRegistry`: ``selected_id``.

    Examples
    --------
    >>> registry = modelbox.registry()                               # doctest: +SKIP
    >>> registry.selected.download_artifact("model.joblib")          # doctest: +SKIP
    """
    from modelbox_widgets.model_registry import ModelRegistry

    return ModelRegistry(namespace, connection=connection, **settings)


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
