"""A server of its own: how it is found, how it stops, and what it says when its storage is away."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path

import pytest

from modelbox.errors import ConfigError, StorageFull, StorageUnavailable
from modelbox_server.standalone import StandaloneServer
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import Services, ephemeral_services


def test_programs_of_the_same_user_find_url_and_token(tmp_path: Path) -> None:
    with live_server(runtime_folder=tmp_path / "state" / "servers") as server:
        path = tmp_path / "state" / "servers" / f"{server.port}.json"
        record = json.loads(path.read_text())
        assert (record["url"], record["token"], record["pid"]) == (server.url, server.token, os.getpid())
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == []


def test_the_file_of_a_server_that_took_over_stays(tmp_path: Path) -> None:
    with live_server(runtime_folder=tmp_path) as server:
        path = tmp_path / f"{server.port}.json"
        path.write_text('{"token": "another"}')
    assert path.exists()


def test_the_file_of_a_server_that_took_over_with_the_same_token_stays(tmp_path: Path) -> None:
    with live_server(runtime_folder=tmp_path) as server:
        path = tmp_path / f"{server.port}.json"
        path.write_text(json.dumps({"token": server.token, "pid": os.getpid() + 1}))
    assert path.exists()


def test_every_start_has_a_token_of_its_own() -> None:
    tokens = {StandaloneServer(ephemeral_services).token for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) >= 43 for token in tokens)


def test_a_port_that_is_taken_is_said_to_be() -> None:
    with live_server() as server:
        second = StandaloneServer(ephemeral_services, port=server.port)
        with pytest.raises(ConfigError, match=str(server.port)):
            asyncio.run(second.start())


@pytest.mark.parametrize(("host", "shown"), [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("10.0.0.7", "10.0.0.7")])  # noqa: S104
def test_the_url_is_one_that_this_machine_can_call(host: str, shown: str) -> None:
    assert StandaloneServer(ephemeral_services, host=host, port=8085).url == f"http://{shown}:8085"


class Flaky:
    """Opens services when the test lets it."""

    def __init__(self) -> None:
        self.error: StorageUnavailable | None = None
        self.opened = 0

    def __call__(self) -> Services:
        if self.error is not None:
            raise self.error
        self.opened += 1
        return ephemeral_services()


def test_storage_that_is_away_is_a_503_until_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    flaky = Flaky()
    flaky.error = StorageUnavailable("The database at db.internal does not answer: start it.", retry_after_s=2.5)
    with live_server(flaky) as server:
        client = ApiClient(server.url, server.headers)
        answer = client.api("GET", "/info")
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "storage_unavailable", "3")
        assert answer.json["retry_after_s"] == 2.5
        assert client.request("GET", "/livez").status == 200
        ready = ApiClient(server.url).request("GET", "/readyz")
        assert (ready.status, ready.json["code"]) == (503, "storage_unavailable")
        assert "db.internal" not in ready.body.decode()
        time.sleep(1.1)
        assert client.request("GET", "/readyz").status == 503
        flaky.error = None
        assert client.api("GET", "/info").status == 200
        time.sleep(1.1)  # the answer about readiness is kept for a second
        assert client.request("GET", "/readyz").json == {"status": "ok"}
        assert flaky.opened == 1
    told = [record.getMessage() for record in caplog.records if record.name == "modelbox_server.http.face"]
    assert told == ["Not ready: The database at db.internal does not answer: start it.", "Ready again."]


def test_a_full_disk_shows_in_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Services) -> None:
        raise StorageFull("No space is left in /srv/secret-place: free some.")

    monkeypatch.setattr(Services, "check", full)
    with live_server() as server:
        answer = ApiClient(server.url).request("GET", "/healthz")
        assert (answer.status, answer.json["reason"]) == (503, "Storage full")
        assert "secret-place" not in answer.body.decode()


def test_a_defect_of_ours_shows_its_request_id_and_nothing_else(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Services:
        raise ZeroDivisionError("secret detail")

    with caplog.at_level(logging.ERROR), live_server(broken) as server:
        answer = ApiClient(server.url, server.headers).api("POST", "/experiments", {"name": "x"})
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret detail" not in answer.body.decode()
    (record,) = [record for record in caplog.records if answer.json["request_id"] in record.getMessage()]
    assert record.exc_info is not None
