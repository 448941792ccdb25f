"""The one place where services meet the stores that they work on: for Jupyter, for a standalone server, in process and in tests alike."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from modelbox.entities.times import now
from modelbox.errors import StorageError
from modelbox_server.observing.meters import Meters
from modelbox_server.observing.stores import TimedBlobStore, TimedMetadataStore, TimedMetricsStore
from modelbox_server.service.actions import ActionsService
from modelbox_server.service.agents import AgentsService
from modelbox_server.service.artifacts import ArtifactsService
from modelbox_server.service.changes import ChangesService
from modelbox_server.service.checkpoints import CheckpointsService
from modelbox_server.service.context import Clock
from modelbox_server.service.events import EventsService
from modelbox_server.service.experiments import ExperimentsService
from modelbox_server.service.fair_use import FairUse
from modelbox_server.service.frames import FramesService
from modelbox_server.service.garbage import Garbage, GarbageCollector
from modelbox_server.service.grants import GrantsService
from modelbox_server.service.guarded import Records
from modelbox_server.service.hanging import HangingService
from modelbox_server.service.info import InfoService
from modelbox_server.service.limits import Limits, LimitsService
from modelbox_server.service.members import MembersService
from modelbox_server.service.metadata import MetadataService
from modelbox_server.service.metrics import MetricsService
from modelbox_server.service.models import ModelsService
from modelbox_server.service.namespaces import NamespacesService
from modelbox_server.service.objects import Objects
from modelbox_server.service.people import PeopleService
from modelbox_server.service.pulse import ChangePulse
from modelbox_server.service.search import ExperimentSearch
from modelbox_server.service.sql import SqlService
from modelbox_server.service.tickets import TicketDesk
from modelbox_server.service.tokens import TokensService
from modelbox_server.service.transfers import TransfersService, Ways
from modelbox_server.service.usage import Usage
from modelbox_server.service.versions import VersionsService
from modelbox_server.storage.blobs.s3_settings import S3Settings
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.interfaces import BlobStore, DirectBlobs, MetadataStore, MetricsStore
from modelbox_server.storage.registry import open_store

__all__ = [
    "Services",
    "StorageSettings",
    "Stores",
    "build_services",
    "ephemeral_services",
    "local_services",
    "passing_services",
    "services_over",
]


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Which stores to use, and the folder for those that keep files.

    Parameters
    ----------
    folder
        Made readable by its user alone when it is not there.
    metadata_storage
        ``integrated`` (SQLite), ``ephemeral`` (memory), ``postgres`` or ``mysql``.
    metrics_storage
        ``integrated`` (SQLite), ``inmemory``, ``timescaledb`` (PostgreSQL, with the extension or without) or ``mysql``.
    artifact_storage
        ``filesystem`` or ``s3``.
    metadata_file, metrics_file, artifact_folder
        Where these stores keep what they keep; in `folder` when left out.
    metadata_database, metrics_database
        The databases of stores that use one.
    s3
        The bucket of ``s3``.
    grace_s
        How long contents that lost their last artifact are spared after they were stored.
    blob_servers
        Addresses of servers that move bytes on behalf of this one.
    ticket_key, ticket_lifetime_s
        What this server and those share, and how long a ticket is good.
    limits
        What every user may have and do, unless an operator sets something else.
    """

    folder: Path
    metadata_storage: str = "integrated"
    metrics_storage: str = "integrated"
    artifact_storage: str = "filesystem"
    metadata_file: Path | None = None
    metrics_file: Path | None = None
    artifact_folder: Path | None = None
    metadata_database: DatabaseSettings | None = None
    metrics_database: DatabaseSettings | None = None
    s3: S3Settings | None = None
    grace_s: float = 0.0
    blob_servers: tuple[str, ...] = ()
    ticket_key: str = field(default="", repr=False)
    ticket_lifetime_s: float = 300.0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Stores:
    """What services keep things in."""

    metadata: MetadataStore
    metrics: MetricsStore
    blobs: BlobStore


@dataclass(frozen=True, slots=True)
class Services:
    """All use cases over one set of stores. Safe to use from several threads at once."""

    namespaces: NamespacesService
    experiments: ExperimentsService
    frames: FramesService
    checkpoints: CheckpointsService
    models: ModelsService
    versions: VersionsService
    metadata: MetadataService
    metrics: MetricsService
    events: EventsService
    artifacts: ArtifactsService
    transfers: TransfersService
    changes: ChangesService
    hanging: HangingService
    actions: ActionsService
    agents: AgentsService
    members: MembersService
    pulse: ChangePulse
    sql: SqlService
    people: PeopleService
    grants: GrantsService
    limits: LimitsService
    fair_use: FairUse
    tokens: TokensService
    info: InfoService
    stores: Stores
    garbage: GarbageCollector
    _cleanup: ExitStack = field(repr=False)

    def check(self) -> None:
        """Return if every store can be written to now, raise the reason otherwise."""
        self.stores.metadata.check()
        self.stores.metrics.check()
        self.stores.blobs.check()

    def collect_garbage(self) -> Garbage:
        """Remove points and bytes that a crash between two stores left without a record."""
        return self.garbage.collect()

    def before_closing(self, end: Callable[[], None]) -> None:
        """Call `end` before the stores are closed: for what works on them by itself."""
        self._cleanup.callback(end)

    def close(self) -> None:
        """Close the stores. Closed services are not used again."""
        self._cleanup.close()


def services_over(metadata: MetadataStore, metrics: MetricsStore, blobs: BlobStore, *, clock: Clock = now) -> Services:
    """Return services over stores that are open already, and which the services close."""
    cleanup = ExitStack()
    for store in (blobs, metrics, metadata):
        cleanup.callback(store.close)
    return _services_over(metadata, metrics, blobs, clock, cleanup, StorageSettings(Path()))


