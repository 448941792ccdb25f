"""Step 1: the tables of the first release.

Frozen history: what databases out there look like after this step never changes, so nothing here comes from today's
:mod:`modelbox_server.storage.schema`. Later wishes are later steps.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["apply"]


def apply(connection: sa.Connection) -> None:
    """Make the tables and indexes that are not there yet; safe to repeat after an interruption anywhere."""
    for table in _TABLES.sorted_tables:
        table.create(connection, checkfirst=True)
        for index in table.indexes:
            # Made with its table, unless MySQL was interrupted between the two.
            index.create(connection, checkfirst=True)


class _Text(TypeDecorator[str]):
    """Text compared by code point, without padding."""

    impl = sa.String
    cache_ok = True

    def __init__(self, limit_chars: int | None = None) -> None:
        super().__init__(limit_chars)
        self.limit_chars = limit_chars

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        limit = self.limit_chars
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.Text(collation="C") if limit is None else sa.String(limit, collation="C"))
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(
                mysql.LONGTEXT(charset="utf8mb4", collation=_collation(dialect))
                if limit is None
                else mysql.VARCHAR(limit, charset="utf8mb4", collation=_collation(dialect))
            )
        return dialect.type_descriptor(sa.Text() if limit is None else sa.String(limit))


def _collation(dialect: Dialect) -> str:
    """Return the collation by code point that does not ignore blanks at the end, as others called ``*_bin`` do: each product has one."""
    is_mysql_8 = not getattr(dialect, "is_mariadb", False) and (getattr(dialect, "server_version_info", None) or (8,)) >= (8,)
    return "utf8mb4_0900_bin" if is_mysql_8 else "utf8mb4_nopad_bin"


def _key(name: str, limit_chars: int = 64) -> sa.Column[str]:
    return sa.Column(name, _Text(limit_chars), primary_key=True, nullable=False)


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _Text(64), nullable=nullable)


def _name(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _Text(512), nullable=nullable)


def _label(name: str) -> sa.Column[str]:
    return sa.Column(name, _Text(1024), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, _Text(), nullable=False)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _index(table: str, *fields: str) -> sa.Index:
    return sa.Index(f"ix_{table}_{'_'.join(fields)}", *fields)


_TABLES = sa.MetaData()

sa.Table("namespaces", _TABLES, _key("name", 512), _integer("created_at"))

sa.Table(
    "objects",
    _TABLES,
    _key("id"),
    _id("type"),
    _name("namespace"),
    _id("parent_id", nullable=True),
    _index("objects", "parent_id"),
    _index("objects", "namespace"),
)

sa.Table(
    "experiments",
    _TABLES,
    _key("id"),
    _name("name"),
    _name("namespace"),
    _label("owner"),
    _id("status"),
    _label("framework"),
    _label("external_id"),
    _name("group"),
    _id("parent_id", nullable=True),
    _integer("created_at"),
    _integer("updated_at"),
    _integer("started_at"),
    _integer("finished_at", nullable=True),
    _index("experiments", "created_at", "id"),
    _index("experiments", "namespace", "created_at"),
    _index("experiments", "name", "created_at"),
    _index("experiments", "group", "created_at"),
    _index("experiments", "parent_id"),
)

sa.Table(
    "checkpoints",
    _TABLES,
    _key("id"),
    _id("experiment_id"),
    _integer("epoch"),
    _text("metrics"),
    _integer("created_at"),
    _integer("updated_at"),
    sa.UniqueConstraint("experiment_id", "epoch", name="uq_checkpoints_experiment_id_epoch"),
)

sa.Table(
    "models",
    _TABLES,
    _key("id"),
    _name("name"),
    _name("namespace"),
    _label("owner"),
    _label("task"),
    _text("description"),
    _integer("created_at"),
    _integer("updated_at"),
    _id("identity"),
    sa.UniqueConstraint("identity", name="uq_models_name_namespace"),
    _index("models", "created_at", "id"),
    _index("models", "namespace", "created_at"),
    _index("models", "name"),
)

sa.Table(
    "model_versions",
    _TABLES,
    _key("id"),
    _id("model_id"),
    _name("namespace"),
    _name("version"),
    _name("name"),
    _text("description"),
    _label("framework"),
    _text("tags"),
    _id("experiment_id", nullable=True),
    _integer("created_at"),
    _integer("updated_at"),
    _id("identity"),
    sa.UniqueConstraint("identity", name="uq_model_versions_model_id_version_name"),
    _index("model_versions", "model_id", "created_at"),
    _index("model_versions", "experiment_id"),
)

sa.Table(
    "artifacts",
    _TABLES,
    _key("id"),
    _id("parent_id"),
    _name("namespace"),
    _label("name"),
    _id("file_type"),
    _id("storage"),
    _label("media_type"),
    _integer("size_bytes", nullable=True),
    _id("md5"),
    _id("sha256"),
    _text("uri"),
    _name("content", nullable=True),
    _integer("created_at"),
    _integer("updated_at"),
    sa.Index("ix_artifacts_parent_id_name", "parent_id", "name", mysql_length={"name": 255}, mariadb_length={"name": 255}),
    _index("artifacts", "content"),
)

sa.Table(
    "metadata",
    _TABLES,
    _key("object_id"),
    _key("key", 512),
    _text("value"),
    _integer("updated_at"),
    sqlite_with_rowid=False,
)

sa.Table(
    "events",
    _TABLES,
    _key("id"),
    _id("parent_id"),
    _label("name"),
    _label("source"),
    _integer("wall_time"),
    _text("metadata"),
    _integer("created_at"),
    _index("events", "parent_id", "wall_time"),
)

sa.Table(
    "changes",
    _TABLES,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, nullable=False, autoincrement=True),
    _id("kind"),
    _id("object_type"),
    _name("object_id"),
    _name("parent_id", nullable=True),
    _name("namespace"),
    _label("actor"),
    _label("face"),
    _label("address"),
    _integer("at"),
    _text("payload"),
    _index("changes", "object_id", "seq"),
    _index("changes", "namespace", "seq"),
    sqlite_autoincrement=True,
)
