"""gRPC-web: the calls of the gRPC server for web pages, which cannot speak HTTP/2 by themselves.

Messages come and go in the bodies of POST requests, each behind five bytes: a flag and a length. What HTTP/2 sends as trailers is the last
frame of the answer, or, where there is nothing else to send, in its headers. The text form is the same in base64.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import struct
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc

from modelbox.errors import InvalidRequest, ModelBoxError, error_for_code, shortened
from modelbox_server.grpc.convert import decoder
from modelbox_server.grpc.schema import PACKAGE, SERVICES
from modelbox_server.grpc.server import MAX_MESSAGE_BYTES
from modelbox_server.http.exchange import Exchange, ExchangeHandler, Verb
from modelbox_server.http.headers import media_type
from modelbox_server.http.incoming import body_media

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from modelbox.wire.messages import Problem
    from modelbox_server.grpc.convert import Message
    from modelbox_server.grpc.schema import Rpc
    from modelbox_server.grpc.server import GrpcServer
    from modelbox_server.http.face import Face
    from modelbox_server.service.context import Caller

__all__ = ["web_rules"]

_BINARY = ("application/grpc-web+proto", "application/grpc-web")
_TEXT = ("application/grpc-web-text+proto", "application/grpc-web-text")
_HEAD = struct.Struct(">BI")
_TRAILERS = 0x80
_PADDED = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])")
_UNIT_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_READ_BY_NAME = ("Get", "List", "Download", "Watch")


class WebHandler(ExchangeHandler):
    """An exchange whose errors are statuses of gRPC, for those who speak gRPC-web."""

    def _write_problem(self, problem: Problem) -> None:
        media = media_type(self.request.headers.get("Content-Type", ""))
        if media not in _BINARY + _TEXT:
            super()._write_problem(problem)
            return
        self.set_status(200)
        self.set_header("Content-Type", media)
        self.set_header("Content-Length", "0")
        status, detail = _status(error_for_code(problem.code).grpc_code), quote(problem.detail, safe=" ")
        self.set_header("Grpc-Status", status)
        self.set_header("Grpc-Message", detail)
        if problem.retry_after_s is not None:
            self.set_header("Retry-After", f"{problem.retry_after_s:g}")


class WebExchange(Exchange):
    """One call."""

    _work: asyncio.Task[None] | None = None

    def __init__(self, handler: ExchangeHandler, server: GrpcServer, name: str, rpc: Rpc) -> None:
        super().__init__(handler)
        self._server, self._name, self._rpc = server, name, rpc
        self._body = bytearray()

    async def begin(self) -> None:
        """Check that the body is gRPC-web."""
        self._media = body_media(self.handler, *_BINARY, *_TEXT)
        self._timeout_s = _timeout_s(self.handler.request.headers.get("Grpc-Timeout", ""))

    async def receive(self, data: bytes) -> None:
        """Keep the body: web pages send it as a whole."""
        self._body += data

    async def answer(self) -> None:
        """Carry out the call, and send what it answers as it comes."""
        requests = _requests(bytes(self._body), is_text=self._media in _TEXT)
        self.handler.set_header("Content-Type", self._media)
        # A task of its own, so that it can be ended when nobody waits for it any more.
        self._work = asyncio.create_task(self._carry_out(requests))
        await asyncio.wait([self._work])
        if not self._work.cancelled():
            self._work.result()

    def caller_left(self) -> None:
        """End the call: who watches a quiet namespace would be noticed to be gone by the next change only."""
        if self._work is not None:
            self._work.cancel()

    async def _carry_out(self, requests: list[bytes]) -> None:
        status, detail, wait_s = "OK", "", None
        if self._rpc.gives_stream:
            await self.handler.send_piece(b"")  # the headers: a page learns that it watches before anything happens
        try:
            async with asyncio.timeout(self._timeout_s), aclosing(self._answers(requests)) as answers:
                async for answer in answers:
                    await self._send(0, answer.SerializeToString())
        except TimeoutError:
            status, detail = "DEADLINE_EXCEEDED", "The call took longer than its Grpc-Timeout: ask for less, or wait longer."
        except ModelBoxError as error:
            status, detail, wait_s = error.grpc_code, error.detail or shortened(error), error.retry_after_s
        trailers = {"grpc-status": _status(status), "grpc-message": quote(detail, safe=" ")}
        if wait_s is not None:
            trailers["retry-after"] = f"{wait_s:g}"
        await self._send(_TRAILERS, "".join(f"{key}:{value}\r\n" for key, value in trailers.items()).encode())
        self.handler.finish()

    async def _answers(self, requests: list[bytes]) -> AsyncGenerator[Message, None]:
        caller = replace(self.handler.caller, face="grpc")
        decode = decoder(self._name, self._rpc)
        if self._rpc.takes_stream:
            yield await self._server.upload(caller, _each(decode(data) for data in requests))
            return
        if len(requests) != 1:
            raise InvalidRequest(f"{self._name} takes one message, but {len(requests)} came: send one.")
        if not self._rpc.gives_stream:
            yield await self._server.unary(self._name, caller, decode(requests[0]))
            return
        asked = decode(requests[0])
        given = self._server.download(caller, asked) if self._name == "DownloadFile" else self._server.watch(self._identify, asked)
        async with aclosing(given) as answers:
            async for answer in answers:
                yield answer

    async def _identify(self) -> Caller:
        return replace(await self.handler.face.gate.admit(self.handler, "read"), face="grpc")

    async def _send(self, flag: int, data: bytes) -> None:
        frame = _HEAD.pack(flag, len(data)) + data
        await self.handler.send_piece(base64.b64encode(frame) if self._media in _TEXT else frame)


def web_rules(face: Face, server: GrpcServer, prefix: str = "") -> list[tuple[str, type[WebHandler], dict[str, object]]]:
    """Return the tornado rules that serve every method of `server`, at the paths that gRPC gives them, below `prefix`."""
    rules: list[tuple[str, type[WebHandler], dict[str, object]]] = []
    for service, rpcs in SERVICES.items():
        for name, rpc in rpcs.items():
            path = f"/{PACKAGE}.{service}/{name}"
            verb = Verb("read" if name.startswith(_READ_BY_NAME) else "write", MAX_MESSAGE_BYTES * 4 // 3, _exchange(server, name, rpc))
            rules.append((re.escape(prefix + path), WebHandler, {"face": face, "verbs": {"POST": verb}, "path": path}))
    return rules


def _exchange(server: GrpcServer, name: str, rpc: Rpc) -> Callable[[ExchangeHandler], WebExchange]:
    return lambda handler: WebExchange(handler, server, name, rpc)


def _requests(body: bytes, *, is_text: bool) -> list[bytes]:
    """Return the messages of a body."""
    if is_text:
        try:
            # Each piece that a client sent at once may have padding of its own.
            parts = _PADDED.findall(body)
            if sum(map(len, parts)) != len(body):
                raise InvalidRequest("The body is not base64: send frames of gRPC-web in base64, or as application/grpc-web+proto.")
            body = b"".join(base64.b64decode(part, validate=True) for part in parts)
        except binascii.Error:
            raise InvalidRequest("The body is not base64: send frames of gRPC-web in base64, or as application/grpc-web+proto.") from None
    return list(_frames(body))


def _frames(body: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(body):
        if place + _HEAD.size > len(body):
            raise InvalidRequest(f"The body ends within the head of a frame, at byte {place}: send a flag, a length and a message.")
        flag, length = _HEAD.unpack_from(body, place)
        place += _HEAD.size
        if flag not in {0, _TRAILERS}:
            raise InvalidRequest(f"The frame before byte {place} has the flag {flag}: send messages as they are, not compressed.")
        if place + length > len(body):
            raise InvalidRequest(f"The frame before byte {place} should have {length} bytes, but {len(body) - place} follow.")
        if not flag:
            yield body[place : place + length]
        place += length


async def _each(messages: Iterator[Message]) -> AsyncIterator[Message]:
    for one in messages:
        yield one


def _timeout_s(header: str) -> float | None:
    if not header:
        return None
    match = _TIMEOUT.fullmatch(header)
    if match is None:
        raise InvalidRequest(
            f"The Grpc-Timeout {shortened(header, 40)} is none: write a number and a unit, such as 5S.", field="Grpc-Timeout"
        )
    return int(match[1]) * _UNIT_S[match[2]]


def _status(name: str) -> str:
    number: int = grpc.StatusCode[name].value[0]
    return str(number)
