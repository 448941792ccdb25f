"""Requests and responses about who may do what: roles on namespaces, and tokens."""

from datetime import datetime

from msgspec import Struct

from modelbox.entities.records import Role
from modelbox.wire.messages import Limit

__all__ = [
    "AccessShown",
    "GrantRequest",
    "GrantRevoke",
    "GrantShown",
    "GrantsQuery",
    "TokenCreate",
    "TokenCreated",
    "TokenShown",
]


class AccessShown(Struct, frozen=True, kw_only=True):
    """Who the caller is here, and what they may do.

    `home` is the namespace that ``default`` means to them, and `token` the name of the token that they came with, each empty where there
    is none. `roles` are by namespace; ``/`` stands for all.
    """

    user: str
    groups: list[str]
    token: str
    home: str
    roles: dict[str, Role]


class GrantRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role for ``user:NAME``, ``group:NAME`` or ``everyone`` on a namespace and all below it; ``/`` stands for all namespaces."""

    namespace: str
    principal: str
    role: Role


class GrantRevoke(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose role on which namespace to take away."""

    namespace: str
    principal: str


class GrantsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which grants to list: those on a namespace and below it, or all."""

    namespace: str = ""
    limit: Limit = 100
    page_token: str | None = None


class GrantShown(Struct, frozen=True, kw_only=True):
    """A role that somebody was granted."""

    namespace: str
    principal: str
    role: Role
    granted_by: str
    created_at: datetime


class TokenCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make. It acts as the caller, or as `user` with `groups` where the caller may say so.

    With `role` it may do no more than that, and with `namespaces` nothing anywhere else.
    """

    name: str
    user: str = ""
    groups: list[str] = []
    role: Role | None = None
    namespaces: list[str] = []
    expires_at: datetime | None = None


class TokenShown(Struct, frozen=True, kw_only=True):
    """What may be known of a token."""

    id: str
    name: str
    user: str
    groups: list[str]
    role: Role | None
    namespaces: list[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class TokenCreated(Struct, frozen=True, kw_only=True):
    """A new token; nobody can be told it again."""

    token: str
    item: TokenShown

    def __repr__(self) -> str:
        return f"TokenCreated(token='…', item={self.item!r})"
