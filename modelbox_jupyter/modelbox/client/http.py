"""The transport to a server, over HTTP/1.1 with the standard library.

Everything the API takes may be sent twice without effect (ids made by the client, batch numbers, upserts), so a connection that breaks is
tried once more on a fresh one; the second failure is :class:`~modelbox.errors.ServerUnreachable`. Redirects are never followed: the token
goes to the address that was named, and nowhere else.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode, urljoin

import msgspec

from modelbox.client import progress
from modelbox.client.direct import Direct, Source
from modelbox.client.file_body import CHUNK_BYTES, FileBody
from modelbox.client.pool import ConnectionPool
from modelbox.client.trust import Trust, refusal_of
from modelbox.errors import (
    BatchConflict,
    Conflict,
    InvalidRequest,
    ModelBoxError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerUnreachable,
    StorageError,
    StorageUnavailable,
    TooLarge,
    Unauthenticated,
    error_for_code,
    shortened,
)
from modelbox.wire import json as wire_json
from modelbox.wire import routes
from modelbox.wire.messages import AppendResult, ArtifactUploadQuery, MetricsIngestQuery, MetricsQuery, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox.client.address import ServerAddress
    from modelbox.client.transport import Content
    from modelbox.entities.records import ArtifactRecord
    from modelbox.entities.series import SeriesBlock
    from modelbox.wire.routes import Route

__all__ = ["HttpTransport", "answers"]

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")

_MAX_PROBLEM_BYTES = 1 << 20
_JSON = "application/json"
_OCTETS = "application/octet-stream"

# What an answer means that is no problem document of ours: it comes from a proxy, from Jupyter itself, or from something else altogether.
_FOREIGN: Mapping[int, type[ModelBoxError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: RateLimited,
    502: StorageUnavailable,
    503: StorageUnavailable,
    504: StorageUnavailable,
}

_BEHIND = "a proxy answers, but no ModelBox server behind it does: try again, or look at the servers."
_HINTS = {
    401: "give a valid token (token=… or MODELBOX_API_TOKEN).",
    403: "give a valid token.",
    502: _BEHIND,
    503: _BEHIND,
    504: _BEHIND,
}


class HttpTransport:
    """Carries calls to the server at `address`. See :class:`modelbox.client.transport.Transport`.

    Parameters
    ----------
    address
        The server.
    token
        Sent as ``Authorization: Bearer``; never part of a message or a ``repr``.
    trust
        Which server is believed to be the one at an ``https`` address; one that an authority of this machine vouches for when left out.
    connect_timeout_s, answer_timeout_s
        How long to wait for a connection, and for each next piece of an answer.
    """

    verifies = False

    def __init__(
        self,
        address: ServerAddress,
        token: str | None = None,
        *,
        trust: Trust | None = None,
        connect_timeout_s: float = 5.0,
        answer_timeout_s: float = 60.0,
    ) -> None:
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InvalidRequest("The token has characters that cannot be sent in a header: copy it again.")
        self._address = address
        self._direct = Direct(self.call, self._elsewhere)
        self._direct_from_bytes: int | None = None
        self._ca_file = "" if trust is None else trust.ca_file
        self._connect_timeout_s, self._answer_timeout_s = connect_timeout_s, answer_timeout_s
        self._headers = {"User-Agent": "modelbox-python", **({"Authorization": f"Bearer {token}"} if token else {})}
        self._pool = ConnectionPool(address, trust or Trust(), connect_timeout_s=connect_timeout_s, answer_timeout_s=answer_timeout_s)

    def __repr__(self) -> str:
        return f"HttpTransport({str(self._address)!r})"

    def call(
        self,
        route: Route[Q, B, R],
        *,
        path: Mapping[str, str] | None = None,
        query: Q | None = None,
        body: B | None = None,
        key: str = "",
    ) -> R:
        """Carry out a JSON route and return its answer."""
        data = None if body is None else wire_json.encode(body)
        headers = {"Accept": _JSON} if data is None else {"Accept": _JSON, "Content-Type": _JSON}
        if key:
            headers["Idempotency-Key"] = key
        with self._exchange(route.method, _target(route, path, query), data, headers) as response:
            return wire_json.decode_trusted(response.read(), route.response)

    def append_metrics(self, blocks: Sequence[SeriesBlock], *, client: str, batch: int) -> AppendResult:
        """Store points under the identity (client, batch), exactly once however often it is repeated."""
        from modelbox.wire.series import ARROW_STREAM, blocks_to_arrow  # only needed by whoever sends points

        query = MetricsIngestQuery(client=client, batch=batch)
        headers = {"Accept": _JSON, "Content-Type": ARROW_STREAM}
        target = _target(routes.APPEND_METRICS, None, query)
        with self._exchange("POST", target, blocks_to_arrow(blocks, list_views=True), headers) as response:
            return wire_json.decode_trusted(response.read(), AppendResult)

    def read_metrics(self, query: MetricsQuery) -> list[SeriesBlock]:
        """Read points as columns, ordered by (step, wall clock)."""
        from modelbox.wire.series import ARROW_STREAM, blocks_from_arrow

        headers = {"Accept": ARROW_STREAM, "Content-Type": _JSON}
        query = msgspec.structs.replace(query, list_views=True)
        with self._exchange("POST", _target(routes.READ_METRICS, None, None), wire_json.encode(query), headers) as response:
            return blocks_from_arrow(_all_of(response), max_points=None)

    def upload(self, object_id: str, query: ArtifactUploadQuery, content: Content) -> ArtifactRecord:
        """Store the rest of `content` as an artifact of the object, without ever holding it in memory.

        It is read once: its SHA-256, unless the query has one, is made on the way and follows it.
        """
        begin = content.tell()
        size_bytes = query.size_bytes
        if size_bytes is None:
            size_bytes = content.seek(0, 2) - begin
        content.seek(begin)
        if self._direct_from_bytes is not None and size_bytes >= self._direct_from_bytes:
            artifact = self._direct.upload(object_id, query, content, begin, size_bytes)
            if artifact is not None:
                return artifact
        follows = query.sha256 is None
        if follows:
            query = msgspec.structs.replace(query, size_bytes=size_bytes, sha256_follows=True)
        target = _target(routes.UPLOAD_ARTIFACT, {"object_id": object_id}, query)
        answer = self.put(target, FileBody(content, begin, size_bytes, digest_follows=follows), {})
        return wire_json.decode_trusted(answer, routes.UPLOAD_ARTIFACT.response)

    def put(self, target: str, body: FileBody, headers: Mapping[str, str]) -> bytes:
        """Send a file to a path of this server and return its answer."""
        sent = {"Accept": _JSON, "Content-Type": _OCTETS, "Content-Length": str(body.length_bytes), **headers}
        with self._exchange("PUT", target, body, sent) as response:
            return response.read(_MAX_PROBLEM_BYTES)

    def download(self, artifact_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of an artifact from `start` up to `stop`; where a connection breaks in between, another goes on from there."""
        target = _target(routes.DOWNLOAD_ARTIFACT, {"artifact_id": artifact_id}, None)
        sources: list[Source] = [lambda begin, end: self.pieces(target, begin, end, {})]
        if self._direct_from_bytes is not None and (stop is None or stop - start >= self._direct_from_bytes):
            sources = [*self._direct.sources(artifact_id), *sources]
        while stop is None or start < stop:
            came = start
            try:
                for chunk in sources[0](start, stop):
                    start += len(chunk)
                    yield chunk
            except ModelBoxError as error:
                # The content behind an id never changes, so the rest of it fits what has come, from wherever it comes.
                if len(sources) > 1:
                    del sources[0]
                elif start == came or not isinstance(error, ServerUnreachable):  # without any progress it is no use
                    raise
            else:
                return

    def pieces(self, target: str, start: int, stop: int | None, headers: Mapping[str, str]) -> Iterator[bytes]:
        """Yield what lies at a path of this server from `start` up to `stop`."""
        ranged = start > 0 or stop is not None
        sent = {**headers, **({"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if ranged else {})}
        with self._exchange("GET", target, None, sent) as response:
            if ranged and response.status != 206:
                raise StorageError(f"{self._address} ignored the range that was asked for: is a proxy in between?")
            while chunk := response.read(CHUNK_BYTES):
                yield chunk
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)

    def _elsewhere(self, address: ServerAddress) -> HttpTransport:
        """Return a transport to a server that this one names; our token is not for it."""
        return HttpTransport(
            address,
            trust=Trust(ca_file=self._ca_file),
            connect_timeout_s=self._connect_timeout_s,
            answer_timeout_s=self._answer_timeout_s,
        )

    def close(self) -> None:
        """Release connections."""
        self._direct.close()
        self._pool.close()

    @contextmanager
    def _exchange(
        self, method: str, target: str, body: bytes | FileBody | None, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and yield its answer if that is a success; raise what went wrong otherwise."""
        connection, response = self._send(method, target, body, {**self._headers, **headers})
        clean = False
        try:
            if direct_from := response.headers.get(routes.DIRECT_FROM_HEADER):
                self._direct_from_bytes = int(direct_from) if direct_from.isascii() and direct_from.isdigit() else None
            if not 200 <= response.status < 300:
                raise self._error(response)
            yield response
            clean = True
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(f"The connection to {self._address} broke before the answer was complete: try again.") from error
        except ModelBoxError:
            clean = True
            raise
        finally:
            # Only an answer that was read to its end leaves the connection fit for the next request.
            if clean and response.isclosed() and not response.length and not response.will_close:
                self._pool.put(connection)
            else:
                connection.close()

    def _send(
        self, method: str, target: str, body: bytes | FileBody | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        for last_try in (False, True):
            try:
                connection, _ = self._pool.take(fresh=last_try)
            except ssl.SSLError as error:
                raise ServerUnreachable(refusal_of(self._address, error)) from error
            except socket.gaierror as error:
                raise ServerUnreachable(f"The host name of {self._address} is not known ({error.strerror}): check the address.") from error
            except OSError as error:
                # Connecting failed, so nothing is half done and trying at once again would fail in the same way.
                why = error.strerror or "it took too long"
                raise ServerUnreachable(
                    f"No ModelBox server answers at {self._address} ({why}): start it, or check the address."
                ) from error
            try:
                return connection, _one_exchange(connection, method, self._address.prefix + target, body, headers)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if last_try or isinstance(error, TimeoutError):
                    raise ServerUnreachable(f"{self._address} closed the connection or did not answer in time: try again.") from error
            except BaseException:
                # Ctrl-C in the middle of an exchange: what comes next on this connection would answer the wrong request.
                connection.close()
                raise
        raise AssertionError("unreachable")

    def _error(self, response: http.client.HTTPResponse) -> ModelBoxError:
        data = response.read(_MAX_PROBLEM_BYTES)
        if 300 <= response.status < 400:
            there = urljoin(str(self._address), response.headers.get("Location", ""))
            if "/login" in there:
                return Unauthenticated(f"{self._address} asks for a login: give a token (token=… or MODELBOX_API_TOKEN).")
            shown = shortened(there.split("?")[0])
            return ServerUnreachable(f"{self._address} redirects to {shown}: nothing was sent there; use that address if you trust it.")
        retry_after_s = _seconds(response.headers.get("Retry-After"))
        try:
            problem = msgspec.json.decode(data, type=Problem)
        except msgspec.MsgspecError:
            kind = _FOREIGN.get(response.status, StorageError if response.status >= 500 else InvalidRequest)
            hint = _HINTS.get(response.status, "is it a ModelBox server?")
            return kind(f"{self._address} answered {response.status} {response.reason}: {hint}", retry_after_s=retry_after_s)
        wait_s = problem.retry_after_s if problem.retry_after_s is not None else retry_after_s
        kind = error_for_code(problem.code)
        if issubclass(kind, BatchConflict):
            return kind(problem.detail, field=problem.field, limit=problem.limit, stored_points=problem.stored_points or 0)
        return kind(problem.detail, field=problem.field, limit=problem.limit, retry_after_s=wait_s)


def answers(address: ServerAddress, trust: Trust | None = None, *, timeout_s: float = 1.5) -> bool:
    """Tell whether a ModelBox server lives at `address`. No token is sent."""
    transport = HttpTransport(address, trust=trust, connect_timeout_s=timeout_s, answer_timeout_s=timeout_s)
    try:
        with transport._exchange("GET", "/livez", None, {}) as response:
            # A Jupyter server without the extension may answer with its login page.
            return response.headers.get_content_type() == _JSON and bool(response.read(_MAX_PROBLEM_BYTES))
    except ModelBoxError:
        return False
    finally:
        transport.close()


def _one_exchange(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes | FileBody | None, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    if not isinstance(body, FileBody):
        connection.request(method, target, body=body, headers=dict(headers))
        return connection.getresponse()
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        for chunk in body.chunks():
            connection.send(chunk)
    except ConnectionError:
        # A server that refuses the upload answers and hangs up without reading all of it: its reason is worth more than the broken pipe.
        return connection.getresponse()
    return connection.getresponse()


def _all_of(response: http.client.HTTPResponse) -> bytes | bytearray:
    """Return the body of an answer, and tell of a large one how far it is."""
    if response.length is None or response.length <= CHUNK_BYTES:
        return response.read()
    body = bytearray(response.length)
    view = memoryview(body)  # pieces that have to be joined would be copied
    place = 0
    while count := response.readinto(view[place : place + CHUNK_BYTES]):
        place += count
        progress.advance(count)
    if place < len(body):
        raise http.client.IncompleteRead(b"", len(body) - place)
    return body


def _target(route: Route[Q, B, R], path: Mapping[str, str] | None, query: object | None) -> str:
    url = route.url(**(path or {}))
    if query is None:
        return url
    given = {key: value for key, value in msgspec.to_builtins(query).items() if value is not None}
    return f"{url}?{urlencode(given)}" if given else url


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdigit() else None
