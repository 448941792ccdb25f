"""Values as people read them, and tables as HTML in which nothing that a user wrote is markup."""

import math
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files

import numpy as np

from modelbox.entities.records import Json
from modelbox_widgets.runs import is_missing

__all__ = ["clipped", "html_row", "html_table", "html_view", "text_table", "value_text"]


def clipped(text: str, limit_chars: int = 80) -> str:
    """Return `text` on one line and cut to `limit_chars`."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit_chars else f"{flat[: limit_chars - 1]}…"


def value_text(value: Json) -> str:
    """Return a value as a table shows it: four significant digits, plain words for NaN and infinities, an empty cell for none.

    >>> [value_text(value) for value in (0.000123456, 1797, True, float("inf"), None, [1, 2])]
    ['0.0001235', '1797', 'true', '∞', '', '[1, 2]']
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isinf(number):
            return "∞" if number > 0 else "-∞"
        return "NaN" if math.isnan(number) else f"{number:.0f}" if number.is_integer() and abs(number) < 1e6 else f"{number:.4g}"
    if is_missing(value):
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return clipped(str(value))


def html_view(*parts: str) -> str:
    """Return HTML `parts` as one view with its style."""
    return f'<style>{_style()}</style><div class="modelbox-view">{"".join(parts)}</div>'


@cache
def _style() -> str:
    return (files("modelbox_widgets") / "static" / "views.css").read_text(encoding="utf-8")


def html_row(cells: Sequence[tuple[str, str]], *, tag: str = "td", lead: str = "") -> str:
    """Return a table row; each cell is (text, CSS classes), and the text is escaped. `lead` is HTML before the first text."""
    row = [
        f'<{tag} class="{kind}" title="{escape(text)}">{lead if at == 0 else ""}{escape(clipped(text))}</{tag}>'
        for at, (text, kind) in enumerate(cells)
    ]
    return f"<tr>{''.join(row)}</tr>"


def html_table(head: Sequence[tuple[str, str]], rows: Sequence[str]) -> str:
    """Return a scrolling table of a head and of rows that :func:`html_row` made."""
    return (
        '<div class="modelbox-scroll"><table class="modelbox-table">'
        f"<thead>{html_row(head, tag='th')}</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, limit_chars: int = 28) -> str:
    """Return a table for a terminal: columns padded, long cells cut."""
    cells = [[clipped(text, limit_chars) for text in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])
