"""A ModelBox server of its own: one port, one token, and a file by which programs of the same user find both.

Thread safety: everything here runs on one event loop. :func:`serve` makes that loop and blocks; :class:`StandaloneServer` runs on one that
is there.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import secrets
import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import add_accept_handler

from modelbox.errors import ConfigError
from modelbox.settings import DEFAULT_PORT
from modelbox_server.background import Background
from modelbox_server.grpc.front import Front
from modelbox_server.grpc.server import GrpcServer
from modelbox_server.grpc.web import web_rules
from modelbox_server.http.auth import TokenGate
from modelbox_server.http.exchange import ExchangeHandler
from modelbox_server.http.face import Face
from modelbox_server.http.handlers import handler_rules
from modelbox_server.http.meters import METRICS_PATH, meters_app
from modelbox_server.http.tls import certificate_digest, server_context
from modelbox_server.hub.gate import HubGate
from modelbox_server.hub.sign_in import sign_in_pages
from modelbox_server.private_files import write_private

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Coroutine, Mapping
    from pathlib import Path

    from modelbox_server.http.auth import ProxyIdentity
    from modelbox_server.http.exchange import Exchange
    from modelbox_server.hub.client import HubConnection
    from modelbox_server.observing.meters import Meters
    from modelbox_server.wiring import Services

__all__ = ["GRACE_S", "StandaloneServer", "make_app", "serve"]

log = logging.getLogger(__name__)

GRACE_S = 10.0
"""How long requests may take to end when a server stops, unless it is told otherwise."""

_BACKLOG = 128
_IDLE_S = 600.0
_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104  (compared with, never bound to by default)


def make_app(
    face: Face, grpc: GrpcServer, prefix: str = "", pages: Mapping[str, Callable[[ExchangeHandler], Exchange]] = MappingProxyType({})
) -> web.Application:
    """Return the tornado application that serves `face` below `prefix`, and the calls of `grpc` for web pages."""
    rules = [*web_rules(face, grpc, prefix), *handler_rules(face, ExchangeHandler, ExchangeHandler, prefix, pages)]
    return web.Application(list(rules), compress_response=False)


class StandaloneServer:
    """Serves services on a port until it is stopped.

    Parameters
    ----------
    open_services
        Makes the services, on first use and off the event loop.
    host, port
        Where to listen; an empty `host` is every address of this machine, port 0 a free one.
    grpc_address
        Host and port of a second place to listen, for gRPC alone. The first speaks it too.
    tls
        Files of a certificate and its key, to speak TLS everywhere; ``None`` to speak without.
    token
        What callers have to send; a fresh random one when left out.
    holders
        Names of those who hold other tokens, by the SHA-256 of these.
    allowed_hosts
        Names besides ``localhost`` and IP addresses under which callers may address this server.
    allowed_origins
        Web pages besides those of this server that may use it, such as ``"https://lab.example"``.
    runtime_folder
        Where ``PORT.json`` (mode 0600) tells programs of the same user the url and the token; ``None`` tells nobody.
    trust_same_user, needs_token, proxies
        Who is let in without a token: see :class:`~modelbox_server.http.auth.TokenGate`.
    hub
        The JupyterHub that this is a service of: it says who people are, and everything is served below its prefix for us. Nobody is let in
        without a token then.
    grace_s
        How long requests that are under way may take to end when the server stops.
    notice_s
        How long before that a server that stops says so to those who ask for readiness, and still takes new work.
    advertised
        Host and port under which others reach this server, where that is not what it listens on.
    collect_every_s
        How often one of the servers of a store collects garbage; 0 for never.
    meters
        What counts and times the work; fresh ones when left out.
    meters_address
        Host and port of the page for Prometheus alone, without a token; ``None`` for none. The port of the API has the page as well.
    needs_meters
        Whether it is an error when something else listens there.
    """

    def __init__(
        self,
        open_services: Callable[[], Services],
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        grpc_address: tuple[str, int] | None = None,
        tls: tuple[Path, Path] | None = None,
        token: str | None = None,
        holders: Mapping[bytes, str] = MappingProxyType({}),
        allowed_hosts: Collection[str] = (),
        allowed_origins: Collection[str] = (),
        runtime_folder: Path | None = None,
        trust_same_user: bool = False,
        needs_token: bool = True,
        proxies: ProxyIdentity | None = None,
        hub: HubConnection | None = None,
        grace_s: float = GRACE_S,
        notice_s: float = 0.0,
        advertised: str = "",
        collect_every_s: float = 0.0,
        meters: Meters | None = None,
        meters_address: tuple[str, int] | None = None,
        needs_meters: bool = True,
    ) -> None:
        self.token = token or secrets.token_urlsafe(32)
        self.port = port
        self.grpc_address = grpc_address
        self._host = host
        self._tls = tls
        self._certificate_sha256 = ""
        self._runtime_folder = runtime_folder
        self.meters_url = ""
        self._grace_s = grace_s
        self._notice_s = notice_s
        self._hurried = asyncio.Event()
        self._advertised = advertised
        self._collect_every_s = collect_every_s
        self._hub_gate = None if hub is None else HubGate(hub, self.token)
        self._gate = gate = self._hub_gate or TokenGate(
            self.token, trust_same_user=trust_same_user, needs_token=needs_token, proxies=proxies
        )
        self._prefix = "" if hub is None else hub.prefix
        gate.allow(hosts=allowed_hosts, origins=allowed_origins, holders=holders)
        self._face = Face(lambda: self._introduced(open_services()), gate, meters)
        gate.ask(self._face)
        self._meters_address = meters_address
        self._needs_meters = needs_meters
        self._meters_server: HTTPServer | None = None
        self._trusted_user_id = os.getuid() if trust_same_user and hub is None else None
        self._server: HTTPServer | None = None
        self._listeners: list[socket.socket] = []
        self._stop_accepting: list[Callable[[], None]] = []
        self._grpc: GrpcServer | None = None
        self._front: Front | None = None

    @property
    def url(self) -> str:
        """Address for callers on this machine."""
        return _url("http" if self._tls is None else "https", self._host, self.port) + self._prefix

    def _introduced(self, services: Services) -> Services:
        """Tell the services where they can be reached."""
        name = socket.gethostname()
        host = name if self._host in _WILDCARDS else self._host
        address = self._advertised or f"{f'[{host}]' if ':' in host else host}:{self.port}"
        services.members.join(name, rpc_addr=address, http_addr=address)
        background = Background(services, collect_every_s=self._collect_every_s)
        # The server may be stopping while its services are opened: whoever closes them ends what was begun here.
        services.before_closing(background.stop)
        background.start()
        return services

    async def start(self, *, settle: bool = False) -> None:
        """Listen; `settle` as in :meth:`~modelbox_server.http.face.Face.warm_up`, for a process that does nothing else.

        Raises
        ------
        ConfigError
            The address cannot be listened on.
        """
        tls = self._context()
        try:
            self._listen()
            self._serve_meters()
        except BaseException:
            self._close_listeners()
            raise
        self._grpc = self.grpc_server()
        self._server = server = HTTPServer(self.application(self._grpc), idle_connection_timeout=_IDLE_S)
        await self._grpc.start()
        self._front = Front(server, self._grpc.peers, self._grpc.short_calls, self._trusted_user_id, tls)
        accepts = (self._front.accept, self._front.accept_grpc)
        self._stop_accepting = [add_accept_handler(listener, accept) for listener, accept in zip(self._listeners, accepts, strict=False)]
        self._face.warm_up(settle=settle)
        self._tell_programs()

    def application(self, grpc: GrpcServer) -> web.Application:
        """Return what is served over HTTP."""
        pages = {} if self._hub_gate is None else sign_in_pages(self._hub_gate)
        return make_app(self._face, grpc, self._prefix, pages)

    def grpc_server(self) -> GrpcServer:
        """Return what is served over gRPC."""
        return GrpcServer(self._face, self._gate)

    def _serve_meters(self) -> None:
        if self._meters_address is None:
            return
        try:
            listener = _listener(*self._meters_address)
        except ConfigError as error:
            if self._needs_meters:
                raise
            log.warning("There is no page for Prometheus: %s", error.detail)
            return
        self._meters_server = server = HTTPServer(meters_app(self._face))
        server.add_socket(listener)
        self.meters_url = f"{_url('http', self._meters_address[0], listener.getsockname()[1])}{METRICS_PATH}"

    def reconfigure(
        self, *, allowed_hosts: Collection[str], allowed_origins: Collection[str], holders: Mapping[bytes, str], grace_s: float
    ) -> None:
        """Take over what can change while the server runs; certificate and key are read again from their files.

        Raises
        ------
        ConfigError
            Certificate or key are not what they should be; those from before go on to hold.
        """
        if self._front is not None:
            self._front.tls = self._context()
            self._tell_programs()
        self._gate.allow(hosts=allowed_hosts, origins=allowed_origins, holders=holders)
        self._grace_s = grace_s

    async def stop(self) -> None:
        """Take no new work, let what is under way end within the grace period, and close the services.

        Readiness says 503 from the beginning. Whoever comes with new work is told with 503, or UNAVAILABLE, to come back later.
        """
        if self._runtime_folder is not None:
            self._forget(self._runtime_path(self._runtime_folder))
        if self._server is not None and self._grpc is not None and self._front is not None:
            await self._unless_hurried(self._drain(self._grpc))
            self._close_listeners()
            await self._grpc.stop()
            await self._front.close()
            await self._server.close_all_connections()
        if self._meters_server is not None:
            self._meters_server.stop()
            await self._meters_server.close_all_connections()
        await self._face.close()

    def hurry(self) -> None:
        """Cut the grace period short."""
        self._hurried.set()

    async def _drain(self, grpc: GrpcServer) -> None:
        self._face.announce_stop()
        await asyncio.sleep(self._notice_s)
        grpc.end_watches()
        await self._face.drain(self._grace_s)

    async def _unless_hurried(self, work: Coroutine[None, None, None]) -> None:
        tasks = [asyncio.create_task(work), asyncio.create_task(self._hurried.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self) -> None:
        listener = _listener(self._host, self.port)
        self._listeners.append(listener)
        self.port = listener.getsockname()[1]
        if self.grpc_address is not None:
            host, port = self.grpc_address
            second = _listener(host, port)
            self._listeners.append(second)
            self.grpc_address = (host, second.getsockname()[1])

    def _close_listeners(self) -> None:
        for stop_accepting in self._stop_accepting:
            stop_accepting()
        for listener in self._listeners:
            listener.close()

    def _runtime_path(self, folder: Path) -> Path:
        return folder / f"{self.port}.json"

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = server_context(*self._tls)
        self._certificate_sha256 = certificate_digest(self._tls[0])
        return context

    def _tell_programs(self) -> None:
        if self._runtime_folder is not None:
            write_private(self._runtime_path(self._runtime_folder), json.dumps(self._runtime_record()))

    def _runtime_record(self) -> dict[str, object]:
        record = {"url": self.url, "token": self.token, "pid": os.getpid(), "started_at": datetime.now(UTC).isoformat()}
        # By it, programs of the same user know the certificate, whatever names it has and whoever signed it.
        return record if self._tls is None else {**record, "certificate_sha256": self._certificate_sha256}

    def _forget(self, path: Path) -> None:
        """Remove the runtime file, unless another server took the port and the file meanwhile, perhaps with the same token."""
        with suppress(FileNotFoundError):
            record = json.loads(path.read_bytes())
            if (record.get("token"), record.get("pid")) == (self.token, os.getpid()):
                path.unlink()


def serve(
    server: StandaloneServer,
    *,
    on_start: Callable[[StandaloneServer], None] | None = None,
    on_hangup: Callable[[StandaloneServer], None] = lambda server: None,
) -> signal.Signals:
    """Serve until SIGTERM or SIGINT, of which a second one cuts the grace period short; return which one came first.

    Parameters
    ----------
    server
        What to start, and to stop.
    on_start, on_hangup
        Called once the server listens, and at each SIGHUP.
    """

    async def run() -> signal.Signals:
        loop = asyncio.get_running_loop()
        first: asyncio.Future[signal.Signals] = loop.create_future()

        def stop(number: signal.Signals) -> None:
            if first.done():
                server.hurry()
            else:
                first.set_result(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        loop.add_signal_handler(signal.SIGHUP, on_hangup, server)
        await server.start(settle=True)
        try:
            if on_start is not None:
                on_start(server)
            number = await first
            log.info("%s came: what is under way may end; a second signal ends it all.", number.name)
            return number
        finally:
            await server.stop()

    return asyncio.run(run())


def _url(scheme: str, host: str, port: int) -> str:
    host = "127.0.0.1" if host in _WILDCARDS else host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _listener(host: str, port: int) -> socket.socket:
    is_dual = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual or ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=is_dual)
    except OSError as error:
        # Python adds the address to the text of the system, which has it already.
        why = "another program does" if error.errno == errno.EADDRINUSE else str(error.strerror).partition(" (while")[0]
        raise ConfigError(f"{host}:{port} cannot be listened on ({why}): choose another address.") from error
    listener.setblocking(False)
    return listener
