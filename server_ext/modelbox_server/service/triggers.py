"""Predicates of actions: an expression, as JavaScript writes it, over the change that may ask for the action.

A predicate such as ``event.ObjectType == "model_version" && event.Kind == "created"`` is read by the parser below and can only compare:
it calls nothing, loops over nothing and reaches nothing but the fields of the event, which are those that watchers of a namespace see
(:func:`change_fields`). What JavaScript leaves undefined is unequal to everything else, and neither less nor greater.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from modelbox.entities.records import ChangeEvent, Json
from modelbox.errors import InvalidRequest, shortened

__all__ = ["Predicate", "change_fields", "parsed_predicate"]

Predicate: TypeAlias = Callable[[Mapping[str, Json]], bool]
"""Tells whether a change, given by its fields, asks for the action."""

_Value: TypeAlias = Callable[[Mapping[str, Json]], Json]

_MAX_CHARS: Final = 4_096
_MAX_DEPTH: Final = 40
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\["'\\])*"|'(?:[^'\\]|\\["'\\])*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_$][\w$]*)"""
    r"""|(?P<sign>===|!==|==|!=|<=|>=|&&|\|\||[<>!().]))"""
)
_WORDS: Mapping[str, Json] = MappingProxyType({"true": True, "false": False, "null": None, "undefined": None})


def change_fields(event: ChangeEvent) -> dict[str, Json]:
    """Return what is seen of a change: the fields that the object has now, what they were before, and who did it; named as in 2022."""
    about: dict[str, Json] = {
        "Id": event.object_id,
        "ObjectType": event.object_type,
        "ParentId": event.parent_id or "",
        "Namespace": event.namespace,
        "Kind": str(event.kind),
        "Actor": event.actor,
        "At": event.at.astimezone(UTC).isoformat(),
        "Sequence": event.seq,
    }
    rest = {_go_name(key): value for key, value in event.payload.items() if key != "new"}
    fields = {_go_name(key): value for key, value in (event.payload.get("new") or {}).items()}
    return {**fields, **rest, **about}


def _go_name(field: str) -> str:
    """Return a field as programs of 2022 know it: ``external_id`` was ``ExternalId``."""
    return "".join(part.capitalize() for part in field.split("_"))


@lru_cache(maxsize=256)
def parsed_predicate(text: str) -> Predicate:
    """Return the function that a predicate means.

    Raises
    ------
    InvalidRequest
        It is no expression of this language; the sentence says where it ends to be one.

    Examples
    --------
    >>> parsed_predicate('event.Kind == "created" && !(event.Epoch < 3)')({"Kind": "created", "Epoch": 3})
    True
    """
    if len(text) > _MAX_CHARS:
        raise InvalidRequest(
            f"The predicate has {len(text)} characters: at most {_MAX_CHARS} are read.", field="predicate", limit=f"{_MAX_CHARS} characters"
        )
    parser = _Parser(text)
    value = parser.either(0)
    if parser.token.kind != "end":
        raise parser.error("an operator")
    return lambda event: _is_true(value(event))


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            yield _Token("unknown", text[at:].lstrip()[:20], at)
            return
        yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
        at = match.end()
    yield _Token("end", "", end)


class _Parser:
    """Reads an expression from left to right; each method reads what binds tighter than the one before it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._rest = _tokens(text)
        self.token = next(self._rest)

    def error(self, wanted: str) -> InvalidRequest:
        found = f"{shortened(self.token.text, 20)} at character {self.token.at + 1}" if self.token.text else "its end"
        return InvalidRequest(
            f"The predicate {shortened(self._text, 80)} cannot be read: {found} stands where {wanted} must. Compare fields of the event "
            'by == != < <= > >= and join by && || !, as in event.ObjectType == "model" && event.Kind == "created".',
            field="predicate",
        )

    def _take(self) -> str:
        taken = self.token.text
        self.token = next(self._rest, self.token)
        return taken

    def _is(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def either(self, depth: int) -> _Value:
        left = self._both(depth)
        while self._is("||"):
            self._take()
            left = _or(left, self._both(depth))
        return left

    def _both(self, depth: int) -> _Value:
        left = self._negated(depth)
        while self._is("&&"):
            self._take()
            left = _and(left, self._negated(depth))
        return left

    def _negated(self, depth: int) -> _Value:
        if depth > _MAX_DEPTH:
            raise InvalidRequest(f"The predicate is nested more than {_MAX_DEPTH} levels deep: simplify it.", field="predicate")
        left = self._single(depth)
        while self.token.kind == "sign" and self.token.text in _COMPARISONS:
            left = _compared(_COMPARISONS[self._take()], left, self._single(depth))
        return left

    def _single(self, depth: int) -> _Value:
        if self._is("!"):
            self._take()
            if depth > _MAX_DEPTH:
                raise InvalidRequest(f"The predicate is nested more than {_MAX_DEPTH} levels deep: simplify it.", field="predicate")
            return _not(self._single(depth + 1))
        if self._is("("):
            self._take()
            inner = self.either(depth + 1)
            if not self._is(")"):
                raise self.error("')'")
            self._take()
            return inner
        match self.token.kind:
            case "text":
                literal = re.sub(r"\\(.)", r"\1", self._take()[1:-1])
                return lambda event: literal
            case "number":
                number = float(self._take())
                return lambda event: number
            case "name" if self.token.text in _WORDS:
                word = _WORDS[self._take()]
                return lambda event: word
            case "name" if self.token.text == "event":
                self._take()
                return self._field()
            case _:
                raise self.error("a field, such as event.Name, or a value")

    def _field(self) -> _Value:
        path: list[str] = []
        while self._is("."):
            self._take()
            if self.token.kind != "name":
                raise self.error("the name of a field")
            path.append(self._take())

        def read(event: Mapping[str, Json]) -> Json:
            value: Json = event
            for part in path:
                value = value.get(part) if isinstance(value, Mapping) else None
            return value

        return read


def _or(left: _Value, right: _Value) -> _Value:
    return lambda event: _is_true(left(event)) or _is_true(right(event))


def _and(left: _Value, right: _Value) -> _Value:
    return lambda event: _is_true(left(event)) and _is_true(right(event))


def _not(value: _Value) -> _Value:
    return lambda event: not _is_true(value(event))


def _compared(compare: Callable[[Json, Json], bool], left: _Value, right: _Value) -> _Value:
    return lambda event: compare(left(event), right(event))


def _is_true(value: Json) -> bool:
    # As in JavaScript, an empty list or object is true.
    return value is not None and value is not False and value != 0 and value != ""


def _ordered(compare: Callable[[Json, Json], bool]) -> Callable[[Json, Json], bool]:
    def of_one_kind(left: Json, right: Json) -> bool:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        return bool(compare(left, right)) if numbers or (isinstance(left, str) and isinstance(right, str)) else False

    return of_one_kind


def _same(left: Json, right: Json) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


_COMPARISONS: Mapping[str, Callable[[Json, Json], bool]] = MappingProxyType(
    {
        "==": _same,
        "===": _same,
        "!=": lambda left, right: not _same(left, right),
        "!==": lambda left, right: not _same(left, right),
        "<": _ordered(operator.lt),
        "<=": _ordered(operator.le),
        ">": _ordered(operator.gt),
        ">=": _ordered(operator.ge),
    }
)
