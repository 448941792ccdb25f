"""How each kind of record lies in a table: the one declaration behind the SQL stores, the memory store and the check of the migrations.

A row holds nothing but integers, text and ``None``, the same on every engine: times are microseconds since 1970-01-01 UTC, JSON is text, an
enumeration is the text of its member. Text is compared by code point everywhere.

A change here needs a new step in :mod:`modelbox_server.storage.migrations`; a test fails while the two differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from modelbox.entities.records import (
    ActionInstanceRecord,
    ActionRecord,
    AgentRecord,
    ArtifactRecord,
    ChangeEvent,
    CheckpointRecord,
    DoneOperation,
    EventRecord,
    ExperimentRecord,
    GrantRecord,
    LeaseRecord,
    LimitRecord,
    MemberRecord,
    MetadataEntry,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    ObjectRef,
    Record,
    TokenRecord,
)
from modelbox.errors import InvalidQuery

__all__ = ["TABLES", "Column", "Index", "Storage", "Table", "Unique"]


class Storage(Enum):
    """What a column holds, and with it the type that each engine gives it."""

    ID = auto()
    """40 hex digits, or another short ASCII word."""
    NAME = auto()
    """At most 512 code points (2,048 bytes): short enough for a key of every engine (PostgreSQL 2,704 bytes, MySQL 3,072)."""
    LABEL = auto()
    """At most 1,024 code points; MySQL indexes the beginning of it only."""
    TEXT = auto()
    """Any length; never indexed."""
    INTEGER = auto()
    """64 bits."""
    TIME = auto()
    """Microseconds since 1970-01-01 UTC in 64 bits."""
    JSON = auto()
    """JSON as text; compared by nothing."""
    SERIAL = auto()
    """64 bits that the store itself counts upwards, never giving a number twice."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a record; the column has the same name."""

    field: str
    storage: Storage
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Unique:
    """Fields whose values no two records may share.

    Several long texts exceed what an index takes; `digest` then names one more column, which holds a SHA-256 over their values and carries
    the constraint in their place.
    """

    fields: tuple[str, ...]
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """Fields that are searched or sorted together; at most one of them is long text."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Where the records of one class lie.

    Parameters
    ----------
    name
        Name of the table in a database.
    kind
        Class of the records; its `KEY` is the primary key.
    columns
        One per field.
    uniques, indexes
        Beyond the primary key.
    clustered
        Keep the rows in the order of their key where the engine leaves the choice: for many small rows that are read by ranges of it.
    """

    name: str
    kind: type[Record]
    columns: tuple[Column, ...]
    uniques: tuple[Unique, ...] = ()
    indexes: tuple[Index, ...] = ()
    clustered: bool = False

    def column(self, field: str) -> Column:
        """Return the column of a field.

        Raises
        ------
        InvalidQuery
            The record has no such field.
        """
        for column in self.columns:
            if column.field == field:
                return column
        known = ", ".join(column.field for column in self.columns)
        raise InvalidQuery(f"{self.kind.__name__} has no field {field!r}: it has {known}.", field=field)

    def serial(self) -> str | None:
        """Return the field that the store counts, if there is one."""
        return next((column.field for column in self.columns if column.storage is Storage.SERIAL), None)


def _id(field: str, *, nullable: bool = False) -> Column:
    return Column(field, Storage.ID, nullable)


def _name(field: str) -> Column:
    return Column(field, Storage.NAME)


def _label(field: str) -> Column:
    return Column(field, Storage.LABEL)


def _text(field: str) -> Column:
    return Column(field, Storage.TEXT)


def _time(field: str, *, nullable: bool = False) -> Column:
    return Column(field, Storage.TIME, nullable)


def _json(field: str) -> Column:
    return Column(field, Storage.JSON)


def _integer(field: str, *, nullable: bool = False) -> Column:
    return Column(field, Storage.INTEGER, nullable)


