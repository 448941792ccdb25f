"""Calls without a token: only from a program of the same user, on this machine, with no browser and no proxy between."""

import http.client
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from modelbox_server.http.loopback import comes_from_program, owner_of_peer
from modelbox_server.testing.live_server import LiveServer, live_server

NOBODY = 65534


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(trust_same_user=True) as server:
        yield server


def status(server: LiveServer, headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("GET", "/api/v1/info", headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_program_of_the_same_user_needs_no_token(server: LiveServer) -> None:
    assert status(server, {}) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/"},
        {"Sec-Fetch-Site": "none"},
        {"sec-fetch-mode": "navigate"},
        {"Cookie": "a=b"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-FORWARDED-PROTO": "https"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "127.0.0.1"},
        {"Host": "10.0.0.7"},
        {"Host": "127.0.0.1.evil.example"},
    ],
)
def test_a_mark_of_a_browser_or_a_proxy_needs_one(server: LiveServer, headers: Mapping[str, str]) -> None:
    assert status(server, headers) in {401, 403, 421}
    assert status(server, {**headers, "Host": "localhost", **server.headers}) in {200, 403}


def test_a_wrong_token_is_not_overlooked(server: LiveServer) -> None:
    assert status(server, {"Authorization": "Bearer wrong"}) == 401


def test_a_server_that_was_not_told_to_trust_wants_a_token() -> None:
    with live_server() as strict:
        assert status(strict, {}) == 401


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_needs_one(server: LiveServer) -> None:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{server.port}/api/v1/info"]
    other = subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, check=True, timeout=30)
    assert other.stdout == "401"


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_owner_of_the_other_end_is_found(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as listener, socket.create_connection(listener.getsockname()[:2]) as caller:
        accepted, _ = listener.accept()
        with accepted:
            assert owner_of_peer(accepted) == os.getuid()
            assert owner_of_peer(caller) == os.getuid()


def test_a_caller_by_ipv4_of_a_server_for_both_is_found() -> None:
    with (
        socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])),
    ):
        accepted, _ = listener.accept()
        with accepted:
            assert owner_of_peer(accepted) == os.getuid()


def test_nobody_is_the_owner_where_the_kernel_tells_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert owner_of_peer(accepted, (tmp_path / "none",)) is None
    assert owner_of_peer(accepted) is None


def test_names_that_only_begin_like_this_machine_are_others() -> None:
    assert comes_from_program({"Host": "localhost:8085"})
    assert comes_from_program({"Host": "[::1]:8085"})
    for host in ("localhost.evil.example", "127.0.0.1.evil.example", "evil.example", "", "[::1", "0.0.0.0"):  # noqa: S104
        assert not comes_from_program({"Host": host})
