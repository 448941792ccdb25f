"""What a request brings besides its body: query parameters as typed messages, and the form that its body has."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from modelbox.errors import InvalidQuery, UnsupportedMedia, nearest, shortened
from modelbox_server.http.headers import media_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelbox_server.http.exchange import ExchangeHandler

__all__ = ["body_media", "decode_query", "query_of"]

T = TypeVar("T")


def query_of(handler: ExchangeHandler, type_: type[T]) -> T:
    """Return the query parameters of a request as an instance of `type_`."""
    arguments = handler.request.query_arguments
    ignored = [name for name, values in arguments.items() if handler.face.gate.ignores(name, values)]
    return decode_query(type_, arguments, ignored=ignored)


def body_media(handler: ExchangeHandler, *accepted: str) -> str:
    """Return the media type of the body, which has to be one of `accepted` and sent as it is.

    Raises
    ------
    UnsupportedMedia
        It is another one, or compressed: a small body could otherwise unfold to any size.
    """
    headers = handler.request.headers
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMedia(f"The body is encoded as {shortened(encoding)}: send it as it is.", field="Content-Encoding")
    header = headers.get("Content-Type", "")
    media = media_type(header)
    if media not in accepted:
        known = " or ".join(accepted)
        raise UnsupportedMedia(f"The body is declared as {shortened(header)}: send it with 'Content-Type: {known}'.", field="Content-Type")
    return media


def decode_query(type_: type[T], arguments: Mapping[str, Sequence[bytes]], *, ignored: Iterable[str] = ()) -> T:
    """Return query parameters as an instance of `type_`: every one is known, given once and of its type.

    Parameters
    ----------
    type_
        A struct of :mod:`modelbox.wire.messages`.
    arguments
        Values by name, as tornado splits them.
    ignored
        Names that the surroundings use for themselves.

    Raises
    ------
    InvalidQuery
        A parameter is unknown, stands twice, is not UTF-8 or does not fit its type.
    """
    names = [field.encode_name for field in msgspec.structs.fields(cast("type[msgspec.Struct]", type_))]
    values: dict[str, str] = {}
    for name, given in arguments.items():
        if name in ignored:
            continue
        if name not in names:
            tail = nearest(name, names) or (f"It takes: {', '.join(names)}." if names else "It takes none.")
            raise InvalidQuery(f"This route has no query parameter {shortened(name)}. {tail}", field=name[:80])
        if len(given) > 1:
            raise InvalidQuery(f"The query parameter {name!r} stands {len(given)} times: give it once.", field=name)
        values[name] = _text(name, given[0])
    try:
        return msgspec.convert(values, type_, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidQuery(f"The query parameters do not fit: {error}.", field=_field_of(error)) from error


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidQuery(f"The query parameter {name!r} is not valid UTF-8: percent-encode its UTF-8 bytes.", field=name) from error


def _field_of(error: msgspec.ValidationError) -> str | None:
    """Return the parameter that msgspec names at the end of its message, as in "… - at `$.limit`"."""
    _, _, path = str(error).partition("`$.")
    return path.rstrip("`") or None
