"""A server, and a way to call it by the names of its methods."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from modelbox_server.grpc.schema import SERVICES, message
from modelbox_server.testing.live_server import LiveServer, live_server

Caller = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(trust_same_user=True) as server:
        yield server


@pytest.fixture(scope="module")
def channel(server: LiveServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def rpc(channel: grpc.Channel) -> Caller:
    """Call a method by its name: ``rpc("ListModels", namespace="x")``; a stream of frames comes second."""
    return caller_of(channel)


@pytest.fixture(scope="module")
def experiment(rpc: Caller) -> str:
    created = rpc("CreateExperiment", name="val/loss @1", namespace="équipe/vision", owner="o@x.org", framework=1, external_id="ext")
    return str(created.experiment_id)


def caller_of(channel: grpc.Channel, **options: Any) -> Caller:
    def call(name: str, frames: Any = None, /, **fields: Any) -> Any:
        service = next(service for service, rpcs in SERVICES.items() if name in rpcs)
        method = SERVICES[service][name]
        kind = f"{'stream' if method.takes_stream else 'unary'}_{'stream' if method.gives_stream else 'unary'}"
        request, response = message(method.request), message(method.response)
        stub = getattr(channel, kind)(f"/modelbox.{service}/{name}", request.SerializeToString, response.FromString)
        return stub(request(**fields) if frames is None else iter(frames), **{"timeout": 60, **options})

    return call


@pytest.fixture(scope="session")
def call_over() -> Callable[..., Caller]:
    """Make the same for another channel, with call options."""
    return caller_of
