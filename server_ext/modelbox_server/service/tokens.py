"""Tokens for scripts and services: made once, kept as a digest, revoked at any time."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from modelbox.entities.checks import checked_moment
from modelbox.entities.ids import random_id
from modelbox.entities.names import checked_name, checked_namespace
from modelbox.entities.records import ChangeKind, ObjectRef, ObjectType, Role, TokenRecord
from modelbox.errors import InvalidRequest, NotFound, PermissionDenied, Unauthenticated
from modelbox.wire.access import TokenCreated, TokenShown
from modelbox.wire.messages import Deleted, Page
from modelbox_server.service.changes import note
from modelbox_server.service.paging import page_of
from modelbox_server.service.people import home_of
from modelbox_server.storage.interfaces import Condition, Order

if TYPE_CHECKING:
    from datetime import datetime

    from modelbox.wire.access import TokenCreate
    from modelbox.wire.messages import PageQuery
    from modelbox_server.service.context import Caller, Clock
    from modelbox_server.storage.interfaces import MetadataStore, MetadataTransaction

__all__ = ["TOKEN_PREFIX", "TokensService", "token_digest"]

TOKEN_PREFIX: Final = "mbx_"  # noqa: S105  (no secret: what every token begins with)
"""What every token begins with, so that programs which look for leaked secrets know them."""

_USED_EVERY = timedelta(minutes=1)


def token_digest(token: str) -> str:
    """Return what a token is found by: its SHA-256 in hex. It has 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


class TokensService:
    """Make, list and revoke tokens, and recognise them."""

    def __init__(self, metadata: MetadataStore, clock: Clock) -> None:
        self._metadata = metadata
        self._clock = clock

    def create(self, caller: Caller, request: TokenCreate) -> TokenCreated:
        """Make a token, and return it this once.

        It acts as the caller; one for another user takes somebody who may do everything.

        Raises
        ------
        PermissionDenied
            It is for another user, or the caller came with such a token: a token must not live on in others that it made.
        InvalidRequest
            It would have expired already.
        """
        user = checked_name(request.user, "user", field="user") if request.user else caller.name
        is_operator = caller.access.is_everything and not caller.token
        if caller.token or (user != caller.name and not is_operator):
            raise PermissionDenied("You may make tokens for yourself only, and not with a token: log in, or ask the operator.")
        at = self._clock()
        expires_at = None if request.expires_at is None else checked_moment(request.expires_at, field="expires_at")
        if expires_at is not None and expires_at <= at:
            raise InvalidRequest(f"expires_at is {expires_at.isoformat()}, which is over: choose a time to come.", field="expires_at")
        groups = tuple(checked_name(group, "group", field="groups") for group in request.groups) if is_operator else caller.groups
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        record = TokenRecord(
            id=random_id(),
            digest=token_digest(secret),
            name=checked_name(request.name, "token name", field="name"),
            user=user,
            groups=groups,
            role="" if request.role is None else request.role.value,
            namespaces=tuple(checked_namespace(path, field="namespaces") for path in request.namespaces),
            created_by=caller.name,
            created_at=at,
            expires_at=expires_at,
        )
        with self._metadata.write(record.id) as tx:
            tx.insert(record)
            _note(tx, caller, ChangeKind.CREATED, record, at)
        return TokenCreated(token=secret, item=_shown(record))

    def list(self, caller: Caller, query: PageQuery) -> Page[TokenShown]:
        """Return the caller's tokens, or everybody's to whoever may do everything; newest first, revoked ones included."""
        _require_whole(caller)
        where = [] if caller.access.is_everything else [Condition("user", "eq", caller.name)]
        with self._metadata.read() as tx:
            order = Order("created_at", descending=True)
            page = page_of(tx, TokenRecord, where, order=order, limit=query.limit, page_token=query.page_token)
        return Page(items=[_shown(record) for record in page.items], next_page_token=page.next_page_token, limit=page.limit)

    def revoke(self, caller: Caller, token_id: str) -> Deleted:
        """Let a token open nothing any more; it stays in the list.

        Raises
        ------
        NotFound
            The caller has no such token.
        PermissionDenied
            The caller came with a token that is limited.
        """
        _require_whole(caller)
        with self._metadata.write(token_id) as tx:
            record = tx.get(TokenRecord, token_id)
            if record is None or not (caller.access.is_everything or record.user == caller.name):
                raise NotFound("You have no such token: list yours to see their ids.")
            if record.revoked_at is not None:
                return Deleted(deleted=0)
            at = self._clock()
            tx.put([msgspec.structs.replace(record, revoked_at=at)])
            _note(tx, caller, ChangeKind.DESTROYED, record, at)
        return Deleted(deleted=1)

    def recognise(self, digest: str) -> TokenRecord:
        """Return the token with this digest, and note now and then that it was used.

        Raises
        ------
        Unauthenticated
            There is none, or it expired, or was revoked.
        """
        at = self._clock()
        with self._metadata.read() as tx:
            found = tx.select(TokenRecord, [Condition("digest", "eq", digest)], limit=1)
        if not found:
            raise Unauthenticated("This token opens nothing here: check it, or ask for one.")
        record = found[0]
        if record.revoked_at is not None:
            raise Unauthenticated(f"The token {record.name} was revoked: make another one.")
        if record.expires_at is not None and record.expires_at <= at:
            raise Unauthenticated(f"The token {record.name} expired at {record.expires_at.isoformat()}: make another one.")
        if record.last_used_at is None or at - record.last_used_at > _USED_EVERY:
            with self._metadata.write(record.id) as tx:
                # Read again: it may have been revoked a moment ago, which must not be undone.
                latest = tx.get(TokenRecord, record.id)
                if latest is not None:
                    tx.put([msgspec.structs.replace(latest, last_used_at=at)])
        return record


def _require_whole(caller: Caller) -> None:
    """Return unless the caller came with a token that may do less than its owner: such a one has no business with the owner's others."""
    if caller.home and not caller.access.has(Role.ADMIN, caller.home):
        raise PermissionDenied("This token may do less than its owner, and nothing about other tokens: use one without limits, or log in.")


def _note(tx: MetadataTransaction, caller: Caller, kind: ChangeKind, record: TokenRecord, at: datetime) -> None:
    """Write a change event about a token, in the home of whoever it acts as: they may know of it."""
    # Only the id and the namespace of a subject go into the event, beside the type that it is given.
    subject = ObjectRef(id=record.id, type=ObjectType.EXPERIMENT, namespace=home_of(record.user))
    about = {"name": record.name, "user": record.user, "role": record.role, "namespaces": list(record.namespaces)}
    note(tx, caller, kind, subject, at, object_type="token", payload={"new" if kind is ChangeKind.CREATED else "old": about})


def _shown(record: TokenRecord) -> TokenShown:
    return TokenShown(
        id=record.id,
        name=record.name,
        user=record.user,
        groups=list(record.groups),
        role=Role(record.role) if record.role else None,
        namespaces=list(record.namespaces),
        created_by=record.created_by,
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
        last_used_at=record.last_used_at,
    )
