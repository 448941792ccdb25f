"""One port for everything: what a connection says first tells whether it speaks HTTP/1.1 or the HTTP/2 of gRPC.

A connection of HTTP/2 begins with a fixed text (RFC 9113, section 3.4) that no request of HTTP/1.1 can begin with. The bytes are looked at
without being taken; then the connection goes to the HTTP server as it is, or is passed on, byte by byte, to the gRPC server behind us.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from tornado.iostream import IOStream

from modelbox_server.http.loopback import owner_of_peer

if TYPE_CHECKING:
    from tornado.httpserver import HTTPServer

    from modelbox_server.grpc.server import Sockets

__all__ = ["PREFACE", "Front"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 sends first."""

_FIRST_BYTES_S = 30.0
_PIECE_BYTES = 256 * 1024
_MAX_BUFFER_BYTES = 100 * 1024 * 1024


class Front:
    """Sorts the connections of one listening socket.

    Parameters
    ----------
    http
        Gets those of HTTP/1.1.
    grpc
        Sockets of the gRPC server, which gets the others.
    user_id
        Whose programs go to the socket for the same user.
    """

    def __init__(self, http: HTTPServer, grpc: Sockets, user_id: int | None) -> None:
        self._http = http
        self._grpc = grpc
        self._user_id = user_id
        # Kept, because a task that nobody holds may be collected before it has run.
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        """Take a connection that was just accepted."""
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._sort(connection, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cut the connections that are passed on, and those that have said nothing yet."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sort(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        try:
            is_http2 = await asyncio.wait_for(_begins_with_preface(connection), _FIRST_BYTES_S)
        except (OSError, TimeoutError, asyncio.CancelledError):
            connection.close()
            return
        if is_http2:
            with suppress(OSError):
                await self._pass_on(connection)
            return
        stream = IOStream(connection, max_buffer_size=_MAX_BUFFER_BYTES)
        self._http.handle_stream(stream, address)

    async def _pass_on(self, connection: socket.socket) -> None:
        is_same_user = self._user_id is not None and await asyncio.to_thread(owner_of_peer, connection) == self._user_id
        path = self._grpc.same_user if is_same_user else self._grpc.others
        outside = await asyncio.open_connection(sock=connection, limit=_PIECE_BYTES)
        try:
            inside = await asyncio.open_unix_connection(path, limit=_PIECE_BYTES)
        except OSError:
            outside[1].close()
            raise
        try:
            # Either side's end ends both: HTTP/2 has no half of a conversation.
            pumps = [asyncio.create_task(_pump(outside[0], inside[1])), asyncio.create_task(_pump(inside[0], outside[1]))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            for writer in (outside[1], inside[1]):
                writer.close()


async def _begins_with_preface(connection: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    while True:
        await _until_readable(loop, connection)
        try:
            first = connection.recv(len(PREFACE), socket.MSG_PEEK)
        except BlockingIOError:
            continue
        if not first.startswith(PREFACE[: len(first)]) or not first:
            return False
        if len(first) == len(PREFACE):
            return True
        await asyncio.sleep(0.01)  # the rest is on its way: the socket stays readable meanwhile


async def _until_readable(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
