"""What a statement may do: read the columns that the views show, and call functions that do nothing but compute.

SQLite asks the guard about each step of a statement while it compiles it, so that nothing of a refused one is carried out. It does not
matter through which view a column is read: a statement may call a part of itself like a view.
"""

import sqlite3
from collections.abc import Collection
from typing import TypeAlias

from modelbox.errors import shortened
from modelbox.wire.views import VIEWS
from modelbox_server.storage.views.definitions import FIRST_VALUE

__all__ = ["Guard", "Readable", "recorded_reads"]

Readable: TypeAlias = frozenset[tuple[str, str, str]]
"""Database, table and column of everything that may be read."""

_FUNCTIONS = frozenset(
    # aggregates and windows
    "avg count group_concat max min sum total cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank "
    "row_number "
    # values and text
    "abs ceil ceiling char coalesce concat concat_ws exp floor format glob hex ifnull iif instr length like ln log log10 log2 lower ltrim "
    "mod nullif octet_length pi pow power printf quote random replace round rtrim sign sqrt substr substring trim trunc typeof unicode "
    "upper degrees radians acos asin atan atan2 cos sin tan "
    # times
    "current_date current_time current_timestamp date datetime julianday strftime time timediff unixepoch "
    # JSON
    "-> ->> json json_array json_array_length json_extract json_group_array json_group_object json_object json_quote json_type json_valid "
    f"{FIRST_VALUE}".split()
)
_TABLE_FUNCTIONS = frozenset({"json_each", "json_tree"})
_NAMES = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "a transaction of its own",
    sqlite3.SQLITE_SAVEPOINT: "a savepoint",
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}


class Guard:
    """Answers SQLite's questions, and remembers what it refused first.

    Parameters
    ----------
    readable
        What the views read.
    """

    def __init__(self, readable: Readable) -> None:
        self._readable = readable
        self._known = {(database, table) for database, table, _ in readable}
        self.tables: set[tuple[str, str]] = set()
        """The tables that were to be read, with their databases."""
        self.refused = ""
        """What was refused, in words; empty when nothing was."""

    def __call__(self, action: int, first: str | None, second: str | None, database: str | None, _within: str | None) -> int:
        """Allow or refuse one step; the arguments are those of ``sqlite3_set_authorizer``."""
        match action:
            case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_RECURSIVE:
                return sqlite3.SQLITE_OK
            case sqlite3.SQLITE_FUNCTION if (second or "").lower() in _FUNCTIONS:
                return sqlite3.SQLITE_OK
            case sqlite3.SQLITE_FUNCTION:
                return self._refuse(f"the function {shortened(second, 40)}")
            case sqlite3.SQLITE_READ if self._may_read(first or "", second or "", database or ""):
                return sqlite3.SQLITE_OK
            case sqlite3.SQLITE_READ:
                return self._refuse(f"the table {shortened(first, 40)}")
            case _:
                # Whatever changes the schema does so by changing a table of SQLite's own.
                is_own = (first or "").startswith("sqlite_")
                return self._refuse("a change of the database" if is_own else _NAMES.get(action, "a change of the database"))

    def _may_read(self, table: str, column: str, database: str) -> bool:
        if database == "temp" and table in VIEWS:
            return True
        if database == "main" and table in _TABLE_FUNCTIONS:
            return True
        self.tables.add((database, table))
        # Counting rows reads a table, but no column of it.
        return (database, table, column) in self._readable or (not column and (database, table) in self._known)

    def _refuse(self, what: str) -> int:
        self.refused = self.refused or what
        return sqlite3.SQLITE_DENY


def recorded_reads(connection: sqlite3.Connection, statements: Collection[str]) -> Readable:
    """Return the columns of our tables that these statements read; they are compiled, not carried out."""
    reads: set[tuple[str, str, str]] = set()

    def record(action: int, table: str | None, column: str | None, database: str | None, _within: str | None) -> int:
        if action == sqlite3.SQLITE_READ and database not in {"temp", "main"}:
            reads.add((database or "", table or "", column or ""))
        return sqlite3.SQLITE_OK

    connection.set_authorizer(record)
    try:
        for statement in statements:
            connection.execute(f"EXPLAIN {statement}")
    finally:
        connection.set_authorizer(None)
    return frozenset(reads)
