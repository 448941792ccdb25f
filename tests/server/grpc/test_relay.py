"""Two connections that are one: everything arrives, nobody is hurried, and an end ends both."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

from modelbox_server.grpc.relay import relay

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def relayed(speak: Speak) -> None:
    """Let a caller and a service speak through a relay, and see that it ends by itself."""

    async def run() -> None:
        (caller, ours), (theirs, service) = socket.socketpair(), socket.socketpair()
        for one in (caller, ours, theirs, service):
            one.setblocking(False)
        passing = asyncio.create_task(relay(ours, theirs, b"begin"))
        a_reader, a_writer = await asyncio.open_connection(sock=caller)
        b_reader, b_writer = await asyncio.open_connection(sock=service)
        assert await b_reader.readexactly(5) == b"begin"
        await speak(a_reader, a_writer, b_reader, b_writer)
        await asyncio.wait_for(passing, 60)
        for writer in (a_writer, b_writer):
            writer.close()
            with contextlib.suppress(ConnectionError):  # who did not read all is reset
                await writer.wait_closed()

    asyncio.run(run())


def test_everything_arrives_both_ways_before_the_end_does() -> None:
    up, down = os.urandom(5_000_000), os.urandom(5_000_000)

    async def speak(
        a_reader: asyncio.StreamReader, a_writer: asyncio.StreamWriter, b_reader: asyncio.StreamReader, b_writer: asyncio.StreamWriter
    ) -> None:
        a_writer.write(up)
        b_writer.write(down)
        assert await b_reader.readexactly(len(up)) == up
        b_writer.close()
        assert await a_reader.read() == down

    relayed(speak)


def test_who_does_not_read_is_waited_for() -> None:
    async def speak(
        a_reader: asyncio.StreamReader, a_writer: asyncio.StreamWriter, b_reader: asyncio.StreamReader, b_writer: asyncio.StreamWriter
    ) -> None:
        sent = 0
        try:
            while sent < 100_000_000:
                b_writer.write(bytes(100_000))
                await asyncio.wait_for(b_writer.drain(), 0.5)
                sent += 100_000
        except TimeoutError:
            pass
        assert 0 < sent < 20_000_000  # buffers of the kernel and a few of ours, not memory without bounds
        a_writer.close()

    relayed(speak)
