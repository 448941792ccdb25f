"""The shared ModelBox of a JupyterHub below a user's own Jupyter server: what is asked here is asked there, as that user.

The server in which this runs knows no database and no bucket, only the user's own token at the Hub, which goes to the Hub's ModelBox alone.
Bodies and answers pass through in pieces, whatever their size.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPHeaders

from modelbox.errors import NotFound, StorageUnavailable, shortened
from modelbox_server.http.exchange import UNLIMITED, Exchange, ExchangeHandler, Verb
from modelbox_server.http.handlers import path_pattern
from modelbox_server.http.page import PAGE, ToPageExchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelbox_server.http.face import Face

    Rule = tuple[str, type[ExchangeHandler], dict[str, object]]

__all__ = ["Upstream", "relay_rules"]

log = logging.getLogger(__name__)

_CONNECT_S = 10.0
_RETRY_S = 2.0
_AT_ONCE = 100
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_READING: Final = ("GET", "HEAD")
_ASKED: Final = ("Accept", "Accept-Encoding", "Content-Type", "Content-Length", "Idempotency-Key", "If-Match", "If-None-Match", "Range")
"""What of a request is passed on. Cookies and tokens of the user's server are nobody else's business."""

_KEPT_HERE: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server", "set-cookie", "location", "x-request-id"})
_OPEN: Final = ("/livez", "/readyz", "/healthz", "/version")


class Upstream:
    """The shared ModelBox.

    Parameters
    ----------
    url
        Where it is, without a slash at its end.
    token
        The user's own at the Hub.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._client: AsyncHTTPClient | None = None

    async def ask(
        self,
        method: str,
        target: str,
        headers: HTTPHeaders,
        *,
        body: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]] | None,
        on_line: Callable[[str], None],
        on_piece: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """Pass a request on, and what is answered, in lines of headers and pieces of the body.

        Raises
        ------
        OSError, HTTPClientError
            It does not answer, or stopped in the midst of it.
        """
        if self._client is None:
            self._client = AsyncHTTPClient(force_instance=True, max_clients=_AT_ONCE, defaults={}, max_body_size=UNLIMITED)
        headers["Authorization"] = f"Bearer {self._token}"
        request = HTTPRequest(
            f"{self.url}{target}",
            method=method,
            headers=headers,
            body_producer=body,  # type: ignore[arg-type]  # a coroutine that awaits what it writes, as the documentation of tornado has it
            header_callback=on_line,
            streaming_callback=on_piece,
            allow_nonstandard_methods=True,
            connect_timeout=_CONNECT_S,
            request_timeout=0,
            follow_redirects=False,
            decompress_response=False,
        )
        await self._client.fetch(request, raise_error=False)


class RelayExchange(Exchange):
    """Passes one request on."""

    def __init__(self, handler: ExchangeHandler, upstream: Upstream, prefix: str) -> None:
        super().__init__(handler)
        self._upstream = upstream
        self._prefix = prefix
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._asking: asyncio.Task[None] | None = None
        self._may_answer = asyncio.Event()
        self._lines: list[str] = []
        self._has_begun = False

    async def begin(self) -> None:
        """Begin to ask: the body goes on as it comes."""
        request = self.handler.request
        headers = HTTPHeaders({name: request.headers[name] for name in _ASKED if name in request.headers})
        has_body = request.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in request.headers
        self._asking = asyncio.create_task(
            self._upstream.ask(
                request.method or "",
                self._target(),
                headers,
                body=self._send_body if has_body else None,
                on_line=self._lines.append,
                on_piece=self._answer_piece,
            )
        )

    async def receive(self, data: bytes) -> None:
        """Pass a piece of the body on, or drop it where the answer does not wait for it."""
        if self._asking is None:
            return
        handing = asyncio.create_task(self._pieces.put(data))
        await asyncio.wait({handing, self._asking}, return_when=asyncio.FIRST_COMPLETED)
        handing.cancel()

    async def answer(self) -> None:
        """Pass the answer on as it comes."""
        asking = self._asking
        if asking is None:
            return
        self._may_answer.set()
        handing = asyncio.create_task(self._pieces.put(None))
        try:
            await asking
        except Exception as error:
            if self._has_begun:
                raise
            log.warning("The shared ModelBox at %s does not answer: %s", self._upstream.url, error)
            raise StorageUnavailable(
                f"The shared ModelBox at {self._upstream.url} does not answer: try again in a moment.", retry_after_s=_RETRY_S
            ) from error
        finally:
            handing.cancel()
        self._begin_answer()
        self.handler.finish()

    def caller_left(self) -> None:
        """Ask no further."""
        asking = self._asking
        if asking is not None and not asking.cancel() and not asking.cancelled():
            asking.exception()  # nobody is left to be told

    async def abandon(self) -> None:
        """Ask no further."""
        self.caller_left()

    def _target(self) -> str:
        request = self.handler.request
        path = request.path.removeprefix(self._prefix)
        if any(unquote(part) in {".", ".."} for part in path.split("/")):
            raise NotFound(f"There is no {shortened(path)} here: write the path without dots.")
        gate = self.handler.face.gate
        asked = parse_qsl(request.query, keep_blank_values=True)
        query = urlencode([(name, value) for name, value in asked if not gate.ignores(name, request.query_arguments.get(name, []))])
        return f"{path}?{query}" if query else path

    async def _send_body(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        while (piece := await self._pieces.get()) is not None:
            await write(piece)

    async def _answer_piece(self, piece: bytes) -> None:
        await self._may_answer.wait()
        self._begin_answer()
        await self.handler.send_piece(piece)

    def _begin_answer(self) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        handler = self.handler
        lines = [line.rstrip("\r\n") for line in self._lines]
        # A server may say "continue" first.
        start = max(number for number, line in enumerate(lines) if line.startswith("HTTP/"))
        handler.set_status(int(lines[start].split(" ", 2)[1]))
        for name, value in HTTPHeaders.parse("\n".join(lines[start + 1 :])).get_all():
            if name.lower() not in _KEPT_HERE:
                handler.set_header(name, value)


def relay_rules(
    face: Face, upstream: Upstream, closed: type[ExchangeHandler], open_to_all: type[ExchangeHandler], prefix: str
) -> list[Rule]:
    """Return the tornado rules that pass everything below `prefix` on, and serve the web page.

    Parameters
    ----------
    face
        Has the gate, and counts requests; its services are never opened.
    upstream
        Where requests go.
    closed, open_to_all, prefix
        As for :func:`~modelbox_server.http.handlers.handler_rules`.
    """

    def relayed(handler: ExchangeHandler) -> Exchange:
        return RelayExchange(handler, upstream, f"{handler.settings.get('base_url', '/').rstrip('/')}{prefix}")

    def rule(pattern: str, handler: type[ExchangeHandler], verbs: dict[str, Verb], path: str) -> Rule:
        return pattern, handler, {"face": face, "verbs": verbs, "path": path}

    opened: dict[str, Callable[[ExchangeHandler], Exchange]] = {**PAGE, "": ToPageExchange, **dict.fromkeys(_OPEN, relayed)}
    rules = [
        rule(f"{prefix}{path_pattern(path)}", open_to_all, dict.fromkeys(_READING, Verb(None, 0, exchange)), path)
        for path, exchange in opened.items()
    ]
    verbs = {method: Verb("read" if method in _READING else "write", UNLIMITED, relayed) for method in _METHODS}
    return [*rules, rule(f"{prefix}/.*", closed, verbs, "/{everything}")]
