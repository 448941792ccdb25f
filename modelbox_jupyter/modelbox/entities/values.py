"""JSON values without loss: how NaN and the infinities travel where JSON has no word for them.

Every fast JSON library writes NaN as ``null``. ModelBox writes a number of a typed field (a metric value, a summary) as the string
``"NaN"``, ``"Infinity"`` or ``"-Infinity"``, and a number inside a free JSON value (metadata) as ``{"$float": "NaN"}``, so that a real
string ``"NaN"`` stays a string.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, TooLarge, shortened

__all__ = ["MAX_JSON_DEPTH", "WireFloat", "checked_json", "float_from_wire", "float_to_wire", "json_from_wire", "json_to_wire"]

MAX_JSON_DEPTH = 32
"""How deep a JSON value may nest."""

_INT64 = range(-(2**63), 2**63)

WireFloat: TypeAlias = float | Literal["NaN", "Infinity", "-Infinity"]
"""A float of a typed field as it travels in JSON."""


def float_to_wire(value: float) -> WireFloat:
    """Return `value` as JSON can carry it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def float_from_wire(value: WireFloat) -> float:
    """Undo :func:`float_to_wire`."""
    return float(value)


def json_to_wire(value: Json) -> Json:
    """Return a free JSON value in which every non-finite float is ``{"$float": …}``."""
    match value:
        case float() if not math.isfinite(value):
            return {"$float": float_to_wire(value)}
        case dict():
            # A user's own {"$float": …} would be read back as a number: escape it by nesting it once more.
            plain = {key: json_to_wire(item) for key, item in value.items()}
            return {"$plain": plain} if len(value) == 1 and next(iter(value)) in {"$float", "$plain"} else plain
        case list() | tuple():
            return [json_to_wire(item) for item in value]
        case _:
            return value


def json_from_wire(value: Json) -> Json:
    """Undo :func:`json_to_wire`."""
    match value:
        case {"$float": ("NaN" | "Infinity" | "-Infinity") as name, **rest} if not rest:
            return float(name)
        case {"$plain": dict() as plain, **rest} if not rest:
            return {key: json_from_wire(item) for key, item in plain.items()}
        case dict():
            return {key: json_from_wire(item) for key, item in value.items()}
        case list():
            return [json_from_wire(item) for item in value]
        case _:
            return value


def checked_json(value: object, *, field: str, depth: int = 0) -> Json:
    """Return `value` as plain JSON data (tuples become lists), or say what in it is none.

    Raises
    ------
    InvalidRequest
        Something in it is not JSON, is an integer beyond 64 bits, or text that no database keeps (NUL, lone surrogates).
    TooLarge
        It nests deeper than :data:`MAX_JSON_DEPTH`.
    """
    if depth > MAX_JSON_DEPTH:
        raise TooLarge(f"{field} nests deeper than {MAX_JSON_DEPTH} levels: flatten it.", field=field, limit=f"depth {MAX_JSON_DEPTH}")
    match value:
        case None | bool() | float():
            return value
        case int():
            if value not in _INT64:
                raise InvalidRequest(f"{field} is an integer outside 64 bits, {shortened(value, 40)}: send it as text.", field=field)
            return value
        case str():
            return _checked_text(value, field)
        case Mapping():
            return {
                _checked_text(key, field): checked_json(item, field=f"{field}.{key}", depth=depth + 1)
                for key, item in _items_with_text_keys(value, field)
            }
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [checked_json(item, field=f"{field}[{i}]", depth=depth + 1) for i, item in enumerate(value)]
        case _:
            raise InvalidRequest(
                f"{field} is {type(value).__name__} {shortened(value, 40)}: only numbers, text, booleans, None, lists and dicts are kept.",
                field=field,
            )


def _items_with_text_keys(value: Mapping[object, object], field: str) -> list[tuple[str, object]]:
    for key in value:
        if not isinstance(key, str):
            raise InvalidRequest(f"{field} has the key {shortened(key, 40)}: keys must be text.", field=field)
    return [(str(key), item) for key, item in value.items()]


def _checked_text(text: str, field: str) -> str:
    if "\0" in text:
        raise InvalidRequest(f"{field} contains a NUL character (U+0000): remove it.", field=field)
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidRequest(f"{field} contains a lone surrogate: send valid Unicode.", field=field)
    return text
