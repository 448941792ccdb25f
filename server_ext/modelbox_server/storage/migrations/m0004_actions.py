"""Step 4: the tables of actions, of each time that one is asked for, and of the agents that do them."""

import sqlalchemy as sa

from modelbox_server.storage.migrations.m0001_initial import _id, _index, _integer, _key, _label, _name, _text

__all__ = ["apply"]


def apply(connection: sa.Connection) -> None:
    """Make the tables and indexes that are not there yet; safe to repeat after an interruption anywhere."""
    for table in _TABLES.sorted_tables:
        table.create(connection, checkfirst=True)
        for index in table.indexes:
            index.create(connection, checkfirst=True)


_TABLES = sa.MetaData()

sa.Table(
    "actions",
    _TABLES,
    _key("id"),
    _id("object_id"),
    _name("namespace"),
    _name("name"),
    _label("arch"),
    _text("params"),
    _text("predicate"),
    _integer("seen_seq"),
    _integer("created_at"),
    _index("actions", "object_id", "created_at"),
)

sa.Table(
    "action_instances",
    _TABLES,
    _key("id"),
    _id("action_id"),
    _id("object_id"),
    _integer("attempt"),
    _id("status"),
    _id("outcome"),
    _text("reason"),
    _text("cause"),
    _integer("created_at"),
    _integer("updated_at"),
    sa.UniqueConstraint("action_id", "attempt", name="uq_action_instances_action_id_attempt"),
    _index("action_instances", "object_id"),
    _index("action_instances", "status", "created_at"),
)

sa.Table(
    "agents",
    _TABLES,
    _key("id"),
    _name("name"),
    _label("host_name"),
    _label("ip_addr"),
    _label("arch"),
    _integer("created_at"),
    _integer("seen_at"),
)
