"""Who somebody is, and what they may do, is what JupyterHub says of their token."""

import time
from pathlib import Path

import grpc
import pytest

import modelbox
from modelbox.errors import NotFound, PermissionDenied, Unauthenticated
from modelbox_server.grpc.schema import message
from modelbox_server.testing.hub import RunningHub, request

SERVICE = "access:services!service=modelbox"


def box(hub: RunningHub, user: str, *scopes: str) -> modelbox.ModelBox:
    """Return a connection of a user, with a token that may do what they may, or what its scopes say."""
    return modelbox.ModelBox(hub.modelbox_url, token=hub.make_token(user, *scopes)[0], strict=True, durability="memory")


@pytest.fixture(scope="module")
def private(hub: RunningHub) -> dict[str, str]:
    """Ids of an experiment of each of alice and bob, and of one in the namespace of their group."""
    ids = {}
    for user, name, namespace in (("alice", "hers", "default"), ("bob", "his", "default"), ("bob", "theirs", "group/vision")):
        with box(hub, user) as mine, mine.start(name, namespace=namespace) as run:
            run.log(loss=0.5, step=1)
            ids[name] = run.id
    return ids


def test_people_are_who_the_hub_says(hub: RunningHub) -> None:
    status, answer = request("GET", f"{hub.modelbox_url}/api/v1/access", None, {"Authorization": f"token {hub.make_token('alice')[0]}"})
    assert status == 200
    assert (answer["user"], answer["groups"], answer["home"]) == ("alice", ["vision"], "~alice")


def test_people_see_theirs_and_their_teams_and_nobody_elses(hub: RunningHub, private: dict[str, str]) -> None:
    with box(hub, "alice") as alice, box(hub, "rita") as rita:
        assert {run.name for run in alice.experiments()} >= {"hers", "theirs"}
        assert {run.namespace for run in alice.experiments()} == {"~alice", "group/vision"}
        with pytest.raises(NotFound):
            alice.experiment(private["his"]).record  # noqa: B018
        assert list(rita.experiments()) == []


def test_a_reader_cannot_write(hub: RunningHub) -> None:
    with box(hub, "rita") as rita:
        for namespace in ("default", "group/readers", "public"):
            with pytest.raises(PermissionDenied, match="You may not"):
                rita.start("written", namespace=namespace)


def test_a_token_for_reading_only_reads(hub: RunningHub, private: dict[str, str]) -> None:
    with box(hub, "alice", SERVICE, "custom:modelbox:read") as reads:
        assert reads.experiment(private["hers"]).record.name == "hers"
        with pytest.raises(PermissionDenied):
            reads.start("written")


@pytest.mark.parametrize("scopes", [[SERVICE], ["custom:modelbox:write"], ["read:users!user"]])
def test_a_token_that_is_not_for_modelbox_opens_nothing(hub: RunningHub, scopes: list[str]) -> None:
    with box(hub, "alice", *scopes) as outside, pytest.raises(PermissionDenied, match="ask for the scope"):
        outside.info()


def test_an_account_without_a_role_opens_nothing(hub: RunningHub) -> None:
    with box(hub, "carol") as carol, pytest.raises(PermissionDenied, match="access:services!service=modelbox"):
        carol.info()


def test_a_token_that_the_hub_does_not_know_opens_nothing(hub: RunningHub) -> None:
    stranger = modelbox.ModelBox(hub.modelbox_url, token="made-up", durability="memory")
    with stranger, pytest.raises(Unauthenticated, match="JupyterHub does not know this token"):
        stranger.info()


def test_a_revoked_token_stops_within_five_seconds(hub: RunningHub) -> None:
    token, token_id = hub.make_token("bob")
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{hub.modelbox_url}/api/v1/access"
    for _ in range(5):
        assert request("GET", url, None, headers)[0] == 200
    hub.api("DELETE", f"users/bob/tokens/{token_id}")
    revoked_s = time.monotonic()
    asked_s = revoked_s
    while request("GET", url, None, headers)[0] == 200:
        asked_s = time.monotonic()
        time.sleep(0.05)
    assert asked_s - revoked_s < 5
    assert request("GET", url, None, headers)[0] == 401


def test_somebody_who_leaves_a_group_no_longer_sees_what_is_its(hub: RunningHub, private: dict[str, str]) -> None:
    hub.make_token("dora")  # she is known from now on
    hub.api("POST", "groups/vision/users", {"users": ["dora"]})
    with box(hub, "dora") as dora:
        assert dora.experiment(private["theirs"]).record.name == "theirs"
        hub.api("DELETE", "groups/vision/users", {"users": ["dora"]})
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            try:
                dora.info()
            except PermissionDenied:
                return
            time.sleep(0.2)
    raise AssertionError("dora can still call")


def test_grpc_takes_the_same_tokens(hub: RunningHub, private: dict[str, str]) -> None:
    def names(token: str) -> list[str]:
        with grpc.insecure_channel(f"127.0.0.1:{hub.grpc_port}") as channel:
            call = channel.unary_unary(
                "/modelbox.ModelStore/ListExperiments",
                request_serializer=lambda asked: asked.SerializeToString(),
                response_deserializer=message("ListExperimentsResponse").FromString,
            )
            answer = call(message("ListExperimentsRequest")(namespace=""), metadata=[("authorization", f"Bearer {token}")], timeout=30)
            return [experiment.name for experiment in answer.experiments]

    assert "his" not in names(hub.make_token("alice")[0])
    assert "hers" in names(hub.make_token("alice")[0])
    for wrong in ("made-up", ""):
        with pytest.raises(grpc.RpcError) as refused:
            names(wrong)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_no_token_is_in_a_log(hub: RunningHub, tmp_path: Path) -> None:
    token, _ = hub.make_token("alice")
    headers = {"Authorization": f"token {token}"}
    request("GET", f"{hub.modelbox_url}/api/v1/info", None, headers)
    request("GET", f"{hub.modelbox_url}/api/v1/nothing", None, headers)
    request("POST", f"{hub.modelbox_url}/api/v1/experiments", {"name": ""}, headers)
    assert token not in hub.log
