"""The three things that a backend can be: a metadata store, a metrics store, a blob store.

Promises stand here once; the conformance suites in :mod:`modelbox_server.testing` check each of them on every backend. All methods block;
faces call them from worker threads, so every store may be used from any number of threads at once. A backend raises nothing but
:class:`~modelbox.errors.ModelBoxError` subclasses: driver errors are translated where they arise and kept as the cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from modelbox.entities.records import Json, Record
    from modelbox.entities.series import SeriesBlock, SeriesSummary
    from modelbox.wire.messages import SummaryColumns

__all__ = [
    "AppendOutcome",
    "BatchKey",
    "BlobEntry",
    "BlobInfo",
    "BlobStore",
    "BlobWriter",
    "ChangeListener",
    "Condition",
    "DirectBlobs",
    "DirectUpload",
    "Leftovers",
    "MetadataStore",
    "MetadataTransaction",
    "MetricsStore",
    "Operator",
    "Order",
]

R = TypeVar("R", bound="Record")

Operator = Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "prefix", "under", "within"]
"""How a :class:`Condition` compares. ``in`` takes a sequence; ``prefix`` text that the field begins with; ``under`` a namespace path:
that path itself or anything below it; ``within`` a sequence of such paths, of which one has to hold."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``field operator value``; a value of ``None`` compares with "not set" (``eq``, ``ne`` only). Text compares by code point.

    A field that is not set is unequal (``ne``) to every value, and neither less nor greater than any. JSON fields cannot be compared.
    """

    field: str
    operator: Operator
    value: object


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by `field`; ties are broken by the record's key in the same direction. What is not set comes before every value."""

    field: str
    descending: bool = False


class MetadataTransaction(Protocol):
    """One consistent view of a metadata store; in a writing transaction, all of its changes or none.

    `kind` is always a class of :mod:`modelbox.entities.records`. A transaction stays on the thread that opened it; one that was opened for
    reading refuses changes with :class:`~modelbox.errors.StorageError`. After any error but a conflict or an invalid value nothing of a
    writing transaction is kept, even when somebody catches the error inside the block.
    """

    def get(self, kind: type[R], *key: object) -> R | None:
        """Return the record with this primary key (in the order of ``kind.KEY``), or ``None``."""
        ...

    def select(
        self,
        kind: type[R],
        where: Sequence[Condition] = (),
        *,
        order: Order | None = None,
        limit: int | None = None,
        after: Sequence[object] | None = None,
    ) -> list[R]:
        """Return the records for which every condition holds.

        Without `order` they come by primary key. `after` continues a list: the value of the order field (when `order` is given) followed
        by the primary key of the last record that was seen; pages neither repeat nor skip a record that did not change.
        """
        ...

    def keys(
        self,
        kind: type[Record],
        where: Sequence[Condition] = (),
        *,
        order: Order | None = None,
        limit: int | None = None,
        after: Sequence[object] | None = None,
    ) -> list[tuple[str | int, ...]]:
        """Return the primary keys of what :meth:`select` would return: for a search that looks elsewhere for what it decides by."""
        ...

    def documents(
        self, object_ids: Sequence[str], keys: Sequence[str] | None = None, *, without: Sequence[str] = ()
    ) -> list[dict[str, Json]]:
        """Return the metadata of each of these objects, in the order of `object_ids`; an object without any has an empty document.

        The same could be selected as :class:`~modelbox.entities.records.MetadataEntry` records; this is for tables of thousands of runs.

        Parameters
        ----------
        keys
            Only what stands under these.
        without
            Leave out what stands under these.
        """
        ...

    def count(self, kind: type[Record], where: Sequence[Condition] = ()) -> int:
        """Return how many records meet every condition."""
        ...

    def total(self, kind: type[Record], field: str, where: Sequence[Condition] = ()) -> int:
        """Return the sum of a field of integers over the records for which every condition holds; what has none counts nothing."""
        ...

    def insert(self, record: R) -> R:
        """Add a record and return it as stored (a :class:`ChangeEvent` gets its ``seq`` here).

        Raises
        ------
        Conflict
            A record with this primary key, or with the same values in a unique set of fields, is there already. The transaction is
            still usable.
        """
        ...

    def put(self, records: Sequence[Record]) -> None:
        """Add records, or replace those with the same primary key; all of them or none. All of one kind.

        A :class:`ChangeEvent` whose ``seq`` is 0 gets a number.

        Raises
        ------
        Conflict
            Another record has the same values in a unique set of fields. The transaction is still usable.
        """
        ...

    def delete(self, kind: type[Record], where: Sequence[Condition]) -> int:
        """Delete the records for which every condition holds, and return how many there were."""
        ...


