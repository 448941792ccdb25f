"""What may be logged: how a value of any library becomes a float, a text or bytes, and a parameter becomes JSON.

The rule for metrics: what is a number is stored as float64, exactly or (for integers beyond 2**53) as the nearest one; text and bytes are
series of their own; everything else is refused by name. Nothing is clamped, rounded to less, or dropped without a word.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from numbers import Number, Real
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias, cast

from modelbox.entities.times import from_us, to_us
from modelbox.errors import InvalidRequest, shortened

if TYPE_CHECKING:
    from modelbox.entities.records import Json

__all__ = ["UnsupportedValue", "Value", "flat_params", "integer_step", "metric_value", "moment", "plain_json", "wall_time_us"]

Value: TypeAlias = float | str | bytes
"""What a point of a metric may be."""

_INT64 = range(-(2**63), 2**63)
_MAX_ARRAY_ITEMS = 1000


class UnsupportedValue(InvalidRequest, TypeError):
    """A metric was given something that is neither a number, nor text, nor bytes."""


def metric_value(key: str, value: object) -> Value:
    """Return `value` as it is stored under the metric `key`.

    Python and numpy numbers, 0-dimensional arrays and one-element tensors of any library, ``Decimal``, ``Fraction`` and ``bool`` become
    ``float``; text and bytes stay.

    Raises
    ------
    UnsupportedValue
        It is nothing of this, or a number beyond float64.
    InvalidRequest
        It is an integer outside 64 bits.
    """
    match value:
        case bool():
            return float(value)
        case int():
            if value not in _INT64:
                raise InvalidRequest(
                    f"Metric {key!r} is an integer outside 64 bits, {shortened(value, 40)}: log it as float or text.", field=key
                )
            return float(value)
        case float():
            return float(value)
        case str():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case _:
            return _foreign(key, value)


def _foreign(key: str, value: object) -> Value:
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    shape = getattr(value, "shape", None)
    item = getattr(value, "item", None)
    if kind in {"m", "M"}:  # numpy would hand out a date in nanoseconds as a plain integer
        raise _unsupported(key, value, "log a number, such as seconds")
    if shape is not None and callable(item):
        elements = math.prod(cast("tuple[int, ...]", shape))
        if elements != 1:
            raise _unsupported(key, value, f"it has {elements} elements; log its mean, or upload it as an artifact")
        inner = item()
        # numpy's longdouble gives itself back.
        return metric_value(key, inner) if type(inner) is not type(value) else _as_float(key, value)
    if shape is not None and callable(getattr(value, "numpy", None)):
        return _foreign(key, cast("Callable[[], object]", value.numpy)())  # type: ignore[attr-defined]
    if isinstance(value, Number) and not isinstance(value, Real) and not hasattr(value, "as_integer_ratio"):
        raise _unsupported(key, value, "log its real part or its absolute value")
    return _as_float(key, value)


def _as_float(key: str, value: object) -> float:
    if not hasattr(type(value), "__float__"):
        raise _unsupported(key, value, "log a number, text or bytes")
    try:
        number = float(cast("float", value))
        # Decimal("1e400") turns into infinity silently; a real infinity says so in its text.
        overflow = math.isinf(number) and "inf" not in str(value).lower()
    except (TypeError, ValueError):
        raise _unsupported(key, value, "log a number, text or bytes") from None
    except OverflowError:
        overflow = True
        number = math.inf
    if overflow:
        raise _unsupported(key, value, "it is beyond float64; log its logarithm, or text")
    return number


def _unsupported(key: str, value: object, advice: str) -> UnsupportedValue:
    return UnsupportedValue(f"Metric {key!r} is {type(value).__name__} {_shown(value)}: {advice}.", field=key)


def _shown(value: object) -> str:
    shape = getattr(value, "shape", None)
    # The repr of a tensor may be long, and that of one on another device slow.
    return f"of shape {tuple(shape)}" if shape else shortened(value, 40)


def integer_step(step: object) -> int:
    """Return `step` as an integer within 64 bits; integers of any library and whole floats are fine.

    Raises
    ------
    InvalidRequest
        It is no integer, or is outside 64 bits.
    """
    number: int | None = None
    if isinstance(step, float):
        number = int(step) if step.is_integer() else None
    elif hasattr(type(step), "__index__"):
        try:
            number = cast("int", step).__index__()
        except TypeError:  # an array of several numbers
            number = None
    elif callable(item := getattr(step, "item", None)) and math.prod(getattr(step, "shape", (1,))) == 1:
        return integer_step(item())
    if number is None or number not in _INT64:
        raise InvalidRequest(f"The step is {type(step).__name__} {_shown(step)}: it must be an integer within 64 bits.", field="step")
    return number


def wall_time_us(moment: float | datetime) -> int:
    """Return a wall clock, given as a datetime or in seconds since 1970, in microseconds since 1970.

    A datetime without a time zone is local time, as everywhere in Python.

    Raises
    ------
    InvalidRequest
        It is no time, or is outside the years 1 to 9999.
    """
    if isinstance(moment, datetime):
        return to_us(moment.astimezone(UTC))
    try:
        us = round(float(moment) * 1e6)
        from_us(us)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRequest(
            f"The wall clock is {type(moment).__name__} {_shown(moment)}: give a datetime, or seconds since 1970.", field="wall_time"
        ) from None
    return us


def moment(wall_time: float | datetime) -> datetime:
    """Return a wall clock, given as a datetime or in seconds since 1970, as an aware UTC datetime."""
    return from_us(wall_time_us(wall_time))


def plain_json(value: object) -> Json:
    """Return `value` with what libraries use in place of plain data made plain: numpy scalars and small arrays, paths, dates, enums.

    Anything else is left as it is, for :func:`modelbox.entities.values.checked_json` to judge.
    """
    match value:
        case Enum():
            return plain_json(value.value)
        case None | bool():
            return value
        case int() | float() | str():
            # numpy's float64 and str_ are subclasses, which a JSON writer may not know.
            return next(plain(value) for plain in (int, float, str) if isinstance(value, plain))
        case PurePath():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case _:
            return _plain_container(value)


def _plain_container(value: object) -> Json:
    match value:
        case Mapping():
            return {plain_json(key): plain_json(item) for key, item in value.items()}
        case list() | tuple():
            return [plain_json(item) for item in value]
        case set() | frozenset():
            return sorted((plain_json(item) for item in value), key=repr)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            return _plain_array(value)


def _plain_array(value: object) -> object:
    shape, tolist = getattr(value, "shape", None), getattr(value, "tolist", None)
    if isinstance(shape, tuple) and callable(tolist) and math.prod(shape) <= _MAX_ARRAY_ITEMS:
        plain = tolist()
        return plain_json(plain) if type(plain) is not type(value) else value
    return value


def flat_params(params: Mapping[str, object]) -> dict[str, Json]:
    """Return hyperparameters with nested dicts flattened by ``.``: ``{"opt": {"lr": 0.1}}`` becomes ``{"opt.lr": 0.1}``.

    A value that is not plain data, such as a class or a function, is kept as its text.

    Raises
    ------
    InvalidRequest
        Two parameters get the same flat name.
    """
    flat: dict[str, Json] = {}
    for key, value in _leaves(params):
        if key in flat:
            raise InvalidRequest(
                f"The parameter {key!r} is given twice, once nested and once with a dot: rename one.", field=f"params.{key}"
            )
        flat[key] = value
    return flat


def _leaves(params: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, Json]]:
    for key, value in params.items():
        name = f"{prefix}{key}"
        plain = plain_json(value)
        if isinstance(plain, dict) and plain:
            yield from _leaves(cast("dict[str, object]", plain), f"{name}.")
        else:
            yield name, _or_text(plain)


def _or_text(value: Json) -> Json:
    match value:
        case None | bool() | float() | str():
            return value
        case int():
            return value if value in _INT64 else str(value)
        case list():
            return [_or_text(item) for item in value]
        case dict():
            return {str(key): _or_text(item) for key, item in value.items()}
        case type():
            return f"{value.__module__}.{value.__qualname__}"
        case _ if callable(value) and hasattr(value, "__qualname__"):
            return f"{value.__module__}.{value.__qualname__}"
        case _:
            return shortened(value, 500)
