"""Pages of long lists: where one ends the next begins, whatever was added or deleted in between.

A page token holds the position of the last record that was seen, and a digest over it and the query it belongs to. It is opaque, but no
secret: it says nothing that the page did not show. The digest is there so that a token which was cut, mixed up or used with other filters
is an error instead of a wrong list.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import TypeVar

import msgspec

from modelbox.entities.records import Json, Record
from modelbox.entities.times import from_us, to_us
from modelbox.entities.values import json_from_wire, json_to_wire
from modelbox.errors import InvalidQuery
from modelbox.wire.messages import MAX_PAGE, Page
from modelbox_server.storage.interfaces import Condition, MetadataTransaction, Order

__all__ = ["foreign_token", "page_of", "query_bytes", "sealed", "shown_limit", "unsealed"]

R = TypeVar("R", bound=Record)

_DIGEST_BYTES = 12


class _Moment(msgspec.Struct):
    """A time in a position."""

    us: int


def page_of(
    tx: MetadataTransaction,
    kind: type[R],
    where: Sequence[Condition],
    *,
    order: Order | None,
    limit: int,
    page_token: str | None,
) -> Page[R]:
    """Return one page of the records for which every condition holds.

    Raises
    ------
    InvalidQuery
        The token is none of ours or belongs to another query, or the limit is below 1.
    """
    limit = shown_limit(limit)
    query = query_bytes(kind, where, order)
    after = None if page_token is None else _position(page_token, query)
    # One more than asked for tells whether there is a next page, without counting.
    records = tx.select(kind, where, order=order, limit=limit + 1, after=after)
    if len(records) <= limit:
        return Page(items=records, limit=limit)
    return Page(items=records[:limit], next_page_token=_token(records[limit - 1], order, query), limit=limit)


def shown_limit(limit: int) -> int:
    """Return how many items a page shows when `limit` were asked for."""
    if limit < 1:
        raise InvalidQuery(f"limit is {limit}: ask for at least 1 item.", field="limit")
    return min(limit, MAX_PAGE)


def query_bytes(kind: type[Record], where: Sequence[Condition], order: Order | None) -> bytes:
    """Return what tells one query from another."""
    return msgspec.json.encode([kind.__name__, [[c.field, c.operator, c.value] for c in where], order])


def _token(last: Record, order: Order | None, query: bytes) -> str:
    values = [getattr(last, field) for field in ([order.field] if order else []) + list(last.KEY)]
    return sealed([{"us": to_us(value)} if isinstance(value, datetime) else value for value in values], query)


def sealed(place: Json, query: bytes) -> str:
    """Return a token for a place in the list of a query."""
    position = msgspec.json.encode(json_to_wire(place))
    return base64.urlsafe_b64encode(_digest(position, query) + position).rstrip(b"=").decode()


def _position(token: str, query: bytes) -> list[object]:
    try:
        values = msgspec.convert(unsealed(token, query), list[_Moment | str | int])
        return [from_us(value.us) if isinstance(value, _Moment) else value for value in values]
    except (msgspec.ValidationError, OverflowError) as error:
        raise foreign_token() from error


def unsealed(token: str, query: bytes) -> Json:
    """Return the place that a token stands for.

    Raises
    ------
    InvalidQuery
        The token is none of ours, or belongs to another query.
    """
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise foreign_token() from error
    digest, position = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if digest != _digest(position, query):
        raise foreign_token()
    try:
        return json_from_wire(msgspec.json.decode(position))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # the digest is no secret, so anybody can make one that fits
        raise foreign_token() from error


def _digest(position: bytes, query: bytes) -> bytes:
    return blake2b(len(query).to_bytes(8, "big") + query + position, digest_size=_DIGEST_BYTES).digest()


def foreign_token() -> InvalidQuery:
    """Return the error about a token that is none of ours, or belongs to another query."""
    return InvalidQuery(
        "The page_token does not belong to this query: take it from next_page_token of the page before, with the same filters.",
        field="page_token",
    )
