"""The gRPC server: runs on the event loop of the HTTP server, does its work in the same threads, and speaks the same errors.

It listens on a socket in a private folder, to which :mod:`modelbox_server.grpc.front` passes on the connections that speak HTTP/2.
:mod:`modelbox_server.grpc.peers` knows who is at their other end.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias, cast

import grpc

from modelbox.entities.times import now
from modelbox.errors import InvalidRequest, ModelBoxError, StorageUnavailable, shortened
from modelbox.wire.messages import MAX_PAGE, ChangesQuery, Page
from modelbox_server.grpc import store
from modelbox_server.grpc.complete import complete
from modelbox_server.grpc.convert import change_message, decoder
from modelbox_server.grpc.gathering import Gatherer
from modelbox_server.grpc.health import add_health, add_reflection
from modelbox_server.grpc.peers import Peers
from modelbox_server.grpc.points import point_of
from modelbox_server.grpc.schema import PACKAGE, SERVICES, message
from modelbox_server.grpc.short import LoggedPoints
from modelbox_server.grpc.statuses import go_name
from modelbox_server.http.auth import sent_token
from modelbox_server.observing.logs import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from modelbox.entities.records import ChangeEvent
    from modelbox_server.grpc.convert import Message
    from modelbox_server.grpc.peers import Peer
    from modelbox_server.grpc.schema import Rpc
    from modelbox_server.http.auth import TokenGate
    from modelbox_server.http.face import Face
    from modelbox_server.observing.meters import GrpcCall
    from modelbox_server.service.artifacts import ArtifactUpload
    from modelbox_server.service.context import Caller

__all__ = ["MAX_MESSAGE_BYTES", "GrpcServer"]

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Longest message, in either direction."""

_WATCH_EVERY_S = 2.0
"""How often those who watch look without news: whether they still may, and what may have been missed."""
_LAST_BYTES_S = 1.0
_WRITE_BYTES = 256 * 1024
"""What is written at once: the SDK of 2022 sends frames of 1 KiB, and each write is a trip to another thread."""

_MARKS_OF_PROXIES = frozenset({"forwarded", "via", "origin", "referer", "cookie", "x-real-ip"})
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
)


