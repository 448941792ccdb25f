"""The whole API, once around, in Jupyter and standalone."""

import hashlib
import math
import uuid
from datetime import UTC, datetime
from urllib.parse import quote

from modelbox.entities.ids import random_id
from modelbox.wire.json import decode
from modelbox.wire.messages import MetricsJson
from modelbox.wire.routes import API_PREFIX, ROUTES
from modelbox.wire.series import ARROW_STREAM, blocks_from_arrow, blocks_to_json
from modelbox_server.testing.api_client import Answer, ApiClient

NAMESPACE = "équipe/vision"


class Recorder:
    """Calls routes by name, and remembers which."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._routes = {route.name: route for route in ROUTES}
        self.called: set[str] = set()

    def __call__(self, name: str, body: object = None, *, query: str = "", **path: str) -> Answer:
        route = self._routes[name]
        self.called.add(name)
        answer = self._client.request(route.method, route.url(**path) + query, json_body=body)
        assert answer.status in {200, 201}, answer
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        return answer


def test_every_object_is_created_read_listed_changed_and_deleted(client: ApiClient) -> None:
    call = Recorder(client)
    name = f"essai/№1 {uuid.uuid4()}"

    info = call("info").json
    assert (info["api"], info["metadata_storage"], info["artifact_storage"]) == ("v1", "integrated", "filesystem")
    assert info["user"]

    created = call("create_experiment", {"name": name, "namespace": NAMESPACE, "metadata": {"params.lr": 0.1}})
    assert (created.status, created.json["exists"]) == (201, False)
    again = call("create_experiment", {"name": name, "namespace": NAMESPACE})
    assert (again.status, again.json["exists"]) == (200, True)
    experiment = created.json["item"]["id"]
    assert created.json["item"]["owner"] == info["user"]
    fresh_id = random_id()
    fresh = call("create_experiment", {"name": name, "namespace": NAMESPACE, "id": fresh_id, "parent_id": experiment}).json["item"]
    assert fresh["id"] == fresh_id
    assert call("get_experiment", experiment_id=experiment).json["namespace"] == NAMESPACE
    listed = call("list_experiments", query="?namespace=%C3%A9quipe&limit=1000").json["items"]
    assert {experiment, fresh_id} <= {item["id"] for item in listed}
    done = call("update_experiment", {"status": "finished"}, experiment_id=experiment).json
    assert done["status"] == "finished"
    assert done["finished_at"]

    checkpoint = call("create_checkpoint", {"epoch": 3, "metrics": {"loss": "NaN"}}, experiment_id=experiment).json["item"]
    assert checkpoint["metrics"] == {"loss": "NaN"}
    assert [item["id"] for item in call("list_checkpoints", experiment_id=experiment).json["items"]] == [checkpoint["id"]]
    assert [item["id"] for item in call("find_checkpoints", query=f"?objects={experiment}").json["items"]] == [checkpoint["id"]]
    assert call("get_checkpoint", checkpoint_id=checkpoint["id"]).json["epoch"] == 3

    model = call("create_model", {"name": name, "namespace": NAMESPACE, "task": "asr"}).json["item"]["id"]
    assert call("get_model", model_id=model).json["task"] == "asr"
    assert model in {item["id"] for item in call("list_models", query="?limit=1000").json["items"]}
    assert call("update_model", {"description": "¿?"}, model_id=model).json["description"] == "¿?"
    version = call("create_model_version", {"version": "1", "name": "a", "tags": ["best"]}, model_id=model).json["item"]["id"]
    assert call("get_model_version", version_id=version).json["tags"] == ["best"]
    assert call("update_model_version", {"tags": ["ok"]}, version_id=version).json["tags"] == ["ok"]
    assert len(call("list_model_versions", model_id=model).json["items"]) == 1
    assert [item["id"] for item in call("find_model_versions", query=f"?objects={model}").json["items"]] == [version]

    document = call("update_metadata", {"metadata": {"a/b": [1, None, {"$float": "-Infinity"}]}}, object_id=experiment).json
    assert document["metadata"] == {"params.lr": 0.1, "a/b": [1, None, {"$float": "-Infinity"}]}
    assert call("delete_metadata", query="?key=a%2Fb", object_id=experiment).json == {"deleted": 1}
    assert call("get_metadata", object_id=experiment).json["metadata"] == {"params.lr": 0.1}

    moment = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
    event = call("log_event", {"name": "epoch", "source": "trainer", "wall_time": moment}, object_id=experiment).json
    assert [item["id"] for item in call("list_events", query="?since=2020-01-01T00:00:00Z", object_id=experiment).json["items"]] == [
        event["id"]
    ]

    assert [item["id"] for item in call("find_events", query=f"?objects={experiment},x").json["items"]] == [event["id"]]

    series = {"object_id": experiment, "key": "val/loss @1", "values": [1.5, "NaN", "Infinity"], "steps": [2, 0, 1]}
    assert call("append_metrics", {"series": [series]}, query="?client=c&batch=1").json == {"points": 3, "duplicate": False}
    assert call("append_metrics", {"series": [series]}, query="?client=c&batch=1").json == {"points": 3, "duplicate": True}
    (read,) = call("read_metrics", {"objects": [experiment]}).json["series"]
    assert (read["steps"], read["values"]) == ([0, 1, 2], ["NaN", "Infinity", 1.5])
    (summary,) = call("summarize_metrics", {"objects": [experiment]}).json["series"]
    assert (summary["count"], summary["last"]) == (3, 1.5)
    frame = call("frame_experiments", query=f"?ids={experiment}").json
    assert frame["metrics"]["key"] == ["val/loss @1"]
    assert frame["metadata"]["value"] == [0.1]

    asked = call("run_sql", {"sql": "select last from metrics where object_id = :id", "parameters": {"id": experiment}}).json
    assert asked["columns"] == [{"name": "last", "values": [1.5]}]

    tracked = call("track_artifacts", {"files": [{"name": "a.bin", "uri": "/nfs/a.bin"}]}, object_id=model).json["items"][0]
    assert tracked["storage"] == "tracked"
    data = b"weights"
    upload = client.request("PUT", f"{API_PREFIX}/objects/{experiment}/artifacts?name=w/%C3%A9.bin", body=data)
    assert upload.status == 201
    assert upload.json["sha256"] == hashlib.sha256(data).hexdigest()
    artifact = upload.json["id"]
    assert call("get_artifact", artifact_id=artifact).json["name"] == "w/é.bin"
    assert [item["id"] for item in call("list_artifacts", object_id=experiment).json["items"]] == [artifact]
    found = {item["id"] for item in call("find_artifacts", query=f"?objects={experiment},{model}").json["items"]}
    assert found == {artifact, tracked["id"]}
    assert client.api("GET", f"/artifacts/{artifact}/content").body == data
    assert call("begin_download", artifact_id=artifact).json["how"] == "server"
    large = {"name": "large.bin", "size_bytes": 1 << 30}
    assert call("begin_upload", large, object_id=experiment).json["how"] == "server"
    # A server without blob servers hands out no tickets, so nobody can have a receipt.
    finish = client.api("POST", f"/objects/{experiment}/uploads/finish", json_body={"artifact": large, "receipt": "none"})
    assert (finish.status, finish.json["code"]) == (400, "invalid_request")
    call.called |= {"upload_artifact", "download_artifact", "finish_upload"}

    action = call("create_action", {"name": "bench", "params": {"batch": {"$float": "NaN"}}}, object_id=model).json["item"]["id"]
    (state,) = call("list_actions", object_id=model).json["items"]
    assert (state["action"]["id"], state["instances"][0]["status"]) == (action, "pending")
    (waiting,) = call("list_runnable_actions", query="?name=bench&arch=arm64").json["items"]
    instance = waiting["instance"]["id"]
    call("update_action_instance", {"status": "running"}, instance_id=instance)
    assert call("update_action_instance", {"status": "finished", "outcome": "success"}, instance_id=instance).json["outcome"] == "success"
    agent = call("register_agent", {"name": name, "host_name": "h"}).json["item"]["id"]
    assert call("heartbeat", {}, agent_id=agent).json["name"] == name
    assert agent in {item["id"] for item in call("list_agents").json["items"]}
    members = call("list_members").json["items"]
    assert [bool(member["http_addr"]) for member in members] == ([True] if info["face"] == "http" else [])

    assert NAMESPACE in {item["name"] for item in call("list_namespaces").json["items"]}
    changes = call("list_changes", query=f"?object_id={experiment}&limit=1000").json["items"]
    assert {"created", "updated"} <= {item["kind"] for item in changes}
    assert {(item["actor"], item["face"]) for item in changes} == {(info["user"], info["face"])}

    assert call("delete_artifact", artifact_id=artifact).json == {"deleted": 1}
    assert call("delete_checkpoint", checkpoint_id=checkpoint["id"]).json["deleted"] >= 1
    assert call("delete_model_version", version_id=version).json["deleted"] >= 1
    assert call("delete_model", model_id=model).json["deleted"] >= 1
    assert call("delete_experiment", experiment_id=experiment).json["deleted"] >= 1
    gone = client.api("GET", f"/experiments/{experiment}")
    assert (gone.status, gone.json["code"]) == (404, "not_found")

    assert call("access").json["roles"] == {"/": "admin"}
    assert call("grant", {"namespace": NAMESPACE, "principal": "user:eve", "role": "reader"}).json["granted_by"] == info["user"]
    assert [item["principal"] for item in call("list_grants", query="?namespace=" + quote(NAMESPACE)).json["items"]] == ["user:eve"]
    assert call("revoke", query=f"?principal=user:eve&namespace={quote(NAMESPACE)}").json == {"deleted": 1}
    made = call("create_token", {"name": "ci", "role": "reader"}).json
    assert made["token"].startswith("mbx_")
    token = made["item"]["id"]
    assert token in {item["id"] for item in call("list_tokens").json["items"]}
    assert call("revoke_token", token_id=token).json == {"deleted": 1}
    assert call("set_limit", {"subject": "user:eve", "points": 5}).json["points"] == 5
    assert [(item["subject"], item["points"]) for item in call("list_limits", query="?subject=user:eve").json["items"]] == [("user:eve", 5)]

    assert call.called == {route.name for route in ROUTES}


def test_pages_follow_each_other_without_gap_or_repeat(client: ApiClient) -> None:
    namespace = f"pages/{uuid.uuid4()}"
    wanted = {client.create_experiment(f"run {i}", namespace) for i in range(7)}
    seen: list[str] = []
    token = ""
    while True:
        page = client.api("GET", f"/experiments?namespace={namespace}&limit=3{token}").json
        seen += [item["id"] for item in page["items"]]
        if page["next_page_token"] is None:
            break
        token = f"&page_token={page['next_page_token']}"
    assert len(seen) == 7
    assert set(seen) == wanted


def test_json_and_arrow_carry_the_same_points_both_ways(client: ApiClient) -> None:
    experiment = client.create_experiment(str(uuid.uuid4()))
    floats = {"values": [0.1, "NaN", "-Infinity", -0.0, 5e-324, 1.7976931348623157e308], "steps": [5, -1, 2**63 - 1, 0, 0, 1]}
    sent = {
        "series": [
            {"object_id": experiment, "key": "val/loss @1", **floats, "wall_times_us": [7] * 6},
            {"object_id": experiment, "key": "texte", "kind": "text", "values": ["é", ""], "steps": [0, 1], "wall_times_us": [1, 2]},
            {"object_id": experiment, "key": "raw", "kind": "bytes", "values": ["AP8=", ""], "steps": [0, 1], "wall_times_us": [1, 2]},
        ]
    }
    assert client.api("POST", "/metrics", sent).json["points"] == 10
    query = {"objects": [experiment]}
    as_json = client.api("POST", "/metrics/read", query)
    as_arrow = client.api("POST", "/metrics/read", query, headers={"Accept": ARROW_STREAM})
    assert as_arrow.headers["content-type"] == ARROW_STREAM
    assert as_json.headers["vary"] == as_arrow.headers["vary"] == "Accept"
    blocks = blocks_from_arrow(as_arrow.body)
    assert blocks_to_json(blocks) == decode(as_json.body, MetricsJson)
    read = next(series for series in as_json.json["series"] if series["kind"] == "float")
    assert read["steps"] == [-1, 0, 0, 1, 5, 2**63 - 1]
    assert math.copysign(1, read["values"][1]) == -1

    other = client.create_experiment(str(uuid.uuid4()))
    copied = as_arrow.body.replace(experiment.encode(), other.encode())
    assert client.request("POST", f"{API_PREFIX}/metrics", body=copied, headers={"Content-Type": ARROW_STREAM}).json["points"] == 10
    read_back = client.api("POST", "/metrics/read", {"objects": [other]}, headers={"Accept": ARROW_STREAM}).body
    assert read_back == copied


def test_a_long_answer_goes_out_as_json_in_pieces(client: ApiClient) -> None:
    experiment = client.create_experiment(str(uuid.uuid4()))
    for batch in range(3):
        steps = list(range(batch * 50_000, (batch + 1) * 50_000))
        series = {"object_id": experiment, "key": "loss", "values": [step / 7 for step in steps], "steps": steps}
        assert client.api("POST", "/metrics", {"series": [series, {**series, "key": "acc"}]}).status == 200
    answer = client.api("POST", "/metrics/read", {"objects": [experiment]})
    assert [len(series["values"]) for series in answer.json["series"]] == [150_000, 150_000]
