"""Bring a database from the schema it has to the schema of this program: numbered steps, each applied once, in order, never back.

A step and the record of it are one transaction where the engine allows that (SQLite, PostgreSQL). MySQL commits each change of the schema
by itself, so every step must be safe to repeat: it makes what is not there yet and drops nothing. A step that was interrupted stays
pending and runs again with the next start. When many processes start at once the write lock lets one of them through; the others then
find nothing left to do.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import sqlalchemy as sa

from modelbox.entities.times import from_us, now, to_us
from modelbox.errors import SchemaTooNew, StorageError

__all__ = ["APPLIED", "Applied", "Migration", "Migrations", "Status"]

Transaction: TypeAlias = Callable[[], AbstractContextManager[sa.Connection]]


def _applied_table(name: str) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("applied_at", sa.BigInteger, nullable=False),
    )


APPLIED = _applied_table("modelbox_migrations")
"""Which steps were applied, and when (microseconds since 1970-01-01 UTC)."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step.

    Parameters
    ----------
    number
        Its place, counted from 1 without gaps.
    name
        What it does, in snake case.
    apply
        Changes the schema; safe to repeat after an interruption anywhere inside it.
    """

    number: int
    name: str
    apply: Callable[[sa.Connection], None]


@dataclass(frozen=True, slots=True)
class Applied:
    """A step that was applied, as the database remembers it."""

    number: int
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """What was applied, and what is still to do."""

    applied: tuple[Applied, ...]
    pending: tuple[Migration, ...]


class Migrations:
    """The steps of one database.

    Parameters
    ----------
    steps
        All that this program knows, in order.
    read, write
        Open a transaction; those for writing must exclude each other across processes.
    table
        Name of the table that remembers what was applied, where it is another one than that of metadata.
    """

    def __init__(self, steps: Sequence[Migration], read: Transaction, write: Transaction, *, table: str = APPLIED.name) -> None:
        numbers = [step.number for step in steps]
        if numbers != list(range(1, len(steps) + 1)) or len({step.name for step in steps}) != len(steps):
            raise ValueError(f"Migrations must be numbered 1, 2, 3 … and have different names, not {numbers}.")
        self._steps = tuple(steps)
        self._read = read
        self._write = write
        self._table = _applied_table(table)

    def status(self) -> Status:
        """Return what was applied and what is pending; writes nothing, not even on an empty database.

        Raises
        ------
        SchemaTooNew
            The database knows a step that this program does not.
        StorageError
            A step has the number of one of ours, but is another one.
        """
        with self._read() as connection:
            return self._status(connection)

    def apply(self) -> list[Migration]:
        """Apply every pending step and return those that this call applied.

        Raises
        ------
        SchemaTooNew, StorageError
            As :meth:`status`; nothing was changed.
        """
        done: list[Migration] = []
        # Most starts find nothing to do and must not queue for the write lock.
        pending = self.status().pending
        while pending:
            with self._write() as connection:
                # Another process may have done it meanwhile.
                pending = self._status(connection).pending
                if pending:
                    step, *rest = pending
                    self._table.create(connection, checkfirst=True)
                    step.apply(connection)
                    connection.execute(sa.insert(self._table).values(number=step.number, name=step.name, applied_at=to_us(now())))
                    done.append(step)
                    pending = tuple(rest)
        return done

    def _status(self, connection: sa.Connection) -> Status:
        applied = self._applied(connection)
        for known, step in zip(applied, self._steps, strict=False):
            if (known.number, known.name) != (step.number, step.name):
                raise StorageError(
                    f"The database has migration {known.number} {known.name!r} where this program has {step.number} {step.name!r}: "
                    "it belongs to another program; name another database."
                )
        if len(applied) > len(self._steps):
            raise SchemaTooNew(
                f"The database was migrated to step {applied[-1].number} {applied[-1].name!r} by a newer ModelBox, this one knows "
                f"{len(self._steps)}: upgrade modelbox-jupyter, or name another database."
            )
        return Status(applied, self._steps[len(applied) :])

    def _applied(self, connection: sa.Connection) -> tuple[Applied, ...]:
        if not sa.inspect(connection).has_table(self._table.name):
            return ()
        rows = connection.execute(sa.select(self._table).order_by(self._table.c.number))
        return tuple(Applied(row.number, row.name, from_us(row.applied_at)) for row in rows)
