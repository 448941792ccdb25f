"""Transfers that do not go through the server: it hands out a ticket, and the bytes come from or go to whom the ticket names.

Where none of those answers, the server itself still takes and gives everything.
"""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec

from modelbox.client.address import ServerAddress
from modelbox.client.file_body import FileBody
from modelbox.errors import ModelBoxError, RateLimited, ServerUnreachable, StorageUnavailable, Unauthenticated
from modelbox.wire import json as wire_json
from modelbox.wire import routes
from modelbox.wire.messages import BlobStored, TransferTicket, UploadFinish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from modelbox.client.transport import Content
    from modelbox.entities.records import ArtifactRecord
    from modelbox.wire.messages import ArtifactUploadQuery
    from modelbox.wire.routes import Route

__all__ = ["Direct", "Source"]

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")

Source: TypeAlias = "Callable[[int, int | None], Iterator[bytes]]"
"""Yields the bytes of one content from a place up to another."""

_TRY_NEXT = (ServerUnreachable, StorageUnavailable, RateLimited, Unauthenticated)


class _Caller(Protocol):
    def __call__(self, route: Route[Q, B, R], *, path: Mapping[str, str], body: B | None = None) -> R: ...


class _Elsewhere(Protocol):
    """A server that moves bytes."""

    def put(self, target: str, body: FileBody, headers: Mapping[str, str]) -> bytes: ...

    def pieces(self, target: str, start: int, stop: int | None, headers: Mapping[str, str]) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Direct:
    """Follows tickets. Safe to use from several threads at once.

    Parameters
    ----------
    call
        Carries a JSON route to the server that hands out the tickets.
    connect
        Makes a transport to another server.
    """

    def __init__(self, call: _Caller, connect: Callable[[ServerAddress], _Elsewhere]) -> None:
        self._call = call
        self._connect = connect
        self._lock = threading.Lock()
        self._others: dict[ServerAddress, _Elsewhere] = {}

    def upload(self, object_id: str, query: ArtifactUploadQuery, content: Content, begin: int, size_bytes: int) -> ArtifactRecord | None:
        """Send `size_bytes` of a content from `begin` on where they should go; ``None`` when that is the server itself."""
        path = {"object_id": object_id}
        query = msgspec.structs.replace(query, size_bytes=size_bytes, sha256_follows=False)
        ticket = self._call(routes.BEGIN_UPLOAD, path=path, body=query)
        if ticket.how == "digest":
            query = msgspec.structs.replace(query, sha256=_sha256(content, begin, size_bytes))
            ticket = self._call(routes.BEGIN_UPLOAD, path=path, body=query)
        receipt = self._sent(ticket, content, begin, size_bytes, digest_follows=query.sha256 is None)
        if receipt is None:
            return None
        return self._call(routes.FINISH_UPLOAD, path=path, body=UploadFinish(artifact=query, receipt=receipt))

    def _sent(self, ticket: TransferTicket, content: Content, begin: int, size_bytes: int, *, digest_follows: bool) -> str | None:
        """Send a content to the first that takes it, and return the receipt; ``None`` when nobody does."""
        is_blob_server = ticket.how == "blob_server"
        for url in ticket.urls:
            other, target = self._at(url)
            body = FileBody(content, begin, size_bytes, digest_follows=digest_follows and is_blob_server)
            if digest_follows and is_blob_server:
                target += "?sha256_follows=true"
            try:
                answer = other.put(target, body, ticket.headers)
            except _TRY_NEXT:
                continue
            return wire_json.decode_trusted(answer, BlobStored).receipt if is_blob_server else ticket.receipt
        return None

    def sources(self, artifact_id: str) -> list[Source]:
        """Return whom the bytes of an artifact can be had from, besides the server itself."""
        try:
            ticket = self._call(routes.BEGIN_DOWNLOAD, path={"artifact_id": artifact_id})
        except ModelBoxError:  # what is wrong with the artifact is said when it is opened
            return []
        return [self._source(url, ticket.headers) for url in ticket.urls]

    def _source(self, url: str, headers: Mapping[str, str]) -> Source:
        other, target = self._at(url)
        return partial(_pieces, other, target, headers)

    def _at(self, url: str) -> tuple[_Elsewhere, str]:
        """Return a transport to the server of a URL, and what is asked of it there."""
        parts = urlsplit(url)
        default_port = 443 if parts.scheme == "https" else 80
        address = ServerAddress(parts.scheme, parts.hostname or "", parts.port or default_port)
        with self._lock:
            if address not in self._others:
                self._others[address] = self._connect(address)
            return self._others[address], f"{parts.path}?{parts.query}" if parts.query else parts.path

    def close(self) -> None:
        """Release connections."""
        with self._lock:
            others, self._others = self._others, {}
        for other in others.values():
            other.close()


def _pieces(other: _Elsewhere, target: str, headers: Mapping[str, str], start: int, stop: int | None) -> Iterator[bytes]:
    return other.pieces(target, start, stop, headers)


def _sha256(content: Content, begin: int, size_bytes: int) -> str:
    """Return the digest of what is going to be sent; it is read once more for that."""
    digest = hashlib.sha256()
    for piece in FileBody(content, begin, size_bytes, digest_follows=False).chunks():
        digest.update(piece)
    content.seek(begin)
    return digest.hexdigest()
