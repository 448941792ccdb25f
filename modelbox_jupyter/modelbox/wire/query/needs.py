"""What must be looked up to decide a query."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelbox.wire.query.ast import All, Expression, Field, MetadataField, MetricField, Negation, OneOf, Query, RecordField

__all__ = ["Needs", "needs_of", "required_keys"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What fields mention: keys of metadata, keys of series, and whether the conditions look at the record at all."""

    metadata: tuple[str, ...]
    series: tuple[str, ...]
    record: bool


def needs_of(query: Query) -> Needs:
    """Return what the conditions and the order of a query mention."""
    conditions = [] if query.where is None else list(_fields(query.where))
    fields = [*conditions, *(term.field for term in query.order)]
    return Needs(
        metadata=tuple(dict.fromkeys(key for field in fields if isinstance(field, MetadataField) for key in field.candidates())),
        series=tuple(dict.fromkeys(field.key for field in fields if isinstance(field, MetricField))),
        record=any(isinstance(field, RecordField) for field in conditions),
    )


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
