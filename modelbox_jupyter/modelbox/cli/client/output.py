"""How commands print what they found: a table for people, JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from modelbox.cli.literals import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelbox.entities.records import Json

__all__ = ["Format", "Printer"]

Format: TypeAlias = Literal["table", "json", "csv"]

_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_WIDEST_CHARS = 60


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints rows.

    Parameters
    ----------
    format
        ``table``, ``json`` (a list of objects; NaN and infinities as texts) or ``csv`` (a text that a spreadsheet would take for a formula
        gets an apostrophe in front).
    """

    format: Format = "table"

    def rows(self, columns: Sequence[str], rows: Iterable[Sequence[Json | datetime]], *, empty: str = "") -> None:
        """Print rows under the names of their columns; `empty` instead of a table of none."""
        match self.format:
            case "json":
                _write(json.dumps([_document(columns, row) for row in rows], ensure_ascii=False, indent=2))
            case "csv":
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows([_csv_cell(value) for value in row] for row in rows)
                sys.stdout.flush()
            case _:
                _print_table(columns, rows, empty)

    def row(self, fields: Mapping[str, Json | datetime]) -> None:
        """Print one thing: a line for each of its fields, or as :meth:`rows`."""
        match self.format:
            case "json":
                _write(json.dumps(_document(list(fields), list(fields.values())), ensure_ascii=False, indent=2))
            case "csv":
                self.rows(list(fields), [list(fields.values())])
            case _:
                width = max(map(len, fields))
                _write("\n".join(f"{name:<{width}}  {_shown(value)}" for name, value in fields.items()))

    def line(self, fields: Mapping[str, Json | datetime]) -> None:
        """Print one of many things that come one after the other: a line of JSON, or its values."""
        if self.format == "json":
            _write(json.dumps(_document(list(fields), list(fields.values())), ensure_ascii=False))
        elif self.format == "csv":
            csv.writer(sys.stdout, lineterminator="\n").writerow([_csv_cell(value) for value in fields.values()])
            sys.stdout.flush()
        else:
            _write("  ".join(_shown(value) for value in fields.values()))


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
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
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA_SIGNS) else value
    return "" if value is None else _text(value)


def _shown(value: Json | datetime) -> str:
    text = literal(_text(value))
    return text if len(text) <= _WIDEST_CHARS else f"{text[: _WIDEST_CHARS - 1]}…"


def _text(value: Json | datetime) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case int():
            return str(value)
        case _:
            return json.dumps(_plain(value), ensure_ascii=False)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[Json | datetime]], empty: str) -> None:
    shown = [[_shown(value) for value in row] for row in rows]
    if not shown:
        sys.stderr.write(f"{empty or 'Nothing was found.'}\n")
        return
    heads = [name.replace("_", " ").upper() for name in columns]
    widths = [max(map(len, column)) for column in zip(heads, *shown, strict=True)]
    for cells in (heads, *shown):
        _write("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
