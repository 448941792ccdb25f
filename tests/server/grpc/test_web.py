"""gRPC-web: every method over HTTP/1.1, in real frames, binary and in base64, for pages of listed origins."""

import base64
import http.client
import json
import os
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelbox_server.grpc.schema import SERVICES, message
from modelbox_server.grpc.server import GrpcServer
from modelbox_server.testing.live_server import LiveServer, live_server

BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text"
METHODS = [(service, name) for service, rpcs in SERVICES.items() for name in rpcs]
PAGE = "https://dash.example"


class Answer(NamedTuple):
    """What came back."""

    messages: list[Any]
    status: int
    detail: str
    headers: dict[str, str]


@pytest.fixture(scope="module")
def web() -> Iterator[LiveServer]:
    with live_server(allowed_origins=[PAGE]) as server:
        yield server


def frame(data: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(data)) + data


def connect(server: LiveServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)


def post(server: LiveServer, service: str, name: str, body: bytes, media: str = BINARY, **headers: str) -> http.client.HTTPResponse:
    connection = connect(server)
    # The connection belongs to the answer then, and ends with it.
    sent = {
        "Content-Type": media,
        "X-Grpc-Web": "1",
        "Connection": "close",
        **server.headers,
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    connection.request("POST", f"/modelbox.{service}/{name}", body=base64.b64encode(body) if media == TEXT else body, headers=sent)
    return connection.getresponse()


def frames_of(body: bytes) -> Iterator[tuple[int, bytes]]:
    while body:
        flag, length = struct.unpack_from(">BI", body)
        yield flag, body[5 : 5 + length]
        body = body[5 + length :]


def understood(response: http.client.HTTPResponse, service: str, name: str) -> Answer:
    headers = {key.lower(): value for key, value in response.getheaders()}
    body = response.read()
    response.close()
    assert response.status == 200
    assert headers["content-type"] in {BINARY, TEXT}
    if "grpc-status" in headers:
        assert body == b""
        return Answer([], int(headers["grpc-status"]), unquote(headers["grpc-message"]), headers)
    if headers["content-type"] == TEXT:
        pieces = [part + b"=" * (-len(part) % 4) for part in body.replace(b"=", b"= ").replace(b"= = ", b"= ").split(b"= ")]
        body = b"".join(base64.b64decode(piece) for piece in pieces)
    *rest, (flag, last) = frames_of(body)
    assert flag == 0x80
    assert all(flag == 0 for flag, _ in rest)
    trailers = dict(line.split(":", 1) for line in last.decode().splitlines())
    kind = message(SERVICES[service][name].response)
    return Answer([kind.FromString(data) for _, data in rest], int(trailers["grpc-status"]), unquote(trailers["grpc-message"]), trailers)


def call(server: LiveServer, method: str, media: str = BINARY, /, **fields: Any) -> Answer:
    service = next(service for service, rpcs in SERVICES.items() if method in rpcs)
    request = message(SERVICES[service][method].request)(**fields)
    return understood(post(server, service, method, frame(request.SerializeToString()), media), service, method)


def full(server: LiveServer) -> dict[str, dict[str, Any]]:
    """A request for each unary method that there is something to say to."""
    metadata = message("Metadata")()
    metadata.metadata["lr"].number_value = 0.5
    experiment = call(server, "CreateExperiment", name="web", namespace="web", owner="o").messages[0].experiment_id
    model = call(server, "CreateModel", name="web model", namespace="web", owner="o").messages[0].id
    file = message("FileMetadata")(parent_id=experiment, path="/x/y.bin", checksum="0" * 32)
    value = message("MetricsValue")(step=1, wallclock_time=5, f_val=0.5)
    event = message("Event")(name="epoch", source=message("EventSource")(name="trainer"))
    return {
        "CreateExperiment": {"name": "another", "namespace": "web"},
        "GetExperiment": {"id": experiment},
        "ListExperiments": {"namespace": "web"},
        "CreateModel": {"name": "other", "namespace": "web"},
        "ListModels": {"namespace": "web"},
        "CreateModelVersion": {"model": model, "name": "v", "version": "1"},
        "ListModelVersions": {"model": model},
        "CreateCheckpoint": {"experiment_id": experiment, "epoch": 1},
        "ListCheckpoints": {"experiment_id": experiment},
        "GetCheckpoint": {"experiment_id": experiment, "epoch": 1},
        "UpdateMetadata": {"parent_id": experiment, "metadata": metadata},
        "ListMetadata": {"parent_id": experiment},
        "TrackArtifacts": {"files": [file]},
        "ListArtifacts": {"parent_id": experiment},
        "LogMetrics": {"parent_id": experiment, "key": "loss", "value": value},
        "GetMetrics": {"parent_id": experiment},
        "LogEvent": {"parent_id": experiment, "event": event},
        "ListEvents": {"parent_id": experiment},
        "GetClusterMembers": {},
        "ListActions": {"object_id": experiment},
    }


@pytest.mark.parametrize("media", [BINARY, TEXT])
def test_unary_methods_do_what_they_do_over_grpc(web: LiveServer, media: str) -> None:
    answers = {name: call(web, name, media, **fields) for name, fields in full(web).items()}
    assert {name: answer.detail for name, answer in answers.items() if answer.status} == {}
    assert all(len(answer.messages) == 1 for answer in answers.values())
    assert answers["GetExperiment"].messages[0].experiment.name == "web"
    assert answers["GetMetrics"].messages[0].metrics[0].values[0].f_val == 0.5
    assert answers["ListMetadata"].messages[0].metadata["lr"].number_value == 0.5
    assert answers["ListEvents"].messages[0].events[0].name == "epoch"


@pytest.mark.parametrize(("service", "name"), METHODS)
def test_every_method_is_there_and_refuses_what_is_no_message(web: LiveServer, service: str, name: str) -> None:
    for body in (frame(b"\xff\xff\xff"), frame(b"\x08"), b"\x00\x00", b"\x00\x00\x00\x00\x09abc", frame(b"", flag=1)):
        answer = understood(post(web, service, name, body), service, name)
        assert (answer.status, answer.messages) == (3, [])
        assert answer.detail.endswith(".")


@pytest.mark.parametrize(("service", "name"), METHODS)
def test_every_method_needs_a_token(web: LiveServer, service: str, name: str) -> None:
    answer = understood(post(web, service, name, frame(b""), Authorization="Bearer"), service, name)
    assert (answer.status, answer.detail) == (16, "This needs a token: send 'Authorization: Bearer TOKEN'.")


@pytest.mark.parametrize("media", [BINARY, TEXT])
def test_a_file_goes_up_and_comes_down(web: LiveServer, media: str) -> None:
    content = os.urandom(700_001)
    experiment = call(web, "CreateExperiment", name="files").messages[0].experiment_id
    upload, metadata = message("UploadFileRequest"), message("FileMetadata")
    parts = [upload(metadata=metadata(parent_id=experiment, path="w.bin"))]
    parts += [upload(chunks=content[start : start + 100_000]) for start in range(0, len(content), 100_000)]
    body = b"".join(frame(part.SerializeToString()) for part in parts)
    stored = understood(post(web, "ModelStore", "UploadFile", body, media), "ModelStore", "UploadFile")
    assert stored.status == 0
    got = call(web, "DownloadFile", media, file_id=stored.messages[0].file_id)
    assert (got.status, got.messages[0].metadata.path) == (0, "w.bin")
    assert b"".join(part.chunks for part in got.messages[1:]) == content


def test_changes_are_streamed_as_they_happen_until_the_page_has_seen_enough(web: LiveServer) -> None:
    request = message("WatchNamespaceRequest")(namespace="watched").SerializeToString()
    response = post(web, "ModelStore", "WatchNamespace", frame(request), Grpc_Timeout="20S")

    def next_change() -> Any:
        flag, length = struct.unpack(">BI", response.read(5))
        assert flag == 0
        return message("WatchNamespaceResponse").FromString(response.read(length))

    for number in range(3):
        call(web, "CreateExperiment", name=f"run {number}", namespace="watched")
        assert next_change().event == 1
    response.close()
    begun_s = time.monotonic()
    short = understood(post(web, "ModelStore", "WatchNamespace", frame(request), Grpc_Timeout="300m"), "ModelStore", "WatchNamespace")
    assert (short.status, len(short.messages)) == (4, 3)
    assert "Grpc-Timeout" in short.detail
    assert time.monotonic() - begun_s >= 0.3


def test_a_page_that_goes_away_ends_its_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, is_over = GrpcServer.watch, threading.Event()

    async def noted(self: GrpcServer, *asked: Any) -> AsyncIterator[Any]:
        try:
            async with aclosing(watch(self, *asked)) as changes:
                async for change in changes:
                    yield change
        finally:
            is_over.set()

    monkeypatch.setattr(GrpcServer, "watch", noted)
    with live_server() as server:
        call(server, "CreateExperiment", name="x", namespace="x")
        request = message("WatchNamespaceRequest")(namespace="x").SerializeToString()
        response = post(server, "ModelStore", "WatchNamespace", frame(request))
        assert response.read(5)
        assert not is_over.is_set()
        response.close()
        assert is_over.wait(60)


def test_a_stop_ends_watches_with_a_sentence() -> None:
    answers: list[Answer] = []
    with live_server() as server:
        call(server, "CreateExperiment", name="x", namespace="x")
        request = message("WatchNamespaceRequest")(namespace="x").SerializeToString()
        response = post(server, "ModelStore", "WatchNamespace", frame(request))
        reader = threading.Thread(target=lambda: answers.append(understood(response, "ModelStore", "WatchNamespace")))
        reader.start()
    reader.join(60)
    assert (answers[0].status, len(answers[0].messages), answers[0].headers["retry-after"]) == (14, 1, "5")


@pytest.mark.parametrize("media", ["application/json", "application/grpc", "application/grpc-web+json", "text/plain", ""])
def test_other_media_are_refused_as_everywhere(web: LiveServer, media: str) -> None:
    response = post(web, "ModelStore", "ListModels", b"{}", media)
    assert (response.status, json.loads(response.read())["code"]) == (415, "unsupported_media")
    response.close()


def test_methods_that_are_not_there_are_not_found(web: LiveServer) -> None:
    for service, name in (("ModelStore", "Nothing"), ("Nothing", "ListModels")):
        response = post(web, service, name, frame(b""))
        assert response.status == 404
        response.close()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(METHODS), st.binary(max_size=200), st.booleans(), st.sampled_from([BINARY, TEXT]))
