"""One port for everything: what a connection says first tells whether it speaks HTTP/1.1 or the HTTP/2 of gRPC.

A connection of HTTP/2 begins with a fixed text (RFC 9113, section 3.4) that no request of HTTP/1.1 can begin with. These bytes are read and
laid back; then the connection goes to the HTTP server as it is, or is passed on, piece by piece, to the gRPC server behind us. With a
certificate there is a handshake of TLS before all that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from socket import MSG_PEEK
from typing import TYPE_CHECKING

from tornado.iostream import IOStream, SSLIOStream
from tornado.netutil import ssl_wrap_socket

from modelbox_server.grpc.peers import Peer
from modelbox_server.grpc.splice import spliced
from modelbox_server.http.loopback import owner_of_peer, plain_address

if TYPE_CHECKING:
    import socket
    import ssl

    from tornado.httpserver import HTTPServer

    from modelbox_server.grpc.peers import Peers
    from modelbox_server.grpc.splice import ShortCalls

__all__ = ["PREFACE", "Front"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 sends first."""

_FIRST_BYTES_S = 30.0
_PIECE_BYTES = 256 * 1024
_MAX_BUFFER_BYTES = 100 * 1024 * 1024
_HANDSHAKE = b"\x16"
"""First byte of a handshake of TLS."""

_LINGER_S = 2.0
"""How long what comes after a refusal is read and dropped. Closing at once would reset the connection before the refusal was read."""


def _refusal(detail: bytes) -> bytes:
    problem = b'{"status":400,"code":"invalid_request","title":"Invalid request","detail":"%s"}' % detail
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(problem), problem)


_SPEAK_TLS = _refusal(b"This port speaks TLS: write https:// in front of the address.")
_SPEAK_PLAIN = _refusal(b"This port speaks no TLS: write http:// in front of the address.")
_SPEAK_GRPC = _refusal(b"This port speaks gRPC alone: use the other port of this server.")