def _services_over(
    metadata: MetadataStore,
    metrics: MetricsStore,
    blobs: BlobStore,
    clock: Clock,
    cleanup: ExitStack,
    settings: StorageSettings,
    direct: DirectBlobs | None = None,
    meters: Meters | None = None,
) -> Services:
    garbage = GarbageCollector(metadata, metrics, blobs, settings.grace_s)
    objects = Objects(metadata, metrics, blobs, garbage)
    records = Records(metadata)
    tokens = TokensService(metadata, clock)
    pulse = ChangePulse(metadata)
    cleanup.callback(pulse.close)
    people = PeopleService(metadata, tokens)
    usage = Usage(metadata, metrics)
    limits = LimitsService(metadata, usage, settings.limits, clock)
    fair_use = FairUse(metadata, limits, usage, meters)
    search = ExperimentSearch(metrics, clock)
    artifacts = ArtifactsService(records, blobs, objects, fair_use, clock)
    return Services(
        namespaces=NamespacesService(records),
        experiments=ExperimentsService(records, objects, search, fair_use, clock),
        frames=FramesService(records, metrics, search),
        checkpoints=CheckpointsService(records, objects, clock),
        models=ModelsService(records, objects, clock),
        versions=VersionsService(records, objects, clock),
        metadata=MetadataService(records, clock),
        metrics=MetricsService(records, metrics, fair_use),
        events=EventsService(records, clock),
        artifacts=artifacts,
        transfers=TransfersService(artifacts, _ways(settings, direct, clock), clock),
        changes=ChangesService(records),
        hanging=HangingService(records),
        actions=ActionsService(records, clock),
        agents=AgentsService(records, clock),
        members=MembersService(metadata, clock),
        pulse=pulse,
        sql=SqlService(metadata, metrics),
        people=people,
        grants=GrantsService(metadata, people, clock),
        limits=limits,
        fair_use=fair_use,
        tokens=tokens,
        info=InfoService(metadata, metrics, blobs),
        stores=Stores(metadata, metrics, blobs),
        garbage=garbage,
        _cleanup=cleanup,
    )


def _ways(settings: StorageSettings, storage: DirectBlobs | None, clock: Clock) -> Ways | None:
    if not settings.blob_servers and storage is None:
        return None
    return Ways(TicketDesk(settings.ticket_key, clock), settings.ticket_lifetime_s, settings.blob_servers, storage)


def _direct(blobs: BlobStore, settings: StorageSettings) -> DirectBlobs | None:
    """Return the way for clients to talk to the storage itself, where the settings allow it."""
    if settings.s3 is None or not settings.s3.presign:
        return None
    from modelbox_server.storage.blobs.s3 import S3BlobStore
    from modelbox_server.storage.blobs.s3_direct import S3Direct

    return S3Direct(blobs) if isinstance(blobs, S3BlobStore) else None


def build_services(settings: StorageSettings, *, clock: Clock = now, meters: Meters | None = None) -> Services:
    """Open the stores that `settings` name and return services over them.

    Raises
    ------
    ConfigError
        There is no store of this name.
    StorageError, StorageUnavailable
        A store cannot be opened.
    """
    _make_private(settings.folder)
    return _opened(settings, clock, ExitStack(), meters)


def local_services(folder: Path, *, clock: Clock = now) -> Services:
    """Return services over SQLite and files in `folder`: the local store of a user."""
    return build_services(StorageSettings(folder), clock=clock)


def ephemeral_services(*, clock: Clock = now) -> Services:
    """Return services that keep everything in memory, and bytes in a temporary folder that goes with them."""
    return passing_services(StorageSettings(Path(), "ephemeral", "inmemory", "filesystem"), clock=clock)


def passing_services(settings: StorageSettings, *, clock: Clock = now, meters: Meters | None = None) -> Services:
    """Return services over the stores that `settings` name, in a temporary folder that goes with them where they name no place."""
    cleanup = ExitStack()
    folder = Path(mkdtemp(prefix="modelbox-"))
    cleanup.callback(rmtree, folder, ignore_errors=True)
    return _opened(replace(settings, folder=folder), clock, cleanup, meters)


def _opened(settings: StorageSettings, clock: Clock, cleanup: ExitStack, meters: Meters | None) -> Services:
    """Open the stores; what is open already is closed again when the next one fails."""
    with cleanup:
        metadata = open_store("metadata", settings.metadata_storage, settings.folder, settings.metadata_database or settings.metadata_file)
        cleanup.callback(metadata.close)
        metrics = open_store("metrics", settings.metrics_storage, settings.folder, settings.metrics_database or settings.metrics_file)
        cleanup.callback(metrics.close)
        artifacts = settings.s3 if settings.artifact_storage == "s3" else settings.artifact_folder
        blobs = open_store("artifacts", settings.artifact_storage, settings.folder, artifacts)
        cleanup.callback(blobs.close)
        direct = _direct(blobs, settings)
        if meters is not None:
            metadata, metrics, blobs = (
                TimedMetadataStore(metadata, meters),
                TimedMetricsStore(metrics, meters),
                TimedBlobStore(blobs, meters),
            )
        return _services_over(metadata, metrics, blobs, clock, cleanup.pop_all(), settings, direct, meters)


def _make_private(folder: Path) -> None:
    """Make the folder for its user alone. One that is there keeps its mode: it may hold more than our files, whose own mode is 0600."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made ({error.strerror}): choose one that this user can write to.") from error
