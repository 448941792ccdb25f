"""Step 8: the table of limits of users and namespaces."""

import sqlalchemy as sa

from modelbox_server.storage.migrations.m0001_initial import _integer, _key, _label

__all__ = ["apply"]


def apply(connection: sa.Connection) -> None:
    """Make the table if it is not there yet; safe to repeat after an interruption anywhere."""
    _TABLES.create_all(connection, checkfirst=True)


_TABLES = sa.MetaData()

sa.Table(
    "limits",
    _TABLES,
    _key("id"),
    _label("subject"),
    _integer("size_bytes", nullable=True),
    _integer("points", nullable=True),
    _integer("experiments", nullable=True),
    _integer("requests_per_s", nullable=True),
    _integer("points_per_s", nullable=True),
    _label("set_by"),
    _integer("created_at"),
)
