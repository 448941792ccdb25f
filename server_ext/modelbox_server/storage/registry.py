"""From the name of a store in the settings to the store, loaded on first use.

Other packages add stores by an entry point in the group ``modelbox.stores``, whose name is the role and the name with a dot between them::

    [project.entry-points."modelbox.stores"]
    "metadata.redis" = "modelbox_redis:open_metadata"

It names a callable that takes the folder for files (a :class:`~pathlib.Path`) and returns the open store. A built-in name stays built in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, overload

from modelbox.errors import ConfigError, nearest, shortened
from modelbox_server.storage.interfaces import BlobStore, MetadataStore, MetricsStore

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BUILT_IN", "GROUP", "BuiltIn", "Role", "Store", "open_store", "store_names"]

GROUP = "modelbox.stores"
"""Entry point group for stores of other packages."""

Role: TypeAlias = Literal["metadata", "metrics", "artifacts"]
"""What a store keeps."""

Store: TypeAlias = MetadataStore | MetricsStore | BlobStore
"""A store of any role."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A store of ours.

    Parameters
    ----------
    path
        ``module:attribute`` of its class.
    place
        File or folder, inside the folder of the settings, that its constructor takes; ``None`` when it takes none.
    configured
        Its constructor takes settings of its own in place of a file or folder, and there are no others to fall back on.
    """

    path: str
    place: str | None = None
    configured: bool = False


BUILT_IN: Mapping[Role, Mapping[str, BuiltIn]] = MappingProxyType(
    {
        "metadata": {
            "ephemeral": BuiltIn("modelbox_server.storage.metadata.memory:MemoryMetadataStore"),
            "integrated": BuiltIn("modelbox_server.storage.metadata.sqlite:SqliteMetadataStore", "modelbox.db"),
            "postgres": BuiltIn("modelbox_server.storage.metadata.postgres:PostgresMetadataStore", configured=True),
            "mysql": BuiltIn("modelbox_server.storage.metadata.mysql:MysqlMetadataStore", configured=True),
        },
        "metrics": {
            "inmemory": BuiltIn("modelbox_server.storage.metrics.memory:MemoryMetricsStore"),
            "integrated": BuiltIn("modelbox_server.storage.metrics.sqlite:SqliteMetricsStore", "metrics.db"),
            "timescaledb": BuiltIn("modelbox_server.storage.metrics.postgres:PostgresMetricsStore", configured=True),
            "mysql": BuiltIn("modelbox_server.storage.metrics.mysql:MysqlMetricsStore", configured=True),
        },
        "artifacts": {
            "filesystem": BuiltIn("modelbox_server.storage.blobs.filesystem:FilesystemBlobStore", "blobs"),
            "s3": BuiltIn("modelbox_server.storage.blobs.s3:S3BlobStore", configured=True),
        },
    }
)
"""The stores that come with ModelBox, by role and name."""


@overload
def open_store(role: Literal["metadata"], name: str, folder: Path, place: object = None) -> MetadataStore: ...


@overload
def open_store(role: Literal["metrics"], name: str, folder: Path, place: object = None) -> MetricsStore: ...


@overload
def open_store(role: Literal["artifacts"], name: str, folder: Path, place: object = None) -> BlobStore: ...


def open_store(role: Role, name: str, folder: Path, place: object = None) -> Store:
    """Open the store that the settings name for a role.

    Parameters
    ----------
    role
        What it is to keep.
    name
        A built-in name, or one that another package registered.
    folder
        Where a store that keeps files puts them.
    place
        The file or folder that a built-in store is to take instead of its own in `folder`, or the settings that it needs.

    Raises
    ------
    ConfigError
        There is no store of this name for this role, or the package that registered it cannot be loaded.
    StorageError, StorageUnavailable
        The store cannot be opened.
    """
    built_in = BUILT_IN[role].get(name)
    if built_in is None:
        return _load(_registered(role, name))(folder)
    module, _, attribute = built_in.path.partition(":")
    make: Callable[..., Store] = getattr(import_module(module), attribute)
    if built_in.configured:
        if place is None:
            raise ConfigError(f"The {role} storage {name!r} needs settings of its own, and there are none.", field=f"{role}_storage")
        return make(place)
    return make() if built_in.place is None else make(place or folder / built_in.place)


def store_names(role: Role) -> list[str]:
    """Return the names that can be used for a role, those of other packages included."""
    from importlib.metadata import entry_points

    others = (point.name.removeprefix(f"{role}.") for point in entry_points(group=GROUP) if point.name.startswith(f"{role}."))
    return sorted({*BUILT_IN[role], *others})


def _registered(role: Role, name: str) -> "EntryPoint":
    from importlib.metadata import entry_points

    found = entry_points(group=GROUP, name=f"{role}.{name}")
    if not found:
        known = store_names(role)
        tail = nearest(name, known) or f"Use one of {', '.join(known)}."
        raise ConfigError(f"There is no {role} storage {shortened(name)}. {tail}", field=f"{role}_storage")
    return next(iter(found))


def _load(point: "EntryPoint") -> Callable[[Path], Store]:
    try:
        return cast(Callable[[Path], Store], point.load())
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The storage {point.name!r} is registered as {point.value}, which cannot be loaded: {error}.") from error
