"""A real standalone server for tests: real sockets on a free loopback port, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbox_server.standalone import StandaloneServer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from modelbox_server.http.auth import ProxyIdentity
    from modelbox_server.hub.client import HubConnection
    from modelbox_server.wiring import Services

__all__ = ["LiveServer", "live_server", "serving"]

_START_S = 30.0


@dataclass(frozen=True, slots=True)
class LiveServer:
    """Where the server is, and what opens it."""

    url: str
    token: str
    port: int
    grpc_port: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header that it wants."""
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def live_server(
    open_services: Callable[[], Services] | None = None,
    *,
    port: int = 0,
    token: str | None = None,
    runtime_folder: Path | None = None,
    trust_same_user: bool = False,
    tls: tuple[Path, Path] | None = None,
    grpc_address: tuple[str, int] | None = None,
    allowed_hosts: Collection[str] = (),
    allowed_origins: Collection[str] = (),
    proxies: ProxyIdentity | None = None,
    hub: HubConnection | None = None,
) -> Iterator[LiveServer]:
    """Serve until the ``with`` block ends, then stop gracefully and close the services.

    Parameters
    ----------
    open_services
        Makes the services; :func:`~modelbox_server.wiring.ephemeral_services` when left out.
    port
        Port to listen on; a free one when 0. The same port again stands for a server that comes back.
    token
        Token that it wants; a fresh one when left out. A server that comes back has the one that it had.
    runtime_folder
        Where to leave the runtime file by which clients find the server; nowhere when ``None``.
    trust_same_user
        Let programs of this user in without a token.
    tls
        Files of a certificate and its key, to speak TLS.
    grpc_address
        A second place to listen, for gRPC alone; port 0 is a free one, which the yielded server tells.
    allowed_hosts
        Names under which it may be addressed, besides localhost and addresses.
    allowed_origins
        Web pages besides those of this server that may use it.
    proxies
        Who may say who calls.
    hub
        The JupyterHub that knows people.
    """
    server = StandaloneServer(
        open_services or _ephemeral,
        port=port,
        grpc_address=grpc_address,
        tls=tls,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        token=token,
        runtime_folder=runtime_folder,
        trust_same_user=trust_same_user,
        proxies=proxies,
        hub=hub,
    )
    with serving(server):
        yield LiveServer(server.url, server.token, server.port, server.grpc_address and server.grpc_address[1])


@contextmanager
def serving(server: StandaloneServer) -> Iterator[None]:
    """Run a server in a thread of its own until the ``with`` block ends."""
    started = threading.Event()
    failures: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()

    async def run() -> None:
        try:
            await server.start()
        finally:
            started.set()
        await stopped.wait()
        await server.stop()

    def target() -> None:
        try:
            loop.run_until_complete(run())
            loop.run_until_complete(loop.shutdown_default_executor())
        except BaseException as error:  # noqa: BLE001  # raised again below, in the thread of the test
            failures.append(error)
        finally:
            loop.close()

    thread = threading.Thread(target=target, name="modelbox-live-server", daemon=True)
    thread.start()
    started.wait(_START_S)
    try:
        if not failures:
            yield
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stopped.set)
        thread.join(_START_S)
        if failures:
            raise failures[0]


def _ephemeral() -> Services:
    from modelbox_server.wiring import ephemeral_services

    return ephemeral_services()