def test_whatever_comes_is_answered_with_a_status_and_a_sentence(
    web: LiveServer, method: tuple[str, str], data: bytes, is_framed: bool, media: str
) -> None:
    service, name = method
    if name == "WatchNamespace":
        return  # a request that is right would be watched for ever
    answer = understood(post(web, service, name, frame(data) if is_framed else data, media), service, name)
    assert answer.status not in {2, 13}
    assert answer.status == 0 or answer.detail.endswith(".")


# --- pages of other servers --------------------------------------------------------------------------------------------------------------


def ask(server: LiveServer, verb: str, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = connect(server)
    connection.request(verb, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


@pytest.mark.parametrize("path", ["/modelbox.ModelStore/ListModels", "/api/v1/experiments", "/livez"])
def test_browsers_are_told_what_pages_of_a_listed_origin_may_do(web: LiveServer, path: str) -> None:
    asked = ask(web, "OPTIONS", path, Origin=PAGE, Access_Control_Request_Method="POST")
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"], asked.headers["Vary"]) == (204, PAGE, "Origin")
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in asked.headers
    answered = ask(web, "GET", "/api/v1/info", Origin=PAGE, **web.headers)
    assert (answered.status, answered.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert "Grpc-Status" in answered.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://dash.example.evil", "http://dash.example", "null", "https://dash.example:1"]
)
def test_pages_of_other_origins_are_told_nothing(web: LiveServer, origin: str) -> None:
    asked = ask(web, "OPTIONS", "/modelbox.ModelStore/ListModels", Origin=origin, Access_Control_Request_Method="POST")
    assert (asked.status in {401, 403}, asked.headers.get("Access-Control-Allow-Origin")) == (True, None)
    answered = ask(web, "GET", "/api/v1/info", Origin=origin, **web.headers)
    assert (answered.status, answered.headers.get("Access-Control-Allow-Origin")) == (403, None)


def test_a_listed_origin_does_not_open_other_hosts(web: LiveServer) -> None:
    assert ask(web, "OPTIONS", "/livez", Origin=PAGE, Host="evil.example").status == 421
