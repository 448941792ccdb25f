"""The views that SQL may ask: which there are, and the columns of each, in one table that code, messages and documentation come from.

SQL is that of SQLite on every storage. Times are ISO 8601 text in UTC, all of one length (``2026-07-01T12:00:00.000000Z``): they compare
like times, and SQLite's date functions take them. Booleans are 1 and 0, NaN is null, lists and dicts are JSON text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["VIEWS", "View", "views_table"]


@dataclass(frozen=True, slots=True)
class View:
    """One view.

    Parameters
    ----------
    name
        What follows ``from``.
    summary
        What a row is.
    columns
        What each column holds, by name, in their order.
    """

    name: str
    summary: str
    columns: Mapping[str, str]


_VIEWS = (
    View(
        "experiments",
        "one row per experiment",
        {
            "experiment_id": "id",
            "name": "name",
            "namespace": "namespace",
            "status": "running, finished, failed or interrupted",
            "owner": "whose it is",
            "group_name": "group (a word of SQL) that ties repetitions together",
            "framework": "what it is trained with",
            "external_id": "its id in another system",
            "parent_id": "experiment that started it, or null",
            "created_at": "time",
            "updated_at": "time",
            "started_at": "time",
            "finished_at": "time, null while it runs",
            "duration_s": "seconds from start to end, null while it runs",
        },
    ),
    View(
        "params",
        "one row per experiment and hyperparameter",
        {"experiment_id": "experiment", "name": "name, without params.", "value": "number, text, 1 or 0, or JSON text"},
    ),
    View("tags", "one row per experiment and tag", {"experiment_id": "experiment", "tag": "name, without tags."}),
    View(
        "metadata",
        "one row per object and key, params and tags included",
        {"object_id": "object", "key": "key", "value": "number, text, 1 or 0, or JSON text", "updated_at": "time"},
    ),
    View(
        "metrics",
        "one row per series: what is known of it without its points, which modelbox.metrics() returns",
        {
            "object_id": "experiment or other object",
            "key": "name",
            "kind": "float, text or bytes",
            "count": "points",
            "first": "value at the least step",
            "last": "value at the greatest step",
            "min": "least value",
            "max": "greatest value",
            "mean": "mean of the values",
            "first_step": "least step",
            "last_step": "greatest step",
            "last_at": "time of the last value",
        },
    ),
    View(
        "events",
        "one row per event",
        {
            "event_id": "id",
            "object_id": "object",
            "name": "name",
            "source": "who says so",
            "wall_time": "time when it happened",
            "metadata": "JSON text",
            "created_at": "time when it was logged",
        },
    ),
    View(
        "artifacts",
        "one row per file, uploaded or tracked",
        {
            "artifact_id": "id",
            "object_id": "object",
            "namespace": "namespace",
            "name": "name",
            "file_type": "model, checkpoint, text, image, audio, video or undefined",
            "storage": "uploaded or tracked",
            "media_type": "media type",
            "size_bytes": "size, null when unknown",
            "md5": "digest",
            "sha256": "digest",
            "uri": "where a tracked file lies",
            "created_at": "time",
            "updated_at": "time",
        },
    ),
    View(
        "models",
        "one row per model",
        {
            "model_id": "id",
            "name": "name",
            "namespace": "namespace",
            "owner": "whose it is",
            "task": "what it solves",
            "description": "text",
            "created_at": "time",
            "updated_at": "time",
        },
    ),
    View(
        "model_versions",
        "one row per version of a model",
        {
            "version_id": "id",
            "model_id": "model",
            "namespace": "namespace",
            "version": "version",
            "name": "name",
            "description": "text",
            "framework": "what it was trained with",
            "tags": "JSON list",
            "experiment_id": "experiment that trained it, or null",
            "created_at": "time",
            "updated_at": "time",
        },
    ),
    View(
        "checkpoints",
        "one row per checkpoint",
        {
            "checkpoint_id": "id",
            "experiment_id": "experiment",
            "epoch": "epoch",
            "metrics": "JSON text, a number per name",
            "created_at": "time",
            "updated_at": "time",
        },
    ),
    View(
        "changes",
        "one row per change event: the audit log",
        {
            "seq": "number, growing",
            "at": "time",
            "actor": "who did it",
            "kind": "created, updated, destroyed, uploaded or downloaded",
            "object_type": "of what",
            "object_id": "object",
            "parent_id": "what it hangs on, or null",
            "namespace": "namespace",
            "face": "through which door",
            "address": "from where",
            "payload": "JSON text",
        },
    ),
)

VIEWS: Mapping[str, View] = MappingProxyType({view.name: view for view in _VIEWS})
"""Every view, by name."""


def views_table() -> str:
    """Return the views as a table in Markdown."""
    rows = [f"| `{view.name}` | {view.summary} | {', '.join(f'`{column}`' for column in view.columns)} |" for view in VIEWS.values()]
    return "\n".join(["| view | has | columns |", "|---|---|---|", *rows]) + "\n"
