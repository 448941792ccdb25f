"""Values as people read them, and tables as HTML in which nothing that a user wrote is markup."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files

import numpy as np
import pandas as pd

from modelbox.entities.records import Json
from modelbox_widgets.runs import differing_settings, is_missing, run_labels, setting_name

__all__ = [
    "abouts",
    "clipped",
    "html_row",
    "html_table",
    "html_view",
    "middle",
    "short_labels",
    "text_table",
    "unique_middle",
    "value_text",
]


def clipped(text: str, limit_chars: int = 80) -> str:
    """Return `text` on one line and cut to `limit_chars`."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit_chars else f"{flat[: limit_chars - 1]}…"


def middle(text: str, limit_chars: int = 36) -> str:
    """Return `text` on one line, shortened in the middle: names of runs often begin alike and tell their difference at the end.

    >>> middle("resnet50-imagenet-augmented-lr0.003-seed7", 20)
    'resnet50-i…003-seed7'
    """
    flat = " ".join(text.split())
    if len(flat) <= limit_chars:
        return flat
    end = (limit_chars - 1) // 2
    return f"{flat[: limit_chars - 1 - end]}…{flat[len(flat) - end :]}"


def unique_middle(texts: Sequence[str], limit_chars: int) -> list[str]:
    """Return texts shortened in the middle; those that look alike then get a number."""
    seen: Counter[str] = Counter()
    short = []
    for text in texts:
        label = middle(text, limit_chars)
        seen[label] += 1
        short.append(label if seen[label] == 1 else f"{middle(text, limit_chars - 5)} ({seen[label]})")
    return short


def short_labels(frame: pd.DataFrame, limit_chars: int = 34) -> dict[str, str]:
    """Return what each run is called in a legend, by experiment id: shortened in the middle, and still unique."""
    labels = run_labels(frame)
    short = {run_id: middle(label, limit_chars) for run_id, label in labels.items()}
    counts = Counter(short.values())
    for run_id, label in short.items():
        if counts[label] > 1:
            short[run_id] = f"{middle(labels[run_id], limit_chars - 11)} ({run_id[:8]})"
    return short


def abouts(frame: pd.DataFrame, *, limit_settings: int = 6) -> list[str]:
    """Return in a few words how each run was set up: the parameters in which these runs differ."""
    columns = [column for column in differing_settings(frame) if column.startswith("params.")][:limit_settings]
    return [
        ", ".join(f"{middle(setting_name(name), 24)} = {middle(value_text(value), 24)}" for name, value in zip(columns, row, strict=True))
        for row in (frame[columns].itertuples(index=False, name=None) if columns else [()] * len(frame))
    ]


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