class MetadataStore(Protocol):
    """Records of everything except points and bytes.

    Writing transactions are serialisable with respect to each other for what they read and write, and durable when the block ends: they
    survive a kill of the process and of the database, and a power cut where the disk keeps what it acknowledged (``ephemeral`` keeps
    nothing beyond the process). An exception inside the block leaves nothing behind. Change events become visible in the order of their
    numbers: whoever has seen one has seen, or can see, all before it.
    """

    name: str

    def read(self) -> AbstractContextManager[MetadataTransaction]:
        """Open a view for reading; it sees everything that was committed before."""
        ...

    def write(self, *alone: str) -> AbstractContextManager[MetadataTransaction]:
        """Open a transaction for writing; it waits for other writers rather than fail.

        Parameters
        ----------
        alone
            The ids of the objects that it is about, when these are known beforehand: what it reads and writes are those objects, what hangs
            on them, and change events. Transactions about different objects may then run at once, where the store can do that; one that
            names no objects runs alone.

        Raises
        ------
        StorageUnavailable
            The database is away, other writers did not finish in time, or this thread has a writing transaction open already.
        """
        ...

    def check(self) -> None:
        """Return if the store can be written to now, raise the reason otherwise."""
        ...

    def close(self) -> None:
        """Release connections and files. A closed store is not used again."""
        ...


class ChangeListener(Protocol):
    """Word of change events from a database that can send it; a metadata store that has one gives it by a method ``listener()``."""

    def wait(self, timeout_s: float) -> None:
        """Return when there may be new change events, and after `timeout_s` in any case; raises nothing."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Identity of a batch of points: made by the client, the same however often the batch is sent."""

    client: str
    number: int
    digest: bytes
    """SHA-256 of the content."""


@dataclass(frozen=True, slots=True)
class AppendOutcome:
    """How many points a batch had; `duplicate` when it was stored before and nothing was written."""

    points: int
    duplicate: bool = False


class MetricsStore(Protocol):
    """Append-only series of points, one per (object, key, kind of value). Knows nothing of the objects beyond their ids."""

    name: str

    def append(self, blocks: Sequence[SeriesBlock], batch: BatchKey | None = None) -> AppendOutcome:
        """Add points; all of them or none, durable on return as :class:`MetadataStore` promises.

        Values come back bit-exact, NaN payloads excepted. With a `batch` the same batch again changes nothing; it is recorded in the same
        transaction as the points.

        Raises
        ------
        BatchConflict
            The batch was stored before with another digest; nothing was written.
        """
        ...

    def read(
        self,
        object_ids: Sequence[str],
        keys: Sequence[str] | None = None,
        *,
        skip: Mapping[tuple[str, str], int] | None = None,
        steps: tuple[int, int] | None = None,
    ) -> list[SeriesBlock]:
        """Return one block of numpy columns per series that has points, by object as asked, then by key, then by kind.

        Points come ordered by (step, wall clock); points that are equal in both keep the order in which they arrived. `skip` leaves out
        the first so many points of (object, key) *in order of arrival*; the rest comes ordered as above. `steps` is the first and the last
        step that is wanted; a series without a point between them gives no block. A store that keeps points packed unpacks no others.
        """
        ...

    def summaries(self, object_ids: Sequence[str], keys: Sequence[str] | None = None) -> list[SeriesSummary]:
        """Return what is known of every series of these objects without reading points, ordered as in :meth:`read`.

        With `keys` only of those series.
        """
        ...

    def summary_columns(self, object_ids: Sequence[str]) -> SummaryColumns:
        """Return the summaries of every series of these objects, none of which is named twice, as columns.

        They come by key, then by object as asked, then by kind; `row` is the place of the object in `object_ids`.
        """
        ...

    def delete(self, object_ids: Sequence[str]) -> int:
        """Delete all series of these objects and return how many points they had."""
        ...

    def check(self) -> None:
        """Return if the store can be written to now, raise the reason otherwise."""
        ...

    def close(self) -> None:
        """Release connections and files. A closed store is not used again."""
        ...


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """Bytes that are stored: their key in the store, size, and digests in lower-case hex; `md5` is empty when it was not asked for."""

    key: str
    size_bytes: int
    sha256: str
    md5: str


