"""Whether a query holds for an experiment: the reference for every store.

Three answers are possible. ``None`` means that it depends on metadata or summaries that were not looked up; so a store can decide most
experiments by their records alone and look up the rest for those that are left.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from modelbox.entities.records import ExperimentRecord, Json
from modelbox.entities.series import SeriesSummary, ValueKind
from modelbox.entities.times import to_us
from modelbox.wire.query.ast import (
    All,
    Among,
    Between,
    Comparator,
    Compare,
    Expression,
    Field,
    Literal_,
    Matches,
    MetadataField,
    MetricField,
    Negation,
    OneOf,
    Present,
    RecordField,
    RecordName,
    identity,
)

__all__ = ["Absent", "Facts", "decide", "series_by_key", "value_of"]


class Absent(Enum):
    """Why a field has no value."""

    MISSING = "missing"
    """The experiment has no such thing."""
    UNKNOWN = "unknown"
    """It was not looked up."""


Value: TypeAlias = Json | Absent


class Facts(msgspec.Struct, frozen=True):  # a dataclass that is frozen takes ten times as long to make, and a search makes thousands
    """What is known of an experiment.

    Parameters
    ----------
    record
        Its record.
    metadata
        Its metadata, at least the keys that the query mentions; ``None`` when they were not looked up.
    series
        Its series by key, at least those that the query mentions; ``None`` when they were not looked up.
    points
        The values of fields that need points, for those that have one; ``None`` when they were not looked up.
    """

    record: ExperimentRecord
    metadata: Mapping[str, Json] | None = None
    series: Mapping[str, SeriesSummary] | None = None
    points: Mapping[MetricField, float | str] | None = None


_KINDS: Final = {ValueKind.FLOAT: 2, ValueKind.TEXT: 1, ValueKind.BYTES: 0}


def series_by_key(summaries: Iterable[SeriesSummary]) -> dict[str, SeriesSummary]:
    """Return the series of one experiment by key; of several kinds under one key, numbers go before text before bytes."""
    chosen: dict[str, SeriesSummary] = {}
    for summary in summaries:
        known = chosen.get(summary.key)
        if known is None or _KINDS[known.kind] < _KINDS[summary.kind]:
            chosen[summary.key] = summary
    return chosen


def decide(expression: Expression, facts: Facts, now_us: int) -> bool | None:
    """Tell whether the expression holds at the time `now_us`; ``None`` when that depends on what was not looked up."""
    match expression:
        case All(parts):
            return _combined(parts, facts, now_us, decisive=False)
        case OneOf(parts):
            return _combined(parts, facts, now_us, decisive=True)
        case Negation(part):
            answer = decide(part, facts, now_us)
            return None if answer is None else not answer
        case _:
            value = value_of(expression.field, facts, now_us)
            if value is Absent.UNKNOWN:
                return None
            return value is not Absent.MISSING and _holds(expression, value)


def _combined(parts: tuple[Expression, ...], facts: Facts, now_us: int, *, decisive: bool) -> bool | None:
    """Return `decisive` as soon as a part says so, its opposite when all parts do."""
    open_ = False
    for part in parts:
        answer = decide(part, facts, now_us)
        if answer is decisive:
            return decisive
        open_ = open_ or answer is None
    return None if open_ else not decisive


def _holds(test: Present | Compare | Among | Between | Matches, value: Json) -> bool:
    match test:
        case Present():
            return value is not False and value is not None and value != ""
        case Compare(_, comparator, wanted):
            if comparator in _ORDERED:
                return _ordered(value, comparator, wanted)
            return (identity(value) == identity(wanted)) is (comparator == "=")
        case Among(_, members, negated):
            return (identity(value) in members) is not negated
        case Between(_, low, high, negated):
            return (_ordered(value, ">=", low) and _ordered(value, "<=", high)) is not negated
        case Matches(_, pattern, negated):
            return (isinstance(value, str) and pattern.found_in(value)) is not negated


_ORDERED: Mapping[Comparator, Callable[[Any, Any], Any]] = MappingProxyType({"<": lt, "<=": le, ">": gt, ">=": ge})


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)  # a union would take three times as long


def _ordered(value: Json, comparator: Comparator, wanted: Literal_) -> bool:
    comparable = isinstance(value, str) if isinstance(wanted, str) else _is_number(value)
    return comparable and bool(_ORDERED[comparator](value, wanted))


# --- values of fields --------------------------------------------------------------------------------------------------------------------


def value_of(field: Field, facts: Facts, now_us: int) -> Value:
    """Return the value of a field; times and durations in microseconds."""
    match field:
        case RecordField(name):
            return _of_record(facts.record, name, now_us)
        case MetadataField():
            return Absent.UNKNOWN if facts.metadata is None else _of_metadata(facts.metadata, field)
        case MetricField():
            return Absent.UNKNOWN if facts.series is None else _of_series(facts.series.get(field.key), field, facts)


def _of_record(record: ExperimentRecord, name: RecordName, now_us: int) -> Value:
    match name:
        case "created" | "updated" | "started":
            return to_us(getattr(record, f"{name}_at"))
        case "finished":
            return Absent.MISSING if record.finished_at is None else to_us(record.finished_at)
        case "parent":
            return Absent.MISSING if record.parent_id is None else record.parent_id
        case "age":
            return now_us - to_us(record.created_at)
        case "duration":
            return (now_us if record.finished_at is None else to_us(record.finished_at)) - to_us(record.started_at)
        case "status":
            return record.status.value
        case _:
            return getattr(record, name)


def _of_metadata(metadata: Mapping[str, Json], field: MetadataField) -> Value:
    keys = field.candidates()
    value: Value = metadata.get(keys[0], Absent.MISSING)
    if value is not Absent.MISSING:
        return value
    for length, key in zip(range(len(field.path) - 1, 0, -1), keys[1:], strict=True):
        value = metadata.get(key, Absent.MISSING)
        for part in field.path[length:]:
            value = value.get(part, Absent.MISSING) if isinstance(value, dict) else Absent.MISSING
        if value is not Absent.MISSING:
            return value
    return Absent.MISSING


def _of_series(summary: SeriesSummary | None, field: MetricField, facts: Facts) -> Value:
    if summary is None:
        return Absent.MISSING
    if field.statistic in {"first", "at"} and not _is_last(summary, field):
        if field.step is not None and not summary.first_step <= field.step <= summary.last_step:
            return Absent.MISSING
        return Absent.UNKNOWN if facts.points is None else facts.points.get(field, Absent.MISSING)
    value: Value = getattr(summary, "last" if field.statistic in {"first", "at"} else field.statistic)
    return Absent.MISSING if value is None else value


def _is_last(summary: SeriesSummary, field: MetricField) -> bool:
    """Tell whether the last value is the one that is meant: then no point need be read."""
    return (summary.count == 1 and field.step is None) or field.step == summary.last_step
