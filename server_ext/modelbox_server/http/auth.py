"""Who may pass: the seam between the handlers and whatever knows people, and the gate of a server that stands alone.

Every request goes through :meth:`Gate.admit` before anything of it is looked at; a handler cannot be reached around it.
"""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import hmac
import ipaddress
import os
import re
import time
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from modelbox.entities.names import checked_name
from modelbox.errors import Misdirected, PermissionDenied, RateLimited, Unauthenticated, shortened
from modelbox.wire.routes import Action
from modelbox_server.http.loopback import comes_from_program, owner_of_peer, plain_address
from modelbox_server.service.context import Caller
from modelbox_server.service.people import Person
from modelbox_server.service.tokens import TOKEN_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from tornado import web
    from tornado.http1connection import HTTP1Connection

__all__ = [
    "Action",
    "Directory",
    "Gate",
    "ProxyIdentity",
    "TokenGate",
    "bearer_token",
    "host_name",
    "is_ip_address",
    "os_user",
    "sent_token",
    "token_digest_of",
]

_FAILURES_PER_MINUTE = 20
_WINDOW_S = 60.0
_MAX_REMEMBERED_ADDRESSES = 10_000
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/\\\s]+)(?::\d{1,5})?")


class Gate(Protocol):
    """Knows who asks, and what they may do."""

    answers_options: bool
    """Whether the surrounding server answers OPTIONS by itself."""

    def recognise(self, handler: web.RequestHandler) -> bool:
        """Tell whether the request has a credential of our own, so that the surrounding server need not look for one of its."""
        ...

    async def admit(self, handler: web.RequestHandler, action: Action | None) -> Caller:
        """Return who asks, if they may do `action`; an `action` of ``None`` is open to everyone who addresses this server.

        Raises
        ------
        Unauthenticated, PermissionDenied, Misdirected, RateLimited
            They may not pass.
        """
        ...

    def listed_origin(self, handler: web.RequestHandler) -> str | None:
        """Return the origin of a web page of another server that may call this one; its browser has to be told so."""
        ...

    def ignores(self, parameter: str, values: list[bytes]) -> bool:
        """Tell whether a query parameter belongs to the surroundings, not to the API."""
        ...


@lru_cache(maxsize=1)
def os_user() -> str:
    """Return the login name of the account that this process runs under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "unknown"


def bearer_token(handler: web.RequestHandler) -> str:
    """Return the token of an ``Authorization: Bearer`` header, or an empty string."""
    return sent_token(handler.request.headers.get("Authorization", ""))


def sent_token(authorization: str, schemes: Collection[str] = ("bearer",)) -> str:
    """Return the token of an Authorization header with one of these schemes, or an empty string."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() in schemes else ""


def token_digest_of(token: str) -> bytes:
    """Return the SHA-256 of a token, whatever characters it has."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def host_name(header: str) -> str:
    """Return the name, or address, that a Host header tells, in lower case; empty where it tells none."""
    match = _HOST.fullmatch(header)
    return match["name"].lower() if match else ""


def is_ip_address(name: str) -> bool:
    """Tell whether a host is an IP address, which cannot be pointed elsewhere as names can."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Directory(Protocol):
    """Knows people and the holders of tokens that were made for them; looks into a store, off the event loop."""

    async def holder(self, digest: str, *, face: str, address: str) -> Caller:
        """Return whoever holds the token with this SHA-256 in hex.

        Raises
        ------
        Unauthenticated
            Nobody does, or not any more.
        """
        ...

    async def person(self, person: Person, *, face: str, address: str) -> Caller:
        """Return somebody whom a proxy or a Hub vouches for, with what they may do."""
        ...


@dataclass(frozen=True, slots=True)
class ProxyIdentity:
    """Proxies in front of the server that say who calls, as they have asked people for their passwords.

    Parameters
    ----------
    addresses
        Where they call from; what anybody else sends in these headers is refused.
    user_header, groups_header
        Headers with the name, and with the groups separated by commas.
    """

    addresses: frozenset[str]
    user_header: str
    groups_header: str = ""

    def person(self, headers: Mapping[str, str], address: str) -> Person | None:
        """Return who calls, or ``None`` where nobody says so.

        Raises
        ------
        Unauthenticated
            Somebody who is no such proxy says so.
        """
        name = headers.get(self.user_header, "")
        if not name:
            return None
        if plain_address(address) not in self.addresses:
            raise Unauthenticated(f"Your address may not say who calls: leave the header {self.user_header} out, or send a token.")
        groups = headers.get(self.groups_header, "") if self.groups_header else ""
        return Person(
            checked_name(name, "user name", field=self.user_header),
            tuple(checked_name(part.strip(), "group", field=self.groups_header) for part in groups.split(",") if part.strip()),
        )


