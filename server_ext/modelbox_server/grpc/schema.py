"""Messages and services of the gRPC face: names and numbers are those of 2022, so that programs of then work unchanged.

The tables below are the source. ``modelbox.proto`` beside this file says the same for other languages; a test compiles it and compares.
The messages live in a descriptor pool of their own: the SDK of 2022 registers the same names in the shared one, and a process may have
both.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, timestamp_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENUMS", "MESSAGES", "PACKAGE", "SERVICES", "Rpc", "file_descriptor", "message", "pool", "proto_text"]

PACKAGE = "modelbox"

ENUMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ActionOutcome": ("OUTCOME_UNDEFINED", "OUTCOME_SUCCESS", "OUTCOME_FAILURE"),
        "ActionStatus": ("STATUS_UNDEFINED", "STATUS_PENDING", "STATUS_RUNNING", "STATUS_FINISHED"),
        # The first three are of 2022; the others say what then could not be watched.
        "ChangeEvent": (
            "CHANGE_EVENT_UNDEFINED",
            "OBJECT_CREATED",
            "OBJECT_UPDATED",
            "OBJECT_DESTROYED",
            "OBJECT_UPLOADED",
            "OBJECT_DOWNLOADED",
        ),
        "FileType": ("UNDEFINED", "MODEL", "CHECKPOINT", "TEXT", "IMAGE", "AUDIO", "VIDEO"),
        "MLFramework": ("UNKNOWN", "PYTORCH", "KERAS"),
        "TriggerType": ("TRIGGER_UNDEFINED", "TRIGGER_JS"),
    }
)
"""Values of each enumeration, numbered from 0. All of a package share one scope, so no name returns."""

_TIMES = "created_at 20 Timestamp; updated_at 21 Timestamp"

MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "Action": "id 1 string; name 2 string; states 3 repeated ActionInstance",
        "ActionInstance": (
            f"id 1 string; action_id 2 string; attempt 3 uint32; status 4 uint32; outcome 5 uint32; reason 6 string; {_TIMES}"
        ),
        "Checkpoint": f"id 1 string; epoch 2 uint64; experiment_id 3 string; files 4 repeated FileMetadata; metrics 5 map float; {_TIMES}",
        "ClusterMember": "id 1 string; host_name 2 string; rpc_addr 3 string; http_addr 4 string",
        "CreateActionRequest": (
            "name 1 string; object_id 2 string; object_type 3 string; arch 4 string; params 5 map Value; trigger 6 Trigger"
        ),
        "CreateActionResponse": "created_at 10 Timestamp",
        "CreateCheckpointRequest": (
            "experiment_id 1 string; epoch 2 uint64; files 3 repeated FileMetadata; metrics 4 map float; metadata 5 Metadata"
        ),
        "CreateCheckpointResponse": f"checkpoint_id 1 string; {_TIMES}",
        "CreateExperimentRequest": (
            "name 1 string; owner 2 string; namespace 3 string; framework 4 MLFramework; task 5 string; metadata 6 Metadata; "
            "external_id 7 string"
        ),
        "CreateExperimentResponse": f"experiment_id 1 string; experiment_exists 2 bool; {_TIMES}",
        "CreateModelRequest": (
            "name 2 string; owner 3 string; namespace 4 string; task 5 string; description 6 string; metadata 7 Metadata; "
            "files 8 repeated FileMetadata"
        ),
        "CreateModelResponse": f"id 1 string; exists 2 bool; {_TIMES}",
        "CreateModelVersionRequest": (
            "model 1 string; name 2 string; version 3 string; description 4 string; files 5 repeated FileMetadata; metadata 6 Metadata; "
            "framework 7 MLFramework; unique_tags 8 repeated string"
        ),
        "CreateModelVersionResponse": f"model_version 1 string; exists 2 bool; {_TIMES}",
        "DownloadFileRequest": "file_id 1 string",
        "DownloadFileResponse": "metadata 1 FileMetadata in stream_frame; chunks 2 bytes in stream_frame",
        "Event": "name 2 string; source 3 EventSource; wallclock_time 4 Timestamp; metadata 5 Metadata",
        "EventSource": "name 1 string",
        "Experiment": (
            "id 1 string; name 2 string; namespace 3 string; owner 4 string; framework 5 MLFramework; external_id 7 string; " + _TIMES
        ),
        "FileMetadata": f"id 1 string; parent_id 2 string; file_type 3 FileType; checksum 4 string; path 5 string; {_TIMES}",
        "GetCheckpointRequest": "experiment_id 1 string; epoch 2 uint64",
        "GetCheckpointResponse": "checkpoint 1 Checkpoint",
        "GetClusterMembersRequest": "",
        "GetClusterMembersResponse": "members 1 repeated ClusterMember",
        "GetExperimentRequest": "id 1 string",
        "GetExperimentResponse": "experiment 1 Experiment",
        "GetMetricsRequest": "parent_id 1 string",
        "GetMetricsResponse": "metrics 1 repeated Metrics",
        "GetRunnableActionInstancesRequest": "action_name 1 string; arch 2 string",
        "GetRunnableActionInstancesResponse": "instances 1 repeated RunnableAction",
        "HeartbeatRequest": "node_id 1 string; at 20 Timestamp",
        "HeartbeatResponse": "",
        "ListActionsRequest": "object_id 1 string",
        "ListActionsResponse": "actions 1 repeated Action",
        "ListArtifactsRequest": "parent_id 1 string",
        "ListArtifactsResponse": "files 1 repeated FileMetadata",
        "ListCheckpointsRequest": "experiment_id 1 string",
        "ListCheckpointsResponse": "checkpoints 1 repeated Checkpoint",
        "ListEventsRequest": "parent_id 1 string; since 2 Timestamp",
        "ListEventsResponse": "events 1 repeated Event",
        "ListExperimentsRequest": "namespace 1 string",
        "ListExperimentsResponse": "experiments 1 repeated Experiment",
        "ListMetadataRequest": "parent_id 1 string",
        "ListMetadataResponse": "metadata 1 map Value",
        "ListModelVersionsRequest": "model 1 string",
        # One message in 2022, by mistake; repeated is the same on the wire.
        "ListModelVersionsResponse": "models 1 repeated ModelVersion",
        "ListModelsRequest": "namespace 1 string",
        "ListModelsResponse": "models 1 repeated Model",
        "LogEventRequest": "parent_id 1 string; event 2 Event",
        "LogEventResponse": "created_at 1 Timestamp",
        "LogMetricsRequest": "parent_id 1 string; key 2 string; value 3 MetricsValue",
        "LogMetricsResponse": "",
        "Metadata": "metadata 1 map Value",
        "Metrics": "key 1 string; values 2 repeated MetricsValue",
        "MetricsValue": (
            "step 1 uint64; wallclock_time 2 uint64; f_val 5 float in value; s_tensor 6 string in value; b_tensor 7 bytes in value"
        ),
        "Model": (
            "id 1 string; name 2 string; owner 3 string; namespace 4 string; description 5 string; task 6 string; "
            f"files 9 repeated FileMetadata; {_TIMES}"
        ),
        "ModelVersion": (
            "id 1 string; model_id 2 string; name 3 string; version 4 string; description 5 string; files 6 repeated FileMetadata; "
            f"metadata 7 Metadata; framework 8 MLFramework; unique_tags 9 repeated string; {_TIMES}"
        ),
        "NodeInfo": "host_name 1 string; ip_addr 2 string; arch 3 string",
        "RegisterAgentRequest": "node_info 1 NodeInfo; agent_name 2 string",
        "RegisterAgentResponse": "node_id 1 string",
        "RunnableAction": "id 1 string; action_id 2 string; command 3 string; params 5 map Value",
        "TrackArtifactsRequest": "files 1 repeated FileMetadata",
        "TrackArtifactsResponse": "num_files_tracked 1 int32; created_at 10 Timestamp",
        "Trigger": "predicate 1 string; type 2 TriggerType",
        "UpdateActionStatusRequest": (
            # Misspelt in 2022, and kept: generated code has the name.
            "action_instance_id 1 string; status 2 uint32; outcome 3 uint32; outcome_reason 4 string; udpate_time 5 uint64"
        ),
        "UpdateActionStatusResponse": "",
        "UpdateMetadataRequest": "parent_id 1 string; metadata 2 Metadata",
        "UpdateMetadataResponse": "num_keys_written 1 int32; updated_at 5 Timestamp",
        "UploadFileRequest": "metadata 1 FileMetadata in stream_frame; chunks 2 bytes in stream_frame",
        "UploadFileResponse": "file_id 1 string",
        "WatchNamespaceRequest": "namespace 1 string; since 2 uint64",
        "WatchNamespaceResponse": "event 1 ChangeEvent; payload 2 Value",
    }
)
"""Fields of each message: name, number, ``repeated`` or ``map`` (of texts to the type), type, and the oneof that it is in."""


class Rpc(NamedTuple):
    """One method of a service."""

    request: str
    response: str
    takes_stream: bool = False
    gives_stream: bool = False


def _unary(*names: str) -> dict[str, Rpc]:
    return {name: Rpc(f"{name}Request", f"{name}Response") for name in names}


SERVICES: Mapping[str, Mapping[str, Rpc]] = MappingProxyType(
    {
        "ModelStore": {
            **_unary("CreateModel", "ListModels", "CreateModelVersion", "ListModelVersions", "CreateExperiment", "ListExperiments"),
            **_unary("GetExperiment", "CreateCheckpoint", "ListCheckpoints", "GetCheckpoint"),
            "UploadFile": Rpc("UploadFileRequest", "UploadFileResponse", takes_stream=True),
            "DownloadFile": Rpc("DownloadFileRequest", "DownloadFileResponse", gives_stream=True),
            **_unary(
                "UpdateMetadata", "ListMetadata", "TrackArtifacts", "ListArtifacts", "LogMetrics", "GetMetrics", "LogEvent", "ListEvents"
            ),
            "WatchNamespace": Rpc("WatchNamespaceRequest", "WatchNamespaceResponse", gives_stream=True),
            **_unary("GetClusterMembers"),
            "CreateActions": Rpc("CreateActionRequest", "CreateActionResponse"),
            **_unary("ListActions"),
        },
        "ModelBoxAdmin": _unary("Heartbeat", "RegisterAgent", "GetRunnableActionInstances", "UpdateActionStatus"),
    }
)
"""The methods of each service."""

_FILE = "modelbox.proto"
_IMPORTS = ("google/protobuf/struct.proto", "google/protobuf/timestamp.proto")
_FOREIGN = {"Timestamp": ".google.protobuf.Timestamp", "Value": ".google.protobuf.Value"}
_SCALARS = frozenset({"string", "bytes", "bool", "float", "int32", "uint32", "uint64"})

_FieldProto = descriptor_pb2.FieldDescriptorProto


class _Field(NamedTuple):
    name: str
    number: int
    label: str
    type: str
    oneof: str


def _fields(text: str) -> list[_Field]:
    fields: list[_Field] = []
    for part in filter(None, text.split("; ")):
        spec, _, oneof = part.partition(" in ")
        name, number, *rest = spec.split()
        fields.append(_Field(name, int(number), rest[0] if len(rest) > 1 else "", rest[-1], oneof))
    return fields


def file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    """Return the description of the file ``modelbox.proto``."""
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package=PACKAGE, syntax="proto3", dependency=_IMPORTS)
    for name, text in MESSAGES.items():
        _describe_message(file.message_type.add(name=name), text)
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for service_name, rpcs in SERVICES.items():
        service = file.service.add(name=service_name)
        for name, rpc in rpcs.items():
            service.method.add(
                name=name,
                input_type=f".{PACKAGE}.{rpc.request}",
                output_type=f".{PACKAGE}.{rpc.response}",
                client_streaming=rpc.takes_stream or None,
                server_streaming=rpc.gives_stream or None,
            )
    return file


def _describe_message(described: descriptor_pb2.DescriptorProto, text: str) -> None:
    oneofs: list[str] = []
    for field in _fields(text):
        made = described.field.add(name=field.name, number=field.number, json_name=_json_name(field.name))
        made.label = _FieldProto.LABEL_REPEATED if field.label else _FieldProto.LABEL_OPTIONAL
        if field.label == "map":
            entry = described.nested_type.add(name=f"{field.name.title().replace('_', '')}Entry")
            entry.options.map_entry = True
            key = entry.field.add(name="key", number=1, json_name="key", label=_FieldProto.LABEL_OPTIONAL)
            key.type = _FieldProto.TYPE_STRING
            _set_type(entry.field.add(name="value", number=2, json_name="value", label=_FieldProto.LABEL_OPTIONAL), field.type)
            made.type, made.type_name = _FieldProto.TYPE_MESSAGE, f".{PACKAGE}.{described.name}.{entry.name}"
        else:
            _set_type(made, field.type)
        if field.oneof:
            if field.oneof not in oneofs:
                oneofs.append(field.oneof)
                described.oneof_decl.add(name=field.oneof)
            made.oneof_index = oneofs.index(field.oneof)


def _set_type(field: descriptor_pb2.FieldDescriptorProto, name: str) -> None:
    if name in _SCALARS:
        field.type = _FieldProto.Type.Value(f"TYPE_{name.upper()}")
    else:
        field.type = _FieldProto.TYPE_ENUM if name in ENUMS else _FieldProto.TYPE_MESSAGE
        field.type_name = _FOREIGN.get(name, f".{PACKAGE}.{name}")


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """Return the pool that knows our messages, and nothing of anybody else's."""
    made = descriptor_pool.DescriptorPool()
    for foreign in (struct_pb2, timestamp_pb2):
        made.AddSerializedFile(foreign.DESCRIPTOR.serialized_pb)
    made.AddSerializedFile(file_descriptor().SerializeToString())
    return made


