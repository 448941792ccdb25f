"""Step 5: the rows that writers lock in MySQL, which has no other locks that are shared and end with the transaction."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

__all__ = ["LOCKS", "OBJECT_LOCKS", "apply"]

OBJECT_LOCKS = 1022
"""How many rows stand for objects; several objects share one."""

LOCKS = sa.Table("modelbox_locks", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True, autoincrement=False))
"""Two rows for everybody, then those for objects."""


def apply(connection: sa.Connection) -> None:
    """Make the table and its rows where they are needed and not there yet."""
    if connection.dialect.name not in {"mysql", "mariadb"}:
        return
    LOCKS.create(connection, checkfirst=True)
    add = mysql.insert(LOCKS).prefix_with("IGNORE")
    connection.execute(add, [{"id": number} for number in range(2 + OBJECT_LOCKS)])
