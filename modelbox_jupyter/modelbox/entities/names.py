"""Which names people may give: almost all of them, as long as they can be told apart and shown on one line.

A *name* (experiment, model, tag …) and a *key* (metric, metadata) follow the same rules: 1 to 512 code points after NFC normalisation, no
control characters, no bidirectional overrides, no lone surrogates, no blank at either end, and neither ``.`` nor ``..``. Everything else is
allowed and is shown literally. A *namespace* is a path of such names joined by ``/``.
"""

import unicodedata

from modelbox.errors import InvalidName, shortened

__all__ = ["DEFAULT_NAMESPACE", "MAX_NAME_CHARS", "checked_artifact_name", "checked_key", "checked_name", "checked_namespace"]

DEFAULT_NAMESPACE = "default"
MAX_NAME_CHARS = 512
MAX_ARTIFACT_NAME_BYTES = 1024

# Explicit directional marks reorder the text around them: a name could pass for another one.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def checked_name(value: str, what: str = "name", *, field: str | None = None) -> str:
    """Return `value` in NFC, or say why it cannot be a name.

    Parameters
    ----------
    value
        The text as it was given.
    what
        What it names, for the message: ``"experiment name"``.
    field
        Path of the field in the request, for the error.

    Raises
    ------
    InvalidName
        The text is empty, too long, padded with blanks, or has a character that cannot be shown on one line.
    """
    # Nearly every name is plain printable ASCII, for which normalisation and the walk below change nothing.
    name = value if value.isascii() else _normalised(value, what, field)
    if not name or name.isspace():
        raise InvalidName(f"The {what} is empty: give it at least one visible character.", field=field)
    if len(name) > MAX_NAME_CHARS:
        raise InvalidName(
            f"The {what} {shortened(name, 40)} has {len(name)} characters: at most {MAX_NAME_CHARS} are allowed.",
            field=field,
            limit=f"{MAX_NAME_CHARS} characters",
        )
    if name[0].isspace() or name[-1].isspace():
        raise InvalidName(f"The {what} {shortened(name)} begins or ends with a blank: remove it.", field=field)
    if name in {".", ".."}:
        raise InvalidName(f"The {what} may not be {name!r}: choose another one.", field=field)
    if not name.isprintable():
        _refuse_hidden(name, what, field)
    return name


def checked_key(value: str, what: str = "key", *, field: str | None = None) -> str:
    """Return a metric or metadata key in NFC; the rules are those of :func:`checked_name`."""
    return checked_name(value, what, field=field)


def checked_namespace(value: str | None, *, field: str | None = "namespace") -> str:
    """Return a namespace path; an empty one is :data:`DEFAULT_NAMESPACE`.

    Raises
    ------
    InvalidName
        A part of the path is not a valid name, or the path as a whole is too long.
    """
    if not value:
        return DEFAULT_NAMESPACE
    parts = value.split("/")
    if any(not part for part in parts):
        raise InvalidName(f"The namespace {shortened(value)} has an empty part: write it as 'team/project'.", field=field)
    path = "/".join(checked_name(part, "namespace", field=field) for part in parts)
    return checked_name(path, "namespace", field=field)


def checked_artifact_name(value: str, *, field: str | None = "name") -> str:
    """Return the label of an artifact: a relative path with ``/``, without ``.`` or ``..`` parts, at most 1024 bytes.

    The label never becomes a path on the server; the rule protects the folder that somebody downloads into.

    Raises
    ------
    InvalidName
        The path is absolute, climbs out of its folder, has an empty part or is too long.
    """
    if "\\" in value or value.startswith("/") or (len(value) > 1 and value[1] == ":"):
        raise InvalidName(f"The artifact name {shortened(value)} must be a relative path with '/' between its parts.", field=field)
    parts = [checked_name(part, "artifact name", field=field) for part in value.split("/")]
    name = "/".join(parts)
    if len(name.encode()) > MAX_ARTIFACT_NAME_BYTES:
        raise InvalidName(
            f"The artifact name {shortened(name, 40)} is longer than {MAX_ARTIFACT_NAME_BYTES} bytes: shorten it.",
            field=field,
            limit=f"{MAX_ARTIFACT_NAME_BYTES} bytes",
        )
    return name


def _normalised(value: str, what: str, field: str | None) -> str:
    for char in value:
        if "\ud800" <= char <= "\udfff":
            raise InvalidName(f"The {what} {shortened(value)} contains the lone surrogate U+{ord(char):04X}: remove it.", field=field)
    return unicodedata.normalize("NFC", value)


def _refuse_hidden(name: str, what: str, field: str | None) -> None:
    """Refuse control characters and directional marks; other characters that Python calls unprintable are harmless."""
    for char in name:
        if char in _BIDI or unicodedata.category(char) == "Cc" or char in "\u2028\u2029":
            raise InvalidName(f"The {what} {shortened(name)} contains the invisible character U+{ord(char):04X}: remove it.", field=field)
