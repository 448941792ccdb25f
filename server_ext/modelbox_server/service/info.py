"""Which ModelBox this is."""

from functools import cache

from modelbox.wire.messages import ServerInfo
from modelbox.wire.routes import API_PREFIX
from modelbox_server.service.context import Caller
from modelbox_server.storage.interfaces import BlobStore, MetadataStore, MetricsStore

__all__ = ["InfoService", "program_version"]


@cache
def program_version() -> str:
    """Return the version of the installed distribution; looking it up takes longer than opening a store."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("modelbox-jupyter")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"


class InfoService:
    """Tell version, storage and identity."""

    def __init__(self, metadata: MetadataStore, metrics: MetricsStore, blobs: BlobStore) -> None:
        self._metadata = metadata
        self._metrics = metrics
        self._blobs = blobs

    def get(self, caller: Caller) -> ServerInfo:
        """Return what answers, and as whom it sees the caller."""
        return ServerInfo(
            version=program_version(),
            api=API_PREFIX.rpartition("/")[2],
            face=caller.face,
            metadata_storage=self._metadata.name,
            metrics_storage=self._metrics.name,
            artifact_storage=self._blobs.name,
            user=caller.name,
        )
