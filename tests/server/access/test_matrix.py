"""The table ``matrix.csv`` says what everything that is served answers to everybody, and a real server answers just that.

A cell is a status. With a ``+`` the answer shows something of the things that the call is about; without, it shows nothing of them.
"""

import base64
import csv
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args
from urllib.parse import unquote

import grpc
import pytest
from tests.server.access.matrix_calls import CONTENT, HTTP_CALLS, OPERATOR, Scene, Sent, grpc_requests

from modelbox.entities.records import Role
from modelbox.entities.times import now
from modelbox.wire import access as a
from modelbox.wire.routes import API_PREFIX
from modelbox_server.blob_server import BlobServer
from modelbox_server.grpc.schema import PACKAGE, SERVICES
from modelbox_server.grpc.server import GrpcServer
from modelbox_server.grpc.web import web_rules
from modelbox_server.http import auth
from modelbox_server.http.blobs import BlobFace, blob_rules
from modelbox_server.http.exchange import ExchangeHandler
from modelbox_server.http.face import Face
from modelbox_server.http.handlers import handler_rules
from modelbox_server.http.page import page_files
from modelbox_server.hub.sign_in import sign_in_pages
from modelbox_server.service.tickets import Claims, TicketDesk
from modelbox_server.testing.api_client import Answer, ApiClient
from modelbox_server.testing.live_server import live_server, serving
from modelbox_server.wiring import Services, StorageSettings, ephemeral_services, passing_services

if TYPE_CHECKING:
    from modelbox_server.hub.gate import HubGate

WHO = ("nobody", "wrong token", "reader", "writer", "stranger", "admin", "operator")
KEY = "a key that only these servers have"
DESK = TicketDesk(KEY, now)
UNKNOWN = "/nothing/here"
ASSET = next((path.name for path in sorted((page_files() / "assets").glob("*.js"))), "none.js")
ROWS: dict[tuple[str, str], dict[str, str]] = {}
with Path(__file__).with_name("matrix.csv").open(encoding="utf-8", newline="") as file:
    for line in csv.DictReader(file):
        assert (line["face"], line["call"]) not in ROWS, line
        ROWS[line["face"], line["call"]] = {who: line[who] for who in WHO}


@dataclass
class World:
    """A server, a blob server beside it, and a token for everybody who has one."""

    services: Services
    url: str
    blob_url: str
    port: int
    tokens: dict[str, str | None]

    def client(self, who: str, url: str = "") -> ApiClient:
        token = self.tokens[who]
        return ApiClient(url or self.url, {} if token is None else {"Authorization": f"Bearer {token}"})

    def metadata(self, who: str) -> list[tuple[str, str]]:
        return [(key.lower(), value) for key, value in self.client(who).headers.items()]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    settings = StorageSettings(Path(), "ephemeral", "inmemory", "filesystem", ticket_key=KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "_FAILURES_PER_MINUTE", 100_000)  # who has a wrong token tries everything here
        server = BlobServer(lambda: services.stores.blobs, DESK, port=0)
        with serving(server):
            services = passing_services(replace(settings, blob_servers=(server.url,)))
            with live_server(lambda: services) as live:
                yield World(services, live.url, server.url, live.port, tokens(services, live.token))


def tokens(services: Services, operator: str) -> dict[str, str | None]:
    """Give everybody their role, and a token."""
    for user, namespace, role in (
        ("reader", "team", Role.READER),
        ("writer", "team", Role.WRITER),
        ("stranger", "other", Role.WRITER),
        ("admin", "team", Role.ADMIN),
    ):
        services.grants.grant(OPERATOR, a.GrantRequest(namespace=namespace, principal=f"user:{user}", role=role))
    made = {who: services.tokens.create(OPERATOR, a.TokenCreate(name=who, user=who)).token for who in WHO[2:6]}
    return {"nobody": None, "wrong token": "mbx_wrong", **made, "operator": operator}


# --- what is served ----------------------------------------------------------------------------------------------------------------------


