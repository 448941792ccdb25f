"""Which parts a request cannot do without."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from modelbox.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelbox_server.grpc.convert import Message

__all__ = ["NEEDED", "complete"]

NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "GetExperiment": ("id",),
        "CreateCheckpoint": ("experiment_id",),
        "ListCheckpoints": ("experiment_id",),
        "GetCheckpoint": ("experiment_id",),
        "CreateModelVersion": ("model", "version"),
        "ListModelVersions": ("model",),
        "DownloadFile": ("file_id",),
        "UpdateMetadata": ("parent_id",),
        "ListMetadata": ("parent_id",),
        "TrackArtifacts": ("files",),
        "ListArtifacts": ("parent_id",),
        "LogMetrics": ("parent_id", "key"),
        "GetMetrics": ("parent_id",),
        "LogEvent": ("parent_id", "event"),
        "ListEvents": ("parent_id",),
        "CreateActions": ("object_id",),
        "ListActions": ("object_id",),
        "RegisterAgent": ("node_info", "agent_name"),
        "Heartbeat": ("node_id",),
        "UpdateActionStatus": ("action_instance_id", "status"),
    }
)
"""The parts without which a request means nothing. What else may be missing, such as a name, the services refuse in their own words."""


def complete(name: str, request: Message) -> Message:
    """Return a request that has the parts which its method needs.

    Raises
    ------
    InvalidRequest
        One is missing.
    """
    for part in NEEDED.get(name, ()):
        value = getattr(request, part)
        if not (value.ByteSize() if hasattr(value, "ByteSize") else value):
            raise InvalidRequest(f"{part} is empty: {name} needs it.", field=part)
    return request
