"""The tables of :mod:`modelbox_server.storage.schema` as SQLAlchemy knows them, with the types that each engine needs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from modelbox.entities.records import Record
from modelbox_server.storage.schema import TABLES, Storage, Table

__all__ = ["DOCUMENTS", "METADATA", "SQL_TABLES", "CodePointText"]

_MYSQL_PREFIX_CHARS = 255


class CodePointText(TypeDecorator[str]):
    """Text that every engine compares by code point: case, accents and blanks at the end make a difference.

    Parameters
    ----------
    limit_chars
        Most code points it holds; ``None`` for any number.
    """

    impl = sa.String
    cache_ok = True

    def __init__(self, limit_chars: int | None = None) -> None:
        super().__init__(limit_chars)
        self.limit_chars = limit_chars

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of this engine."""
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


def _type(storage: Storage) -> TypeEngine[Any]:
    match storage:
        case Storage.ID:
            return CodePointText(64)
        case Storage.NAME:
            return CodePointText(512)
        case Storage.LABEL:
            return CodePointText(1024)
        case Storage.TEXT | Storage.JSON:
            return CodePointText()
        case Storage.INTEGER | Storage.TIME:
            return sa.BigInteger()
        case Storage.SERIAL:
            # SQLite counts only a column of type INTEGER.
            return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _sql_table(table: Table, metadata: sa.MetaData) -> sa.Table:
    serial = table.serial()
    columns = [
        sa.Column(
            column.field,
            _type(column.storage),
            primary_key=column.field in table.kind.KEY,
            nullable=column.nullable,
            autoincrement=column.field == serial,
        )
        for column in table.columns
    ]
    columns += [sa.Column(unique.digest, CodePointText(64), nullable=False) for unique in table.uniques if unique.digest]
    uniques = [
        sa.UniqueConstraint(*([unique.digest] if unique.digest else unique.fields), name=f"uq_{table.name}_{'_'.join(unique.fields)}")
        for unique in table.uniques
    ]
    long = {column.field for column in table.columns if column.storage is Storage.LABEL}
    indexes = [
        sa.Index(
            f"ix_{table.name}_{'_'.join(index.fields)}",
            *index.fields,
            mysql_length={field: _MYSQL_PREFIX_CHARS for field in index.fields if field in long},
            mariadb_length={field: _MYSQL_PREFIX_CHARS for field in index.fields if field in long},
        )
        for index in table.indexes
    ]
    return sa.Table(
        table.name,
        metadata,
        *columns,
        *uniques,
        *indexes,
        sqlite_autoincrement=serial is not None,
        sqlite_with_rowid=not table.clustered,
    )


METADATA = sa.MetaData()
"""All tables but the one of the migrations."""

SQL_TABLES: Mapping[type[Record], sa.Table] = MappingProxyType({kind: _sql_table(table, METADATA) for kind, table in TABLES.items()})
"""The table of each class of records."""

DOCUMENTS = sa.Table(
    "documents",
    METADATA,
    sa.Column("object_id", CodePointText(64), primary_key=True, nullable=False),
    sa.Column("document", CodePointText(), nullable=False),
)
"""What :mod:`modelbox_server.storage.metadata.documents` keeps."""
