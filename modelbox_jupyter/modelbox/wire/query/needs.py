"""What must be looked up to decide a query."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelbox.wire.query.ast import All, Expression, Field, MetadataField, MetricField, Negation, OneOf, Query

__all__ = ["Needs", "needs_of"]


@dataclass(frozen=True, slots=True)
class Needs:
    """The keys of metadata and of series that fields mention."""

    metadata: tuple[str, ...]
    series: tuple[str, ...]


def needs_of(query: Query) -> Needs:
    """Return what the conditions and the order of a query mention."""
    fields = [*([] if query.where is None else _fields(query.where)), *(term.field for term in query.order)]
    keys = (key for field in fields if isinstance(field, MetadataField) for key in field.candidates())
    return Needs(tuple(dict.fromkeys(keys)), tuple(dict.fromkeys(field.key for field in fields if isinstance(field, MetricField))))


def _fields(expression: Expression) -> Iterator[Field]:
    match expression:
        case All(parts) | OneOf(parts):
            for part in parts:
                yield from _fields(part)
        case Negation(part):
            yield from _fields(part)
        case _:
            yield expression.field
