"""What each column of a view is, as an SQL expression over the tables of :mod:`modelbox_server.storage.schema` and the series.

The tables lie in two attached databases, ``records`` and ``points``, whatever the stores are; see :mod:`.database`.
"""

from dataclasses import dataclass

from modelbox.entities.own_keys import CONSOLE_PREFIX
from modelbox.entities.series import ValueKind
from modelbox.wire.views import VIEWS

__all__ = ["FIRST_VALUE", "create_statements"]

FIRST_VALUE = "modelbox_first"
"""SQL function of object, key, kind and least step of a series: its first value, for which points are read."""


@dataclass(frozen=True, slots=True)
class _Definition:
    """Where the rows of a view come from, and the expressions of its columns in the order of :data:`~modelbox.wire.views.VIEWS`."""

    source: str
    expressions: tuple[str, ...]


def _time(column: str) -> str:
    """Return microseconds since 1970 as text, seconds rounded down also before that."""
    micros = f"(({column} % 1000000) + 1000000) % 1000000"
    return f"strftime('%Y-%m-%dT%H:%M:%S', ({column} - {micros}) / 1000000, 'unixepoch') || printf('.%06dZ', {micros})"


def _json_value(column: str) -> str:
    """Return a JSON value as SQL has it: numbers and text as such, NaN as null, infinities as numbers, lists and dicts as JSON text."""
    return (
        f"CASE json_type({column}) WHEN 'array' THEN {column} WHEN 'object' THEN CASE {column}"
        f""" WHEN '{{"$float":"NaN"}}' THEN NULL WHEN '{{"$float":"Infinity"}}' THEN 9e999 WHEN '{{"$float":"-Infinity"}}' THEN -9e999"""
        f" ELSE {column} END ELSE json_extract({column}, '$') END"
    )


def _begins(column: str, prefix: str) -> str:
    """Return the condition that text begins with ASCII text, in a form that an index answers."""
    return f"{column} >= '{prefix}' AND {column} < '{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}'"


_KIND = "CASE kind " + " ".join(f"WHEN {number} THEN '{kind}'" for number, kind in enumerate(ValueKind)) + " END"

_DEFINITIONS = {
    "experiments": _Definition(
        "records.experiments",
        (
            *("id", "name", "namespace", "status", "owner", '"group"', "framework", "external_id", "parent_id"),
            *(_time("created_at"), _time("updated_at"), _time("started_at"), _time("finished_at")),
            "(finished_at - started_at) / 1e6",
        ),
    ),
    "params": _Definition(
        f"records.metadata JOIN records.experiments ON id = object_id WHERE {_begins('key', 'params.')}",
        ("object_id", "substr(key, 8)", _json_value("value")),
    ),
    "tags": _Definition(
        f"records.metadata JOIN records.experiments ON id = object_id WHERE {_begins('key', 'tags.')} AND value NOT IN ('false', 'null')",
        ("object_id", "substr(key, 6)"),
    ),
    "metadata": _Definition("records.metadata", ("object_id", "key", _json_value("value"), _time("updated_at"))),
    "metrics": _Definition(
        f"points.series WHERE NOT ({_begins('key', CONSOLE_PREFIX)})",
        (
            *("object_id", "key", _KIND, "points", f"{FIRST_VALUE}(object_id, key, kind, first_step)", "last", "low", "high", "mean"),
            *("first_step", "last_step", _time("last_clock_us")),
        ),
    ),
    "events": _Definition("records.events", ("id", "parent_id", "name", "source", _time("wall_time"), "metadata", _time("created_at"))),
    "artifacts": _Definition(
        "records.artifacts",
        (
            *("id", "parent_id", "namespace", "name", "file_type", "storage", "media_type", "size_bytes", "md5", "sha256", "uri"),
            *(_time("created_at"), _time("updated_at")),
        ),
    ),
    "models": _Definition(
        "records.models", ("id", "name", "namespace", "owner", "task", "description", _time("created_at"), _time("updated_at"))
    ),
    "model_versions": _Definition(
        "records.model_versions",
        (
            *("id", "model_id", "namespace", "version", "name", "description", "framework", "tags", "experiment_id"),
            *(_time("created_at"), _time("updated_at")),
        ),
    ),
    "checkpoints": _Definition(
        "records.checkpoints", ("id", "experiment_id", "epoch", "metrics", _time("created_at"), _time("updated_at"))
    ),
    "changes": _Definition(
        "records.changes",
        (
            *("seq", _time("at"), "actor", "kind", "object_type", "object_id", "parent_id", "namespace"),
            *("face", "address", "payload"),
        ),
    ),
}


def create_statements() -> list[str]:
    """Return the statements that make the views in a connection that has the tables."""
    statements: list[str] = []
    for name, view in VIEWS.items():
        definition = _DEFINITIONS[name]
        columns = ", ".join(f'{expression} AS "{column}"' for column, expression in zip(view.columns, definition.expressions, strict=True))
        statements.append(f"CREATE TEMP VIEW {name} AS SELECT {columns} FROM {definition.source}")
    return statements
