"""Bytes passed on between two connections, as they come: by callbacks of the event loop, with no task to wake for each piece."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import socket

__all__ = ["relay"]

_LAST_BYTES_S = 30.0
"""How long one connection may take to read the rest, once the other has ended."""


class _End(asyncio.Protocol):
    """One of the two connections: what comes in here goes out at the other one."""

    other: _End
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the other connection before anything is read."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Pass `data` on."""
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        """Read no more from the other connection while this one is behind."""
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other connection as well, once it has what came so far: HTTP/2 has no half of a conversation."""
        del exc
        if not self.lost.done():
            self.lost.set_result(None)
        self.other.transport.close()


async def relay(first: socket.socket, second: socket.socket, begin: bytes) -> None:
    """Pass on what either connection says to the other until one ends; both are closed then.

    Parameters
    ----------
    first, second
        Two connections.
    begin
        What was read from the first already.
    """
    loop = asyncio.get_running_loop()
    here, there = _End(), _End()
    here.other, there.other = there, here
    await loop.connect_accepted_socket(lambda: there, second)
    await loop.connect_accepted_socket(lambda: here, first)
    there.transport.write(begin)
    for end in (here, there):
        end.transport.resume_reading()
    try:
        await asyncio.wait([here.lost, there.lost], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([here.lost, there.lost], timeout=_LAST_BYTES_S)
    finally:
        here.transport.abort()
        there.transport.abort()
