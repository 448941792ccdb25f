"""The tables of the metrics store on PostgreSQL, as numbered steps. Frozen history: a step that was released never changes.

They stand beside those of a metadata store where both use one database, so each has a name of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbox_server.storage.metrics.timescale import Policies, has_extension, make_hypertables
from modelbox_server.storage.migrations.runner import Migration

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["POSTGRES_STEPS"]

# Collation C compares by code point. Rows of objects and series are rewritten with every append: room in their pages lets PostgreSQL do so
# without touching an index. Texts may contain NUL, which the type text cannot, and so lie as bytes.
_INITIAL = (
    """
    CREATE TABLE IF NOT EXISTS metric_objects (
        object_id text COLLATE "C" PRIMARY KEY,
        series bigint NOT NULL,
        layout text NOT NULL,
        numbers bytea NOT NULL,
        texts text NOT NULL
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE IF NOT EXISTS metric_series (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        object_id text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        kind smallint NOT NULL,
        points bigint NOT NULL,
        first_step bigint NOT NULL,
        last_step bigint NOT NULL,
        last_clock_us bigint NOT NULL,
        last double precision,
        last_text bytea,
        numbers bigint NOT NULL,
        low double precision,
        high double precision,
        mean double precision,
        is_rising boolean NOT NULL,
        began_at timestamptz NOT NULL DEFAULT now(),
        grew_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (object_id, key, kind)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE IF NOT EXISTS metric_points (
        series_id bigint NOT NULL,
        number bigint NOT NULL,
        step bigint NOT NULL,
        clock_us bigint NOT NULL,
        value double precision NOT NULL,
        arrived_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX IF NOT EXISTS metric_points_series_id_number ON metric_points (series_id, number)",
    """
    CREATE TABLE IF NOT EXISTS metric_contents (
        series_id bigint NOT NULL,
        number bigint NOT NULL,
        step bigint NOT NULL,
        clock_us bigint NOT NULL,
        value bytea NOT NULL,
        arrived_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX IF NOT EXISTS metric_contents_series_id_number ON metric_contents (series_id, number)",
    """
    CREATE TABLE IF NOT EXISTS metric_batches (
        client text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        digest bytea NOT NULL,
        points bigint NOT NULL,
        PRIMARY KEY (client, number)
    )
    """,
    "CREATE TABLE IF NOT EXISTS metric_probe (id smallint PRIMARY KEY, at_us bigint NOT NULL)",
    # For people and dashboards: points with the names of their series. Clocks that no timestamp can say are NULL there.
    """
    CREATE OR REPLACE VIEW metric_values AS
    SELECT
        s.object_id,
        s.key,
        p.number,
        p.step,
        CASE WHEN p.clock_us BETWEEN -62135596800000000 AND 253402300799999999
            THEN timestamptz 'epoch' + p.clock_us * interval '1 microsecond' END AS wall_clock,
        p.value,
        p.arrived_at
    FROM metric_points AS p JOIN metric_series AS s ON s.id = p.series_id
    """,
)


def _initial(connection: sa.Connection) -> None:
    for statement in _INITIAL:
        connection.exec_driver_sql(statement)


def _hypertables(connection: sa.Connection) -> None:
    # Where the extension comes later, it is used from the next start on that may change the schema.
    if has_extension(connection, make=True):
        make_hypertables(connection, Policies())


POSTGRES_STEPS = (Migration(1, "initial", _initial), Migration(2, "hypertables", _hypertables))
