"""What is wrong with a query, and where: one sentence, the line, and a caret under the place."""

import unicodedata

from modelbox.errors import InvalidQuery

__all__ = ["mistake"]

_SHOWN_CHARS = 72


def mistake(text: str, at: int, sentence: str) -> InvalidQuery:
    """Return the error about the character at index `at` of the query `text`."""
    # Long queries are cut to what surrounds the place.
    first = 0 if len(text) <= _SHOWN_CHARS else max(0, min(at - _SHOWN_CHARS // 2, len(text) - _SHOWN_CHARS))
    before, after = _on_one_line(text[first:at]), _on_one_line(text[at : first + _SHOWN_CHARS])
    if first:
        before = f"…{before}"
    more = "…" if first + _SHOWN_CHARS < len(text) else ""
    caret = " " * sum(_columns(char) for char in before) + "^"
    return InvalidQuery(f"Column {at + 1}: {sentence}\n    {before}{after}{more}\n    {caret}", field="q")


def _on_one_line(text: str) -> str:
    """Return `text` with a blank for what would move the caret or break the line."""
    return "".join(char if char.isprintable() else " " for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
