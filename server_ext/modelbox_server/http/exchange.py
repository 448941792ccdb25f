"""One request from its headers to its answer: admission, body under a limit, the work, errors.

Bodies are always streamed, so that whoever may not pass, or sends too much, is told so before the body has been read. What a route does
with its body and how it answers is an :class:`Exchange`; everything around it is the :class:`ExchangeHandler`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from tornado import iostream, web

from modelbox.errors import InvalidRequest, MethodNotAllowed, ModelBoxError, TooLarge
from modelbox.wire.routes import DIRECT_FROM_HEADER
from modelbox_server.http.cors import cors_headers
from modelbox_server.http.problems import headers_of, problem_body, problem_for
from modelbox_server.observing.logs import REQUEST_ID
from modelbox_server.service.context import Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from tornado.http1connection import HTTP1Connection

    from modelbox.wire.messages import Problem
    from modelbox_server.http.auth import Action
    from modelbox_server.http.face import Face

    _Method = Callable[..., Awaitable[None] | None]

__all__ = ["JSON", "UNLIMITED", "Exchange", "ExchangeHandler", "Verb"]

log = logging.getLogger(__name__)

JSON = "application/json"
UNLIMITED = 2**63 - 1
"""Body limit of uploads: the disk is the limit."""

_SLICE_BYTES = 256 * 1024
_SERVER_ERROR = 500
_DISCARD_BYTES = 4 * 1024 * 1024
"""Bodies up to this size are read to their end and dropped when the request is refused; the connection stays usable."""

_STALL_S = 60.0
"""How long the next bytes of a body may take. Whoever went silent in the middle of one holds an open upload, its file and its buffers."""

_LINGER_S = 2.0
"""How long the rest of a greater body is dropped after its refusal was sent. Closing at once would reset the connection, and the sender
would see that in place of the answer."""


class Exchange(ABC):
    """What one kind of route does with one request. By itself it checks nothing and takes no notice of a body."""

    def __init__(self, handler: ExchangeHandler) -> None:
        self.handler = handler

    async def begin(self) -> None:  # noqa: B027  # nothing to check is a fine default
        """Check what the headers tell. The body has not been read yet."""

    async def receive(self, data: bytes) -> None:  # noqa: B027
        """Take the next piece of the body. No more is read until this returns."""

    @abstractmethod
    async def answer(self) -> None:
        """Do the work and send the answer. The body is complete."""

    def caller_left(self) -> None:  # noqa: B027  # most have nothing to end
        """Take note, in the midst of answering, that nobody waits for the answer any more."""

    async def abandon(self) -> None:  # noqa: B027
        """Drop what the request left behind; called once, however it ended."""


@dataclass(frozen=True, slots=True)
class Verb:
    """What an HTTP verb means on a path: the permission it needs (``None``: open to all), how long a body may be, and what is done."""

    action: Action | None
    limit_bytes: int
    exchange: Callable[[ExchangeHandler], Exchange]


@web.stream_request_body
class ExchangeHandler(web.RequestHandler):
    """Serves one path with its verbs."""

    @cached_property
    def request_id(self) -> str:
        """Identity of this request in answers and logs; there before :meth:`initialize`, because the default headers carry it."""
        return secrets.token_hex(8)

    def initialize(self, face: Face, verbs: Mapping[str, Verb], path: str = "") -> None:
        """Take what :func:`modelbox_server.http.handlers.handler_rules` gives to every handler."""
        self.face = face
        self.caller = Caller(name="", face="")
        self._verbs = verbs
        self._path = path
        self._began_s = time.perf_counter()
        self._sent_bytes = 0
        self._outcome = "ok"
        self._ended = False
        self._exchange: Exchange | None = None
        self._abandoning: asyncio.Task[None] | None = None
        self._received_bytes = 0
        self._limit_bytes = 0
        self._refusal: Problem | None = None
        self._sending = False
        self._answering = False
        self._linger_until_s = float("inf")
        self._stalling: asyncio.TimerHandle | None = None
        face.begin(self.request_id)
        face.meters.request_began()

    @property
    def allow(self) -> str:
        """The verbs of this path, as the Allow header lists them."""
        return ", ".join(sorted(self._verbs))

    # --- headers -------------------------------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Let the request in or refuse it; runs when its headers are there and its body is not."""
        REQUEST_ID.set(self.request_id)
        try:
            await self._admit()
        except (ModelBoxError, web.HTTPError) as error:
            self._refuse(error)
        if self._declared_bytes:
            self._wait_for_body()

    async def _admit(self) -> None:
        gate = self.face.gate
        if not gate.recognise(self):
            preparing = super().prepare()
            if preparing is not None:
                await preparing
        method = self.request.method or ""
        if method == "OPTIONS" and gate.answers_options:
            return
        if origin := gate.listed_origin(self):
            for name, value in cors_headers(origin, self.allow).items():
                self.set_header(name, value)
            if method == "OPTIONS":
                await gate.admit(self, None)  # a browser asks beforehand, and has no token then
                return
        verb = self._verbs.get(method)
        self.caller = await gate.admit(self, verb.action if verb else "read")
        if key := self.request.headers.get("Idempotency-Key"):
            self.caller = replace(self.caller, operation=key)
        if verb is None:
            raise MethodNotAllowed(f"{method} is not possible here: use {self.allow}.")
        if verb.action is not None:  # a server that is about to stop still tells how it is
            self.face.check_open()
            self.face.pace(self.caller)
        self._limit_bytes = verb.limit_bytes
        self._connection.set_max_body_size(UNLIMITED)  # ours are checked below and in data_received, and answered
        self._check_length(self._declared_bytes)
        exchange = verb.exchange(self)
        await exchange.begin()
        self._exchange = exchange

    @property
    def _connection(self) -> HTTP1Connection:
        return cast("HTTP1Connection", self.request.connection)

    @property
    def _declared_bytes(self) -> int:
        """Length of the body as declared; -1 for chunks, whose sum nobody knows yet."""
        headers = self.request.headers
        if "Transfer-Encoding" in headers:
            return -1
        length = headers.get("Content-Length", "0").partition(",")[0]
        return int(length) if length.isascii() and length.isdigit() else 0  # tornado refuses a malformed one when it reads the body

    def _check_length(self, length_bytes: int) -> None:
        if length_bytes <= self._limit_bytes:
            return
        if self._limit_bytes == 0:
            raise InvalidRequest("This request takes no body: leave it out.", field="body")
        limit = f"{self._limit_bytes} bytes"
        raise TooLarge(f"The body has {length_bytes} bytes or more: at most {limit} are taken here.", field="body", limit=limit)

    # --- body ----------------------------------------------------------------------------------------------------------------------------

    async def data_received(self, chunk: bytes) -> None:
        """Pass a piece of the body on, or drop it when the request was refused."""
        self._stop_waiting()
        try:
            await self._take(chunk)
        finally:
            self._wait_for_body()

    async def _take(self, chunk: bytes) -> None:
        self._received_bytes += len(chunk)
        if self._sending:
            if time.monotonic() > self._linger_until_s:
                self._end_lingering()
            return
        if self._refusal is not None or self._exchange is None:
            return
        try:
            self._check_length(self._received_bytes)
            await self._exchange.receive(chunk)
        except ModelBoxError as error:
            self._refuse(error)

    def _wait_for_body(self) -> None:
        if not self._finished:
            self._stalling = asyncio.get_running_loop().call_later(_STALL_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()

    def _give_up(self) -> None:
        """Hang up on a sender who went silent: an answer would say that the request was wrong, and keep it from being sent again."""
        log.info("Request %s ended: no more of its body came for %g s.", self.request_id, _STALL_S)
        stream = self._connection.stream
        if stream is not None:
            stream.close()

    def _refuse(self, error: ModelBoxError | web.HTTPError) -> None:
        """Answer with `error`, now or after the rest of a small body has been dropped.

        Where there is no body, the verb answers: tornado hangs up after an answer that came before the end of its request, without having
        said so, and a proxy that keeps connections would send the next request, of somebody else, into that.
        """
        self._abandon()
        self._refusal = problem_for(error, self.request_id)
        declared = self._declared_bytes
        if "Expect" in self.request.headers:
            self._send_problem(self._refusal)
        elif not 0 <= declared <= _DISCARD_BYTES:
            self.set_header("Connection", "close")
            self._write_problem(self._refusal)
            self.flush()
            self._sending = True
            self._linger_until_s = time.monotonic() + _LINGER_S
            asyncio.get_running_loop().call_later(_LINGER_S, self._end_lingering)

    def _end_lingering(self) -> None:
        if not self._finished:
            self.finish()

    # --- answer --------------------------------------------------------------------------------------------------------------------------

    async def _answer(self, **_path: str) -> None:
        self._stop_waiting()
        if self._sending:
            self._end_lingering()
        elif self._refusal is not None:
            self._send_problem(self._refusal)
        elif self._exchange is not None:
            self._answering = True
            try:
                await self._exchange.answer()
            except ModelBoxError as error:
                if self._sending:
                    raise
                self._send_problem(problem_for(error, self.request_id))
            except iostream.StreamClosedError:
                return  # the caller went away while we answered
            finally:
                self._answering = False
                self._abandon()

    get: _Method = _answer
    head: _Method = _answer
    post: _Method = _answer
    put: _Method = _answer
    patch: _Method = _answer
    delete: _Method = _answer

    async def options(self, **path: str) -> None:
        """Let a browser know what a page may do here; admission has said it in the headers."""
        await self._answer(**path)
        if not self._finished:
            self.set_status(204)
            self.clear_header("Content-Type")
            self.finish()

    def on_connection_close(self) -> None:
        """Drop what a caller left behind who went away in the middle of the body."""
        self._stop_waiting()
        self._end("gone")
        self.face.end(self.request_id)
        if not self._answering:
            self._abandon()
        elif self._exchange is not None:
            self._exchange.caller_left()

    def finish(self, chunk: str | bytes | dict[str, object] | None = None, **surroundings: object) -> asyncio.Future[None]:
        """Send what is left. The request is under way until the last of it is on the network: a server that stops waits for that."""
        sent = super().finish(chunk, **surroundings)
        sent.add_done_callback(lambda _: self.face.end(self.request_id))
        return sent

    def on_finish(self) -> None:
        """Note that the request is over."""
        self._stop_waiting()
        self._end(self._outcome)

    def _end(self, outcome: str) -> None:
        if self._ended:
            return
        self._ended = True
        method = self.request.method or ""
        route = f"{method} {self._path}" if self._path and method in self._verbs else "other"
        duration_s = time.perf_counter() - self._began_s
        self.face.meters.request_ended(route, outcome, duration_s, received_bytes=self._received_bytes, sent_bytes=self._sent_bytes)
        # That the server is not ready is an answer, and Face has told why.
        level = logging.WARNING if self.get_status() >= _SERVER_ERROR and outcome != "ok" else logging.DEBUG
        fields = {"route": route, "outcome": outcome, "duration_ms": round(duration_s * 1e3, 3), "user": self.caller.name}
        log.log(level, "%s: %s", route, outcome, extra={"fields": fields})

    def _abandon(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            # Kept, because a task that nobody holds may be collected before it has run.
            self._abandoning = asyncio.get_running_loop().create_task(exchange.abandon())

    async def send(self, body: bytes, *, media: str = JSON, status: int = 200) -> None:
        """Send `body` as the whole answer, in slices: tornado copies what it is given, and does so on the event loop."""
        self.set_status(status)
        self.set_header("Content-Type", media)
        self.set_header("Content-Length", str(len(body)))
        if (direct_from_bytes := self.face.direct_from_bytes) is not None:
            self.set_header(DIRECT_FROM_HEADER, str(direct_from_bytes))
        if len(body) <= _SLICE_BYTES:
            self._sent_bytes += len(body)
            self.finish(body)
            return
        for start in range(0, len(body), _SLICE_BYTES):
            await self.send_piece(body[start : start + _SLICE_BYTES])
        self.finish()

    async def send_piece(self, piece: bytes) -> None:
        """Send a piece of the answer and wait until the caller took most of it."""
        self._sending = True
        self._sent_bytes += len(piece)
        self.write(piece)
        await self.flush()

    def _write_problem(self, problem: Problem) -> None:
        body = problem_body(problem)
        self._outcome = problem.code
        self._sent_bytes += len(body)
        self.set_status(problem.status)
        for name, value in headers_of(problem, self.allow).items():
            self.set_header(name, value)
        self.set_header("Content-Length", str(len(body)))
        self.write(body)

    def _send_problem(self, problem: Problem) -> None:
        self._write_problem(problem)
        self.finish()

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Answer with a problem whatever went wrong; tornado calls this for exceptions that nobody foresaw."""
        info = cast("tuple[object, BaseException, object] | None", kwargs.get("exc_info"))
        # A surrounding server's decorator on the verb may find once more, and say less well, what admission has found already.
        problem = self._refusal or problem_for(info[1] if info else web.HTTPError(status_code), self.request_id)
        self._send_problem(problem)

    def send_error(self, status_code: int = 500, **kwargs: object) -> None:
        """Cut the connection when the answer had begun: its end would look like the end of a whole answer."""
        stream = self._connection.stream
        if self._sending and stream is not None:
            stream.close()
        super().send_error(status_code, **kwargs)

    def log_exception(self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        """Log what nobody foresaw under the request id that the answer names."""
        if not isinstance(value, web.HTTPError):
            summary = f"{self.request.method} {self.request.path}"
            log.error("Request %s failed: %s", self.request_id, summary, exc_info=value)

    def set_default_headers(self) -> None:
        """Add what every answer carries: it is data for programs, not for browsers to guess at or keep."""
        super().set_default_headers()
        self.set_header("Content-Type", JSON)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")
        self.set_header("X-Request-Id", self.request_id)

    def compute_etag(self) -> None:
        """Leave entity tags to the routes that have one: hashing every answer would take place on the event loop."""
