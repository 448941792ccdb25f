"""Tables for people. In a terminal they fit its width; what goes into a file or a pipe is whole."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from modelbox.cli.literals import cut, literal, width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from modelbox.entities.records import Json

__all__ = ["print_fields", "print_table", "shown"]

_GAP = "  "
# Longer cells of a table in a file stand out instead of pushing all others to the right.
_PADDED = 60
_NARROWEST = 12
_DIGITS = frozenset({32, 40, 64})
"""Lengths of ids and checksums."""
_SHORT_DIGITS = 12
_HEX = frozenset("0123456789abcdef")
_STATUS_COLOURS = {"running": "cyan", "finished": "green", "failed": "red", "interrupted": "yellow"}


class _Column:
    """One column: the texts of its cells, and how they stand."""

    def __init__(self, name: str, values: Sequence[Json | datetime]) -> None:
        self.name = name
        self.head = literal(name)
        self.cells = [literal(shown(value)) for value in values]
        told = [value for value in values if value not in (None, "")]
        self.is_empty = not told
        self.is_numeric = bool(told) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in told)
        self.is_id = bool(told) and all(isinstance(value, str) and _is_id(value) for value in told)
        self._is_whole = self.is_numeric or self.is_id or (bool(told) and all(isinstance(value, datetime) for value in told))
        self.width = self._widest()

    @property
    def narrowest(self) -> int:
        """The width below which it says nothing any more."""
        return self.width if self._is_whole else min(self.width, max(_NARROWEST, width_of(self.head)))

    def shorten_ids(self) -> None:
        """Keep the beginning of ids, by which they are found as well."""
        if self.is_id:
            self.cells = [cell[:_SHORT_DIGITS] for cell in self.cells]
            self.width = self._widest()

    def placed(self, text: str) -> tuple[str, str, str]:
        """Return a cell with the blanks before and behind it that make it as wide as the column."""
        text = cut(text, self.width) if _is_terminal() else text
        blanks = " " * (self.width - width_of(text))
        return (blanks, text, "") if self.is_numeric else ("", text, blanks)

    def _widest(self) -> int:
        return max(map(width_of, (self.head, *self.cells)))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Json | datetime]], empty: str = "") -> None:
    """Print rows under the names of their columns; `empty`, on stderr, when there are none."""
    found = list(rows)
    if not found:
        sys.stderr.write(f"{empty or 'Nothing was found.'}\n")
        return
    table = [_Column(name, values) for name, values in zip(columns, zip(*found, strict=True), strict=True)]
    left_out: list[_Column] = []
    if _is_terminal():
        table, left_out = _fitted(table, shutil.get_terminal_size().columns)
    else:
        for column in table:
            column.width = min(column.width, _PADDED)
    _write(_line(table, [column.head for column in table], lambda column, text: _bold(text)))
    for cells in zip(*(column.cells for column in table), strict=True):
        _write(_line(table, cells, _coloured))
    if left_out:
        names = ", ".join(column.head for column in left_out)
        note = f"Left out for lack of room: {names}. Widen the terminal, or use --json or --csv."
        click.echo(_dim(cut(note, max(200, shutil.get_terminal_size().columns))), err=True)


def print_fields(fields: Mapping[str, Json | datetime]) -> None:
    """Print one thing: a line for each of its fields."""
    names = [literal(name) for name in fields]
    width = min(max(map(width_of, names)), _PADDED)
    room = shutil.get_terminal_size().columns - width - len(_GAP)
    for name, value in zip(names, fields.values(), strict=True):
        text = literal(shown(value))
        if _is_terminal():
            name, text = cut(name, width), cut(text, max(room, _NARROWEST))
        _write(f"{_bold(name + ' ' * (width - width_of(name)))}{_GAP}{text}".rstrip())


def shown(value: Json | datetime) -> str:
    """Return a value as people read it; times are those of this machine's time zone."""
    match value:
        case None | "":
            return "-"
        case str():
            return value
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case int():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _line(table: Sequence[_Column], cells: Sequence[str], style: Callable[[_Column, str], str]) -> str:
    parts = []
    for column, cell in zip(table, cells, strict=True):
        before, text, behind = column.placed(cell)
        parts.append(f"{before}{style(column, text)}{behind}")
    return _GAP.join(parts).rstrip()


def _fitted(table: list[_Column], room: int) -> tuple[list[_Column], list[_Column]]:
    """Return the columns for which there is room, and those that are left out: the last ones."""
    if _total(column.width for column in table) > room:
        for column in table:
            column.shorten_ids()
    if _total(column.width for column in table) > room:
        table = [column for column in table if not column.is_empty] or table
    kept = list(table)
    while len(kept) > 1 and _total(column.narrowest for column in kept) > room:
        kept.pop()
    _narrow(kept, room)
    return kept, table[len(kept) :]


def _narrow(columns: list[_Column], room: int) -> None:
    """Take room from the widest columns first."""
    while (excess := _total(column.width for column in columns) - room) > 0:
        widest = max(columns, key=lambda column: (column.width > column.narrowest, column.width))
        second = max((column.width for column in columns if column is not widest and column.width < widest.width), default=0)
        width = max(widest.narrowest, min(widest.width - 1, max(second, widest.width - excess)))
        if width == widest.width:
            return
        widest.width = width


def _total(widths: Iterable[int]) -> int:
    found = list(widths)
    return sum(found) + len(_GAP) * (len(found) - 1)


def _is_id(text: str) -> bool:
    return len(text) in _DIGITS and _HEX.issuperset(text)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _has_colours() -> bool:
    return _is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _bold(text: str) -> str:
    return click.style(text, bold=True) if _has_colours() else text


def _dim(text: str) -> str:
    return click.style(text, dim=True) if _has_colours() else text


def _coloured(column: _Column, text: str) -> str:
    colour = _STATUS_COLOURS.get(text) if column.name == "status" else None
    return click.style(text, fg=colour) if colour and _has_colours() else text


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