class GrpcServer:
    """Serves ``modelbox.ModelStore`` and ``modelbox.ModelBoxAdmin``.

    Parameters
    ----------
    face
        The services behind it, and the threads in which they work.
    gate
        Knows the token.
    """

    def __init__(self, face: Face, gate: TokenGate) -> None:
        self._face = face
        self._gate = gate
        self.peers = Peers()
        self._gatherer = Gatherer(face)
        self.short_calls = LoggedPoints(face, self._admit_short, self._gatherer)
        self._server: grpc.aio.Server | None = None
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()  # replaced by another one with each piece of news
        self._watching = 0

    async def start(self) -> None:
        """Listen on the socket."""
        self._server = server = grpc.aio.server(options=_OPTIONS)
        self.add_services(server)
        add_health(server, self._face)
        server.add_insecure_port(f"unix:{self.peers.socket_path}")
        await server.start()

    def add_services(self, server: grpc.aio.Server) -> None:
        """Have a gRPC server carry out the calls."""
        server.add_generic_rpc_handlers((_Handlers(self),))
        add_reflection(server)

    def end_watches(self) -> None:
        """Let those who watch see what happened until now, and tell them to come back later: they would never end by themselves."""
        self._stopping.set()
        self._tell_watchers()

    async def stop(self) -> None:
        """End all calls, but for those whose answer is on its way."""
        self.end_watches()
        if self._server is not None:
            await self._server.stop(_LAST_BYTES_S)
        self.peers.close()

    @contextmanager
    def metered(self, kind: str, service: str, name: str, context: Context) -> Iterator[GrpcCall]:
        """Count and time a call, and give it an id for the log."""
        call = self._face.meters.grpc_call(kind, f"{PACKAGE}.{service}", name)
        request_id = secrets.token_hex(8)
        REQUEST_ID.set(request_id)
        self._face.begin(request_id)
        code = "Unknown"
        try:
            yield call
            code = "OK"
        except (asyncio.CancelledError, GeneratorExit):
            code = "Canceled"
            raise
        except BaseException:
            status = context.code()
            code = go_name(status.name if isinstance(status, grpc.StatusCode) else "UNKNOWN")
            raise
        finally:
            call.ended(code)
            self._face.end(request_id)

    # --- who calls -----------------------------------------------------------------------------------------------------------------------

    async def admit(self, context: Context) -> Caller:
        """Return who calls, or raise as the gate of HTTP does, or because no new work is taken."""
        caller = await self.identify(context)
        self._face.check_open()
        self._face.pace(caller)
        return caller

    async def identify(self, context: Context) -> Caller:
        """Return who calls, or raise as the gate of HTTP does."""
        metadata = context.invocation_metadata()
        pairs = [] if metadata is None else list(metadata)
        headers = {key: value.decode(errors="replace") if isinstance(value, bytes) else value for key, value in pairs}
        return await self._caller(headers, self.peers.find(context.peer()))

    async def _admit_short(self, headers: Mapping[str, str], peer: Peer) -> Caller:
        caller = await self._caller(headers, peer)
        self._face.check_open()
        self._face.pace(caller)
        return caller

    async def _caller(self, headers: Mapping[str, str], peer: Peer) -> Caller:
        is_marked = not _MARKS_OF_PROXIES.isdisjoint(headers) or any(name.startswith("x-forwarded-") for name in headers)
        sent = sent_token(headers.get("authorization", ""))
        is_trusted = peer.is_same_user and not is_marked
        return await self._gate.caller(sent, headers, face="grpc", address=peer.address, is_trusted=is_trusted)

    # --- the four shapes of calls --------------------------------------------------------------------------------------------------------

    async def unary(self, name: str, caller: Caller, request: Message) -> Message:
        """Carry out a call that asks once and is answered once."""
        complete(name, request)
        if name == "LogMetrics":
            await self._gatherer.append(caller, point_of(request))
            return message("LogMetricsResponse")()
        function = store.UNARY[name]
        return await self._face.run(lambda: function(store.Call(self._face.services(), caller, request)))

    async def upload(self, caller: Caller, frames: AsyncIterator[Message]) -> Message:
        """Take a file: what it is, then its bytes; it is kept as a whole or not at all."""
        upload: ArtifactUpload | None = None
        committed = False
        held: list[bytes] = []
        held_bytes = 0
        try:
            async for frame in frames:
                kind = frame.WhichOneof("stream_frame")
                if upload is None:
                    if kind != "metadata":
                        raise InvalidRequest(
                            "The first frame of an upload must be its metadata: send that before the bytes.", field="metadata"
                        )
                    upload = await self._face.run(lambda file: self._open(caller, file), frame.metadata)
                elif kind != "chunks":
                    raise InvalidRequest("Only the first frame of an upload may be metadata: send bytes after it.", field="chunks")
                else:
                    held.append(frame.chunks)
                    held_bytes += len(frame.chunks)
                    if held_bytes >= _WRITE_BYTES:
                        await self._face.run(upload.write, b"".join(held))
                        held_bytes = 0
                        held.clear()
            if upload is None:
                raise InvalidRequest("The upload has no frame: send its metadata, then its bytes.", field="metadata")
            if held:
                await self._face.run(upload.write, b"".join(held))
            record = await self._face.run(upload.commit)
            committed = True
            return store.uploaded(record)
        finally:
            if upload is not None:
                error = None if committed else InvalidRequest("The upload ended early.")
                await self._face.run(upload.__exit__, type(error) if error else None, error, None)

    def _open(self, caller: Caller, file: Message) -> ArtifactUpload:
        return store.begin_upload(self._face.services(), caller, file).__enter__()

    async def download(self, caller: Caller, request: Message) -> AsyncGenerator[Message, None]:
        """Yield a file: what it is, then its bytes."""
        complete("DownloadFile", request)
        frames: Iterator[Message] = await self._face.run(lambda: store.download(store.Call(self._face.services(), caller, request)))
        while (frame := await self._face.run(next, frames, None)) is not None:
            yield frame

    async def watch(self, identify: Callable[[], Awaitable[Caller]], request: Message) -> AsyncGenerator[Message, None]:
        """Yield every change in a namespace from a time on, until the caller has seen enough or the server stops.

        Who watches is asked again for each look: a token that is revoked, or a role, ends what it showed.
        """
        after, began = 0, now()
        async with self._told():
            is_last = False
            while not is_last:
                # In this order: what happens after the look is news.
                news, stops = self._news, self._stopping.is_set()
                page = await self._look(await identify(), request.namespace or None, after)
                for event in page.items:
                    after = event.seq
                    if event.at.timestamp() >= request.since:
                        if event.at >= began:
                            self._face.meters.delivered_change((now() - event.at).total_seconds())
                        yield change_message(event)
                is_last = stops and len(page.items) < MAX_PAGE
                if len(page.items) < MAX_PAGE and not is_last:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(news.wait(), _WATCH_EVERY_S)
        raise StorageUnavailable("The server is shutting down: watch again when it is back.", retry_after_s=5)

    async def _look(self, caller: Caller, namespace: str | None, after: int) -> Page[ChangeEvent]:
        """Return changes; while the database is away, there are none."""
        query = ChangesQuery(namespace=namespace, after=after, limit=MAX_PAGE)
        try:
            return await self._face.run(lambda: self._face.services().changes.list(caller, query))
        except StorageUnavailable as error:
            log.info("Whoever watches has to wait: %s", error.detail)
            return Page(items=[])

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """Be told of news while the block runs."""
        loop = self._loop = asyncio.get_running_loop()
        self._watching += 1
        try:
            await self._face.run(lambda: self._face.services().pulse.subscribe(self._hear))
            yield
        finally:
            self._watching -= 1
            if not self._watching and not loop.is_closed():
                await self._face.run(lambda: self._face.services().pulse.unsubscribe(self._hear))

    def _hear(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._tell_watchers)

    def _tell_watchers(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class _Handlers(grpc.GenericRpcHandler):
    """Finds the function of a method by its name."""

    def __init__(self, server: GrpcServer) -> None:
        self._server = server

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        service, _, name = handler_call_details.method.removeprefix(f"/{PACKAGE}.").partition("/")
        rpc = SERVICES.get(service, {}).get(name)
        return None if rpc is None else self._handler(service, name, rpc)

    def _handler(self, service: str, name: str, rpc: Rpc) -> grpc.RpcMethodHandler[bytes, bytes]:
        # Requests are decoded here rather than by gRPC, which answers what is no message with an internal error.
        decode = decoder(name, rpc)
        server = self._server
        if rpc.takes_stream:

            async def take(pieces: AsyncIterator[bytes], context: Context) -> bytes:
                with server.metered("client_stream", service, name, context) as call:
                    async with aclosing(_decoded(pieces, decode, call)) as frames:
                        return await self._answered(context, call, lambda caller: server.upload(caller, frames))

            return grpc.stream_unary_rpc_method_handler(take)
        if rpc.gives_stream:
            downloads = name == "DownloadFile"

            async def stream(request: bytes, context: Context) -> AsyncIterator[bytes]:
                with server.metered("server_stream", service, name, context) as call:
                    call.received += 1
                    try:
                        caller = await server.admit(context)
                        asked = decode(request)
                        answers = server.download(caller, asked) if downloads else server.watch(lambda: server.identify(context), asked)
                        async for answer in answers:
                            call.sent += 1
                            yield answer.SerializeToString()
                    except ModelBoxError as error:
                        await _abort(context, error)

            return grpc.unary_stream_rpc_method_handler(stream)

        async def answer(request: bytes, context: Context) -> bytes:
            with server.metered("unary", service, name, context) as call:
                call.received += 1
                return await self._answered(context, call, lambda caller: server.unary(name, caller, decode(request)))

        return grpc.unary_unary_rpc_method_handler(answer)

    async def _answered(self, context: Context, call: GrpcCall, work: Callable[[Caller], Awaitable[Message]]) -> bytes:
        try:
            caller = await self._server.admit(context)
            answer = await work(caller)
        except ModelBoxError as error:
            await _abort(context, error)
            raise
        encoded: bytes = answer.SerializeToString()
        call.sent += 1
        return encoded


async def _decoded(pieces: AsyncIterator[bytes], decode: Callable[[bytes], Message], call: GrpcCall) -> AsyncGenerator[Message, None]:
    # gRPC's own generator, too, has to be closed where a call ends before its frames do.
    async with aclosing(cast("AsyncGenerator[bytes, None]", aiter(pieces))) as received:
        async for piece in received:
            call.received += 1
            yield decode(piece)


async def _abort(context: Context, error: ModelBoxError) -> None:
    """Answer with the status and the sentence of an error."""
    trailing = () if error.retry_after_s is None else (("retry-after", f"{error.retry_after_s:g}"),)
    await context.abort(grpc.StatusCode[error.grpc_code], error.detail or shortened(error), trailing)
