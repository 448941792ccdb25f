"""Step 6: the tables of roles and of tokens."""

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
    "grants",
    _TABLES,
    _key("id"),
    _name("namespace"),
    _name("principal"),
    _id("role"),
    _label("granted_by"),
    _integer("created_at"),
    _index("grants", "principal"),
    _index("grants", "namespace"),
)

sa.Table(
    "tokens",
    _TABLES,
    _key("id"),
    _id("digest"),
    _label("name"),
    _name("user"),
    _text("groups"),
    _id("role"),
    _text("namespaces"),
    _label("created_by"),
    _integer("created_at"),
    _integer("expires_at", nullable=True),
    _integer("revoked_at", nullable=True),
    _integer("last_used_at", nullable=True),
    sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    _index("tokens", "user"),
)
