"""Step 7: the tables of the servers that share a store, and of the work that one of them does at a time."""

import sqlalchemy as sa

from modelbox_server.storage.migrations.m0001_initial import _id, _integer, _key, _label

__all__ = ["apply"]


def apply(connection: sa.Connection) -> None:
    """Make the tables that are not there yet; safe to repeat after an interruption anywhere."""
    _TABLES.create_all(connection, checkfirst=True)


_TABLES = sa.MetaData()

sa.Table(
    "members",
    _TABLES,
    _key("id"),
    _label("host_name"),
    _label("rpc_addr"),
    _label("http_addr"),
    _id("mode"),
    _id("version"),
    _integer("started_at"),
    _integer("seen_at"),
)

sa.Table("leases", _TABLES, _key("name"), _label("holder"), _integer("number"))
