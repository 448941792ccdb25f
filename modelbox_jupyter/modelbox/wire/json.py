"""Strict JSON: what is read is what was written, or an error that says where it is wrong.

Reading refuses what most parsers let pass silently: duplicate keys, numbers outside float64 (``1e400`` would become infinity) and deep
nesting. Bare ``NaN`` and ``Infinity`` are accepted. Writing never turns NaN into ``null``: see :mod:`modelbox.entities.values`.
"""

import json
import math
from collections import Counter
from collections.abc import Collection
from typing import TypeVar

import msgspec

from modelbox.entities.records import Json
from modelbox.entities.values import MAX_JSON_DEPTH, float_to_wire
from modelbox.errors import InvalidRequest, TooLarge, shortened

__all__ = ["decode", "decode_trusted", "encode"]

T = TypeVar("T")

_SCALARS = frozenset({str, int, bool, float, type(None)})

_RECURSION_GUARD = f"The JSON nests deeper than {MAX_JSON_DEPTH} levels: flatten it."


def encode(value: object) -> bytes:
    """Return `value`, a record, message or JSON value, as compact UTF-8 JSON.

    Floats of typed fields that are not finite become strings; free JSON values should already have gone through
    :func:`modelbox.entities.values.json_to_wire`.
    """
    plain = msgspec.to_builtins(value, str_keys=True)
    return msgspec.json.encode(_without_nan(plain))


def decode(data: bytes | memoryview, type_: type[T], *, what: str = "body") -> T:
    """Return the JSON in `data` as an instance of `type_`.

    Raises
    ------
    InvalidRequest
        It is not UTF-8, not JSON, has a duplicate key or a number outside float64, or does not fit the type; the message names the place.
    TooLarge
        It nests deeper than 32 levels.
    """
    try:
        text = bytes(data).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The {what} is not valid UTF-8 at byte {error.start}: send JSON in UTF-8.", field=what) from error
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_float=_float64, parse_constant=float)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"The {what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", field=what) from error
    except RecursionError as error:
        raise TooLarge(_RECURSION_GUARD, field=what, limit=f"depth {MAX_JSON_DEPTH}") from error
    except ValueError as error:  # an integer with more digits than Python converts
        raise InvalidRequest(f"The {what} has a number that is too long: {shortened(str(error))}.", field=what) from error
    _check_depth(value, what)
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The {what} does not fit: {error}.", field=what) from error


def decode_trusted(data: bytes, type_: type[T]) -> T:
    """Return the JSON that our own server wrote as an instance of `type_`; fast, without the checks of :func:`decode`.

    Floats of typed fields are read back from the strings that stand for NaN and the infinities.

    Raises
    ------
    InvalidRequest
        The bytes are no such JSON, so no ModelBox server (or another version of one) wrote them.
    """
    try:
        return msgspec.json.decode(data, type=type_, strict=False)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"The answer of the server could not be read ({error}): is it a ModelBox server of this version?") from error


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        double = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise InvalidRequest(f"The key {shortened(double)} stands twice in one JSON object: keep one of them.", field=double)
    return value


def _float64(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidRequest(f"The number {shortened(text, 40)} is outside float64.")
    return number


def _check_depth(value: Json, what: str) -> None:
    layer, depth = [value], 0
    while layer:
        if depth > MAX_JSON_DEPTH:
            raise TooLarge(_RECURSION_GUARD, field=what, limit=f"depth {MAX_JSON_DEPTH}")
        layer = [
            item
            for node in layer
            if isinstance(node, dict | list)
            for item in (node.values() if isinstance(node, dict) else node)
            if isinstance(item, dict | list)
        ]
        depth += 1


def _without_nan(value: Json) -> Json:
    """Return `value` with non-finite floats as strings. Long columns of plain values are seen through at the speed of C."""
    match value:
        case float():
            return value if math.isfinite(value) else float_to_wire(value)
        case dict():
            return value if _is_plain(value.values()) else {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return value if _is_plain(value) else [_without_nan(item) for item in value]
        case _:
            return value


def _is_plain(items: Collection[Json]) -> bool:
    """Tell whether no item contains others, and every float is finite."""
    try:
        # Numbers, and nothing else, have a sum, which one NaN or infinity among them makes one too.
        if math.isfinite(sum(items)):
            return True
    except (TypeError, OverflowError):
        pass
    types = set(map(type, items))
    if not types <= _SCALARS:
        return False
    return float not in types or all(map(math.isfinite, [item for item in items if type(item) is float]))
