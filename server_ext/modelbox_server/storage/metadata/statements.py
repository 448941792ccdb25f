"""Questions to a metadata store as SQLAlchemy expressions; their values are bound parameters, so equal shapes compile once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from modelbox_server.storage.metadata.conditions import Clause, Page, above
from modelbox_server.storage.rows import Cell

__all__ = ["IsIn", "condition", "paged"]

Column: TypeAlias = sa.Column[Any]
Test: TypeAlias = sa.ColumnElement[bool]

IsIn: TypeAlias = Callable[[Column, tuple[Cell, ...]], Test]
"""Returns the condition that a column is one of many values, in the way of the engine."""


def condition(table: sa.Table, clause: Clause, is_in: IsIn) -> Test:
    """Return a clause as a condition of SQL."""
    column, value = table.c[clause.field], clause.value
    if isinstance(value, tuple):
        return _within(column, value) if clause.operator == "within" else is_in(column, value)
    match clause.operator:
        case "eq":
            return column.is_(None) if value is None else column == value
        case "ne" if value is None:
            return column.is_not(None)
        case "ne":
            # A plain <> would leave out the rows in which the field is not set.
            return sa.or_(column != value, column.is_(None)) if column.nullable else column != value
        case "lt":
            return column < value
        case "le":
            return column <= value
        case "gt":
            return column > value
        case "ge":
            return column >= value
        case "prefix":
            return _prefixed(column, str(value))
        case _:
            return _within(column, (value,))


def paged(statement: sa.Select[Any], table: sa.Table, page: Page) -> sa.Select[Any]:
    """Return the statement in the order of `page`, beginning where it says."""
    columns = [table.c[field] for field in page.fields]
    if page.after is not None:
        statement = statement.where(_behind(columns, page.after, descending=page.descending))
    ranked: list[sa.ColumnElement[Any]] = []
    for column in columns:
        # Engines disagree on where NULL sorts.
        ranked += [column.is_not(None), column] if column.nullable else [column]
    return statement.order_by(*(rank.desc() for rank in ranked) if page.descending else ranked)


def _within(column: Column, paths: Iterable[Cell]) -> Test:
    return sa.or_(sa.false(), *(test for path in paths for test in (column == path, _prefixed(column, f"{path}/"))))


def _prefixed(column: Column, prefix: str) -> Test:
    """Compare by range: LIKE folds case on some engines, has wildcards on all, and seldom uses an index."""
    bound = above(prefix)
    return column >= prefix if bound is None else sa.and_(column >= prefix, column < bound)


def _behind(columns: Sequence[Column], after: tuple[Cell, ...], *, descending: bool) -> Test:
    first, *rest = columns
    if first.nullable:
        return _behind_nullable(first, rest, after, descending=descending)
    # One comparison of whole rows is what an index can start from.
    here = sa.tuple_(*columns)
    there = sa.tuple_(*(sa.literal(value, column.type) for column, value in zip(columns, after, strict=True)))
    return here < there if descending else here > there


def _behind_nullable(first: Column, rest: list[Column], after: tuple[Cell, ...], *, descending: bool) -> Test:
    value, *tail = after
    tie = _behind(rest, tuple(tail), descending=descending)
    if value is None:
        among_unset = sa.and_(first.is_(None), tie)
        return among_unset if descending else sa.or_(first.is_not(None), among_unset)
    same = sa.and_(first == value, tie)
    return sa.or_(first < value, first.is_(None), same) if descending else sa.or_(first > value, same)
