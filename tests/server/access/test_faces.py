"""The same access through every door: HTTP with tokens and with a proxy, and gRPC."""

import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from modelbox_server.grpc.schema import SERVICES, message
from modelbox_server.http.auth import ProxyIdentity
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.live_server import LiveServer, live_server

PROXY = ProxyIdentity(frozenset({"127.0.0.1"}), "x-remote-user", "x-remote-groups")


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(proxies=PROXY) as server:
        yield server


@pytest.fixture(scope="module")
def operator(server: LiveServer) -> ApiClient:
    return ApiClient(server.url, server.headers)


@pytest.fixture
def token(operator: ApiClient) -> Callable[..., tuple[str, ApiClient, str]]:
    """Make a token; return it, a client that sends it, and its id."""

    def make(user: str, *groups: str, **limits: object) -> tuple[str, ApiClient, str]:
        made = operator.api("POST", "/tokens", json_body={"name": "t", "user": user, "groups": list(groups), **limits}).json
        return made["token"], ApiClient(operator.url, {"Authorization": f"Bearer {made['token']}"}), made["item"]["id"]

    return make


def behind_proxy(operator: ApiClient, user: str, groups: str = "") -> ApiClient:
    return ApiClient(operator.url, {"X-Remote-User": user, "X-Remote-Groups": groups})


def created(client: ApiClient, name: str, namespace: str = "") -> dict[str, str]:
    answer = client.api("POST", "/experiments", json_body={"name": name, "namespace": namespace})
    assert answer.status == 201, answer.json
    item: dict[str, str] = answer.json["item"]
    return item


def test_a_token_opens_its_owners_places_over_http(operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]) -> None:
    _, alice, _ = token("alice", "vision")
    _, bob, _ = token("bob", "vision")
    _, reader, _ = token("alice", "vision", role="reader")
    assert alice.api("GET", "/access").json == {
        "user": "alice", "groups": ["vision"], "token": "t", "home": "~alice",
        "roles": {"~alice": "admin", "public": "reader", "group/vision": "writer"},
    }  # fmt: skip
    mine, ours = created(alice, "mine"), created(alice, "ours", "group/vision")
    assert (mine["namespace"], mine["owner"]) == ("~alice", "alice")
    assert bob.api("GET", f"/experiments/{mine['id']}").status == 404
    assert bob.api("GET", f"/experiments/{ours['id']}").status == 200
    assert [item["name"] for item in bob.api("GET", "/experiments").json["items"]] == ["ours"]
    refused = reader.api("PATCH", f"/experiments/{ours['id']}", json_body={"group": "x"})
    assert (refused.status, refused.json["code"]) == (403, "permission_denied")
    points = {"series": [{"object_id": mine["id"], "key": "k", "steps": [0], "wall_times_us": [0], "values": [1.0]}]}
    assert [client.api("POST", "/metrics", json_body=points).status for client in (alice, bob, reader)] == [200, 404, 403]
    path = f"/api/v1/objects/{mine['id']}/artifacts?name=x"
    assert [client.request("PUT", path, body=b"x").status for client in (alice, bob, reader)] == [201, 404, 403]
    assert operator.api("GET", f"/changes?object_id={mine['id']}").json["items"][0]["actor"] == "alice"


def test_a_revoked_token_stops_within_five_seconds(operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]) -> None:
    _, alice, token_id = token("alice")
    assert alice.api("GET", "/access").status == 200
    assert operator.api("DELETE", f"/tokens/{token_id}").json == {"deleted": 1}
    until_s = time.monotonic() + 5
    while (answer := alice.api("GET", "/access")).status == 200:
        assert time.monotonic() < until_s
        time.sleep(0.1)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


def test_a_token_opens_nothing_where_it_was_revoked(operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]) -> None:
    _, alice, token_id = token("alice")
    assert alice.api("GET", "/access").status == 200
    assert operator.api("DELETE", f"/tokens/{token_id}").json == {"deleted": 1}
    assert alice.api("GET", "/access").status == 401


