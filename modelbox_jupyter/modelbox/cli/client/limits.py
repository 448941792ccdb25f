"""How much users and namespaces may have and do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from modelbox.cli.client.base import Session, with_session
from modelbox.cli.output import example, formats
from modelbox.cli.values import WholeNumber

if TYPE_CHECKING:
    from modelbox.cli.output import Printer

    _NumberType = click.ParamType[int]
else:
    _NumberType = click.ParamType  # which takes no parameters before click 8.4

__all__ = ["limit"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_AMOUNT = re.compile(r"(\d{1,15})([KMGT]?)B?", re.IGNORECASE)


class _Size(_NumberType):
    """A number of bytes, as in 500MB."""

    name = "bytes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = _AMOUNT.fullmatch(str(value))
        if match is None:
            self.fail(f"{str(value)!r} is no number of bytes: write 500000, 500MB, 10GB or 2TB.", param, ctx)
        return int(match[1]) * _UNITS[match[2].upper()]


@click.command(epilog=example("server limit user:alice --bytes 50GB --points 100000000"))
@click.argument("subject", required=False)
@click.option("--bytes", "size_bytes", type=_Size(), help="Bytes of artifacts, as in 50GB.")
@click.option("--points", type=WholeNumber(), help="Points of metrics.")
@click.option("--experiments", type=WholeNumber(), help="Experiments.")
@click.option("--requests-per-s", type=WholeNumber(), help="Calls in a second, at each server; for users.")
@click.option("--points-per-s", type=WholeNumber(), help="Points in a second, at each server; for users.")
@click.option("--clear", is_flag=True, help="Let the settings of the server hold again.")
@formats
@with_session
def limit(session: Session, /, printer: Printer, subject: str | None, *, clear: bool, **limits: int | None) -> None:
    """Limit what user:NAME or namespace:PATH may have and do; without limits, show those that hold, and what there is.

    Limits replace all that were set before. What is left out is as the settings say; 0 stands for no limit.
    """
    people = session.box.people
    if subject is not None and (clear or any(value is not None for value in limits.values())):
        shown = [people.limit(subject, **({} if clear else limits))]
    elif clear or any(value is not None for value in limits.values()):
        raise click.UsageError("Whose limits? Write user:NAME or namespace:PATH before them.")
    else:
        shown = people.limits(subject)
    amounts = (f"{name}{end}" for name in ("experiments", "points", "bytes") for end in ("", "_limit"))
    columns = ("subject", *amounts, "requests_per_s", "points_per_s")
    rows = [
        (
            *(one.subject, one.used_experiments, one.experiments or None, one.used_points, one.points or None),
            *(one.used_bytes, one.size_bytes or None, one.requests_per_s or None, one.points_per_s or None),
        )
        for one in shown
    ]
    printer.rows(columns, rows, empty="Nobody has limits here, or you may not see them.")