def served() -> set[tuple[str, str]]:
    """Return every verb of every path that the handlers have, every RPC, and every kind of ticket."""
    gate = auth.TokenGate("x")
    face = Face(ephemeral_services, gate)
    blob_face = BlobFace(lambda: ephemeral_services().stores.blobs, DESK)
    rules = [
        *(("http", rule) for rule in handler_rules(face, ExchangeHandler, ExchangeHandler)),
        *(("blob", rule) for rule in blob_rules(blob_face)),
    ]
    found = {(name, f"{verb} {rule[2]['path'] or '*'}") for name, rule in rules for verb in rule[2]["verbs"]}  # type: ignore[attr-defined]
    found |= {("grpc", f"{service}/{name}") for service, rpcs in SERVICES.items() for name in rpcs}
    return found | {("ticket", kind.__struct_config__.tag) for kind in get_args(Claims)}


def test_everything_that_is_served_has_a_row_and_every_row_is_served() -> None:
    assert sorted(served() - set(ROWS)) == [], "add rows to tests/server/access/matrix.csv: what may each of these people do?"
    assert sorted(set(ROWS) - served()) == [], "nothing serves these rows of tests/server/access/matrix.csv"


def test_web_pages_reach_the_same_calls_as_programs() -> None:
    gate = auth.TokenGate("x")
    face = Face(ephemeral_services, gate)
    server = GrpcServer(face, gate)
    paths = {rule[2]["path"] for rule in web_rules(face, server)}
    server.peers.close()
    assert paths == {f"/{PACKAGE}.{call}" for face_name, call in ROWS if face_name == "grpc"}


def test_under_a_hub_three_more_pages_are_open_to_all_and_nothing_else() -> None:
    """They are asked in tests/hub, with a Hub: what is added here needs a test there."""
    assert set(sign_in_pages(cast("HubGate", None))) == {"/", "/login", "/oauth_callback"}


# --- HTTP --------------------------------------------------------------------------------------------------------------------------------


def sent_to(call: str, scene: Scene) -> tuple[str, str, Sent]:
    """Return verb, path and the rest of the request of a row."""
    verb, path = call.split(" ")
    sent = HTTP_CALLS.get(f"{verb} {path.removeprefix(API_PREFIX)}", lambda t: Sent())(scene)
    names = {**scene.path, "name": ASSET}
    return verb, (UNKNOWN if path == "*" else path.format(**names)) + sent.query, sent


def asked(client: ApiClient, call: str, scene: Scene) -> tuple[Answer, str]:
    verb, path, sent = sent_to(call, scene)
    answer = client.request(verb, path, json_body=sent.json, body=sent.body, headers=sent.headers)
    return answer, f"{path} {sent.json}"


def shown(scene: Scene, body: bytes, said: str = "") -> list[str]:
    """Return what an answer shows of a scene, but for what was `said` in the question."""
    text = body.decode(errors="replace")
    return sorted(mark for mark in scene.marks if mark in text and mark not in said)


def cell(who: str, status: object, *, is_good: bool, scene: Scene, body: bytes, said: str) -> str:
    """Return a cell of the table."""
    if is_good:
        return f"{status}+" if shown(scene, body) else str(status)
    may_know = who not in {"nobody", "wrong token", "stranger"}
    assert may_know or shown(scene, body, said) == [], f"the refusal shows {shown(scene, body, said)}: {body[:500]!r}"
    return str(status)


def http_cell(world: World, face: str, call: str, who: str) -> str:
    scene = Scene(world.services, DESK)
    answer, said = asked(world.client(who, world.blob_url if face == "blob" else ""), call, scene)
    return cell(who, answer.status, is_good=answer.status < 400, scene=scene, body=answer.body, said=said)


@pytest.mark.parametrize(("face", "call"), [row for row in ROWS if row[0] in {"http", "blob"}], ids=lambda part: part.replace(" ", "_"))
def test_http_answers_everybody_as_the_matrix_says(world: World, face: str, call: str) -> None:
    assert {who: http_cell(world, face, call, who) for who in WHO} == ROWS[face, call]