def test_a_proxy_says_who_calls_and_nobody_else_does(operator: ApiClient) -> None:
    carol = behind_proxy(operator, "carol", "vision, nlp")
    me = carol.api("GET", "/access").json
    assert (me["user"], me["groups"], me["home"], me["token"]) == ("carol", ["vision", "nlp"], "~carol", "")
    assert created(carol, "hers")["namespace"] == "~carol"
    made = carol.api("POST", "/tokens", json_body={"name": "script"}).json
    script = ApiClient(operator.url, {"Authorization": f"Bearer {made['token']}"})
    assert script.api("GET", "/access").json["groups"] == ["vision", "nlp"]
    assert carol.api("POST", "/tokens", json_body={"name": "x", "user": "root"}).status == 403
    assert carol.api("POST", "/sql", json_body={"sql": "select 1"}).status == 403
    with live_server(proxies=ProxyIdentity(frozenset({"192.0.2.1"}), "x-remote-user")) as other:
        stranger = ApiClient(other.url, {"X-Remote-User": "carol"})
        assert stranger.api("GET", "/access").status == 401
        assert stranger.api("GET", "/experiments").status == 401


def test_grants_are_made_over_http_by_admins(operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]) -> None:
    alice, bob = behind_proxy(operator, "alice"), behind_proxy(operator, "bob")
    shared = created(alice, "shared", "~alice/open")
    assert bob.api("GET", f"/experiments/{shared['id']}").status == 404
    grant = {"namespace": "~alice/open", "principal": "user:bob", "role": "writer"}
    assert bob.api("POST", "/grants", json_body=grant).status == 404
    assert alice.api("POST", "/grants", json_body=grant).status == 200
    assert bob.api("PATCH", f"/experiments/{shared['id']}", json_body={"group": "by bob"}).status == 200
    assert bob.api("DELETE", f"/experiments/{shared['id']}").status == 403
    assert alice.api("DELETE", "/grants?namespace=~alice/open&principal=user:bob").json == {"deleted": 1}
    assert bob.api("GET", f"/experiments/{shared['id']}").status == 404


# --- gRPC --------------------------------------------------------------------------------------------------------------------------------


def caller(channel: grpc.Channel, token: str) -> Callable[..., object]:
    def call(name: str, **fields: object) -> object:
        rpc = SERVICES["ModelStore"][name]
        method = channel.unary_unary(f"/modelbox.ModelStore/{name}", lambda m: m.SerializeToString(), message(rpc.response).FromString)
        return method(message(rpc.request)(**fields), timeout=20, metadata=[("authorization", f"Bearer {token}")])

    return call


def code(call: Callable[[], object]) -> str:
    try:
        call()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def test_grpc_obeys_the_same_roles(server: LiveServer, operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]) -> None:
    mine = created(behind_proxy(operator, "dora"), "mine")
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        dora, reader, eve = (caller(channel, token(*who)[0]) for who in (("dora",), ("dora",), ("eve",)))
        reader = caller(channel, token("dora", role="reader")[0])
        value = message("MetricsValue")(step=1, wallclock_time=1, f_val=0.5)
        for call, read, write in ((dora, "OK", "OK"), (reader, "OK", "PERMISSION_DENIED"), (eve, "NOT_FOUND", "NOT_FOUND")):
            assert code(lambda: call("GetExperiment", id=mine["id"])) == read  # noqa: B023  (called at once)
            assert code(lambda: call("LogMetrics", parent_id=mine["id"], key="k", value=value)) == write  # noqa: B023
        assert code(lambda: caller(channel, "mbx_wrong")("GetExperiment", id=mine["id"])) == "UNAUTHENTICATED"
        assert [e.id for e in dora("ListExperiments", namespace="default").experiments] == [mine["id"]]  # type: ignore[attr-defined]
        assert list(eve("ListExperiments", namespace="~dora").experiments) == []  # type: ignore[attr-defined]


