"""Who may do what where: roles on subtrees of namespaces.

A role on a namespace holds for everything below it, and roles add up: whoever reads ``teams`` and writes ``teams/vision`` does both there.
:mod:`modelbox_server.service.guarded` makes every transaction obey it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from modelbox.entities.records import Role
from modelbox.errors import NotFound, PermissionDenied, shortened

__all__ = ["EVERYTHING", "NOTHING", "Access"]

_RANKS: Mapping[Role, int] = MappingProxyType({Role.READER: 1, Role.WRITER: 2, Role.ADMIN: 3})
_ROOT = ""


@dataclass(frozen=True)
class Access:
    """What somebody may do.

    Parameters
    ----------
    roles
        Namespace to role; the empty path stands for all namespaces.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)

    @cached_property
    def is_everything(self) -> bool:
        """Whether nothing is denied."""
        return self.roles.get(_ROOT) is Role.ADMIN

    @cached_property
    def readable(self) -> tuple[str, ...]:
        """The topmost namespaces that may be read."""
        return self._topmost(Role.READER)

    @cached_property
    def writable(self) -> tuple[str, ...]:
        """The topmost namespaces that may be written to."""
        return self._topmost(Role.WRITER)

    def has(self, role: Role, namespace: str) -> bool:
        """Tell whether the role, or a greater one, holds in a namespace."""
        return any(_RANKS[held] >= _RANKS[role] and _holds(path, namespace) for path, held in self.roles.items())

    def require(self, role: Role, namespace: str, deed: str) -> None:
        """Return if the role holds in a namespace.

        Parameters
        ----------
        deed
            What is about to be done, as the end of "You may not …".

        Raises
        ------
        NotFound
            It may not even be read: then nobody is told whether it is there.
        PermissionDenied
            The role does not suffice.
        """
        if self.has(role, namespace):
            return
        if not self.has(Role.READER, namespace):
            raise NotFound(f"There is no namespace {shortened(namespace, 60)} for you: check its name, or ask its admin for a role on it.")
        raise PermissionDenied(f"You may not {deed} in {shortened(namespace, 60)}: ask its admin for the role {role} there.")

    def within(self, limit: Access) -> Access:
        """Return what both allow: how a token with less than its owner's rights sees the world."""
        roles: dict[str, Role] = {}
        for path, role in self.roles.items():
            for other_path, other in limit.roles.items():
                if _holds(path, other_path) or _holds(other_path, path):
                    both = max(path, other_path, key=len)
                    lesser = min(role, other, key=_RANKS.__getitem__)
                    if both not in roles or _RANKS[lesser] > _RANKS[roles[both]]:
                        roles[both] = lesser
        return Access(roles)

    @classmethod
    def of(cls, grants: Iterable[tuple[str, Role]]) -> Access:
        """Return what grants add up to."""
        roles: dict[str, Role] = {}
        for path, role in grants:
            if path not in roles or _RANKS[role] > _RANKS[roles[path]]:
                roles[path] = role
        return cls(roles)

    def _topmost(self, role: Role) -> tuple[str, ...]:
        paths = sorted(path for path, held in self.roles.items() if _RANKS[held] >= _RANKS[role])
        return tuple(path for path in paths if not any(other != path and _holds(other, path) for other in paths))


def _holds(path: str, namespace: str) -> bool:
    """Tell whether what is granted on `path` holds in `namespace`."""
    return path in {_ROOT, namespace} or namespace.startswith(f"{path}/")


EVERYTHING = Access({_ROOT: Role.ADMIN})
"""What the operator of a server may do, and whoever calls in process."""

NOTHING = Access()
"""What a stranger may do."""
