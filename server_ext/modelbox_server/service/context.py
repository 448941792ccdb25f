"""Who asks, through which door, and what time it is: what a service call needs beside its request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from msgspec import structs

from modelbox.entities.names import DEFAULT_NAMESPACE, checked_namespace
from modelbox.wire.messages import ExperimentsQuery
from modelbox_server.service.access import EVERYTHING, Access

__all__ = ["Caller", "Clock"]

Clock: TypeAlias = Callable[[], datetime]
"""Tells the time as an aware UTC datetime. It may jump."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or program behind a call.

    Parameters
    ----------
    name
        Login name as the face knows it; it becomes the `actor` of change events and the default owner of what is created.
    face
        Door they came through: ``embedded``, ``http``, ``jupyter`` or ``grpc``.
    address
        Network address they came from; empty in process.
    operation
        Key that they gave to this call; the same key again has no effect. Empty for calls that may be made as often as one likes.
    access
        What they may do where.
    home
        The namespace that ``default`` means to them; empty where it means itself.
    token
        Name of the token that they came with, when it is one that can be revoked.
    groups
        Groups that they belong to.
    """

    name: str
    face: str
    address: str = ""
    operation: str = ""
    access: Access = EVERYTHING
    home: str = ""
    token: str = ""
    groups: tuple[str, ...] = ()

    def meant(self, query: ExperimentsQuery) -> ExperimentsQuery:
        """Return a query with the namespace that they mean in it."""
        return structs.replace(query, namespace=self.namespace(query.namespace)) if self.home and query.namespace else query

    def namespace(self, path: str) -> str:
        """Return the namespace that they mean by `path`.

        Raises
        ------
        InvalidName
            It is none.
        """
        checked = checked_namespace(path)
        return self.home if self.home and checked == DEFAULT_NAMESPACE else checked
