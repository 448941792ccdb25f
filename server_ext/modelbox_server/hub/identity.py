"""Whose a token of the Hub is, remembered for a moment, and what its scopes let it do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from modelbox.entities.records import Role
from modelbox.errors import PermissionDenied, Unauthenticated
from modelbox_server.service.access import Access
from modelbox_server.service.people import Person

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelbox_server.http.auth import Directory
    from modelbox_server.hub.client import HubClient, HubConnection, HubUser
    from modelbox_server.service.context import Caller

__all__ = ["ADMIN_SCOPE", "READ_SCOPE", "WRITE_SCOPE", "HubPeople"]

READ_SCOPE: Final = "custom:modelbox:read"
WRITE_SCOPE: Final = "custom:modelbox:write"
ADMIN_SCOPE: Final = "custom:modelbox:admin"
"""The scopes of the Hub by which people and their tokens read, write and operate here; each includes those before it."""

_FRESH_S: Final = 2.0
"""For how long an answer of the Hub is taken without a thought."""

_REMEMBERED_S: Final = 4.0
"""For how long it is taken while the Hub is asked anew: a token that was revoked opens nothing after that."""

_MAX_REMEMBERED: Final = 10_000
_READING: Final = Access({"": Role.READER})


class HubPeople:
    """Knows whose a token is. Use it on one event loop only.

    Parameters
    ----------
    connection
        The Hub, and this service there.
    client
        Asks it.
    monotonic_s
        Seconds that never run backwards.
    """

    def __init__(self, connection: HubConnection, client: HubClient, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._memory = _Memory(client.user, monotonic_s)

    async def caller(self, token: str, digest: bytes, directory: Directory, *, face: str, address: str) -> Caller:
        """Return the holder of a token, with what they and the token may do.

        Raises
        ------
        Unauthenticated
            It is nobody's.
        PermissionDenied
            Whoever it is may not use this service.
        HubUnavailable
            The Hub does not answer.
        """
        user = await self._memory.get(digest, token)
        scopes = user.scopes
        name = self._connection.service_name
        if not scopes & {"access:services", f"access:services!service={name}"}:
            raise PermissionDenied(
                f"Your JupyterHub account, or this token of it, may not use ModelBox: ask for the scope access:services!service={name}."
            )
        may_write = bool(scopes & {WRITE_SCOPE, ADMIN_SCOPE})
        if not may_write and READ_SCOPE not in scopes:
            raise PermissionDenied(
                f"Your JupyterHub account, or this token of it, may not even read here: ask for the scope {READ_SCOPE} or {WRITE_SCOPE}."
            )
        is_operator = ADMIN_SCOPE in scopes or (self._connection.admins_are_operators and user.is_admin and may_write)
        person = Person(user.name, user.groups, is_operator)
        caller = await directory.person(person, face=face, address=address)
        return caller if may_write else replace(caller, access=caller.access.within(_READING))

    def forget(self, digest: bytes) -> None:
        """Ask about a token anew when it comes next."""
        self._memory.forget(digest)


class _Memory:
    """What the Hub said of tokens a moment ago; of each, it is asked by one request at a time."""

    def __init__(self, ask: Callable[[str], Awaitable[HubUser]], monotonic_s: Callable[[], float]) -> None:
        self._ask = ask
        self._monotonic_s = monotonic_s
        self._known: dict[bytes, tuple[float, HubUser | Unauthenticated]] = {}
        self._asking: dict[bytes, asyncio.Task[HubUser]] = {}

    async def get(self, digest: bytes, token: str) -> HubUser:
        asked_at_s, known = self._known.get(digest, (float("-inf"), None))
        age_s = self._monotonic_s() - asked_at_s
        if known is not None and age_s < _REMEMBERED_S:
            if age_s >= _FRESH_S:
                self._renew(digest, token)
            if isinstance(known, Unauthenticated):
                raise Unauthenticated(known.detail)
            return known
        # Shielded: a caller who leaves takes nothing from those who wait for the same answer.
        return await asyncio.shield(self._renew(digest, token))

    def forget(self, digest: bytes) -> None:
        self._known.pop(digest, None)

    def _renew(self, digest: bytes, token: str) -> asyncio.Task[HubUser]:
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = asyncio.create_task(self._look_up(digest, token))
            task.add_done_callback(lambda done: self._asked(digest, done))
        return task

    def _asked(self, digest: bytes, task: asyncio.Task[HubUser]) -> None:
        self._asking.pop(digest, None)
        if not task.cancelled():
            task.exception()  # whoever waits is told; nobody may

    async def _look_up(self, digest: bytes, token: str) -> HubUser:
        began_s = self._monotonic_s()
        try:
            found = await self._ask(token)
        except Unauthenticated as error:
            self._keep(digest, began_s, error)
            raise
        self._keep(digest, began_s, found)
        return found

    def _keep(self, digest: bytes, at_s: float, found: HubUser | Unauthenticated) -> None:
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = (at_s, found)
