"""What the tools of gRPC ask a server without knowing it: is it well, and what can it do."""

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from modelbox.errors import StorageUnavailable
from modelbox_server.grpc.schema import file_descriptor
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import Services


@pytest.mark.parametrize("service", ["", "modelbox.ModelStore", "modelbox.ModelBoxAdmin"])
def test_a_server_that_is_well_says_so_to_everybody(service: str) -> None:
    with live_server() as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_server_without_its_storage_is_not_well() -> None:
    def away() -> Services:
        raise StorageUnavailable("The database is away.")

    with live_server(away) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


def test_a_service_that_is_not_here_is_told() -> None:
    with live_server() as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="other"), timeout=30)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_describes_what_there_is() -> None:
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="modelbox.ModelStore"),
    ]
    with live_server() as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        services, found = stub.ServerReflectionInfo(iter(asked), timeout=30)
    names = {service.name for service in services.list_services_response.service}
    assert {"modelbox.ModelStore", "modelbox.ModelBoxAdmin", "grpc.health.v1.Health"} <= names
    files = [descriptor_pb2.FileDescriptorProto.FromString(data) for data in found.file_descriptor_response.file_descriptor_proto]
    (ours,) = (file for file in files if file.package == "modelbox")
    assert [service.name for service in ours.service] == [service.name for service in file_descriptor().service]
