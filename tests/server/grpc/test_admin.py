"""Actions and agents over the wire of 2022, from asking to the end, and who the members are."""

import socket
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from modelbox_server.grpc.schema import message
from modelbox_server.testing.live_server import LiveServer

Caller = Callable[..., Any]

PENDING, RUNNING, FINISHED = 1, 2, 3
SUCCESS = 1


@pytest.fixture
def agent(rpc: Caller) -> str:
    node = message("NodeInfo")(host_name="trainer-1", ip_addr="10.0.0.7", arch="arm64")
    registered = [str(rpc("RegisterAgent", node_info=node, agent_name="bench").node_id) for _ in range(2)]
    assert registered[0] == registered[1]
    return registered[0]


def test_an_agent_completes_an_action_end_to_end(rpc: Caller, agent: str) -> None:
    model = rpc("CreateModel", name="asr", namespace="actions").id
    params = {"batch": message("Value")(number_value=8), "how": message("Value")(string_value="int8")}
    asked = {"name": "benchmark", "object_id": model, "object_type": "model", "arch": "arm64", "params": params}
    first, again = (rpc("CreateActions", **asked).created_at for _ in range(2))
    assert first == again
    assert first.seconds > 1_700_000_000

    rpc("Heartbeat", node_id=agent)
    assert list(rpc("GetRunnableActionInstances", action_name="benchmark", arch="x86_64").instances) == []
    assert list(rpc("GetRunnableActionInstances", action_name="other", arch="arm64").instances) == []
    (waiting,) = rpc("GetRunnableActionInstances", action_name="benchmark", arch="arm64").instances
    assert waiting.command == "benchmark"
    assert (waiting.params["batch"].number_value, waiting.params["how"].string_value) == (8, "int8")

    rpc("UpdateActionStatus", action_instance_id=waiting.id, status=RUNNING, udpate_time=1)
    with pytest.raises(grpc.RpcError) as taken:
        rpc("UpdateActionStatus", action_instance_id=waiting.id, status=RUNNING, udpate_time=2)
    assert taken.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    (running,) = rpc("ListActions", object_id=model).actions
    assert [(state.attempt, state.status, state.outcome) for state in running.states] == [(0, RUNNING, 0)]
    for _ in range(2):
        rpc("UpdateActionStatus", action_instance_id=waiting.id, status=FINISHED, outcome=SUCCESS, outcome_reason="12 ms")

    (ended,) = rpc("ListActions", object_id=model).actions
    assert (ended.id, ended.name) == (waiting.action_id, "benchmark")
    (state,) = ended.states
    assert (state.id, state.action_id, state.status, state.outcome, state.reason) == (waiting.id, ended.id, FINISHED, SUCCESS, "12 ms")
    assert state.updated_at.seconds >= state.created_at.seconds > 1_700_000_000
    assert list(rpc("GetRunnableActionInstances", action_name="benchmark").instances) == []


def test_a_trigger_fires_when_a_model_is_created(rpc: Caller) -> None:
    experiment = rpc("CreateExperiment", name="e", namespace="triggers").experiment_id
    trigger = message("Trigger")(predicate='event.ObjectType == "model" && event.Kind == "created" && event.Task == "asr"', type=1)
    rpc("CreateActions", name="quantise", object_id=experiment, trigger=trigger)
    assert list(rpc("GetRunnableActionInstances", action_name="quantise").instances) == []
    rpc("CreateModel", name="other", namespace="triggers", task="nlp")
    made = rpc("CreateModel", name="asr", namespace="triggers", task="asr").id
    (waiting,) = rpc("GetRunnableActionInstances", action_name="quantise").instances
    assert waiting.params["event"].struct_value.fields["Id"].string_value == made


def test_a_trigger_that_cannot_be_read_is_refused(rpc: Caller, experiment: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        rpc("CreateActions", name="x", object_id=experiment, trigger=message("Trigger")(predicate="while (true) {}"))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be read" in (refused.value.details() or "")


def test_a_server_is_a_member_under_the_address_it_answers_at(rpc: Caller, server: LiveServer) -> None:
    (member,) = rpc("GetClusterMembers").members
    assert member.id
    assert member.host_name == socket.gethostname()
    assert member.rpc_addr == member.http_addr == f"127.0.0.1:{server.port}"