ABOUT_SOMETHING = [
    call
    for face, call in ROWS
    if face == "http" and ("_id}" in call or f"{API_PREFIX}/metrics" in call) and "HEAD" not in call and "agent_id" not in call
]


@pytest.mark.parametrize("call", ABOUT_SOMETHING, ids=lambda call: call.replace(" ", "_"))
def test_a_stranger_cannot_tell_what_is_foreign_from_what_is_not_there(world: World, call: str) -> None:
    """Status, headers and sentence are the same."""
    there = Scene(world.services, DESK)
    answers = []
    for scene in (there, there.elsewhere()):
        answer, _ = asked(world.client("stranger"), call, scene)
        text = answer.body.decode(errors="replace")
        for id_ in scene.path.values():
            text = text.replace(id_, "ID")
        kept = {key: value for key, value in answer.headers.items() if key not in {"date", "x-request-id", "content-length"}}
        problem = {} if answer.status < 400 else {**answer.json, "request_id": "", "detail": ""}
        answers.append((answer.status, kept, problem, text.replace(answer.headers.get("x-request-id", "-"), "")))
    assert answers[0] == answers[1]


# --- gRPC --------------------------------------------------------------------------------------------------------------------------------


def grpc_cell(world: World, call: str, who: str) -> str:
    service, _, name = call.partition("/")
    rpc = SERVICES[service][name]
    scene = Scene(world.services, DESK)
    requests = [request.SerializeToString() for request in grpc_requests(name, scene)]
    shape = f"{'stream' if rpc.takes_stream else 'unary'}_{'stream' if rpc.gives_stream else 'unary'}"
    body, status = b"", "OK"
    with grpc.insecure_channel(f"127.0.0.1:{world.port}") as channel:
        method = getattr(channel, shape)(f"/{PACKAGE}.{call}")
        sent = iter(requests) if rpc.takes_stream else requests[0]
        try:
            answer = method(sent, metadata=world.metadata(who), timeout=WATCHING_S if name == "WatchNamespace" else 20)
            if rpc.gives_stream:
                for piece in answer:
                    body += piece
                    if name == "WatchNamespace":  # it would not end
                        answer.cancel()
                        break
            else:
                body = answer
        except grpc.RpcError as error:
            if not (name == "WatchNamespace" and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED):
                status, body = error.code().name, str(error.details()).encode()
    said = b"".join(requests).decode(errors="replace")
    return cell(who, status, is_good=status == "OK", scene=scene, body=body, said=said)


WATCHING_S = 0.5


def web_cell(world: World, call: str, who: str) -> str:
    """Ask the same by gRPC-web in base64, as pages do."""
    name = call.partition("/")[2]
    scene = Scene(world.services, DESK)
    requests = [request.SerializeToString() for request in grpc_requests(name, scene)]
    framed = b"".join(struct.pack(">BI", 0, len(data)) + data for data in requests)
    media = {"Content-Type": "application/grpc-web-text", "Grpc-Timeout": f"{WATCHING_S * 1000 if name == 'WatchNamespace' else 20_000:g}m"}
    answer = world.client(who).request("POST", f"/{PACKAGE}.{call}", body=base64.b64encode(framed), headers=media)
    assert answer.status == 200
    body = b"".join(base64.b64decode(part + b"==") for part in answer.body.replace(b"=", b"= ").split() if part)
    trailers, content = answer.headers.get("grpc-status"), body
    detail = answer.headers.get("grpc-message", "")
    if trailers is None:
        content, _, last = body.rpartition(b"grpc-status:")
        trailers, _, rest = last.decode().partition("\r\n")
        detail = rest
    status = next(code.name for code in grpc.StatusCode if code.value[0] == int(trailers))
    if name == "WatchNamespace" and status == "DEADLINE_EXCEEDED":
        status = "OK"
    said = b"".join(requests).decode(errors="replace")
    return cell(who, status, is_good=status == "OK", scene=scene, body=content if status == "OK" else unquote(detail).encode(), said=said)


