"""Which fields there are, and what each can be compared with."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias, cast, get_args
from unicodedata import normalize

from modelbox.entities.records import Status
from modelbox.entities.times import to_us
from modelbox.errors import nearest, shortened
from modelbox.wire.query.ast import Field, Literal_, MetadataField, MetricField, RecordField, RecordName, Statistic
from modelbox.wire.query.lexer import Kind, Token
from modelbox.wire.query.mistakes import mistake

__all__ = [
    "MAX_PATH",
    "TIMES",
    "ColumnKind",
    "asks_for_step",
    "column_kind",
    "duration_of",
    "field_of",
    "is_duration",
    "is_text",
    "label_of",
    "number_of",
    "status_of",
    "step_of",
    "time_of",
]

TIMES: Final = frozenset({"created", "updated", "started", "finished"})
_SPANS: Final = frozenset({"age", "duration"})
_RECORD_NAMES: Final = get_args(RecordName)
# The columns of the DataFrame are words of the language as well.
_ALIASES: Final = {
    "experiment_id": "id",
    "parent_id": "parent",
    "created_at": "created",
    "updated_at": "updated",
    "started_at": "started",
    "finished_at": "finished",
    "duration_s": "duration",
    "age_s": "age",
}
_COLUMNS: Final = {name: column for column, name in _ALIASES.items()}
_METADATA_HEADS: Final = {"params": ("params",), "tags": ("tags",), "metadata": (), "meta": ()}
_HEADS: Final = (*_RECORD_NAMES, *_METADATA_HEADS, "metrics")
_STATISTICS: Final = get_args(Statistic)
ColumnKind: TypeAlias = Literal["text", "time", "duration", "tag", "number", "value"]
"""How the values of a column are to be read."""

MAX_PATH: Final = 32
"""How many parts a path may have."""

_UNIT_US: Final = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_UNITS_US: Final = {**_UNIT_US, "w": 7 * _UNIT_US["d"]}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|min|[smhdw])", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INT64: Final = range(-(2**63), 2**63)


def field_of(query: str, parts: list[Token], step: int | None = None) -> Field:
    """Return the field that a path means; its first part is a plain word. `step` is that of ``at(step)`` at its end.

    Raises
    ------
    InvalidQuery
        There is no such field.
    """
    head, *rest = parts
    name = _ALIASES.get(head.text.lower(), head.text.lower())
    if name in _RECORD_NAMES:
        if rest:
            raise mistake(query, rest[0].at, f"{name} has no parts: params are written params.NAME, metrics metrics.NAME.")
        return RecordField(cast(RecordName, name))
    if name == "metrics":
        return _metric(query, head, rest, step)
    if name in _METADATA_HEADS:
        if not rest:
            raise mistake(query, head.at, f"{name} needs a name: write {name}.NAME.")
        return MetadataField((*_METADATA_HEADS[name], *(normalize("NFC", part.text) for part in rest)))
    hint = nearest(name, _HEADS)
    if not hint:
        own = head.text if len(head.text) < 30 else "NAME"
        hint = f"Write params.{own}, tags.{own} or metrics.{own}, or take one of {', '.join(_RECORD_NAMES)}."
    raise mistake(query, head.at, f"there is no field {shortened(head.text, 40)}. {hint}")


def asks_for_step(parts: list[Token]) -> bool:
    """Tell whether a path ends with the ``at`` of a metric, behind which its step comes."""
    return len(parts) > 2 and parts[0].is_word("metrics") and parts[-1].is_word("at")


def step_of(query: str, token: Token) -> int:
    """Return the step that a token is."""
    step = number_of(query, token) if token.kind is Kind.NUMBER else None
    if not isinstance(step, int):
        raise mistake(query, token.at, f"at needs a step, a whole number of 64 bits as in at(100), not {shortened(token.text, 40)}.")
    return step


def label_of(field: Field, parts: list[Token]) -> str:
    """Return what a column with this field is called: as in a table of runs."""
    match field:
        case RecordField(name):
            return _COLUMNS.get(name, name)
        case MetadataField(path):
            key = ".".join(path)
            # A key of the user may be spelled like a field, as it may in a table of runs.
            return f"metadata.{key}" if key in _RECORD_NAMES or key in _ALIASES else key
        case MetricField(key, statistic, step):
            at = f"({step})" if statistic == "at" else ""
            # metrics.loss and metrics.loss.last are the same value under two names.
            bare = len(parts) == 2 or parts[-1].kind is not Kind.WORD or parts[-1].text.lower() != statistic
            return f"metrics.{key}" + ("" if bare else f".{statistic}{at}")


def column_kind(field: Field) -> ColumnKind:
    """Return how the values of a column with this field are to be read."""
    match field:
        case RecordField(name):
            return "time" if name in TIMES else "duration" if name in _SPANS else "text"
        case MetadataField(path):
            return "tag" if path[0] == "tags" else "value"
        case MetricField(statistic="count"):
            return "value"
        case _:
            return "number"


def _metric(query: str, head: Token, rest: list[Token], step: int | None) -> MetricField:
    statistic: Statistic = "last"
    last = rest[-1] if rest else head
    # In quotes a word is always part of the name.
    if len(rest) > 1 and last.kind is Kind.WORD:
        word = last.text.lower()
        if word in _STATISTICS:
            statistic, rest = cast(Statistic, word), rest[:-1]
    if not rest:
        raise mistake(query, head.at, "metrics needs a name: write metrics.NAME or metrics.NAME.max.")
    return MetricField(normalize("NFC", ".".join(part.text for part in rest)), statistic, step)


def is_text(field: Field) -> bool:
    """Tell whether the field is always text."""
    return isinstance(field, RecordField) and field.name not in TIMES | _SPANS


def is_duration(field: Field) -> bool:
    """Tell whether the field is a duration."""
    return isinstance(field, RecordField) and field.name in _SPANS


def number_of(query: str, token: Token) -> int | float:
    """Return the number that a token is: an integer of 64 bits stays exact."""
    text = token.text
    if text.lstrip("+-").isdecimal() and len(text) <= 20 and int(text) in _INT64:
        return int(text)
    number = float(text)
    if math.isinf(number) and text[-1].isdecimal():
        raise mistake(query, token.at, f"{shortened(text, 40)} is outside float64.")
    return number


def duration_of(query: str, token: Token, name: str, number: int | float | None) -> int:
    """Return a duration in microseconds; a bare number counts seconds."""
    if token.kind is Kind.DURATION:
        total_us = sum(float(count) * _UNITS_US[unit] for count, unit in _SPAN.findall(token.text))
    elif number is not None:
        total_us = number * 1e6
    else:
        raise mistake(query, token.at, f'{name} is compared with a duration, such as 90s, 15min, 2h or 7d, not with "{token.text[:40]}".')
    if not math.isfinite(total_us) or abs(total_us) >= 2**63:
        raise mistake(query, token.at, "this duration is too long: use at most 106751991 days.")
    return round(total_us)


def time_of(query: str, token: Token, name: str) -> tuple[int, int]:
    """Return the first and the last microsecond that a time means: a date is the whole day."""
    if token.kind is not Kind.TEXT:
        wrong = shortened(token.text, 40)
        example = f'use age for how long ago, or {name} >= "2026-07-01"'
        raise mistake(query, token.at, f"{name} is compared with a time in quotes, not with {wrong}: {example}.")
    try:
        moment = datetime.fromisoformat(token.text.strip())
        first_us = to_us(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise mistake(
            query, token.at, f'{shortened(token.text, 40)} is no time: write "2026-07-01" or "2026-07-01T12:00:00+02:00".'
        ) from error
    day_us = timedelta(days=1) // timedelta(microseconds=1)
    return first_us, first_us + (day_us - 1 if _DAY.fullmatch(token.text.strip()) else 0)


def status_of(query: str, token: Token, value: Literal_) -> str:
    """Return the status that a value names."""
    known = [status.value for status in Status]
    name = value.lower() if isinstance(value, str) else ""
    if name not in known:
        hint = nearest(name, known) or f"There is: {', '.join(known)}."
        raise mistake(query, token.at, f"there is no status {shortened(token.text, 40)}. {hint}")
    return name
