"""The words of a query. Linear in its length; everything that is no word is refused with its column."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from modelbox.errors import shortened
from modelbox.wire.query.mistakes import mistake

__all__ = ["Kind", "Token", "tokens_of"]

MAX_NUMBER_CHARS: Final = 400

_BLANK = re.compile(r"\s+")
# Query words may hold '-' and '/': there is no arithmetic here, and people name things val/loss and learning-rate.
_WORD = re.compile(r"[^\W\d][\w/-]*")
_PART = re.compile(r"\w[\w/-]*")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]inf(?:inity)?\b", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|min|s|m|h|d|w))+(?!\w)", re.ASCII)
_SYMBOL = re.compile(r"==|!=|<>|<=|>=|!~|[=<>~(),.]")
_QUOTED = re.compile(r"([\"'`])(?:[^\\\"'`]|\\.|(?!\1)[\"'`])*\1", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "'": "'", "\\": "\\"}


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    TEXT = auto()
    """In single or double quotes."""
    NAME = auto()
    """In backticks: always part of a field."""
    NUMBER = auto()
    DURATION = auto()
    SYMBOL = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a query.

    Parameters
    ----------
    kind
        What it is.
    text
        What it says: without quotes and escapes for text, as written otherwise.
    at, end
        Where it begins and ends in the query.
    """

    kind: Kind
    text: str
    at: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Tell whether it is one of these keywords, in any case."""
        return self.kind is Kind.WORD and self.text.lower() in words

    def is_symbol(self, *symbols: str) -> bool:
        """Tell whether it is one of these symbols."""
        return self.kind is Kind.SYMBOL and self.text in symbols


def tokens_of(query: str) -> Iterator[Token]:
    """Yield the tokens of a query, the last of them an `END`; read one by one, hostile text costs no more than what is parsed of it.

    Raises
    ------
    InvalidQuery
        There is a character that no token begins with, a quote that is not closed, or a number that is none.
    """
    before: Token | None = None
    at = 0
    while at < len(query):
        if blank := _BLANK.match(query, at):
            at = blank.end()
            continue
        before = _token(query, at, before)
        yield before
        at = before.end
    yield Token(Kind.END, "", len(query), len(query))


def _token(query: str, at: int, before: Token | None) -> Token:
    char = query[at]
    if char in "\"'`":
        return _quoted(query, at)
    if before is not None and before.is_symbol(".") and (part := _PART.match(query, at)):
        return Token(Kind.WORD, part[0], at, part.end())
    # In metrics.loss.5 the last dot leads to a name; in < .5 it is that of a number.
    continues_path = before is not None and before.end == at and before.kind in {Kind.WORD, Kind.TEXT, Kind.NAME}
    if not (continues_path and char == "."):
        if duration := _DURATION.match(query, at):
            return Token(Kind.DURATION, duration[0], at, duration.end())
        if number := _NUMBER.match(query, at):
            return _number(query, number)
    for kind, pattern in ((Kind.WORD, _WORD), (Kind.SYMBOL, _SYMBOL)):
        if found := pattern.match(query, at):
            return Token(kind, found[0], at, found.end())
    raise mistake(query, at, f'{shortened(char)} has no meaning here: text goes into quotes, for example "a b".')


def _number(query: str, number: "re.Match[str]") -> Token:
    end = number.end()
    if end - number.start() > MAX_NUMBER_CHARS:
        raise mistake(query, number.start(), f"this number has more than {MAX_NUMBER_CHARS} characters: shorten it.")
    if rest := _PART.match(query, end):
        wrong = shortened(query[number.start() : rest.end()], 40)
        raise mistake(
            query, number.start(), f"{wrong} is neither a number nor a duration with the units s, min, h, d, w: put text into quotes."
        )
    return Token(Kind.NUMBER, number[0], number.start(), end)


def _quoted(query: str, at: int) -> Token:
    quote, quoted = query[at], _QUOTED.match(query, at)
    if quoted is None:
        raise mistake(query, at, f"the quote {quote} is not closed.")
    text = _ESCAPE.sub(_unescaped, quoted[0][1:-1])
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise mistake(query, at, "this text has a NUL or a lone surrogate, which nothing stored here ever has.")
    return Token(Kind.NAME if quote == "`" else Kind.TEXT, text, at, quoted.end())


def _unescaped(escape: "re.Match[str]") -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    # Other backslashes stay, so that patterns need no second one: "\d".
    return _PLAIN_ESCAPES.get(escape[2], escape[0])
