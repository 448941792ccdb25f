"""Who may do what, and how much: roles on namespaces, tokens and limits, from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbox.entities.records import Role
from modelbox.errors import InvalidRequest, nearest, shortened
from modelbox.wire import access as a
from modelbox.wire import routes
from modelbox.wire.limits import LimitSet, LimitsQuery
from modelbox.wire.messages import MAX_PAGE, PageQuery

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from modelbox.client.session import Session
    from modelbox.wire.limits import LimitShown

__all__ = ["People"]


class People:
    """Roles and tokens of a store, as :attr:`~modelbox.client.connection.ModelBox.people` gives them.

    Parameters
    ----------
    session
        The connection that it belongs to.

    Examples
    --------
    >>> import modelbox.testing
    >>> with modelbox.testing.memory_connection() as box:
    ...     box.people.grant("team/vision", "group:interns", "reader")
    ...     [(grant.principal, grant.role.value) for grant in box.people.grants("team")]
    ...     box.people.revoke("team/vision", "group:interns")
    [('group:interns', 'reader')]
    True
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def me(self) -> a.AccessShown:
        """Return who you are to the store, and what you may do there."""
        return self._session.call(routes.ACCESS)

    def grants(self, namespace: str = "") -> list[a.GrantShown]:
        """Return the roles on a namespace and below it, or on all, of those that you are admin of."""
        found: list[a.GrantShown] = []
        token: str | None = None
        while True:
            query = a.GrantsQuery(namespace=namespace, limit=MAX_PAGE, page_token=token)
            page = self._session.call(routes.LIST_GRANTS, query=query)
            found += page.items
            token = page.next_page_token
            if token is None:
                return found

    def grant(self, namespace: str, principal: str, role: Role | str) -> None:
        """Give a role on a namespace, and all below it, in place of the one that they had there.

        Parameters
        ----------
        namespace
            The namespace; ``"/"`` for all of them.
        principal
            ``"user:NAME"``, ``"group:NAME"`` or ``"everyone"``.
        role
            ``"reader"``, ``"writer"`` or ``"admin"``; each may do what those before it may.

        Raises
        ------
        PermissionDenied, NotFound
            You are no admin there.
        """
        self._session.call(routes.GRANT, body=a.GrantRequest(namespace=namespace, principal=principal, role=_role(role)))

    def revoke(self, namespace: str, principal: str) -> bool:
        """Take the role away that somebody was granted on a namespace; return whether they had one."""
        return self._session.call(routes.REVOKE, query=a.GrantRevoke(namespace=namespace, principal=principal)).deleted > 0

    def tokens(self) -> list[a.TokenShown]:
        """Return your tokens, newest first; all tokens, where nothing is denied to you."""
        found: list[a.TokenShown] = []
        token: str | None = None
        while True:
            page = self._session.call(routes.LIST_TOKENS, query=PageQuery(limit=MAX_PAGE, page_token=token))
            found += page.items
            token = page.next_page_token
            if token is None:
                return found

    def new_token(
        self,
        name: str,
        *,
        user: str = "",
        groups: Sequence[str] = (),
        role: Role | str | None = None,
        namespaces: Sequence[str] = (),
        expires_at: datetime | None = None,
    ) -> a.TokenCreated:
        """Make a token for a script or a service; ``.token`` is the secret, which nobody can be told again.

        Parameters
        ----------
        name
            What it is for.
        user, groups
            Whom it acts as: yourself when left out. Only the operator of a server may name somebody else.
        role, namespaces
            What it may do at most, and where.
        expires_at
            When it ends by itself.
        """
        body = a.TokenCreate(
            name=name,
            user=user,
            groups=list(groups),
            role=None if role is None else _role(role),
            namespaces=list(namespaces),
            expires_at=expires_at,
        )
        return self._session.call(routes.CREATE_TOKEN, body=body)

    def revoke_token(self, token_id: str) -> bool:
        """Let a token open nothing any more, within seconds; return whether it did until now."""
        return self._session.call(routes.REVOKE_TOKEN, path={"token_id": token_id}).deleted > 0

    def limits(self, subject: str | None = None) -> list[LimitShown]:
        """Return limits and what there is: yours, and those of namespaces that you may read; all, where nothing is denied to you.

        Parameters
        ----------
        subject
            ``"user:NAME"`` or ``"namespace:PATH"``, to see that one alone.
        """
        found: list[LimitShown] = []
        token: str | None = None
        while True:
            query = LimitsQuery(subject=subject, limit=MAX_PAGE, page_token=token)
            page = self._session.call(routes.LIST_LIMITS, query=query)
            found += page.items
            token = page.next_page_token
            if token is None:
                return found

    def limit(
        self,
        subject: str,
        *,
        size_bytes: int | None = None,
        points: int | None = None,
        experiments: int | None = None,
        requests_per_s: int | None = None,
        points_per_s: int | None = None,
    ) -> LimitShown:
        """Limit what a user, or a namespace with all below it, may have and do, in place of what was set before.

        What is left out is as the settings of the server say, and 0 stands for no limit. For the operator of a server.

        Parameters
        ----------
        subject
            ``"user:NAME"`` or ``"namespace:PATH"``.
        size_bytes, points, experiments
            How much there may be: bytes of artifacts, points of metrics, experiments.
        requests_per_s, points_per_s
            How fast a user may go at each server.
        """
        body = LimitSet(
            subject=subject,
            size_bytes=size_bytes,
            points=points,
            experiments=experiments,
            requests_per_s=requests_per_s,
            points_per_s=points_per_s,
        )
        return self._session.call(routes.SET_LIMIT, body=body)


def _role(role: Role | str) -> Role:
    try:
        return Role(role)
    except ValueError:
        hint = nearest(str(role), list(Role)) or f"Use one of {', '.join(Role)}."
        raise InvalidRequest(f"There is no role {shortened(role, 40)}. {hint}", field="role") from None
