"""A proxy that breaks HTTP exchanges in the ways in which networks do, for tests of what a client makes of it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Fault", "FaultProxy", "fault_proxy"]

Fault: TypeAlias = Literal["pass", "swallow", "refuse", "reset"]
"""``pass`` on; ``swallow`` the answer after the server gave it; ``refuse`` the request unread; ``reset`` in the middle of it."""


class FaultProxy:
    """Passes connections on to a port of this machine, one exchange each.

    Parameters
    ----------
    port
        Where the server listens.

    Attributes
    ----------
    port
        Where the proxy listens.
    faults
        What happens to the next posts of points, one each; ``pass`` when there are none left.
    done
        How often each fault was carried out.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.port = 0
        self.faults: list[Fault] = []
        self.done: dict[Fault, int] = {"pass": 0, "swallow": 0, "refuse": 0, "reset": 0}

    @property
    def url(self) -> str:
        """Address of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, started: threading.Event, stopped: asyncio.Event) -> None:
        """Listen until `stopped`."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 26)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await stopped.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            is_points = head.startswith(b"POST /api/v1/metrics?")
            fault: Fault = self.faults.pop(0) if is_points and self.faults else "pass"
            self.done[fault] += 1
            if fault != "refuse":
                await self._exchange(head, reader, writer, fault)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side hung up: that is what is tested here
        finally:
            writer.close()

    async def _exchange(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
        body = await reader.readexactly(_length(head))
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            # The server closes after its answer, so that the end of the answer needs no understanding.
            upstream.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            if fault == "reset":
                upstream.write(body[: len(body) // 2])
                await upstream.drain()
                return
            upstream.write(body)
            await upstream.drain()
            answer = await upstream_reader.read(-1)
            if fault != "swallow":
                writer.write(answer)
                await writer.drain()
        finally:
            upstream.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@contextmanager
def fault_proxy(port: int) -> Iterator[FaultProxy]:
    """Run a proxy in a thread of its own until the ``with`` block ends."""
    proxy = FaultProxy(port)
    started, loop, stopped = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(started, stopped)), name="modelbox-proxy", daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
