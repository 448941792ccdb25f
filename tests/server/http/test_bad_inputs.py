"""What people and programs send by mistake or on purpose, and the sentence that they get."""

import gzip
import json
import socket
import uuid
from urllib.parse import urlsplit

import pytest

from modelbox.entities.records import Json
from modelbox_server.testing.api_client import Answer, ApiClient

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def experiment(client: ApiClient) -> str:
    return client.create_experiment(str(uuid.uuid4()))


def refused(answer: Answer, status: int, *words: str) -> Json:
    """Check that an answer is a problem of this status which says these words, and return it."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status
    assert {"code", "title", "detail", "field", "limit", "request_id"} <= set(problem)
    assert "Traceback" not in problem["detail"]
    assert len(problem["detail"]) < 600
    for word in words:
        assert word in problem["detail"], problem["detail"]
    return problem


def point(experiment: str, **changed: Json) -> dict[str, Json]:
    return {"series": [{"object_id": experiment, "key": "val/loss @1", "values": [0.5], **changed}]}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/experiments", "GET, POST"),
        ("DELETE", "/info", "GET"),
        ("PATCH", "/metrics/read", "POST"),
        ("POST", "/artifacts/x/content", "GET, HEAD"),
    ],
)
def test_a_verb_that_a_path_does_not_have(client: ApiClient, method: str, path: str, allow: str) -> None:
    answer = client.api(method, path)
    refused(answer, 405, allow)
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/api/v1/nope", "/api/v1/experiments/", "/api/v1//experiments", "/api/v2/info", "/livez/", "/page"])
def test_a_path_that_is_not_there(client: ApiClient, path: str) -> None:
    refused(client.request("GET", path), 404, "openapi.json")


BODIES = {
    "not utf-8": (b'{"name": "\xff"}', 400, "UTF-8"),
    "not json": (b'{"name": ', 400, "not JSON"),
    "empty": (b"", 400, "not JSON"),
    "an array": (b"[]", 400, "object"),
    "null": (b"null", 400, "object"),
    "nested 100 000 deep": (b'{"name": "x", "metadata": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 413, "32"),
    "nested 33 deep": (b'{"name": "x", "metadata": {"a": ' + b"[" * 33 + b"]" * 33 + b"}}", 413, "32"),
    "a key twice": (b'{"name": "x", "name": "y"}', 400, "'name' stands twice"),
    "a key twice, deep": (b'{"name": "x", "metadata": {"a": {"b": 1, "b": 2}}}', 400, "'b' stands twice"),
    "beyond float64": (b'{"name": "x", "metadata": {"a": 1e400}}', 400, "outside float64"),
    "an endless integer": (b'{"name": "x", "metadata": {"a": ' + b"9" * 5000 + b"}}", 400, "too long"),
    "an integer beyond 64 bits": (b'{"name": "x", "metadata": {"a": 9223372036854775808}}', 400, "64 bits"),
    "an unknown field": (b'{"name": "x", "nam": "y"}', 400, "nam"),
    "no name": (b"{}", 400, "name"),
    "a name that is a number": (b'{"name": 1}', 400, "str"),
    "an empty name": (b'{"name": ""}', 400, "empty"),
    "a blank name": (b'{"name": " "}', 400, "empty"),
    "a padded name": (b'{"name": "a "}', 400, "blank"),
    "a line break": (b'{"name": "a\\nb"}', 400, "U+000A"),
    "a NUL": (b'{"name": "a\\u0000b"}', 400, "U+0000"),
    "an escape": (b'{"name": "a\\u001b[31m"}', 400, "U+001B"),
    "right-to-left": (b'{"name": "a\\u202eb"}', 400, "U+202E"),
    "half a character": (b'{"name": "a\\ud800"}', 400, "U+D800"),
    "513 characters": (json.dumps({"name": "é" * 513}).encode(), 400, "512"),
    "an id that is none": (b'{"name": "x", "id": "../../etc/passwd"}', 400, "id"),
    "a status that is none": (b'{"name": "x", "metadata": [1]}', 400, "object"),
    "a NUL in a value": (b'{"name": "x", "metadata": {"a": "\\u0000"}}', 400, "NUL"),
    "a parent that is not there": (json.dumps({"name": "x", "parent_id": "0" * 40}).encode(), 404, "no"),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_makes_no_experiment(client: ApiClient, what: str) -> None:
    body, status, word = BODIES[what]
    refused(client.request("POST", "/api/v1/experiments", body=body, headers=JSON), status, word)


@pytest.mark.parametrize("name", ["🧪" * 100, "a/b", "a.b", "a[0]", "=x", "<b>", "' OR 1=1 --", "%00", "..a", "ﷺ", "\u00a0x\u00a0y"[1:]])
def test_a_name_that_is_only_unusual_is_kept_literally(client: ApiClient, name: str) -> None:
    answer = client.api("POST", "/experiments", {"name": name, "namespace": str(uuid.uuid4())})
    assert answer.status == 201
    assert client.api("GET", f"/experiments/{answer.json['item']['id']}").json["name"] == name


POINTS = {
    "a number as text": ({"values": ["0.5"]}, 400),
    "a boolean": ({"values": [True]}, 400),
    "nothing": ({"values": [None]}, 400),
    "an object": ({"values": [{}]}, 400),
    "a step beyond 64 bits": ({"steps": [2**63]}, 400),
    "half a step": ({"steps": [1.5]}, 400),
    "a step as text": ({"steps": ["3"]}, 400),
    "columns of different lengths": ({"steps": [1, 2]}, 400),
    "an empty key": ({"key": ""}, 400),
    "a padded key": ({"key": "a "}, 400),
    "a key with a line break": ({"key": "a\nb"}, 400),
    "a key of 513 characters": ({"key": "k" * 513}, 400),
    "a kind that is none": ({"kind": "complex"}, 400),
    "an object that is not there": ({"object_id": "f" * 40}, 404),
    "an object id that is none": ({"object_id": "../x"}, 404),
    "an unknown column": ({"colour": ["red"]}, 400),
    "no points": ({"values": []}, 400),
    "bytes that are not base64": ({"kind": "bytes", "values": ["é"]}, 400),
}


@pytest.mark.parametrize("what", POINTS)
def test_points_that_are_none(client: ApiClient, experiment: str, what: str) -> None:
    changed, status = POINTS[what]
    refused(client.api("POST", "/metrics", point(experiment, **changed)), status)
    assert client.api("POST", "/metrics/read", {"objects": [experiment]}).json["series"] == []


def test_points_of_one_bad_series_take_the_others_with_them(client: ApiClient, experiment: str) -> None:
    body = {"series": point(experiment)["series"] + point("f" * 40)["series"]}
    refused(client.api("POST", "/metrics", body), 404)
    assert client.api("POST", "/metrics/read", {"objects": [experiment]}).json["series"] == []


def test_not_a_number_may_be_bare(client: ApiClient, experiment: str) -> None:
    body = json.dumps(point(experiment, values=[float("nan"), float("inf"), float("-inf"), -1.0], steps=[-1, 0, 1, 2])).encode()
    assert b"NaN" in body
    assert client.request("POST", "/api/v1/metrics", body=body, headers=JSON).status == 200
    (series,) = client.api("POST", "/metrics/read", {"objects": [experiment]}).json["series"]
    assert series["values"] == ["NaN", "Infinity", "-Infinity", -1.0]


def test_too_many_points_are_told_the_limit(client: ApiClient, experiment: str) -> None:
    problem = refused(client.api("POST", "/metrics", point(experiment, values=[0.5] * 100_001)), 413)
    assert "100000" in problem["limit"].replace(" ", "").replace(",", "").replace("_", "")


def test_two_spellings_of_one_name_are_one_series(client: ApiClient, experiment: str) -> None:
    for key in ("\u00e9", "e\u0301"):
        assert client.api("POST", "/metrics", point(experiment, key=key)).status == 200
    (series,) = client.api("POST", "/metrics/read", {"objects": [experiment]}).json["series"]
    assert (series["key"], len(series["values"])) == ("é", 2)


def test_a_batch_number_with_other_content_changes_nothing(client: ApiClient, experiment: str) -> None:
    name = uuid.uuid4()
    assert client.api("POST", f"/metrics?client={name}&batch=0", point(experiment)).json == {"points": 1, "duplicate": False}
    assert client.api("POST", f"/metrics?client={name}&batch=0", point(experiment)).json == {"points": 1, "duplicate": True}
    problem = refused(client.api("POST", f"/metrics?client={name}&batch=0", point(experiment, values=[0.25])), 409)
    assert problem["code"] == "batch_conflict"
    (series,) = client.api("POST", "/metrics/read", {"objects": [experiment]}).json["series"]
    assert series["values"] == [0.5]


def test_half_an_identity_of_a_batch_is_refused(client: ApiClient, experiment: str) -> None:
    refused(client.api("POST", "/metrics?client=c", point(experiment)), 400, "batch")
    refused(client.api("POST", "/metrics?batch=1", point(experiment)), 400, "client")


def test_a_run_that_has_ended_still_takes_points(client: ApiClient, experiment: str) -> None:
    assert client.api("PATCH", f"/experiments/{experiment}", {"status": "finished"}).status == 200
    assert client.api("POST", "/metrics", point(experiment)).status == 200
    assert client.api("GET", f"/experiments/{experiment}").json["status"] == "finished"


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_a_body_of_another_type(client: ApiClient, media: str) -> None:
    refused(client.request("POST", "/api/v1/experiments", body=b'{"name": "x"}', headers={"Content-Type": media}), 415, "application/json")
    answer = client.request("POST", "/api/v1/metrics", body=b'{"series": []}', headers={"Content-Type": media})
    refused(answer, 415, "application/vnd.apache.arrow.stream")


def test_a_compressed_body_is_not_unfolded(client: ApiClient) -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    refused(client.request("POST", "/api/v1/metrics", body=bomb, headers={**JSON, "Content-Encoding": "gzip"}), 415, "gzip")


def test_arrow_that_is_none(client: ApiClient) -> None:
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    for body in (b"", b"\x00", b"ARROW1\x00\x00", b"\xff" * 1000, b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\0" * 100):
        refused(client.request("POST", "/api/v1/metrics", body=body, headers=headers), 400)


@pytest.mark.parametrize(("path", "limit"), [("/experiments", 4 * 2**20), ("/metrics/read", 4 * 2**20), ("/metrics", 64 * 2**20)])
def test_a_body_that_is_too_long_is_refused_before_it_was_read(client: ApiClient, path: str, limit: int) -> None:
    refused(client.request("POST", f"/api/v1{path}", body=b" " * (limit + 1), headers=JSON), 413, str(limit))
    pieces = (b" " * 65536 for _ in range(limit // 65536 + 2))
    refused(client.request("POST", f"/api/v1{path}", body=pieces, headers=JSON), 413, str(limit))


def test_a_body_where_none_is_due(client: ApiClient) -> None:
    refused(client.request("GET", "/api/v1/info", body=b"{}", headers=JSON), 400, "no body")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=ten", "limit=1&limit=2", "page_token=garbage", "lmit=1", "status=odd", "name=%FF"]
)
def test_a_query_that_cannot_be_understood(client: ApiClient, query: str) -> None:
    problem = refused(client.api("GET", f"/experiments?{query}"), 400)
    assert problem["code"] == "invalid_query" or problem["field"]


def test_a_limit_beyond_the_greatest_is_lowered_to_it(client: ApiClient) -> None:
    assert client.api("GET", "/experiments?limit=1000000000").json["limit"] == 1000


def test_a_page_token_of_another_list_is_refused(client: ApiClient) -> None:
    namespace = f"tokens/{uuid.uuid4()}"
    for i in range(3):
        client.create_experiment(f"run {i}", namespace)
    token = client.api("GET", f"/experiments?namespace={namespace}&limit=1").json["next_page_token"]
    refused(client.api("GET", f"/models?page_token={token}"), 400)


def test_integers_that_no_database_holds(client: ApiClient, experiment: str) -> None:
    assert client.api("GET", f"/changes?after={2**70}").status in {200, 400}
    refused(client.api("POST", f"/metrics?client=c&batch={2**70}", point(experiment)), 400)
    refused(client.api("POST", "/metrics?client=c&batch=-1", point(experiment)), 400)
    refused(client.api("POST", f"/experiments/{experiment}/checkpoints", {"epoch": 2**63}), 400)


@pytest.mark.parametrize(
    ("object_id", "status"),
    [("x", 404), ("%00", 400), ("%FF", 400), ("..%2F..%2Fetc", 404), ("0" * 40, 404), ("%C3%A9" * 100, 404), ("'--", 404)],
)
def test_an_id_that_stands_for_nothing(client: ApiClient, object_id: str, status: int) -> None:
    for below in ("", "/checkpoints"):
        refused(client.api("GET", f"/experiments/{object_id}{below}"), status)


def raw(client: ApiClient, head: str) -> bytes:
    """Send a request that no client library would, and return the status line."""
    parts = urlsplit(client.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(head.replace("ROOT", parts.path).replace("\n", "\r\n").encode("latin-1"))
        return connection.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        "GET ROOT/livez HTTP/1.1\n\n",
        "GET ROOT/livez HTTP/1.1\nHost: localhost\nHost: localhost\n\n",
        "POST ROOT/api/v1/metrics HTTP/1.1\nHost: localhost\nContent-Length: 1\nTransfer-Encoding: chunked\n\n0\n\n",
        "POST ROOT/api/v1/metrics HTTP/1.1\nHost: localhost\nContent-Length: -1\n\n",
        "GET ROOT/livez HTTP/1.1\nHost: localhost\nX: a\x00b\n\n",
    ],
)
def test_http_that_is_none(client: ApiClient, head: str) -> None:
    # A caller without a credential may be told so first.
    assert raw(client, head).split()[1] in {b"400", b"401", b"403"}


@pytest.mark.parametrize("host", ["evil.com", "10.evil.com", "localhost.evil.com", "localhost:x"])
def test_another_hosts_name(client: ApiClient, host: str) -> None:
    answer = client.request("GET", "/api/v1/info", headers={"Host": host})
    assert answer.status in ({403, 400} if "/user/" in client.url else {421})


@pytest.mark.parametrize("origin", ["null", "http://evil.com"])
def test_a_page_of_another_origin(standalone: ApiClient, origin: str) -> None:
    refused(standalone.api("POST", "/experiments", {"name": "x"}, headers={"Origin": origin}), 403, "origin")