class Front:
    """Sorts the connections of listening sockets.

    Parameters
    ----------
    http
        Gets those of HTTP/1.1.
    peers
        Where the gRPC server listens, which gets the others.
    short_calls
        Are answered before they get there, on connections without TLS.
    user_id
        Whose programs are told to the gRPC server as those of the same user.
    tls
        What this server proves with who it is; ``None`` to speak without TLS. May be replaced: it holds for connections from then on.
    """

    def __init__(
        self, http: HTTPServer, peers: Peers, short_calls: ShortCalls, user_id: int | None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._http = http
        self._short_calls = short_calls
        self._peers = peers
        self._user_id = user_id
        self.tls = tls
        # Kept, because a task that nobody holds may be collected before it has run.
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing_on: set[asyncio.Task[None]] = set()

    def accept(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        """Take a connection that was just accepted."""
        self._begin(connection, address, only_grpc=False)

    def accept_grpc(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        """Take a connection to a port that speaks nothing but gRPC."""
        self._begin(connection, address, only_grpc=True)

    def _begin(self, connection: socket.socket, address: tuple[object, ...], *, only_grpc: bool) -> None:
        connection.setblocking(False)
        caller = (plain_address(str(address[0])), *address[1:])
        task = asyncio.get_running_loop().create_task(self._sort(connection, caller, only_grpc=only_grpc))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let the connections that are passed on end, as the gRPC server has stopped; cut those that have said nothing yet."""
        if self._passing_on:
            await asyncio.wait(self._passing_on, timeout=_LINGER_S)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sort(self, connection: socket.socket, address: tuple[object, ...], *, only_grpc: bool) -> None:
        stream = _Stream(connection, max_buffer_size=_MAX_BUFFER_BYTES)
        is_passed_on = False
        try:
            async with asyncio.timeout(_FIRST_BYTES_S):
                if (await _first_byte(connection) == _HANDSHAKE) != (self.tls is not None):
                    await _refuse(stream, _SPEAK_TLS if self.tls is not None else _SPEAK_PLAIN)
                    return
                if self.tls is not None:
                    stream = _TlsStream(_wrapped(connection, self.tls), ssl_options=self.tls, max_buffer_size=_MAX_BUFFER_BYTES)
                    await stream.wait_for_handshake()
                is_http2 = await _begins_with_preface(stream)
            if is_http2:
                await self._pass_on(stream, Peer(str(address[0]), await self._is_same_user(stream)))
            elif only_grpc:
                await _refuse(stream, _SPEAK_GRPC)
            else:
                is_passed_on = True
                self._http.handle_stream(stream, address)
        except OSError:
            pass  # it went away, said nothing in time, or cannot speak TLS as we do
        finally:
            if not is_passed_on:
                stream.close()

    async def _is_same_user(self, stream: IOStream) -> bool:
        connection = stream.socket
        if self._user_id is None or connection is None:
            return False
        # The kernel's table of connections takes a millisecond or two to read.
        return await asyncio.to_thread(owner_of_peer, connection) == self._user_id

    async def _pass_on(self, outside: _Stream, peer: Peer) -> None:
        with self._peers.connection_for(peer) as inside:
            await asyncio.get_running_loop().sock_connect(inside, str(self._peers.socket_path))
            task = asyncio.create_task(self._relayed(outside, inside, peer))
            self._passing_on.add(task)
            try:
                await task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                self._passing_on.discard(task)

    async def _relayed(self, outside: _Stream, inside: socket.socket, peer: Peer) -> None:
        connection = outside.socket
        if isinstance(outside, _TlsStream):
            await _pumped(outside, inside)
        elif connection is not None:
            raw = connection.dup()
            outside.close()
            await spliced(raw, inside, PREFACE, self._short_calls, peer)


class _Stream(IOStream):
    """A stream whose first bytes can be read, and laid back."""

    _first_bytes_left: int | None = len(PREFACE)
    _again = memoryview(b"")

    def lay_back(self, data: bytes) -> None:
        """Let what was read so far, at most as much as the preface has, be read again."""
        self._again = memoryview(data)
        self._first_bytes_left = None

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read no more than the first bytes until they were laid back; then those, then the rest."""
        if self._again:
            count = min(len(buf), len(self._again))
            buf[:count] = self._again[:count]
            self._again = self._again[count:]
            return count
        if self._first_bytes_left is None:
            return super().read_from_fd(buf)
        if not self._first_bytes_left:
            return None
        read = super().read_from_fd(memoryview(buf)[: self._first_bytes_left])
        self._first_bytes_left -= read or 0
        return read


class _TlsStream(_Stream, SSLIOStream):
    """The same within TLS."""


async def _first_byte(connection: socket.socket) -> bytes:
    """Return what a connection says first, and leave it there."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, MSG_PEEK)


def _wrapped(connection: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
    return ssl_wrap_socket(connection, tls, server_side=True, do_handshake_on_connect=False)


async def _refuse(stream: _Stream, answer: bytes) -> None:
    stream.lay_back(b"")
    await stream.write(answer)
    with suppress(TimeoutError):
        await asyncio.wait_for(stream.read_until_close(), _LINGER_S)


async def _begins_with_preface(stream: _Stream) -> bool:
    first = b""
    while len(first) < len(PREFACE) and PREFACE.startswith(first):
        first += await stream.read_bytes(len(PREFACE) - len(first), partial=True)
    stream.lay_back(first)
    return first == PREFACE


async def _pumped(outside: _Stream, inside: socket.socket) -> None:
    """Pass on what either side says to the other, until one ends."""
    outside.set_nodelay(True)
    stream = IOStream(inside, max_buffer_size=_MAX_BUFFER_BYTES)
    # Either side's end ends both: HTTP/2 has no half of a conversation.
    pumps = [asyncio.create_task(_pump(outside, stream)), asyncio.create_task(_pump(stream, outside))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        stream.close()


async def _pump(source: IOStream, sink: IOStream) -> None:
    with suppress(OSError):
        while True:
            await sink.write(await source.read_bytes(_PIECE_BYTES, partial=True))
