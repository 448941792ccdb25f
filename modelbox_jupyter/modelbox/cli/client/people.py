"""Who may do what: roles, tokens, and the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from modelbox.cli.client.base import Session, with_session
from modelbox.cli.output import example, formats
from modelbox.cli.values import ExperimentName, Namespace, WholeNumber
from modelbox.entities.ids import is_id
from modelbox.errors import NotFound, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox.cli.output import Printer
    from modelbox.entities.records import ChangeEvent, Json

__all__ = ["audit", "create_token", "grant", "list_tokens", "revoke", "revoke_token", "who", "whoami"]

_ROLE = click.Choice(["reader", "writer", "admin"])
_AUDIT = ("at", "actor", "token", "face", "address", "kind", "object_type", "object_id", "namespace", "seq")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Ago(click.ParamType[datetime]):
    """A time: as ISO 8601, or so long ago."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        text = str(value)
        if text[:-1].isdigit() and text[-1:] in _UNITS:
            return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no time: write 2026-11-25, 2026-11-25T08:00, or 30m, 12h, 7d, 2w for so long ago.", param, ctx)
        return at if at.tzinfo else at.astimezone()


@click.command(epilog=example("server grant team/vision group:interns reader"))
@click.argument("namespace", type=Namespace())
@click.argument("principal")
@click.argument("role", type=_ROLE)
@with_session
def grant(session: Session, namespace: str, principal: str, role: str) -> None:
    """Give user:NAME, group:NAME or everyone a role on a namespace and all below it.

    The namespace / stands for all of them.
    """
    session.box.people.grant(namespace, principal, role)
    click.echo(f"{principal} is {role} of {namespace}.")


@click.command(epilog=example("server revoke team/vision group:interns"))
@click.argument("namespace", type=Namespace())
@click.argument("principal")
@with_session
def revoke(session: Session, namespace: str, principal: str) -> None:
    """Take a role on a namespace away."""
    had = session.box.people.revoke(namespace, principal)
    click.echo(f"{principal} has no role of its own on {namespace} any more." if had else f"{principal} had no role on {namespace}.")


@click.command(epilog=example("server who team"))
@click.argument("namespace", type=Namespace(), required=False)
@formats
@with_session
def who(session: Session, printer: Printer, namespace: str | None) -> None:
    """List who was granted which role, on a namespace and below it or on all."""
    columns = ("namespace", "principal", "role", "granted_by", "created_at")
    rows = [
        (found.namespace, found.principal, found.role.value, found.granted_by, found.created_at)
        for found in session.box.people.grants(namespace or "")
    ]
    printer.rows(columns, rows, empty="Nothing was granted to anybody there.")


@click.command(epilog=example("client whoami"))
@formats
@with_session
def whoami(session: Session, printer: Printer) -> None:
    """Say who you are to the store, and which roles you have."""
    me = session.box.people.me()
    rows = [(me.user, ", ".join(me.groups), me.home, path, role.value) for path, role in sorted(me.roles.items())]
    printer.rows(("user", "groups", "home", "namespace", "role"), rows, empty=f"You are {me.user}, and may do nothing here.")


@click.command("create", epilog=example("client tokens create nightly --role reader --namespace team/vision --days 90"))
@click.argument("name")
@click.option("--role", type=_ROLE, help="The most that it may do; all that you may when left out.")
@click.option("--namespace", "namespaces", type=Namespace(), multiple=True, help="Where it opens something at all; may be repeated.")
@click.option("--days", type=WholeNumber(1, 3650), help="Days until it ends by itself.")
@click.option("--user", default="", help="Whom it acts as, if not you; for the operator of a server.")
@click.option("--group", "groups", multiple=True, help="A group of that user; may be repeated.")
@with_session
def create_token(
    session: Session, name: str, role: str | None, namespaces: Sequence[str], days: int | None, user: str, groups: Sequence[str]
) -> None:
    """Make a token for a script or a service, and print it: this once."""
    until = None if days is None else datetime.now(UTC) + timedelta(days=days)
    made = session.box.people.new_token(name, user=user, groups=groups, role=role, namespaces=namespaces, expires_at=until)
    click.echo(made.token)
    click.echo(f"Keep it: it is not shown again. Its id is {made.item.id}.", err=True)


@click.command("list", epilog=example("client tokens list"))
@formats
@with_session
def list_tokens(session: Session, printer: Printer) -> None:
    """List your tokens, newest first, those that ended included."""
    columns = ("id", "name", "user", "role", "namespaces", "created_at", "expires_at", "revoked_at", "last_used_at")
    rows = [
        (*(getattr(token, name) for name in columns[:3]), token.role and token.role.value, ", ".join(token.namespaces), *(
            getattr(token, name) for name in columns[5:]
        ))
        for token in session.box.people.tokens()
    ]  # fmt: skip
    printer.rows(columns, rows, empty="There are no tokens.")


@click.command("revoke", epilog=example("client tokens revoke nightly"))
@click.argument("token")
@with_session
def revoke_token(session: Session, token: str) -> None:
    """Let a token open nothing any more: the one with this id, or all of yours with this name that still do."""
    people = session.box.people
    named = [] if is_id(token) else [found.id for found in people.tokens() if found.name == token and found.revoked_at is None]
    if not is_id(token) and not named:
        raise NotFound(f"You have no token {shortened(token, 60)} that opens anything: 'modelbox client tokens list' lists them.")
    count = sum(people.revoke_token(token_id) for token_id in named or [token])
    click.echo("The token opens nothing any more." if count == 1 else f"{count} tokens open nothing any more.")


@click.command(epilog=example("client audit --namespace team/vision --since 7d"))
@click.option("--namespace", type=Namespace(), help="Only what happened in this namespace or below it.")
@click.option("--object", "object_id", type=ExperimentName(), help="Only what happened to this object, and to what hangs on it.")
@click.option("--actor", help="Only what this user did.")
@click.option(
    "--since", type=_Ago(), metavar="WHEN", help="Only what happened from then on: 2026-11-25, or 30m, 12h, 7d, 2w for so long ago."
)
@formats
@with_session
def audit(
    session: Session, printer: Printer, namespace: str | None, object_id: str | None, actor: str | None, since: datetime | None
) -> None:
    """List who did what, when, from where and through which door, in order.

    With --json or --csv also what exactly was changed.
    """
    found = session.box.changes(namespace=namespace, object_id=object_id and session.object(object_id).id)
    kept = [event for event in found if (since is None or event.at >= since) and actor in {None, event.actor}]
    columns = _AUDIT if printer.format == "table" else (*_AUDIT, "payload")
    rows = [tuple(_cell(event, name) for name in columns) for event in kept]
    printer.rows(columns, rows, empty="Nothing of that kind happened.")


def _cell(event: ChangeEvent, name: str) -> Json:
    value: Json = event.payload.get("token", "") if name == "token" else getattr(event, name)
    return str(value) if name == "kind" else value
