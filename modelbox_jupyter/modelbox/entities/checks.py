"""What may be sent: each rule for a value once, with its sentence, so that client and every face refuse the same things in the same words.

Names and keys have their own module, :mod:`modelbox.entities.names`; here stands the rest.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from modelbox.entities.ids import is_id
from modelbox.entities.names import checked_key, checked_name
from modelbox.entities.records import Json
from modelbox.entities.values import checked_json
from modelbox.errors import InvalidRequest, TooLarge, shortened

__all__ = [
    "MAX_METADATA_KEYS",
    "MAX_METADATA_VALUE_BYTES",
    "MAX_TRACKED_FILES",
    "checked_count",
    "checked_digest",
    "checked_epoch",
    "checked_id",
    "checked_label",
    "checked_media_type",
    "checked_metadata",
    "checked_moment",
    "checked_prose",
    "checked_size",
    "checked_tags",
]

MAX_METADATA_KEYS = 10_000
"""Most metadata keys on one object."""

MAX_METADATA_VALUE_BYTES = 1 << 20
"""Most bytes of one metadata value as JSON, and of the metadata of one event."""

MAX_TRACKED_FILES = 10_000
"""Most files that one request tracks."""

MAX_PROSE_CHARS = 65_536
MAX_TAGS = 1_000
_INT64_MAX = 2**63 - 1
_MEDIA_TYPE = re.compile(r"[\w.+!#$&^-]{1,127}/[\w.+!#$&^-]{1,127}(?: *; *[\w.+!#$&^-]+=(?:[\w.+!#$&^-]+|\"[\w .+!#$&^-]*\"))*", re.ASCII)


def checked_id(value: str, what: str, *, field: str) -> str:
    """Return an id that a client made, or say what an id looks like."""
    if not is_id(value):
        raise InvalidRequest(f"The {what} {shortened(value, 60)} is no id: it must be 40 lower-case hex digits.", field=field)
    return value


def checked_label(value: str, what: str, *, field: str) -> str:
    """Return an optional one-line text, such as an owner: empty, or under the rules of a name."""
    return checked_name(value, what, field=field) if value else ""


def checked_epoch(value: int) -> int:
    """Return the number of an epoch."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _INT64_MAX:
        raise InvalidRequest(f"The epoch {shortened(value, 40)} is none: it is an integer between 0 and 2^63-1.", field="epoch")
    return value


def checked_prose(value: str, what: str, *, field: str) -> str:
    """Return a text of any number of lines.

    Raises
    ------
    InvalidRequest
        It has a character that no database keeps.
    TooLarge
        It is longer than 65,536 characters.
    """
    if len(value) > MAX_PROSE_CHARS:
        raise TooLarge(
            f"The {what} has {len(value)} characters: at most {MAX_PROSE_CHARS} are kept. Upload long text as an artifact.",
            field=field,
            limit=f"{MAX_PROSE_CHARS} characters",
        )
    checked_json(value, field=field)
    return value


def checked_moment(value: datetime, *, field: str) -> datetime:
    """Return a time in UTC, or say that its zone is missing."""
    if value.tzinfo is None:
        raise InvalidRequest(
            f"{field} {value.isoformat()} has no time zone: append 'Z' for UTC, or an offset such as '+02:00'.", field=field
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidRequest(f"{field} {shortened(str(value))} lies outside the years 1 to 9999.", field=field) from error


def checked_count(items: Sequence[object] | Mapping[str, object], most: int, what: str, *, field: str) -> None:
    """Refuse more than `most` items in one request."""
    if len(items) > most:
        raise TooLarge(
            f"{len(items)} {what} in one request: at most {most} are taken, send them in parts.", field=field, limit=f"{most} {what}"
        )


def checked_metadata(metadata: Mapping[str, Json], *, field: str = "metadata") -> dict[str, Json]:
    """Return metadata with keys in NFC and values as plain JSON data.

    Raises
    ------
    InvalidRequest
        A key breaks the rules of names, stands twice once normalised, or a value is not JSON.
    TooLarge
        A value is larger than 1 MiB, or there are more than 10,000 keys.
    """
    checked_count(metadata, MAX_METADATA_KEYS, "metadata keys", field=field)
    checked: dict[str, Json] = {}
    for key, value in metadata.items():
        name = checked_key(key, "metadata key", field=f"{field}.{shortened(key, 60)}")
        if name in checked:
            raise InvalidRequest(f"The metadata key {shortened(name)} stands twice, in two Unicode forms: keep one.", field=field)
        checked[name] = _checked_value(value, name, f"{field}.{shortened(name, 60)}")
    return checked


def _checked_value(value: Json, key: str, field: str) -> Json:
    kept = checked_json(value, field=field)
    if isinstance(kept, str | list | dict):
        size_bytes = len(msgspec.json.encode(kept))
        if size_bytes > MAX_METADATA_VALUE_BYTES:
            raise TooLarge(
                f"The metadata value of {shortened(key)} takes {size_bytes} bytes as JSON: at most 1 MiB is kept. Upload it instead.",
                field=field,
                limit="1 MiB",
            )
    return kept


def checked_tags(tags: Iterable[str], *, field: str = "tags") -> tuple[str, ...]:
    """Return tags without repeats, in the order given."""
    checked = tuple(dict.fromkeys(checked_name(tag, "tag", field=f"{field}[{i}]") for i, tag in enumerate(tags)))
    checked_count(checked, MAX_TAGS, "tags", field=field)
    return checked


def checked_digest(value: str | None, algorithm: str, digits: int, *, field: str) -> str:
    """Return a digest in lower-case hex; an absent one is empty."""
    digest = (value or "").lower()
    if digest and re.fullmatch(rf"[0-9a-f]{{{digits}}}", digest) is None:
        raise InvalidRequest(f"The {algorithm} {shortened(value, 80)} is no digest: it must be {digits} hex digits.", field=field)
    return digest


def checked_size(value: int | None, *, field: str) -> int | None:
    """Return a size in bytes that a database can keep."""
    if value is not None and not 0 <= value <= _INT64_MAX:
        raise InvalidRequest(f"{field} is {shortened(value, 40)}: it must be between 0 and 2^63-1.", field=field)
    return value


def checked_media_type(value: str, *, field: str) -> str:
    """Return a media type such as ``text/plain; charset=utf-8``."""
    if len(value) > 255 or _MEDIA_TYPE.fullmatch(value) is None:
        raise InvalidRequest(f"{shortened(value)} is no media type: write it as 'type/subtype', for example 'text/csv'.", field=field)
    return value
