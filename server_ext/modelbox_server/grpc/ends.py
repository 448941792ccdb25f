"""The two ends of a connection that is passed on, as asyncio has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from modelbox_server.grpc.frames import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["End", "Owner"]


class Owner(Protocol):
    """Who has the ends."""

    def joined(self) -> None:
        """Note that an end is connected."""
        ...

    def balance(self) -> None:
        """Note that an end is full, or no longer."""
        ...

    def lost(self, lost: End) -> None:
        """Note that an end is closed."""
        ...

    def give_up(self) -> None:
        """Note that what came cannot be understood."""
        ...


class End(asyncio.Protocol):
    """One end of what is spliced: tells what it receives, and when it is full or gone.

    Parameters
    ----------
    owner
        Is told.
    received
        Gets what comes; may raise :class:`~modelbox_server.grpc.frames.ProtocolError`.
    """

    def __init__(self, owner: Owner, received: Callable[[bytes], None]) -> None:
        self._owner = owner
        self._received = received
        self.transport: asyncio.Transport | None = None
        self.is_full = False
        self.is_lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Is done once the connection is closed, and what was written to it is sent or cannot be."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self._owner.joined()

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        try:
            self._received(data)
        except ProtocolError:
            self._owner.give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that this end is closed."""
        if not self.is_lost.done():
            self.is_lost.set_result(None)
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """Note that it is full."""
        self.is_full = True
        self._owner.balance()

    def resume_writing(self) -> None:
        """Note that there is room again."""
        self.is_full = False
        self._owner.balance()

    def write(self, data: bytes) -> None:
        """Send, unless this end is closed."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def backlog_bytes(self) -> int:
        """Return how much waits to be sent."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Close once everything is sent."""
        if self.transport is not None:
            self.transport.close()

    def read_if(self, *, wanted: bool) -> None:
        """Read, or leave what comes where it is."""
        if self.transport is not None and not self.transport.is_closing():
            (self.transport.resume_reading if wanted else self.transport.pause_reading)()
