"""How commands print what they found: a table for people, JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeAlias, TypeVar

import click

from modelbox.cli.literals import json_literal, literal
from modelbox.cli.tables import print_fields, print_table, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from modelbox.entities.records import Json

__all__ = ["Format", "Printer", "example", "formats"]

Format: TypeAlias = Literal["table", "json", "csv"]
P = ParamSpec("P")
R = TypeVar("R")

_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints rows.

    Parameters
    ----------
    format
        ``table``; ``json``, a list with an object on each line, NaN and infinities as texts; or ``csv``, in which a text that a spreadsheet
        would take for a formula gets an apostrophe in front.
    """

    format: Format = "table"

    def rows(self, columns: Sequence[str], rows: Iterable[Sequence[Json | datetime]], *, empty: str = "") -> None:
        """Print rows under the names of their columns; `empty` instead of a table of none."""
        match self.format:
            case "json":
                _write_list(_document(columns, row) for row in rows)
            case "csv":
                _write_csv([columns])
                _write_csv(rows)
            case _:
                print_table(columns, rows, empty)

    def row(self, fields: Mapping[str, Json | datetime]) -> None:
        """Print one thing: a line for each of its fields, or as :meth:`rows`."""
        match self.format:
            case "json":
                _write(_dumped(_document(list(fields), list(fields.values())), indent=2))
            case "csv":
                self.rows(list(fields), [list(fields.values())])
            case _:
                print_fields(fields)

    def line(self, fields: Mapping[str, Json | datetime]) -> None:
        """Print one of many things that come one after the other: a line of JSON, or its values."""
        match self.format:
            case "json":
                _write(_dumped(_document(list(fields), list(fields.values()))))
            case "csv":
                _write_csv([list(fields.values())])
            case _:
                _write("  ".join(literal(shown(value)) for value in fields.values()))


def formats(function: Callable[P, R]) -> Callable[P, R]:
    """Give a command ``--json`` and ``--csv``; it gets a `printer`."""

    def chosen(context: click.Context, parameter: click.Parameter, value: Format) -> Printer:
        del context, parameter
        return Printer(value)

    flags = (
        click.option("--table", "printer", flag_value="table", default="table", type=str, callback=chosen, expose_value=True, hidden=True),
        click.option("--json", "printer", flag_value="json", type=str, callback=chosen, help="Print JSON."),
        click.option("--csv", "printer", flag_value="csv", type=str, callback=chosen, help="Print CSV."),
    )
    for flag in flags:
        function = flag(function)
    return function


def example(text: str) -> str:
    """Return the end of a help page: what is typed after ``modelbox``, kept on a line of its own. The tests run it."""
    return f"\b\nExample:\n  modelbox {text}"


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _dumped(document: Json, indent: int | None = None) -> str:
    return "\n".join(map(json_literal, json.dumps(document, ensure_ascii=False, indent=indent).split("\n")))


def _write_list(documents: Iterable[dict[str, Json]]) -> None:
    """Write a JSON list as it comes: there may be millions."""
    separator = "[\n"
    for document in documents:
        sys.stdout.write(f"{separator}  {_dumped(document)}")
        separator = ",\n"
    _write("[]" if separator == "[\n" else "\n]")


def _write_csv(rows: Iterable[Sequence[Json | datetime]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    clean = literal if sys.stdout.isatty() else str
    writer.writerows([clean(_csv_cell(value)) for value in row] for row in rows)
    sys.stdout.flush()


def _document(columns: Sequence[str], row: Sequence[Json | datetime]) -> dict[str, Json]:
    return {name: _plain(value) for name, value in zip(columns, row, strict=True)}


def _plain(value: Json | datetime) -> Json:
    """Return a value that every JSON reader takes: times, NaN and infinities as texts."""
    match value:
        case datetime():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _csv_cell(value: Json | datetime) -> str:
    match value:
        case None:
            return ""
        case str():
            return f"'{value}" if value.startswith(_FORMULA_SIGNS) else value
        case datetime():
            return value.isoformat()
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            return json.dumps(_plain(value), ensure_ascii=False)
