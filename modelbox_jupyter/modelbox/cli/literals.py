"""Texts that somebody chose, on a terminal."""

from __future__ import annotations

__all__ = ["literal"]


def literal(text: str) -> str:
    """Return a text on one line, with what a terminal would act on written out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