class TokenGate:
    """A bearer token lets everything in that addresses this server by a name of its own; tokens of people, what these may do.

    Parameters
    ----------
    token
        The secret. Only its digest is kept.
    user
        Name of whoever holds the token.
    trust_same_user
        Let programs of the user that this server runs under in without a token when they call from this machine
        (:mod:`modelbox_server.http.loopback` has the conditions).
    needs_token
        Whether there is a gate at all; without it, everybody who reaches the server is let in.
    proxies
        Who else may say who calls.
    clock
        Seconds that never run backwards.
    """

    answers_options = False

    def __init__(
        self,
        token: str,
        *,
        user: str | None = None,
        trust_same_user: bool = False,
        needs_token: bool = True,
        proxies: ProxyIdentity | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trust_same_user = trust_same_user
        self._needs_token = needs_token
        self._digest = token_digest_of(token)
        self._user = os_user() if user is None else user
        self._clock = clock
        self._proxies = proxies
        self._directory: Directory | None = None
        self._failures: dict[str, deque[float]] = {}
        self.allow()

    def allow(
        self, *, hosts: Collection[str] = (), origins: Collection[str] = (), holders: Mapping[bytes, str] = MappingProxyType({})
    ) -> None:
        """Let these in from now on, and no others.

        Parameters
        ----------
        hosts
            Host names besides ``localhost`` and IP addresses that this server answers to. Anything else could be a web page's own name that
            was pointed at this machine (DNS rebinding).
        origins
            Web pages besides those of this server that may use it, once they know a token.
        holders
            Names of those who hold other tokens, by the SHA-256 of these.
        """
        self._hosts = {"localhost", *(name.lower() for name in hosts)}
        self._origins = {origin.lower() for origin in origins}
        self._holders = dict(holders)

    def ask(self, directory: Directory) -> None:
        """Ask this about people and the tokens that were made for them."""
        self._directory = directory

    def recognise(self, handler: web.RequestHandler) -> bool:
        """Recognise nothing yet: there is no surrounding server."""
        return False

    def ignores(self, parameter: str, values: list[bytes]) -> bool:
        """Ignore nothing."""
        return False

    async def admit(self, handler: web.RequestHandler, action: Action | None) -> Caller:
        """Check Host and Origin, then the token."""
        address = handler.request.remote_ip or ""
        self._check_host(handler.request.headers.get("Host", ""))
        if action is None:
            return Caller(name="", face="http", address=address)
        self._check_origin(handler)
        token = bearer_token(handler)
        is_trusted = not token and await self._is_same_user(handler)
        return await self.caller(token, handler.request.headers, face="http", address=address, is_trusted=is_trusted)

    async def caller(self, token: str, headers: Mapping[str, str], *, face: str, address: str, is_trusted: bool) -> Caller:
        """Return whoever sends `token`, or none of it (an empty text) where it `is_trusted`, a proxy vouches, or nobody needs one.

        Raises
        ------
        Unauthenticated, RateLimited
            The token opens nothing.
        """
        if not token and self._proxies is not None and self._directory is not None:
            person = self._proxies.person(headers, address)
            if person is not None:
                return await self._directory.person(person, face=face, address=address)
        if not token and (is_trusted or not self._needs_token):
            return Caller(self._user, face, address)
        digest = token_digest_of(token)
        if name := self.holds(digest):
            return Caller(name, face, address)
        if not token:
            raise Unauthenticated("This needs a token: send 'Authorization: Bearer TOKEN'.")
        if token.startswith(TOKEN_PREFIX) and self._directory is not None:
            try:
                return await self._directory.holder(digest.hex(), face=face, address=address)
            except Unauthenticated:
                self._count_failure(address)
                raise
        self._count_failure(address)
        raise Unauthenticated("The token is not valid: send the token of this server, or one that was made for you.")

    def holds(self, digest: bytes) -> str:
        """Return who holds the token of this server, or an additional one, with this digest; empty when nobody does."""
        known = ((self._digest, self._user), *self._holders.items())
        names = [name for one, name in known if hmac.compare_digest(digest, one)]
        return names[0] if names else ""

    async def _is_same_user(self, handler: web.RequestHandler) -> bool:
        if not self._trust_same_user or not comes_from_program(handler.request.headers):
            return False
        stream = cast("HTTP1Connection", handler.request.connection).stream
        connection = None if stream is None else stream.socket
        # The kernel's table of connections takes a millisecond or two to read.
        return connection is not None and await asyncio.to_thread(owner_of_peer, connection) == os.getuid()

    def _check_host(self, header: str) -> None:
        name = host_name(header)
        if name not in self._hosts and not is_ip_address(name):
            raise Misdirected(
                f"This server does not answer for the host {shortened(header)}: use its IP address or localhost, or allow the name.",
                field="Host",
            )

    def _check_origin(self, handler: web.RequestHandler) -> None:
        """Refuse web pages of other origins, even when they know the token."""
        origin = handler.request.headers.get("Origin")
        if origin is None or self.listed_origin(handler) is not None:
            return
        scheme, _, place = origin.lower().partition("://")
        # Behind a proxy that speaks TLS for us we see http; in front of nobody we know better.
        schemes = {"https"} if handler.request.protocol == "https" else {"http", "https"}
        if scheme not in schemes or place != handler.request.headers.get("Host", "").lower():
            raise PermissionDenied(
                f"Pages of the origin {shortened(origin)} may not use this server: add it to allowed_origins if they should.",
                field="Origin",
            )

    def listed_origin(self, handler: web.RequestHandler) -> str | None:
        """Return the Origin that a request tells, if it is in the list."""
        origin = handler.request.headers.get("Origin", "")
        return origin if origin.lower() in self._origins else None

    def _count_failure(self, address: str) -> None:
        address = _network(address)
        now_s = self._clock()
        if len(self._failures) >= _MAX_REMEMBERED_ADDRESSES:
            self._failures = {at: times for at, times in self._failures.items() if times[-1] > now_s - _WINDOW_S}
        times = self._failures.setdefault(address, deque(maxlen=_FAILURES_PER_MINUTE))
        if len(times) == _FAILURES_PER_MINUTE and times[0] > now_s - _WINDOW_S:
            raise RateLimited(
                f"There were {_FAILURES_PER_MINUTE} wrong tokens from your address within a minute: check the token, then try again later.",
                limit=f"{_FAILURES_PER_MINUTE} failures a minute",
                retry_after_s=times[0] + _WINDOW_S - now_s,
            )
        times.append(now_s)


def _network(address: str) -> str:
    """Return what one caller has: an address of IPv4, or all of the 2^64 of IPv6 that begin alike."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
