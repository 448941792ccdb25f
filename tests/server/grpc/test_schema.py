"""The messages of the gRPC face are those of 2022, and the file for other languages says the same as the tables."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from modelbox_server.grpc import schema
from modelbox_server.grpc.schema import ENUMS, MESSAGES, SERVICES, file_descriptor, message, proto_text
from modelbox_server.grpc.store import UNARY

PROTO = Path(schema.__file__).parent / "modelbox.proto"


def test_the_file_for_other_languages_is_made_from_the_tables() -> None:
    assert PROTO.read_text() == proto_text()


def test_the_file_for_other_languages_compiles_to_the_tables(tmp_path: Path) -> None:
    out = tmp_path / "descriptors"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", f"--descriptor_set_out={out}", PROTO.name]
    subprocess.run(command, check=True, timeout=60)
    (compiled,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    assert compiled == file_descriptor()


def test_stubs_can_be_made_from_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{PROTO.parent}",
        f"--python_out={tmp_path}",
        f"--grpc_python_out={tmp_path}",
        PROTO.name,
    ]
    subprocess.run(command, check=True, timeout=60)
    assert "class ModelStoreStub" in (tmp_path / "modelbox_pb2_grpc.py").read_text()


def test_the_shared_pool_of_protobuf_knows_nothing_of_ours() -> None:
    assert message("Experiment").DESCRIPTOR.full_name == "modelbox.Experiment"
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("modelbox.Experiment")


def test_the_services_of_2022_are_whole() -> None:
    assert {name: len(rpcs) for name, rpcs in SERVICES.items()} == {"ModelStore": 24, "ModelBoxAdmin": 4}


def test_every_method_is_carried_out_and_every_message_used() -> None:
    rpcs = {name: rpc for service in SERVICES.values() for name, rpc in service.items()}
    assert {*UNARY, "LogMetrics"} == {name for name, rpc in rpcs.items() if not rpc.takes_stream and not rpc.gives_stream}
    named = {part for text in MESSAGES.values() for part in text.replace(";", " ").split()}
    named |= {name for rpc in rpcs.values() for name in (rpc.request, rpc.response)}
    assert MESSAGES.keys() <= named
    assert {"ActionOutcome", "ActionStatus"} >= ENUMS.keys() - named


@pytest.mark.parametrize(
    ("name", "field", "number"),
    [
        ("CreateExperimentRequest", "external_id", 7),
        ("Event", "name", 2),
        ("FileMetadata", "updated_at", 21),
        ("MetricsValue", "b_tensor", 7),
        ("ModelVersion", "unique_tags", 9),
        ("CreateModelVersionRequest", "unique_tags", 8),
        ("UpdateMetadataResponse", "updated_at", 5),
    ],
)
def test_numbers_that_are_easily_mistaken_are_right(name: str, field: str, number: int) -> None:
    assert message(name).DESCRIPTOR.fields_by_name[field].number == number