_TABLES = (
    Table("namespaces", NamespaceRecord, (_name("name"), _time("created_at"))),
    Table(
        "objects",
        ObjectRef,
        (_id("id"), _id("type"), _name("namespace"), _id("parent_id", nullable=True)),
        indexes=(Index(("parent_id",)), Index(("namespace",))),
    ),
    Table(
        "experiments",
        ExperimentRecord,
        (
            _id("id"),
            _name("name"),
            _name("namespace"),
            _label("owner"),
            _id("status"),
            _label("framework"),
            _label("external_id"),
            _name("group"),
            _id("parent_id", nullable=True),
            _time("created_at"),
            _time("updated_at"),
            _time("started_at"),
            _time("finished_at", nullable=True),
        ),
        # A name is no identity here: every start("name") is another experiment.
        indexes=(
            Index(("created_at", "id")),
            Index(("namespace", "created_at")),
            Index(("name", "created_at")),
            Index(("group", "created_at")),
            Index(("parent_id",)),
        ),
    ),
    Table(
        "checkpoints",
        CheckpointRecord,
        (_id("id"), _id("experiment_id"), _integer("epoch"), _json("metrics"), _time("created_at"), _time("updated_at")),
        uniques=(Unique(("experiment_id", "epoch")),),
    ),
    Table(
        "models",
        ModelRecord,
        (
            _id("id"),
            _name("name"),
            _name("namespace"),
            _label("owner"),
            _label("task"),
            _text("description"),
            _time("created_at"),
            _time("updated_at"),
        ),
        uniques=(Unique(("name", "namespace"), digest="identity"),),
        indexes=(Index(("created_at", "id")), Index(("namespace", "created_at")), Index(("name",))),
    ),
    Table(
        "model_versions",
        ModelVersionRecord,
        (
            _id("id"),
            _id("model_id"),
            _name("namespace"),
            _name("version"),
            _name("name"),
            _text("description"),
            _label("framework"),
            _json("tags"),
            _id("experiment_id", nullable=True),
            _time("created_at"),
            _time("updated_at"),
        ),
        uniques=(Unique(("model_id", "version", "name"), digest="identity"),),
        indexes=(Index(("model_id", "created_at")), Index(("experiment_id",))),
    ),
    Table(
        "artifacts",
        ArtifactRecord,
        (
            _id("id"),
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
            Column("content", Storage.NAME, nullable=True),
            _time("created_at"),
            _time("updated_at"),
        ),
        indexes=(Index(("parent_id", "name")), Index(("content",))),
    ),
    Table(
        "metadata",
        MetadataEntry,
        (_id("object_id"), _name("key"), _json("value"), _time("updated_at")),
        clustered=True,
    ),
    Table(
        "events",
        EventRecord,
        (_id("id"), _id("parent_id"), _label("name"), _label("source"), _time("wall_time"), _json("metadata"), _time("created_at")),
        indexes=(Index(("parent_id", "wall_time")),),
    ),
    Table(
        "changes",
        ChangeEvent,
        (
            Column("seq", Storage.SERIAL),
            _id("kind"),
            _id("object_type"),
            _name("object_id"),  # the name of a namespace is its id
            Column("parent_id", Storage.NAME, nullable=True),
            _name("namespace"),
            _label("actor"),
            _label("face"),
            _label("address"),
            _time("at"),
            _json("payload"),
        ),
        indexes=(Index(("object_id", "seq")), Index(("namespace", "seq"))),
    ),
    Table(
        "grants",
        GrantRecord,
        (_id("id"), _name("namespace"), _name("principal"), _id("role"), _label("granted_by"), _time("created_at")),
        indexes=(Index(("principal",)), Index(("namespace",))),
    ),
    Table(
        "limits",
        LimitRecord,
        (
            _id("id"),
            _label("subject"),
            _integer("size_bytes", nullable=True),
            _integer("points", nullable=True),
            _integer("experiments", nullable=True),
            _integer("requests_per_s", nullable=True),
            _integer("points_per_s", nullable=True),
            _label("set_by"),
            _time("created_at"),
        ),
    ),
    Table(
        "tokens",
        TokenRecord,
        (
            _id("id"),
            _id("digest"),
            _label("name"),
            _name("user"),
            _json("groups"),
            _id("role"),
            _json("namespaces"),
            _label("created_by"),
            _time("created_at"),
            _time("expires_at", nullable=True),
            _time("revoked_at", nullable=True),
            _time("last_used_at", nullable=True),
        ),
        uniques=(Unique(("digest",)),),
        indexes=(Index(("user",)),),
    ),
    Table(
        "members",
        MemberRecord,
        (
            _id("id"),
            _label("host_name"),
            _label("rpc_addr"),
            _label("http_addr"),
            _id("mode"),
            _id("version"),
            _time("started_at"),
            _time("seen_at"),
        ),
    ),
    Table("leases", LeaseRecord, (_id("name"), _label("holder"), _integer("number"))),
    Table("operations", DoneOperation, (_id("key"), _time("at")), clustered=True),
    Table(
        "actions",
        ActionRecord,
        (
            _id("id"),
            _id("object_id"),
            _name("namespace"),
            _name("name"),
            _label("arch"),
            _json("params"),
            _text("predicate"),
            _integer("seen_seq"),
            _time("created_at"),
        ),
        indexes=(Index(("object_id", "created_at")),),
    ),
    Table(
        "action_instances",
        ActionInstanceRecord,
        (
            _id("id"),
            _id("action_id"),
            _id("object_id"),
            _integer("attempt"),
            _id("status"),
            _id("outcome"),
            _text("reason"),
            _json("cause"),
            _time("created_at"),
            _time("updated_at"),
        ),
        uniques=(Unique(("action_id", "attempt")),),
        indexes=(Index(("object_id",)), Index(("status", "created_at"))),
    ),
    Table(
        "agents",
        AgentRecord,
        (_id("id"), _name("name"), _label("host_name"), _label("ip_addr"), _label("arch"), _time("created_at"), _time("seen_at")),
    ),
)

TABLES: Mapping[type[Record], Table] = MappingProxyType({table.kind: table for table in _TABLES})
"""The table of each class of records."""
