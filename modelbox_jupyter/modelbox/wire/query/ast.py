"""What a query says, as frozen nodes: fields, tests of fields, and their combinations.

Times and durations are integers here, in microseconds; the parser has already checked that every value can be compared with its field.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from modelbox.entities.records import Json
from modelbox.wire.query.patterns import Pattern

__all__ = [
    "All",
    "Among",
    "Between",
    "Comparator",
    "Compare",
    "Expression",
    "Field",
    "Identity",
    "Literal_",
    "Matches",
    "MetadataField",
    "MetricField",
    "Negation",
    "OneOf",
    "Present",
    "Query",
    "RecordField",
    "RecordName",
    "Shown",
    "Statistic",
    "Term",
    "identity",
]

Comparator = Literal["=", "!=", "<", "<=", ">", ">="]
Statistic = Literal["last", "min", "max", "mean", "count", "first", "at"]
RecordName = Literal[
    "name",
    "namespace",
    "owner",
    "group",
    "framework",
    "external_id",
    "id",
    "parent",
    "status",
    "created",
    "updated",
    "started",
    "finished",
    "age",
    "duration",
]

Literal_: TypeAlias = bool | int | float | str | None
"""A value that stands in a query."""


Identity: TypeAlias = tuple[str, Literal_]
"""Type and value: equal for values that are equal in the language, where 1 is 1.0, but neither true nor "1", and NaN is NaN."""


def identity(value: Json) -> Identity | None:
    """Return what makes a value equal to another; ``None`` for lists and dicts, which equal nothing that can be written."""
    match value:
        case None:
            return "null", None
        case bool():
            return "boolean", value
        case float() if math.isnan(value):
            return "nan", None
        case int() | float():
            return "number", value
        case str():
            return "text", value
        case _:
            return None


@dataclass(frozen=True, slots=True)
class RecordField:
    """A field of the experiment itself."""

    name: RecordName


@dataclass(frozen=True, slots=True)
class MetadataField:
    """A path into the metadata; a parameter begins with ``params``, a tag with ``tags``."""

    path: tuple[str, ...]

    def candidates(self) -> tuple[str, ...]:
        """Return the keys it may mean, the longest first."""
        return _candidates(self.path)


@dataclass(frozen=True, slots=True)
class MetricField:
    """A statistic of a series; `step` belongs to the statistic ``at``."""

    key: str
    statistic: Statistic
    step: int | None = None


Field: TypeAlias = RecordField | MetadataField | MetricField


@dataclass(frozen=True, slots=True)
class Present:
    """The field is there, and neither false, null nor empty text."""

    field: Field


@dataclass(frozen=True, slots=True)
class Compare:
    """The field compares with a value."""

    field: Field
    comparator: Comparator
    value: Literal_


@dataclass(frozen=True, slots=True)
class Among:
    """The field equals one of some values, given by their identities (`negated`: it is there and equals none)."""

    field: Field
    members: frozenset[Identity]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """The field lies between two values, both included (`negated`: it is there and does not)."""

    field: Field
    low: int | float | str
    high: int | float | str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Matches:
    """The field is text in which the pattern is found (`negated`: it is there and is not such text)."""

    field: Field
    pattern: Pattern
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Negation:
    """The part does not hold."""

    part: "Expression"


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """At least one part holds."""

    parts: tuple["Expression", ...]


@lru_cache(maxsize=1024)
def _candidates(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(".".join(path[:length]) for length in range(len(path), 0, -1))


Expression: TypeAlias = Present | Compare | Among | Between | Matches | Negation | All | OneOf


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to sort by."""

    field: Field
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """One column that a table has, and what it is called there."""

    label: str
    field: Field


@dataclass(frozen=True, slots=True)
class Query:
    """Which experiments (`where`, ``None`` for all), in which order (newest first where it is empty), at most how many.

    `show` are the columns of a table of them, all where it is empty.
    """

    where: Expression | None = None
    order: tuple[Term, ...] = ()
    limit: int | None = None
    show: tuple[Shown, ...] = ()
