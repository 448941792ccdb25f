"""Step 3: the metadata of each object as one document, which tables of thousands of runs read."""

import sqlalchemy as sa

from modelbox_server.storage.migrations.m0001_initial import _key, _Text

__all__ = ["apply"]


def apply(connection: sa.Connection) -> None:
    """Make the table if it is not there yet, and in SQLite the documents of what is stored."""
    _TABLES.create_all(connection, checkfirst=True)
    if connection.dialect.name == "sqlite":
        for change, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            # A program of before this step may have the file open still: what it changes must not leave an old document behind.
            connection.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS no_document_after_{change.lower()} AFTER {change} ON metadata "
                f"BEGIN DELETE FROM documents WHERE object_id = {row}.object_id; END"
            )
        connection.exec_driver_sql(_BACKFILL)


_TABLES = sa.MetaData()

sa.Table("documents", _TABLES, _key("object_id"), sa.Column("document", _Text(), nullable=False))

_LONG = ("environment.packages", "git.diff", "cell.source", "cell.error")

_BACKFILL = f"""
INSERT INTO documents
SELECT object_id, '{{' || group_concat(json_quote("key") || ':' || value) || '}}'
FROM metadata WHERE "key" NOT IN ({", ".join(f"'{key}'" for key in _LONG)})
AND object_id NOT IN (SELECT object_id FROM documents)
GROUP BY object_id HAVING sum(length(value)) <= 65536
"""
