"""``modelbox query`` and ``modelbox sql``: the languages of the notebook, without pandas, which takes longer than the answer."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import click

from modelbox.cli.client.base import Session, with_session
from modelbox.cli.output import example, formats
from modelbox.cli.values import WholeNumber
from modelbox.entities.own_keys import CONSOLE_PREFIX
from modelbox.entities.times import from_us
from modelbox.entities.values import json_from_wire
from modelbox.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelbox.cli.output import Printer
    from modelbox.entities.records import ExperimentRecord, Json
    from modelbox.wire.messages import ExperimentFrame, ShownColumn

__all__ = ["query", "sql"]

_Columns: TypeAlias = "dict[str, list[Json | datetime]]"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_FIELDS = ("name", "namespace", "status", "owner", "group", "framework", "parent_id", "created_at", "started_at", "finished_at")


@click.command(epilog=example('query "params.lr < 0.1 and metrics.accuracy.max > 0.9 order by created limit 10"'))
@click.argument("text")
@click.option("--limit", type=WholeNumber(min=1), help="At most so many.")
@formats
@with_session
def query(session: Session, printer: Printer, text: str, limit: int | None) -> None:
    """List the experiments for which a query holds.

    A table has the columns that the query speaks of, or those after its word show; --json and --csv have all. The language is that of
    %modelbox query in a notebook.
    """
    # The parser is not needed for --help.
    from modelbox.wire.query.needs import fields_of
    from modelbox.wire.query.parser import parse
    from modelbox.wire.query.spelling import spelled

    parsed = parse(text)
    if printer.format == "table" and not parsed.show:
        text = f"{text} show {', '.join(dict.fromkeys(['name', 'status', 'created', *map(spelled, fields_of(parsed))]))}"
    frame = session.box.experiment_frame(q=text, limit=limit)
    if not frame.experiments:
        raise NotFound("The query finds no experiment.")
    columns = _shown_columns(frame) if frame.shown else _all_columns(frame)
    printer.rows(list(columns), zip(*columns.values(), strict=True))


@click.command(epilog=example('sql "select name, status from experiments order by created_at desc limit 5"'))
@click.argument("statement")
@formats
@with_session
def sql(session: Session, printer: Printer, statement: str) -> None:
    """Print what an SQL statement selects from the views; it can only read.

    The views are experiments, params, tags, metadata, metrics, events, artifacts, models and model_versions.
    """
    columns = session.box.sql(statement).columns
    values: list[list[Json | datetime]] = [[json_from_wire(value) for value in column.values] for column in columns]
    if printer.format == "table":
        values = [_times(column) or column for column in values]
    printer.rows([column.name for column in columns], zip(*values, strict=True), empty="The statement selects no rows.")


def _times(values: Sequence[Json | datetime]) -> list[Json | datetime]:
    """Return the times that all texts of a column are, as the views write them; nothing when one is something else."""
    if any(not (value is None or (isinstance(value, str) and _TIME.fullmatch(value))) for value in values):
        return []
    return [datetime.fromisoformat(value) if isinstance(value, str) else None for value in values]


def _ids(records: Iterable[ExperimentRecord]) -> _Columns:
    return {"experiment_id": [record.id for record in records]}


def _shown_columns(frame: ExperimentFrame) -> _Columns:
    """Return the columns that the query chose, behind the ids."""
    return _ids(frame.experiments) | {column.label: _values(column) for column in frame.shown}


def _values(column: ShownColumn) -> list[Json | datetime]:
    match column.kind:
        case "time":
            return [None if us is None else from_us(us) for us in column.values]
        case "duration":
            return [None if us is None else us / 1e6 for us in column.values]
        case _:
            return [json_from_wire(value) for value in column.values]


def _all_columns(frame: ExperimentFrame) -> _Columns:
    """Return all columns, called and ordered as in :mod:`modelbox.frames.runs`."""
    records = frame.experiments
    columns = _ids(records) | {field: [getattr(record, field) for record in records] for field in _FIELDS}
    columns["duration_s"] = [
        (record.finished_at - record.started_at).total_seconds() if record.finished_at and record.started_at else None for record in records
    ]
    found: _Columns = {}
    for row, key, value in zip(frame.metadata.row, frame.metadata.key, frame.metadata.value, strict=True):
        name = f"metadata.{key}" if key in columns else key
        found.setdefault(name, [None] * len(records))[row] = json_from_wire(value)
    columns.update({name: found[name] for name in sorted(found, key=_metadata_order)})
    summaries: _Columns = {}
    for key, row, *values in zip(*(getattr(frame.metrics, name) for name in ("key", "row", "last", "min", "max")), strict=True):
        if not key.startswith(CONSOLE_PREFIX):
            for suffix, value in zip(("", ".min", ".max"), values, strict=True):
                summaries.setdefault(f"metrics.{key}{suffix}", [None] * len(records))[row] = json_from_wire(value)
    columns.update(sorted(summaries.items()))
    return columns


def _metadata_order(name: str) -> tuple[int, str]:
    return (0 if name.startswith("params.") else 1 if name.startswith("tags.") else 2), name