class BlobWriter(Protocol):
    """Bytes on their way into a blob store. Nobody sees them before :meth:`commit`; leaving the ``with`` block without it drops them."""

    def __enter__(self) -> BlobWriter: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes at the end; the buffer of `data` may be used again afterwards.

        Raises
        ------
        StorageFull
            No space is left; what was written so far is dropped.
        """
        ...

    def commit(self, *, sha256: str | None = None, md5: str | None = None, size_bytes: int | None = None) -> BlobInfo:
        """Make the bytes durable and visible under a key derived from their content.

        Raises
        ------
        ChecksumMismatch
            They are not what was declared; nothing was stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """Bytes that are stored, and how long ago they were stored last, by the clock of the store."""

    key: str
    size_bytes: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What uploads that nobody went on with left behind."""

    count: int
    size_bytes: int


class BlobStore(Protocol):
    """Immutable bytes by content: storing the same bytes twice keeps one copy."""

    name: str

    def writer(self, *, md5: bool = True, sha256: str | None = None) -> BlobWriter:
        """Start to store new bytes.

        Parameters
        ----------
        md5
            Make an MD5 too; without it the rest is faster, and none can be declared.
        sha256
            What the bytes are going to have, where that is known: some stores then need to move less. Other bytes are refused by
            :meth:`BlobWriter.commit`.
        """
        ...

    def size(self, key: str) -> int:
        """Return the size in bytes.

        Raises
        ------
        BlobMissing
            No bytes are stored under `key`.
        """
        ...

    def age_s(self, key: str) -> float:
        """Return how long ago the bytes were stored last, in seconds by the clock of the store.

        Raises
        ------
        BlobMissing
            No bytes are stored under `key`.
        """
        ...

    def read(self, key: str, start: int = 0, stop: int | None = None, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop` (default: the end), at most `chunk_bytes` at a time.

        Raises
        ------
        BlobMissing
            No bytes are stored under `key`.
        """
        ...

    def delete(self, key: str) -> bool:
        """Delete the bytes; return whether there were any. A reader that is under way may finish."""
        ...

    def keys(self) -> Iterator[str]:
        """Yield the key of everything stored, in no order."""
        ...

    def entries(self) -> Iterator[BlobEntry]:
        """Yield everything stored, in no order; storing the same bytes once more makes them young again."""
        ...

    def clean(self, older_than_s: float = 86400.0, *, dry_run: bool = False) -> Leftovers:
        """Remove what uploads left behind that nobody has gone on with for so long; with `dry_run` only say what that would be."""
        ...

    def check(self) -> None:
        """Return if the store can be written to now, raise the reason otherwise."""
        ...

    def close(self) -> None:
        """Release connections. A closed store is not used again."""
        ...


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """Where a client may put its bytes by itself: a PUT with these headers. `passing` names them until they are kept."""

    url: str
    headers: dict[str, str]
    passing: str


class DirectBlobs(Protocol):
    """What a blob store offers beside the rest when clients may talk to it themselves."""

    def url_to_read(self, key: str, lifetime_s: float) -> str:
        """Return a URL that gives the bytes of a content for so long."""
        ...

    def upload(self, sha256: str, size_bytes: int, lifetime_s: float) -> DirectUpload | None:
        """Return where a client may put these bytes, and no others; ``None`` when they had better come through a server."""
        ...

    def keep(self, passing: str, sha256: str, size_bytes: int) -> BlobInfo:
        """Make what a client put visible under its key, if it is what was announced; doing it again changes nothing.

        Raises
        ------
        ChecksumMismatch
            It is something else, and is removed.
        StorageUnavailable
            There is nothing.
        """
        ...
