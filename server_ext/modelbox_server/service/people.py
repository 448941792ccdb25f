"""From a person or a token to a caller with access: what grants add up to, looked up at most every two seconds."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from modelbox.entities.names import checked_namespace
from modelbox.entities.records import GrantRecord, Role
from modelbox.errors import Unauthenticated
from modelbox_server.service.access import Access
from modelbox_server.service.context import Caller
from modelbox_server.storage.interfaces import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox_server.service.tokens import TokensService
    from modelbox_server.storage.interfaces import MetadataStore

__all__ = ["EVERYONE", "GROUPS_ROOT", "PUBLIC", "PeopleService", "Person", "group_namespace", "home_of"]

EVERYONE: Final = "everyone"
PUBLIC: Final = "public"
"""The namespace that everybody with a name may read."""

GROUPS_ROOT: Final = "group"
"""Below it each group has a namespace, in which its members write."""

_REMEMBERED_S: Final = 2.0
_MAX_REMEMBERED: Final = 10_000

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody is, as whoever knows them says: a Hub, or a proxy."""

    name: str
    groups: tuple[str, ...] = ()
    is_operator: bool = False
    """Whether nothing is denied to them."""


def home_of(name: str) -> str:
    """Return the private namespace of a user, which no other name leads into."""
    return checked_namespace(f"~{_part(name)}")


def group_namespace(group: str) -> str:
    """Return the namespace of a group."""
    return checked_namespace(f"{GROUPS_ROOT}/{_part(group)}")


def _part(name: str) -> str:
    """Return a name as one part of a path; no two names become the same."""
    return name.replace("%", "%25").replace("/", "%2F")


class PeopleService:
    """Know who may do what.

    Everybody is admin of their own namespace (``~name``), reads ``public``, and writes in ``group/NAME`` of their groups.
    All else is granted.

    Parameters
    ----------
    metadata
        Where grants are kept.
    tokens
        Knows whom a token stands for.
    monotonic_s
        Seconds that never run backwards.
    """

    def __init__(self, metadata: MetadataStore, tokens: TokensService, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._metadata = metadata
        self._tokens = tokens
        self._people: _Memory[Person, Access] = _Memory(monotonic_s)
        self._holders: _Memory[str, Caller | Unauthenticated] = _Memory(monotonic_s)

    def caller(self, person: Person, *, face: str, address: str = "") -> Caller:
        """Return a person as services know them."""
        if person.is_operator:
            return Caller(person.name, face, address, groups=person.groups)
        access = self._people.get(person, lambda: self._access_of(person))
        return Caller(person.name, face, address, access=access, home=home_of(person.name), groups=person.groups)

    def caller_by_token(self, digest: str, *, face: str, address: str = "") -> Caller:
        """Return whoever holds a token.

        Parameters
        ----------
        digest
            As :func:`~modelbox_server.service.tokens.token_digest` makes it.

        Raises
        ------
        Unauthenticated
            It opens nothing, or not any more.
        """
        found = self._holders.get(digest, lambda: self._holder(digest))
        if isinstance(found, Unauthenticated):
            raise Unauthenticated(found.detail)
        return replace(found, face=face, address=address)

    def forget(self) -> None:
        """Look everybody up anew from now on."""
        self._people.clear()
        self._holders.clear()

    def _holder(self, digest: str) -> Caller | Unauthenticated:
        try:
            token = self._tokens.recognise(digest)
        except Unauthenticated as error:
            return error
        person = Person(token.user, token.groups)
        limit = Access(dict.fromkeys(token.namespaces or ("",), Role(token.role) if token.role else Role.ADMIN))
        access = self._access_of(person).within(limit)
        return Caller(token.user, "", access=access, home=home_of(token.user), groups=token.groups, token=token.name)

    def _access_of(self, person: Person) -> Access:
        principals = [EVERYONE, f"user:{person.name}", *(f"group:{group}" for group in person.groups)]
        with self._metadata.read() as tx:
            granted = tx.select(GrantRecord, [Condition("principal", "in", principals)])
        own = [(home_of(person.name), Role.ADMIN), (PUBLIC, Role.READER)]
        teams = [(group_namespace(group), Role.WRITER) for group in person.groups]
        return Access.of([*own, *teams, *((grant.namespace, grant.role) for grant in granted)])


class _Memory(Generic[K, V]):
    """What was looked up a moment ago."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._known: dict[K, tuple[float, V]] = {}
        self._lock = threading.Lock()

    def get(self, key: K, look_up: Callable[[], V]) -> V:
        now_s = self._monotonic_s()
        with self._lock:
            known = self._known.get(key)
        if known is not None and now_s - known[0] < _REMEMBERED_S:
            return known[1]
        found = look_up()
        with self._lock:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[key] = (now_s, found)
        return found

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
