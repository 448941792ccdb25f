"""What differs between SQL engines that keep metadata."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from modelbox.entities.records import MetadataEntry
from modelbox.errors import ModelBoxError
from modelbox_server.storage.metadata.statements import Column, Test
from modelbox_server.storage.metadata.tables import SQL_TABLES
from modelbox_server.storage.rows import Cell

__all__ = ["SqlDialect"]


class SqlDialect(ABC):
    """The ways of one engine."""

    name: str
    """Name of the backend in settings."""

    undoes_failed_statements = False
    """Whether a statement that violates a constraint undoes itself and leaves the transaction as it was."""

    one_writer = False
    """Whether the engine lets one transaction write at a time, for which threads of a process better queue among themselves."""

    upserts_by_any_key = False
    """Whether :meth:`upsert` would also replace the row that has the same values in another unique set."""

    def insert(self, table: sa.Table) -> sa.Insert:
        """Return the statement that adds a row, or none where that would violate a constraint.

        It may also fail then, on engines on which failed statements undo themselves.
        """
        return sa.insert(table)

    @abstractmethod
    def upsert(self, table: sa.Table) -> sa.Insert:
        """Return the statement that adds a row, or replaces the one with the same primary key."""

    def before_events(self) -> sa.Executable | None:
        """Return what lets the transactions that have change events end one after the other, in the order of their numbers.

        It holds until the end of the transaction; ``None`` where all that write run one after the other anyway.
        """
        return None

    @contextmanager
    def migrating(self, connection: sa.Connection) -> Iterator[None]:
        """Keep the migrations of other processes out while the block runs; for engines whose changes of the schema end transactions."""
        del connection
        yield

    @abstractmethod
    def document(self, key: Column, value: Column) -> sa.ColumnElement[str]:
        """Return the aggregate that makes one JSON object of many keys and values, which are JSON already."""

    @cached_property
    def documents(self) -> sa.Select[Any]:
        """The statement that gives each object with its metadata as one document."""
        table = SQL_TABLES[MetadataEntry]
        columns: list[sa.ColumnElement[Any]] = [table.c.object_id, self.document(table.c.key, table.c.value)]
        return sa.select(*columns).group_by(table.c.object_id)

    @abstractmethod
    def translated(self, error: DBAPIError) -> ModelBoxError:
        """Return an error of the driver as one of ours; told apart by its code, never by its text."""

    def is_in(self, column: Column, values: tuple[Cell, ...]) -> Test:
        """Return the condition that `column` is one of `values`, of which there may be very many."""
        return column.in_(values)
