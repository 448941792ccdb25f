"""Step 2: the table of calls that were carried out, so that they have no effect when they come again."""

import sqlalchemy as sa

from modelbox_server.storage.migrations.m0001_initial import _integer, _key

__all__ = ["apply"]


def apply(connection: sa.Connection) -> None:
    """Make the table if it is not there yet."""
    _TABLES.create_all(connection, checkfirst=True)


_TABLES = sa.MetaData()

sa.Table("operations", _TABLES, _key("key"), _integer("at"), sqlite_with_rowid=False)
