"""Texts that somebody chose, on a terminal: shown as they are, and never acted on."""

from __future__ import annotations

import unicodedata

__all__ = ["cut", "json_literal", "literal", "width_of"]

# A mark takes no column, so that many of them would be a tower on one letter.
_MARKS_PER_COLUMN = 4


def literal(text: str) -> str:
    """Return a text on one line, with what a terminal would act on, or show in another order, written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def json_literal(document: str) -> str:
    """Return a line of JSON that means the same and has nothing in it that a terminal would act on."""
    if document.isprintable():
        return document
    return "".join(char if char.isprintable() else _json_escaped(char) for char in document)


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def width_of(text: str) -> int:
    """Return how many columns a terminal takes for a printable text."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def cut(text: str, width: int) -> str:
    """Return the text, or as much of its beginning as fits into `width` columns with an ellipsis behind it."""
    if width_of(text) <= width and len(text) <= width * _MARKS_PER_COLUMN:
        return text
    kept, left = [], width - 1
    for char in text[: width * _MARKS_PER_COLUMN]:
        left -= _char_width(char)
        if left < 0:
            break
        kept.append(char)
    return f"{''.join(kept)}…"


def _char_width(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