@pytest.mark.parametrize("ask", [grpc_cell, web_cell], ids=["grpc", "web"])
@pytest.mark.parametrize("call", [call for face, call in ROWS if face == "grpc"])
def test_grpc_and_its_form_for_pages_answer_everybody_as_the_matrix_says(
    world: World, call: str, ask: Callable[[World, str, str], str]
) -> None:
    assert {who: ask(world, call, who) for who in WHO} == ROWS["grpc", call]


# --- tickets -----------------------------------------------------------------------------------------------------------------------------


def ticket_cell(world: World, kind: str, who: str) -> str:
    """Ask for a ticket and use it, or hand one in that was made for somebody else."""
    scene, client = Scene(world.services, DESK), world.client(who)
    if kind in {"receipt", "passing"}:
        given = scene.receipt if kind == "receipt" else scene.passing
        done = {"artifact": {"name": "f", "sha256": scene.sha256, "size_bytes": len(CONTENT)}, "receipt": given}
        answer = client.api("POST", f"/objects/{scene.object_id}/uploads/finish", done)
        return cell(who, answer.status, is_good=answer.status < 400, scene=scene, body=answer.body, said=str(scene.path))
    if kind == "download":
        answer = client.api("GET", f"/artifacts/{scene.artifact_id}/ticket")
    else:
        answer = client.api("POST", f"/objects/{scene.object_id}/uploads", {"name": "f", "size_bytes": len(CONTENT)})
    if answer.status >= 400:
        return cell(who, answer.status, is_good=False, scene=scene, body=answer.body, said=str(scene.path))
    assert answer.json["how"] == "blob_server"
    body = CONTENT if kind == "upload" else None
    moved = ApiClient(world.blob_url, answer.json["headers"]).request("PUT" if body else "GET", f"{API_PREFIX}/blobs", body=body)
    return cell(who, moved.status, is_good=moved.status < 400, scene=scene, body=moved.body, said="")


@pytest.mark.parametrize("kind", [call for face, call in ROWS if face == "ticket"])
def test_tickets_open_for_everybody_as_the_matrix_says(world: World, kind: str) -> None:
    assert {who: ticket_cell(world, kind, who) for who in WHO} == ROWS["ticket", kind]


def test_a_ticket_is_good_for_the_one_thing_that_it_names(world: World) -> None:
    """Whoever got hold of a foreign receipt or ticket can do nothing else with it, and nothing on things of their own."""
    scene = Scene(world.services, DESK)
    stranger = world.client("stranger")
    own = stranger.api("POST", "/experiments", {"name": "own"}).json["item"]["id"]
    handed_in = stranger.api(
        "POST", f"/objects/{own}/uploads/finish", {"artifact": {"name": "f", "sha256": scene.sha256}, "receipt": scene.receipt}
    )
    assert (handed_in.status, handed_in.json["code"]) == (403, "permission_denied")
    assert shown(scene, handed_in.body) == []
    for ticket in (scene.receipt, scene.passing, world.tokens["writer"], scene.receipt[:-2] + "AA"):
        blobs = ApiClient(world.blob_url, {"Authorization": f"Bearer {ticket}"})
        assert [blobs.request(verb, f"{API_PREFIX}/blobs", body=body).status for verb, body in (("PUT", b"x"), ("GET", None))] == [401, 401]
        assert ApiClient(world.url, blobs.headers).api("GET", f"/artifacts/{scene.artifact_id}").status in {200, 401}
    given = world.client("writer").api("POST", f"/objects/{scene.object_id}/uploads", {"name": "f", "size_bytes": 5}).json["headers"]
    assert ApiClient(world.blob_url, given).request("GET", f"{API_PREFIX}/blobs").status == 401
    assert ApiClient(world.blob_url, given).request("PUT", f"{API_PREFIX}/blobs", body=b"six...").status == 400
