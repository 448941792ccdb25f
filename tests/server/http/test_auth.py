"""The gate of a server that stands alone: who it answers to, for whom, and how often it lets them guess."""

import asyncio
import hashlib
from types import SimpleNamespace
from typing import cast

import pytest
from tornado.httputil import HTTPHeaders
from tornado.web import RequestHandler

from modelbox.errors import Misdirected, PermissionDenied, RateLimited, Unauthenticated
from modelbox_server.http.auth import Action, TokenGate
from modelbox_server.service.context import Caller


def request(*, protocol: str = "http", remote_ip: str = "192.0.2.7", **headers: str) -> RequestHandler:
    """As much of a handler as the gate looks at."""
    sent = HTTPHeaders({"Host": "localhost:8085", **headers})
    return cast(RequestHandler, SimpleNamespace(request=SimpleNamespace(headers=sent, remote_ip=remote_ip, protocol=protocol)))


def admit(gate: TokenGate, handler: RequestHandler, action: Action | None) -> Caller:
    return asyncio.run(gate.admit(handler, action))


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> TokenGate:
    made = TokenGate("s3cret-é", user="ana", clock=clock)
    made.allow(hosts=["Lab.example"], origins=["https://Dash.example"], holders={hashlib.sha256(b"other").digest(): "ben"})
    return made


def test_the_token_lets_in_under_the_name_of_its_owner(gate: TokenGate) -> None:
    caller = admit(gate, request(Authorization="bearer s3cret-é"), "write")
    assert (caller.name, caller.face, caller.address) == ("ana", "http", "192.0.2.7")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer s3cret", "Basic s3cret-é", "token s3cret-é", "s3cret-é"])
def test_anything_else_does_not(gate: TokenGate, header: str) -> None:
    with pytest.raises(Unauthenticated):
        admit(gate, request(Authorization=header), "read")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8085", "127.0.0.1", "192.168.1.4:80", "[::1]:8085", "lab.example", "lab.example:1"]
)
def test_it_answers_to_addresses_and_its_own_names(gate: TokenGate, host: str) -> None:
    assert (admit(gate, request(Host=host), None)).name == ""


@pytest.mark.parametrize(
    "host",
    [
        *("evil.com", "10.evil.com", "localhost.evil.com", "localhost:x", "localhost:", "xlab.example", "lab.example.evil.com"),
        *("", "127.0.0.1.evil.com", "localhost@evil.com", "[::1", "[localhost]", "127.0.0.1:80:80", "localhost/evil.com", "1"),
    ],
)
def test_it_answers_to_no_other_name(gate: TokenGate, host: str) -> None:
    with pytest.raises(Misdirected):
        admit(gate, request(Host=host, Authorization="Bearer s3cret-é"), "read")


@pytest.mark.parametrize("host", ["localhost:8085", "127.0.0.1:8085", "[::1]:8085", "lab.example"])
@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.com", "null", "", "http://localhost:9999", "http://localhost", "localhost:8085", "//localhost:8085"),
        *("http://localhost:8085.evil.com", "http://xlocalhost:8085", "ftp://localhost:8085", "file://", "http://localhost:8085/"),
        *(
            "https://dash.example.evil.com",
            "https://xdash.example",
            "http://dash.example",
            "https://dash.example:8443",
            "http://a@localhost:8085",
        ),
    ],
)
def test_pages_of_other_origins_are_refused_even_with_the_token(gate: TokenGate, host: str, origin: str) -> None:
    for action in ("read", "write"):
        with pytest.raises(PermissionDenied, match="allowed_origins"):
            admit(gate, request(Authorization="Bearer s3cret-é", Host=host, Origin=origin), cast(Action, action))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        *(("localhost:8085", "http://localhost:8085"), ("LOCALHOST:8085", "http://localhost:8085"), ("[::1]:1", "http://[::1]:1")),
        *(("lab.example", "https://lab.example"), ("localhost:8085", "https://dash.example")),
    ],
)
def test_pages_of_this_server_and_listed_ones_are_let_in(gate: TokenGate, host: str, origin: str) -> None:
    assert admit(gate, request(Authorization="Bearer s3cret-é", Host=host, Origin=origin), "read").name == "ana"
    with pytest.raises(Unauthenticated):
        admit(gate, request(Host=host, Origin=origin), "read")


def test_a_page_that_came_without_tls_may_not_call_a_server_with_it(gate: TokenGate) -> None:
    with pytest.raises(PermissionDenied):
        admit(gate, request(protocol="https", Authorization="Bearer s3cret-é", Origin="http://localhost:8085"), "read")
    admit(gate, request(protocol="https", Authorization="Bearer s3cret-é", Origin="https://localhost:8085"), "read")


def test_holders_of_other_tokens_are_known_by_name_until_they_are_dropped(gate: TokenGate) -> None:
    assert admit(gate, request(Authorization="Bearer other"), "read").name == "ben"
    gate.allow()
    with pytest.raises(Unauthenticated):
        admit(gate, request(Authorization="Bearer other"), "read")
    assert admit(gate, request(Authorization="Bearer s3cret-é"), "read").name == "ana"


def test_wrong_tokens_are_counted_for_each_caller(gate: TokenGate) -> None:
    def guess(remote_ip: str) -> type[Exception]:
        with pytest.raises((Unauthenticated, RateLimited)) as caught:
            admit(gate, request(remote_ip=remote_ip, Authorization="Bearer wrong"), "read")
        return caught.type

    assert {guess("192.0.2.7") for _ in range(20)} == {Unauthenticated}
    assert guess("::ffff:192.0.2.7") is RateLimited  # the same, seen by a socket of IPv6
    assert guess("192.0.2.8") is Unauthenticated
    # Whoever has one address of IPv6 has 2^64.
    assert {guess(f"2001:db8::{number:x}") for number in range(20)} == {Unauthenticated}
    assert guess("2001:db8::ffff") is RateLimited
    assert guess("2001:db8:0:1::1") is Unauthenticated


def test_the_twenty_first_wrong_token_within_a_minute_has_to_wait(gate: TokenGate, clock: Clock) -> None:
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            admit(gate, request(Authorization="Bearer wrong"), "read")
        clock.now_s += 1
    with pytest.raises(RateLimited) as caught:
        admit(gate, request(Authorization="Bearer wrong"), "read")
    assert caught.value.retry_after_s == 40
    clock.now_s += 41
    with pytest.raises(Unauthenticated):
        admit(gate, request(Authorization="Bearer wrong"), "read")


def test_somebody_elses_guesses_do_not_lock_out_whoever_has_the_token(gate: TokenGate) -> None:
    for _ in range(25):
        with pytest.raises((Unauthenticated, RateLimited)):
            admit(gate, request(Authorization="Bearer wrong"), "read")
    assert (admit(gate, request(Authorization="Bearer s3cret-é"), "read")).name == "ana"


def test_a_missing_token_is_no_guess(gate: TokenGate) -> None:
    for _ in range(25):
        with pytest.raises(Unauthenticated, match="needs a token"):
            admit(gate, request(), "read")


def test_the_token_itself_is_not_kept(gate: TokenGate) -> None:
    assert not any("s3cret" in repr(value) for value in vars(gate).values())
