"""Between records and messages of 2022. What a message cannot say (floats of 64 bits, kinds of changes, statuses) is left to HTTP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from google.protobuf.message import DecodeError

from modelbox.entities.records import ActionOutcome, ActionStatus, ArtifactRecord, ArtifactStorage, ChangeKind, FileType
from modelbox.entities.times import from_us, to_us
from modelbox.errors import InvalidRequest
from modelbox.wire.messages import TrackedFile
from modelbox_server.grpc.schema import PACKAGE, message
from modelbox_server.service.triggers import change_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from modelbox.entities.records import (
        ActionInstanceRecord,
        ChangeEvent,
        CheckpointRecord,
        EventRecord,
        ExperimentRecord,
        Json,
        ModelRecord,
        ModelVersionRecord,
    )
    from modelbox.wire.messages import ActionState, RunnableAction
    from modelbox_server.grpc.schema import Rpc

__all__ = [
    "Message",
    "action_message",
    "action_outcome",
    "action_status",
    "change_message",
    "checkpoint_message",
    "decoder",
    "event_message",
    "experiment_message",
    "file_message",
    "file_type",
    "framework_name",
    "label_of",
    "model_message",
    "plain",
    "plain_metadata",
    "runnable_message",
    "set_metadata",
    "set_time",
    "set_value",
    "stamped",
    "time_of",
    "tracked_file",
    "version_message",
]

N = TypeVar("N", ActionStatus, ActionOutcome)

Message: TypeAlias = Any
"""A protobuf message: its classes are made at run time, so a type checker knows nothing of its fields."""

_FRAMEWORKS = ("", "pytorch", "keras")
_CHANGES = {
    ChangeKind.CREATED: 1,
    ChangeKind.UPDATED: 2,
    ChangeKind.DESTROYED: 3,
    ChangeKind.UPLOADED: 4,
    ChangeKind.DOWNLOADED: 5,
}
_EXACT_INTEGERS = 2.0**53
_MAX_DEPTH = 32


def decoder(method: str, rpc: Rpc) -> Callable[[bytes], Message]:
    """Return a function that reads the requests of a method; it refuses what is none with a sentence."""
    kind = message(rpc.request)

    def decode(data: bytes) -> Message:
        try:
            return kind.FromString(data)
        except DecodeError:
            raise InvalidRequest(
                f"These {len(data)} bytes are no {PACKAGE}.{rpc.request}: call {method} with one, as modelbox.proto says."
            ) from None

    return decode


# --- simple values -----------------------------------------------------------------------------------------------------------------------


def framework_name(number: int) -> str:
    """Return our name for a framework of 2022; empty for an unknown one."""
    return _FRAMEWORKS[number] if 0 <= number < len(_FRAMEWORKS) else ""


def _framework_number(name: str) -> int:
    lowered = name.lower()
    return 2 if lowered == "tensorflow" else _FRAMEWORKS.index(lowered) if lowered in _FRAMEWORKS else 0


def set_time(field: Message, at: datetime) -> None:
    """Write a time into a Timestamp."""
    seconds, micros = divmod(to_us(at), 1_000_000)
    field.seconds, field.nanos = seconds, micros * 1000


def time_of(stamp: Message, field: str) -> datetime:
    """Return the time that a Timestamp says.

    Raises
    ------
    InvalidRequest
        It lies outside the years 1 to 9999.
    """
    try:
        return from_us(stamp.seconds * 1_000_000 + stamp.nanos // 1000)
    except (OverflowError, ValueError):
        raise InvalidRequest(f"{field} lies outside the years 1 to 9999: send seconds since 1970.", field=field) from None


def plain(value: Message, depth: int = 0) -> Json:
    """Return what a Value says. Its numbers are doubles; a whole one becomes an integer again."""
    if depth > _MAX_DEPTH:
        raise InvalidRequest(
            f"Metadata is nested more than {_MAX_DEPTH} levels deep: flatten it.", field="metadata", limit=f"{_MAX_DEPTH} levels"
        )
    match value.WhichOneof("kind"):
        case "number_value":
            number: float = value.number_value
            return int(number) if math.isfinite(number) and number.is_integer() and abs(number) < _EXACT_INTEGERS else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return {key: plain(item, depth + 1) for key, item in value.struct_value.fields.items()}
        case "list_value":
            return [plain(item, depth + 1) for item in value.list_value.values]
        case _:
            return None


def plain_metadata(metadata: Mapping[str, Message]) -> dict[str, Json]:
    """Return metadata as plain data."""
    return {key: plain(value) for key, value in metadata.items()}


def set_value(target: Message, value: Json) -> None:
    """Write plain data into a Value."""
    match value:
        case None:
            target.null_value = 0
        case bool():
            target.bool_value = value
        case int() | float():
            try:
                target.number_value = float(value)
            except OverflowError:  # a whole number of more than 300 digits
                target.string_value = str(value)
        case str():
            target.string_value = value
        case list():
            target.list_value.SetInParent()
            for item in value:
                set_value(target.list_value.values.add(), item)
        case _:
            target.struct_value.SetInParent()
            for key, item in value.items():
                set_value(target.struct_value.fields[key], item)


def set_metadata(target: Mapping[str, Message], metadata: Mapping[str, Json]) -> None:
    """Write plain data into a map of Values."""
    for key, value in metadata.items():
        set_value(target[key], value)


# --- records -----------------------------------------------------------------------------------------------------------------------------


def stamped(
    made: Message,
    record: ExperimentRecord | CheckpointRecord | ModelRecord | ModelVersionRecord | ArtifactRecord | ActionInstanceRecord,
) -> Message:
    """Write the times of a record into its message, and return that."""
    set_time(made.created_at, record.created_at)
    set_time(made.updated_at, record.updated_at)
    return made


def experiment_message(record: ExperimentRecord) -> Message:
    """Return an Experiment."""
    made = message("Experiment")(
        id=record.id,
        name=record.name,
        namespace=record.namespace,
        owner=record.owner,
        framework=_framework_number(record.framework),
        external_id=record.external_id,
    )
    return stamped(made, record)


def checkpoint_message(record: CheckpointRecord, files: Iterable[ArtifactRecord]) -> Message:
    """Return a Checkpoint with its files."""
    made = message("Checkpoint")(
        id=record.id,
        epoch=record.epoch,
        experiment_id=record.experiment_id,
        files=[file_message(file) for file in files],
        metrics=record.metrics,
    )
    return stamped(made, record)


def model_message(record: ModelRecord, files: Iterable[ArtifactRecord]) -> Message:
    """Return a Model with its files."""
    made = message("Model")(
        id=record.id,
        name=record.name,
        owner=record.owner,
        namespace=record.namespace,
        description=record.description,
        task=record.task,
        files=[file_message(file) for file in files],
    )
    return stamped(made, record)


def version_message(record: ModelVersionRecord, files: Iterable[ArtifactRecord], metadata: Mapping[str, Json]) -> Message:
    """Return a ModelVersion with its files and metadata."""
    made = message("ModelVersion")(
        id=record.id,
        model_id=record.model_id,
        name=record.name,
        version=record.version,
        description=record.description,
        framework=_framework_number(record.framework),
        unique_tags=record.tags,
        files=[file_message(file) for file in files],
    )
    set_metadata(made.metadata.metadata, metadata)
    return stamped(made, record)


def event_message(record: EventRecord) -> Message:
    """Return an Event."""
    made = message("Event")(name=record.name)
    made.source.name = record.source
    set_time(made.wallclock_time, record.wall_time)
    set_metadata(made.metadata.metadata, record.metadata)
    return made


def change_message(event: ChangeEvent) -> Message:
    """Return what a watcher gets of a change."""
    made = message("WatchNamespaceResponse")(event=_CHANGES[event.kind])
    set_value(made.payload, change_fields(event))
    return made


# --- actions and members -----------------------------------------------------------------------------------------------------------------


def action_message(state: ActionState) -> Message:
    """Return an Action with each time that it was asked for."""
    made = message("Action")(id=state.action.id, name=state.action.name)
    for record in state.instances:
        instance = made.states.add(
            id=record.id,
            action_id=record.action_id,
            attempt=record.attempt,
            status=record.status.number,
            outcome=record.outcome.number,
            reason=record.reason,
        )
        stamped(instance, record)
    return made


def runnable_message(waiting: RunnableAction) -> Message:
    """Return a RunnableAction: its command is the name of the action, and beside the params is the change that asked for it, if one did."""
    made = message("RunnableAction")(id=waiting.instance.id, action_id=waiting.action.id, command=waiting.action.name)
    set_metadata(made.params, waiting.action.params)
    if waiting.instance.cause:
        set_value(made.params["event"], waiting.instance.cause)
    return made


def action_status(number: int) -> ActionStatus:
    """Return a status by its number, or refuse one that there is not."""
    return _numbered(ActionStatus, number, "status")


def action_outcome(number: int) -> ActionOutcome:
    """Return an outcome by its number, or refuse one that there is not."""
    return _numbered(ActionOutcome, number, "outcome")


def _numbered(kind: type[N], number: int, field: str) -> N:
    for member in kind:
        if member.number == number:
            return member
    known = ", ".join(f"{member.number} ({member})" for member in kind)
    raise InvalidRequest(f"There is no {field} {number}: send {known}.", field=field)


# --- files -------------------------------------------------------------------------------------------------------------------------------


def file_message(record: ArtifactRecord) -> Message:
    """Return a FileMetadata: the path is the place of a tracked file, and the label of an uploaded one."""
    made = message("FileMetadata")(
        id=record.id,
        parent_id=record.parent_id,
        file_type=record.file_type.number,
        checksum=record.md5,
        path=record.uri if record.storage is ArtifactStorage.TRACKED and record.uri else record.name,
    )
    return stamped(made, record)


def file_type(number: int) -> FileType:
    """Return a type of file by its number; unknown numbers are undefined."""
    types = list(FileType)
    return types[number] if 0 <= number < len(types) else FileType.UNDEFINED


def label_of(path: str) -> str:
    """Return the label of a file that a client knows by `path`, in whatever way its system writes paths: the last part."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def tracked_file(file: Message, field: str) -> TrackedFile:
    """Return a reference to a file, which is never opened here.

    Raises
    ------
    InvalidRequest
        It has no path.
    """
    if not file.path:
        raise InvalidRequest(f"{field}.path is empty: say where the file is.", field=f"{field}.path")
    return TrackedFile(name=label_of(file.path), uri=file.path, file_type=file_type(file.file_type), md5=file.checksum)
