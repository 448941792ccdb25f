"""Nothing is open that is not meant to be: every path and verb that the server has, asked for without, and with a wrong, credential."""

import re
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from modelbox_server.http.auth import TokenGate
from modelbox_server.http.exchange import ExchangeHandler
from modelbox_server.http.face import Face
from modelbox_server.http.handlers import handler_rules
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.wiring import ephemeral_services

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
HEALTH = {"/livez", "/readyz", "/healthz", "/version"}
PAGE = {"/", f"/assets/{'0' * 40}"}
"""The web page is files that everybody may have; what it shows comes from the API."""


def paths() -> list[str]:
    """Every path that a server made now would serve, and some that it would not."""
    rules = handler_rules(Face(ephemeral_services, TokenGate("x")), ExchangeHandler, ExchangeHandler)
    served = [re.sub(r"\(\?P<\w+>\[\^/\]\+\)", "0" * 40, pattern).replace("\\", "") for pattern, _, _ in rules[:-1]]
    return [*served, "/", "/api/v1", "/api/v1/", "/api/v1/nope", "/livez/", "//livez", "/api/v1//info"]


@pytest.mark.parametrize("credential", ["", "Bearer wrong", "Bearer ", "token wrong", "Basic Og=="])
def test_nothing_but_health_and_the_page_answers_without_the_right_token(client: ApiClient, credential: str) -> None:
    stranger = ApiClient(client.url, {"Authorization": credential} if credential else {})
    answers = {
        (method, path): stranger.request(method, path, body=b"{}" if method in {"POST", "PUT", "PATCH"} else None).status
        for path in paths()
        for method in METHODS
    }
    opened = {key for key, status in answers.items() if status not in {401, 403, 429}}
    assert opened == {(method, path) for path in HEALTH | PAGE for method in ("GET", "HEAD")}


@pytest.mark.parametrize("path", sorted(HEALTH))
def test_health_tells_nothing_but_health(client: ApiClient, path: str) -> None:
    answer = ApiClient(client.url).request("GET", path)
    assert answer.status == 200
    assert set(answer.json) == ({"version"} if path == "/version" else {"status"})


def test_a_refused_caller_is_told_what_is_missing(client: ApiClient) -> None:
    for method in ("GET", "POST"):
        answer = ApiClient(client.url).request(method, "/api/v1/experiments", json_body={} if method == "POST" else None)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["code"] == "unauthenticated"
        assert "Authorization: Bearer TOKEN" in answer.json["detail"]
        assert answer.json["request_id"] == answer.headers["x-request-id"]


def test_a_refusal_leaves_the_connection_as_it_is(client: ApiClient) -> None:
    """A proxy keeps connections for whoever comes next: a server that hung up after a refusal would drop their request."""
    with closing(HTTPConnection(urlsplit(client.url).netloc, timeout=30)) as connection:
        connection.connect()
        used = connection.sock
        for _ in range(3):
            connection.request("GET", f"{urlsplit(client.url).path}/api/v1/info", headers={"Authorization": "Bearer wrong"})
            response = connection.getresponse()
            assert (response.status in {401, 403, 429}, bool(response.read())) == (True, True)
            assert connection.sock is used  # the client makes a new one once a server has hung up, or has said that it will
            used.settimeout(0.3)
            with pytest.raises(TimeoutError):
                used.recv(1)
            used.settimeout(30)


def test_a_refused_body_is_not_waited_for(client: ApiClient) -> None:
    answer = ApiClient(client.url).request("PUT", f"/api/v1/objects/{'0' * 40}/artifacts?name=x", body=b"x" * 30_000_000)
    assert answer.status in {401, 403}


def test_the_standalone_server_names_its_scheme(standalone: ApiClient) -> None:
    answer = ApiClient(standalone.url).request("GET", "/api/v1/info")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="modelbox"')


def test_wrong_tokens_are_counted(standalone: ApiClient) -> None:
    stranger = ApiClient(standalone.url, {"Authorization": "Bearer wrong"})
    answers = [stranger.request("GET", "/api/v1/info") for _ in range(21)]
    assert answers[-1].status == 429
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert standalone.request("GET", "/api/v1/info").status == 200
