"""Tickets: what one server says to another by way of a client, which can neither read more out of it nor change it.

A ticket is a JSON document and its HMAC-SHA256 under a key that the servers share. It names the one thing that it is good for, in whose
name, and until when. Whoever has it may do that thing once more with the same result; nothing else opens with it.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, TypeAlias, TypeVar, overload

import msgspec

from modelbox.errors import Unauthenticated

if TYPE_CHECKING:
    from modelbox_server.service.context import Clock

__all__ = ["AnyClaims", "Claims", "DownloadClaims", "PassingClaims", "ReceiptClaims", "TicketDesk", "UploadClaims"]

_LEEWAY_S = 30.0
"""How far the clocks of two servers may be apart."""

_MAX_CHARACTERS = 8192


class AnyClaims(msgspec.Struct, frozen=True, kw_only=True, tag_field="verb"):
    """What a ticket says."""


class UploadClaims(AnyClaims, frozen=True, kw_only=True, tag="upload"):
    """The holder may store bytes of this size, and of this digest if there is one, at a blob server."""

    upload_id: str
    object_id: str
    namespace: str
    size_bytes: int
    sha256: str | None
    md5: str | None


class DownloadClaims(AnyClaims, frozen=True, kw_only=True, tag="download"):
    """The holder may read this content from a blob server."""

    key: str
    namespace: str
    name: str
    sha256: str
    size_bytes: int


class ReceiptClaims(AnyClaims, frozen=True, kw_only=True, tag="receipt"):
    """A blob server keeps this content for this object, which has no artifact of it yet."""

    upload_id: str
    object_id: str
    namespace: str
    key: str
    sha256: str
    md5: str
    size_bytes: int


class PassingClaims(AnyClaims, frozen=True, kw_only=True, tag="passing"):
    """The holder may say that these bytes are in the storage now, under this passing name, for this object."""

    passing: str
    object_id: str
    namespace: str
    sha256: str
    size_bytes: int


Claims: TypeAlias = UploadClaims | DownloadClaims | ReceiptClaims | PassingClaims
C = TypeVar("C", bound=AnyClaims)
D = TypeVar("D", bound=AnyClaims)


class _Signed(msgspec.Struct, frozen=True, kw_only=True):
    audience: str
    expires_at_s: float
    claims: Claims


class TicketDesk:
    """Writes and reads tickets.

    Parameters
    ----------
    key
        What the servers share, and nobody else has.
    clock
        Tells the time.
    """

    def __init__(self, key: str, clock: Clock) -> None:
        # Derived, so that whatever else the key may be used for one day, nothing signed there is a ticket.
        self._key = hmac.digest(key.encode(), b"modelbox tickets v1", hashlib.sha256)
        self._clock = clock

    def write(self, claims: Claims, lifetime_s: float) -> str:
        """Return a ticket that is good for `lifetime_s` seconds from now."""
        expires_at_s = self._clock().timestamp() + lifetime_s
        document = msgspec.json.encode(_Signed(audience=_audience(type(claims)), expires_at_s=expires_at_s, claims=claims))
        return f"{_text(document)}.{_text(self._signature(document))}"

    @overload
    def read(self, ticket: str, kind: type[C]) -> C: ...

    @overload
    def read(self, ticket: str, kind: type[C], other: type[D]) -> C | D: ...

    def read(self, ticket: str, kind: type[AnyClaims], other: type[AnyClaims] | None = None) -> AnyClaims:
        """Return what a ticket of this kind, or the other, says.

        Raises
        ------
        Unauthenticated
            It was not written with this key, is good for something else, or is no longer good.
        """
        document = self._verified(ticket)
        try:
            signed = msgspec.json.decode(document, type=_Signed)
        except msgspec.MsgspecError as error:  # of another version, whose key is the same
            raise Unauthenticated("The ticket is of another version of ModelBox: run the same one on all servers.") from error
        if not isinstance(signed.claims, (kind, other or kind)) or signed.audience != _audience(type(signed.claims)):
            raise Unauthenticated("The ticket is good for something else: ask the metadata server for one.")
        if self._clock().timestamp() > signed.expires_at_s + _LEEWAY_S:
            raise Unauthenticated("The ticket has expired: ask the metadata server for another.")
        return signed.claims

    def _verified(self, ticket: str) -> bytes:
        document, _, signature = ticket.partition(".") if len(ticket) <= _MAX_CHARACTERS else ("", "", "")
        try:
            content, given = _bytes(document), _bytes(signature)
        except (ValueError, binascii.Error):
            content, given = b"", b""
        if not hmac.compare_digest(self._signature(content), given):
            raise Unauthenticated("The ticket is not valid: ask the metadata server for one, and see that all servers have the same key.")
        return content

    def _signature(self, document: bytes) -> bytes:
        return hmac.digest(self._key, document, hashlib.sha256)


def _audience(kind: type[object]) -> str:
    """Return who a ticket is written for: what is for one of the two kinds of servers is no good at the other."""
    return "metadata server" if kind in {ReceiptClaims, PassingClaims} else "blob server"


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
