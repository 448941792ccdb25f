"""Roles of users and groups on namespaces: granted, revoked and listed by the admins of a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbox.entities.ids import salted_id
from modelbox.entities.names import checked_name, checked_namespace
from modelbox.entities.records import ChangeKind, GrantRecord, ObjectRef, ObjectType, Role
from modelbox.errors import InvalidRequest, shortened
from modelbox.wire.access import AccessShown, GrantShown
from modelbox.wire.messages import Deleted, Page
from modelbox_server.service.changes import note
from modelbox_server.service.paging import page_of
from modelbox_server.service.people import EVERYONE
from modelbox_server.storage.interfaces import Condition, Order

if TYPE_CHECKING:
    from modelbox.wire.access import GrantRequest, GrantRevoke, GrantsQuery
    from modelbox_server.service.context import Caller, Clock
    from modelbox_server.service.people import PeopleService
    from modelbox_server.storage.interfaces import MetadataStore

__all__ = ["GrantsService"]

_ALL = "/"
"""How all namespaces together are written."""


class GrantsService:
    """Grant and revoke.

    Parameters
    ----------
    metadata
        Where grants are kept.
    people
        Has to look everybody up anew after a change; other servers do so within seconds.
    clock
        Tells when something was granted.
    """

    def __init__(self, metadata: MetadataStore, people: PeopleService, clock: Clock) -> None:
        self._metadata = metadata
        self._people = people
        self._clock = clock

    def me(self, caller: Caller) -> AccessShown:
        """Tell the caller who they are here and what they may do."""
        roles = {path or _ALL: role for path, role in caller.access.roles.items()}
        return AccessShown(user=caller.name, groups=list(caller.groups), token=caller.token, home=caller.home, roles=roles)

    def grant(self, caller: Caller, request: GrantRequest) -> GrantShown:
        """Give a role on a namespace to a user or a group, in place of the one that they were granted there.

        Raises
        ------
        NotFound, PermissionDenied
            The caller is no admin there.
        """
        namespace, principal = _checked_path(caller, request.namespace), _checked_principal(request.principal)
        caller.access.require(Role.ADMIN, namespace, "grant roles")
        at = self._clock()
        record = GrantRecord(
            id=_grant_id(namespace, principal),
            namespace=namespace,
            principal=principal,
            role=request.role,
            granted_by=caller.name,
            created_at=at,
        )
        with self._metadata.write() as tx:
            old = tx.get(GrantRecord, record.id)
            tx.put([record])
            before = None if old is None else old.role.value
            payload = {"old": {"role": before}, "new": {"principal": principal, "role": record.role.value}}
            kind = ChangeKind.CREATED if old is None else ChangeKind.UPDATED
            note(tx, caller, kind, _subject(record), at, object_type="grant", payload=payload)
        self._people.forget()
        return _shown(record)

    def revoke(self, caller: Caller, request: GrantRevoke) -> Deleted:
        """Take away the role that was granted to a user or a group on a namespace; roles above and below it stay."""
        namespace, principal = _checked_path(caller, request.namespace), _checked_principal(request.principal)
        caller.access.require(Role.ADMIN, namespace, "revoke roles")
        with self._metadata.write() as tx:
            record = tx.get(GrantRecord, _grant_id(namespace, principal))
            if record is None:
                return Deleted(deleted=0)
            tx.delete(GrantRecord, [Condition("id", "eq", record.id)])
            payload = {"old": {"principal": principal, "role": record.role.value}}
            note(tx, caller, ChangeKind.DESTROYED, _subject(record), self._clock(), object_type="grant", payload=payload)
        self._people.forget()
        return Deleted(deleted=1)

    def list(self, caller: Caller, query: GrantsQuery) -> Page[GrantShown]:
        """Return the grants on a namespace and below it, of those namespaces that the caller is admin of."""
        where: list[Condition] = []
        if query.namespace and query.namespace != _ALL:
            where.append(Condition("namespace", "under", caller.namespace(query.namespace)))
        admin_of = [path for path, role in caller.access.roles.items() if role is Role.ADMIN]
        if "" not in admin_of:
            where.append(Condition("namespace", "within", admin_of))
        with self._metadata.read() as tx:
            page = page_of(tx, GrantRecord, where, order=Order("namespace"), limit=query.limit, page_token=query.page_token)
        return Page(items=[_shown(record) for record in page.items], next_page_token=page.next_page_token, limit=page.limit)


def _checked_path(caller: Caller, namespace: str) -> str:
    """Return a namespace; all of them together have to be written out, as nobody means them by leaving something out."""
    if not namespace:
        raise InvalidRequest(f"The namespace is empty: name one, or {_ALL} for all of them.", field="namespace")
    return "" if namespace == _ALL else checked_namespace(caller.namespace(namespace))


def _checked_principal(principal: str) -> str:
    if principal == EVERYONE:
        return principal
    kind, colon, name = principal.partition(":")
    if not colon or kind not in {"user", "group"}:
        raise InvalidRequest(
            f"The principal {shortened(principal, 60)} is nobody: write user:NAME, group:NAME or {EVERYONE}.", field="principal"
        )
    return f"{kind}:{checked_name(name, kind, field='principal')}"


def _grant_id(namespace: str, principal: str) -> str:
    return salted_id("grant", namespace, principal)


def _subject(record: GrantRecord) -> ObjectRef:
    # Only the id and the namespace of a subject go into the event, beside the type that it is given.
    return ObjectRef(id=record.id, type=ObjectType.EXPERIMENT, namespace=record.namespace or _ALL)


def _shown(record: GrantRecord) -> GrantShown:
    return GrantShown(
        namespace=record.namespace or _ALL,
        principal=record.principal,
        role=record.role,
        granted_by=record.granted_by,
        created_at=record.created_at,
    )
