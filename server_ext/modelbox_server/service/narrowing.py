"""What of a query a database can answer: conditions on records that hold for every experiment for which the query holds."""

from datetime import datetime
from typing import Final

from modelbox.entities.times import from_us
from modelbox.wire.query.ast import All, Among, Between, Comparator, Compare, Expression, Literal_, Matches, RecordField
from modelbox_server.storage.interfaces import Condition, Operator

__all__ = ["necessary"]

_TEXTS: Final = {field: field for field in ("name", "namespace", "owner", "group", "framework", "external_id", "id", "status")}
_COLUMNS: Final = {**_TEXTS, "parent": "parent_id"}
_TIMES: Final = {field: f"{field}_at" for field in ("created", "updated", "started", "finished")}
_OPERATORS: Final[dict[Comparator, Operator]] = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
# The older, the earlier: an age below a bound is a creation after one.
_MIRRORED: Final[dict[Comparator, Comparator]] = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def necessary(expression: Expression | None, now_us: int) -> list[Condition]:
    """Return conditions that hold wherever the expression does; they may hold elsewhere too."""
    match expression:
        case All(parts):
            return [condition for part in parts for condition in necessary(part, now_us)]
        case Compare(RecordField("age"), comparator, int() as age_us):
            return _compared("created", _MIRRORED[comparator], now_us - age_us)
        case Compare(RecordField(name), comparator, value):
            return _compared(name, comparator, value)
        case Between(RecordField("age"), int() as low_us, int() as high_us, negated=False):
            return _compared("created", ">=", now_us - high_us) + _compared("created", "<=", now_us - low_us)
        case Between(RecordField(name), low, high, negated=False):
            return _compared(name, ">=", low) + _compared(name, "<=", high)
        case Among(RecordField(name), members, negated=False) if name in _COLUMNS:
            return [Condition(_COLUMNS[name], "in", sorted(str(value) for _, value in members))]
        case Matches(RecordField(name), pattern, negated=False) if pattern.prefix and name in _COLUMNS:
            return [Condition(_COLUMNS[name], "prefix", pattern.prefix)]
        case _:
            return []


def _compared(field: str, comparator: Comparator, value: Literal_) -> list[Condition]:
    if field in _COLUMNS:
        return [Condition(_COLUMNS[field], _OPERATORS[comparator], value)]
    moment = _moment(value) if field in _TIMES else None
    return [] if moment is None else [Condition(_TIMES[field], _OPERATORS[comparator], moment)]


def _moment(value: Literal_) -> datetime | None:
    """Return the time of so many microseconds, ``None`` outside the years 1 to 9999."""
    try:
        return from_us(value) if isinstance(value, int) else None
    except OverflowError:
        return None