def test_points_that_are_gathered_are_stored_with_the_rights_of_their_own_caller(
    server: LiveServer, operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]
) -> None:
    """Many at once, so that those of a stranger come into the same transaction as those of whoever may."""
    mine = created(behind_proxy(operator, "fred"), "mine")
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        tokens = {"fred": token("fred")[0], "eve": token("eve")[0]}
        log = channel.unary_unary("/modelbox.ModelStore/LogMetrics", lambda m: m.SerializeToString(), lambda data: data)
        calls = []
        for step in range(200):
            for who in ("fred", "eve"):
                value = message("MetricsValue")(step=step, wallclock_time=1, f_val=0.5)
                request = message("LogMetricsRequest")(parent_id=mine["id"], key=who, value=value)
                calls.append((who, log.future(request, timeout=30, metadata=[("authorization", f"Bearer {tokens[who]}")])))
        codes = {(who, "OK" if call.exception() is None else call.exception().code().name) for who, call in calls}
    assert codes == {("fred", "OK"), ("eve", "NOT_FOUND")}
    summaries = operator.api("POST", "/metrics/summaries", json_body={"objects": [mine["id"]]}).json["series"]
    assert [(series["key"], series["count"]) for series in summaries] == [("fred", 200)]


def test_a_watch_shows_what_may_be_read_and_ends_with_its_token(
    server: LiveServer, operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]
) -> None:
    secret, _, token_id = token("gina")
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        watch = channel.unary_stream(
            "/modelbox.ModelStore/WatchNamespace", lambda m: m.SerializeToString(), message("WatchNamespaceResponse").FromString
        )
        stream = watch(message("WatchNamespaceRequest")(), timeout=60, metadata=[("authorization", f"Bearer {secret}")])
        created(operator, "foreign", "secret")
        hers = created(behind_proxy(operator, "gina"), "hers")
        made = str(next(stream))  # the token itself; what was made between the two lies elsewhere
        assert token_id in made
        assert secret not in made
        assert hers["id"] in str(next(stream))
        assert operator.api("DELETE", f"/tokens/{token_id}").json == {"deleted": 1}
        revoked_at_s = time.monotonic()
        with pytest.raises(grpc.RpcError) as end:
            list(stream)
        assert end.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert time.monotonic() - revoked_at_s < 30  # two seconds on a machine with nothing else to do


def test_a_page_that_watches_is_told_within_seconds_that_its_token_was_revoked(
    operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]
) -> None:
    _, hana, token_id = token("hana")
    request = message("WatchNamespaceRequest")().SerializeToString()
    body = struct.pack(">BI", 0, len(request)) + request
    media = {"Content-Type": "application/grpc-web+proto", "Grpc-Timeout": "40S"}
    with ThreadPoolExecutor(1) as other:
        watching = other.submit(hana.request, "POST", "/modelbox.ModelStore/WatchNamespace", body=body, headers=media)
        time.sleep(0.3)  # it may as well be revoked before the watch begins: the answer is the same
        assert operator.api("DELETE", f"/tokens/{token_id}").json == {"deleted": 1}
        answer = watching.result(30)
    assert b"grpc-status:16" in answer.body or answer.headers.get("grpc-status") == "16"


def test_an_upload_that_began_before_its_token_was_revoked_may_end_and_no_other_begins(
    operator: ApiClient, token: Callable[..., tuple[str, ApiClient, str]]
) -> None:
    _, ivan, token_id = token("ivan")
    mine = created(ivan, "mine")
    path = f"/api/v1/objects/{mine['id']}/artifacts?name=x"

    def pieces() -> Iterator[bytes]:
        yield b"begun, "
        assert operator.api("DELETE", f"/tokens/{token_id}").json == {"deleted": 1}
        yield b"ended"

    assert ivan.request("PUT", path, body=pieces()).status == 201
    assert ivan.request("PUT", path, body=b"another").status == 401
    kept = operator.api("GET", f"/objects/{mine['id']}/artifacts").json["items"]
    assert [(one["name"], one["size_bytes"]) for one in kept] == [("x", 12)]
