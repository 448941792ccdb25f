"""What must be looked up to decide a query."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelbox.wire.query.ast import All, Expression, Field, MetadataField, MetricField, Negation, OneOf, Query, RecordField

__all__ = ["Needs", "fields_of", "looks_at_record", "needs_of", "required_keys"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What fields mention: keys of metadata, keys of series, fields of which points are needed."""

    metadata: tuple[str, ...]
    series: tuple[str, ...]
    points: tuple[MetricField, ...]


def needs_of(fields: Iterable[Field]) -> Needs:
    """Return what must be looked up for the values of some fields."""
    fields = list(fields)
    return Needs(
        metadata=tuple(dict.fromkeys(key for field in fields if isinstance(field, MetadataField) for key in field.candidates())),
        series=tuple(dict.fromkeys(field.key for field in fields if isinstance(field, MetricField))),
        points=tuple(dict.fromkeys(field for field in fields if isinstance(field, MetricField) and field.statistic in {"first", "at"})),
    )


def fields_of(query: Query) -> list[Field]:
    """Return the fields that decide which experiments come, and in which order."""
    return [*([] if query.where is None else _fields(query.where)), *(term.field for term in query.order)]


def looks_at_record(expression: Expression) -> bool:
    """Tell whether the expression has a condition on the record itself."""
    return any(isinstance(field, RecordField) for field in _fields(expression))


def required_keys(expression: Expression | None) -> list[frozenset[str]]:
    """Return sets of metadata keys of which each experiment has at least one where the expression holds."""
    match expression:
        case None | Negation():
            return []
        case All(parts):
            return [keys for part in parts for keys in required_keys(part)]
        case OneOf(parts):
            choices = [required_keys(part) for part in parts]
            return [frozenset().union(*(choice[0] for choice in choices))] if all(choices) else []
        case _:
            # Every test of a field that is missing is false.
            return [frozenset(expression.field.candidates())] if isinstance(expression.field, MetadataField) else []


def _fields(expression: Expression) -> Iterator[Field]:
    match expression:
        case All(parts) | OneOf(parts):
            for part in parts:
                yield from _fields(part)
        case Negation(part):
            yield from _fields(part)
        case _:
            yield expression.field