@cache
def message(name: str) -> type[Any]:
    """Return the class of a message by its name, such as ``"Experiment"``."""
    found: type[Any] = message_factory.GetMessageClass(pool().FindMessageTypeByName(_FOREIGN.get(name, f".{PACKAGE}.{name}")[1:]))
    return found


def proto_text() -> str:
    """Return the file ``modelbox.proto``, for programs in other languages."""
    lines = [
        "// The wire of ModelBox. Made from modelbox_server/grpc/schema.py, and checked by tests/server/grpc/test_schema.py.",
        'syntax = "proto3";',
        "",
        f"package {PACKAGE};",
        "",
        *(f'import "{name}";' for name in _IMPORTS),
    ]
    for service, rpcs in SERVICES.items():
        lines += ["", f"service {service} {{"]
        for name, rpc in rpcs.items():
            asks, answers = ("stream " * rpc.takes_stream) + rpc.request, ("stream " * rpc.gives_stream) + rpc.response
            lines.append(f"  rpc {name}({asks}) returns ({answers});")
        lines.append("}")
    for name, text in MESSAGES.items():
        lines += ["", f"message {name} {{", *_proto_fields(_fields(text)), "}"]
    for enum, values in ENUMS.items():
        lines += ["", f"enum {enum} {{", *(f"  {value} = {number};" for number, value in enumerate(values)), "}"]
    return "\n".join(lines) + "\n"


def _proto_fields(fields: list[_Field]) -> list[str]:
    lines: list[str] = []
    inside = ""
    for field in fields:
        if field.oneof != inside:
            lines += [*(["  }"] if inside else []), *([f"  oneof {field.oneof} {{"] if field.oneof else [])]
            inside = field.oneof
        type_name = _FOREIGN.get(field.type, field.type).removeprefix(".")
        written = f"map<string, {type_name}>" if field.label == "map" else f"{field.label} {type_name}".strip()
        lines.append(f"{'    ' if inside else '  '}{written} {field.name} = {field.number};")
    return [*lines, "  }"] if inside else lines
