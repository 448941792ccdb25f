"""What a service of a JupyterHub believes of browsers, and what it does when the Hub is away; the Hub is a stand-in that can be stopped."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from modelbox.entities.records import Json
from modelbox_server.http.auth import TokenGate
from modelbox_server.http.exchange import ExchangeHandler
from modelbox_server.http.face import Face
from modelbox_server.http.handlers import handler_rules
from modelbox_server.hub.client import HubConnection
from modelbox_server.testing.jupyter_process import free_port
from modelbox_server.testing.live_server import LiveServer, live_server
from modelbox_server.wiring import ephemeral_services

PREFIX = "/services/modelbox"
SCOPES = ["access:services!service=modelbox", "custom:modelbox:write"]


class _Hub(BaseHTTPRequestHandler):
    """Knows whoever is in `users` by their token, and gives the token of alice for the code `good`."""

    users: dict[str, Json]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        user = self.users.get(self.headers["Authorization"].removeprefix("token "))
        self._answer(403 if user is None else 200, user or {"message": "Missing or invalid credentials."})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = (form["code"], form["client_id"], form["client_secret"]) == (["good"], ["service-modelbox"], ["service-secret"])
        self._answer(200 if good else 400, {"access_token": "of-alice"} if good else {"error": "invalid_grant"})

    def _answer(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def running_hub() -> Iterator[ThreadingHTTPServer]:
    _Hub.users = {"of-alice": {"kind": "user", "name": "alice", "groups": ["vision"], "admin": True, "scopes": SCOPES}}
    _Hub.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def connection_to(hub: ThreadingHTTPServer, *, admins_are_operators: bool = False) -> HubConnection:
    url = f"http://127.0.0.1:{hub.server_address[1]}/hub/api"
    return HubConnection(url, "service-secret", admins_are_operators=admins_are_operators)


@pytest.fixture(scope="module")
def hub() -> Iterator[ThreadingHTTPServer]:
    with running_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def server(hub: ThreadingHTTPServer) -> Iterator[LiveServer]:
    with live_server(hub=connection_to(hub)) as server:
        yield server


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def cookies(self) -> dict[str, str]:
        """Set cookies by name, each with its flags."""
        return {value.partition("=")[0]: value for key, value in self.headers if key.lower() == "set-cookie"}

    @property
    def detail(self) -> str:
        return str(json.loads(self.body)["detail"])


@dataclass
class Browser:
    """Keeps cookies, and sends what browsers send."""

    server: LiveServer
    cookies: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Json = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        sent = {**self.more, "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {**sent, **({"Content-Type": "application/json"} if data else {})})
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        for name, cookie in answer.cookies.items():
            self.cookies[name] = cookie.partition("=")[2].partition(";")[0].strip('"')
        return answer

    def state(self) -> str:
        """Begin to sign in, and return the state that comes back from the Hub."""
        answer = self.ask("GET", f"{PREFIX}/")
        assert answer.status == 302
        return parse_qs(urlsplit(answer.header("Location")).query)["state"][0]

    def sign_in(self) -> Answer:
        answer = self.ask("GET", f"{PREFIX}/oauth_callback?code=good&state={self.state()}")
        assert answer.status == 302, answer.body
        return answer

    @property
    def xsrf(self) -> str:
        return self.cookies["modelbox-xsrf"]


@pytest.fixture
def browser(server: LiveServer) -> Browser:
    return Browser(server)


def info(browser: Browser, **headers: str) -> Answer:
    return browser.ask("GET", f"{PREFIX}/api/v1/info", **headers)


def test_whoever_opens_the_page_signs_in_at_the_hub(browser: Browser) -> None:
    answer = browser.ask("GET", f"{PREFIX}/")
    there = urlsplit(answer.header("Location"))
    assert (answer.status, there.scheme, there.netloc, there.path) == (302, "", "", "/hub/api/oauth2/authorize")
    asked = parse_qs(there.query)
    assert asked["client_id"] == ["service-modelbox"]
    assert asked["redirect_uri"] == [f"{PREFIX}/oauth_callback"]
    assert len(asked["state"][0]) >= 32


def test_a_browser_that_signed_in_needs_no_token(browser: Browser) -> None:
    assert browser.sign_in().header("Location") == f"{PREFIX}/"
    answer = info(browser, X_XSRFToken=browser.xsrf)
    assert (answer.status, json.loads(answer.body)["user"]) == (200, "alice")


def test_cookies_are_for_this_path_alone_and_the_session_for_no_script(browser: Browser) -> None:
    browser.more = {"X-Forwarded-Proto": "https,http"}
    begun = browser.ask("GET", f"{PREFIX}/login")
    (state,) = begun.cookies.values()
    given = browser.sign_in().cookies
    session, xsrf = given["modelbox-session"], given["modelbox-xsrf"]
    for cookie, path in ((state, f"{PREFIX}/oauth_callback"), (session, f"{PREFIX}/"), (xsrf, f"{PREFIX}/")):
        flags = {flag.strip().lower() for flag in cookie.split(";")[1:]}
        assert {f"path={path}", "secure"} <= flags
        assert not any(flag.startswith("domain") for flag in flags)
    assert "httponly" in session.lower()
    assert "httponly" in state.lower()
    assert "samesite=lax" in session.lower()
    assert "of-alice" not in session


@pytest.mark.parametrize("state", ["", "made-up", "x" * 500])
def test_a_sign_in_that_did_not_begin_in_this_browser_is_refused(browser: Browser, state: str) -> None:
    browser.state()
    answer = browser.ask("GET", f"{PREFIX}/oauth_callback?code=good&state={state}")
    assert (answer.status, "did not begin in this browser" in answer.detail) == (403, True)
    assert "modelbox-session" not in browser.cookies


def test_a_state_is_of_one_browser(browser: Browser, server: LiveServer) -> None:
    foreign = Browser(server).state()
    assert browser.ask("GET", f"{PREFIX}/oauth_callback?code=good&state={foreign}").status == 403


def test_a_code_that_the_hub_does_not_know_signs_nobody_in(browser: Browser) -> None:
    assert browser.ask("GET", f"{PREFIX}/oauth_callback?code=stolen&state={browser.state()}").status == 401
    assert "modelbox-session" not in browser.cookies


@pytest.mark.parametrize("path", ["/login", "/", "/oauth_callback"])
@pytest.mark.parametrize("next_", ["https://evil.example/", "//evil.example", "/user/bob/", "\\\\evil.example"])
def test_nobody_is_led_elsewhere(browser: Browser, path: str, next_: str) -> None:
    query = f"?next={next_}&redirect_uri={next_}"
    if path == "/oauth_callback":
        query += f"&code=good&state={browser.state()}"
    there = browser.ask("GET", f"{PREFIX}{path}{query}").header("Location")
    assert there == f"{PREFIX}/" or there.startswith("/hub/api/oauth2/authorize?")
    assert "evil" not in there


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("token", ["", "made-up"])
def test_a_session_alone_neither_reads_nor_writes(browser: Browser, method: str, token: str) -> None:
    """A page of another user's server lies on the same origin, and its browser sends the session along."""
    browser.sign_in()
    path = f"{PREFIX}/api/v1/experiments" if method != "DELETE" else f"{PREFIX}/api/v1/experiments/{'0' * 40}"
    answer = browser.ask(method, path, {"name": "forged"} if method == "POST" else None, X_XSRFToken=token)
    assert (answer.status, "modelbox-xsrf" in answer.detail) == (403, True)


def test_the_proof_of_a_page_is_bound_to_its_session(browser: Browser) -> None:
    """Whoever can set cookies, from a neighbouring path or domain, cannot make up a pair that fits."""
    browser.sign_in()
    browser.cookies["modelbox-xsrf"] = "tossed"
    assert info(browser, X_XSRFToken="tossed").status == 403


def test_a_session_that_was_made_up_is_none(browser: Browser) -> None:
    browser.sign_in()
    browser.cookies["modelbox-session"] = browser.cookies["modelbox-session"][:-4] + "0000"
    answer = info(browser, X_XSRFToken=browser.xsrf)
    assert (answer.status, answer.header("ModelBox-Login")) == (401, "login")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example"])
def test_pages_of_other_origins_get_nowhere(browser: Browser, origin: str) -> None:
    browser.sign_in()
    assert info(browser, X_XSRFToken=browser.xsrf, Origin=origin).status == 403
    assert info(browser, Authorization="Bearer of-alice", Origin=origin).status == 403
    preflight = browser.ask("OPTIONS", f"{PREFIX}/api/v1/info", Origin=origin, Access_Control_Request_Method="GET")
    assert not preflight.header("Access-Control-Allow-Origin")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_session_is_for_calls_of_our_own_page(browser: Browser, site: str) -> None:
    browser.sign_in()
    assert info(browser, X_XSRFToken=browser.xsrf, Sec_Fetch_Site=site).status == 403
    assert info(browser, X_XSRFToken=browser.xsrf, Sec_Fetch_Site="same-origin").status == 200


def test_what_is_shown_cannot_be_framed_or_held_by_another_window(browser: Browser) -> None:
    browser.sign_in()
    for path in ("/", "/api/v1/info", "/nothing", "/healthz"):
        answer = browser.ask("GET", f"{PREFIX}{path}")
        assert (answer.header("X-Frame-Options"), answer.header("Cross-Origin-Opener-Policy")) == ("DENY", "same-origin")


def test_only_names_that_are_allowed_answer_browsers(hub: ThreadingHTTPServer) -> None:
    """DNS rebinding: a page whose own name was pointed here has no cookie for it, and is refused even if it had."""
    with live_server(hub=connection_to(hub), allowed_hosts=["hub.example"]) as server:
        browser = Browser(server)
        browser.sign_in()
        for host, status in (("hub.example", 200), ("evil.example", 421), ("hub.example.evil.example", 421)):
            assert info(browser, X_XSRFToken=browser.xsrf, Host=host).status == status


def test_nothing_but_health_the_page_and_signing_in_answers_without_a_credential(server: LiveServer) -> None:
    rules = handler_rules(Face(ephemeral_services, TokenGate("x")), ExchangeHandler, ExchangeHandler, PREFIX)
    paths = [re.sub(r"\(\?P<\w+>\[\^/\]\+\)", "0" * 40, pattern).replace("\\", "") for pattern, _, _ in rules[:-1]]
    opened = set()
    for path in [*paths, f"{PREFIX}/login", f"{PREFIX}/oauth_callback", f"{PREFIX}/nothing"]:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if Browser(server).ask(method, path, {} if method != "GET" else None).status != 401:
                opened.add((method, path.removeprefix(PREFIX)))
    health, page = ("/livez", "/readyz", "/healthz", "/version"), ("", "/", f"/assets/{'0' * 40}", "/login", "/oauth_callback")
    assert opened == {("GET", path) for path in (*health, *page)}


def test_nothing_is_served_beside_the_prefix(server: LiveServer) -> None:
    browser = Browser(server)
    for path in ("/", "/api/v1/info", "/healthz", "/services/modelboxes/"):
        assert browser.ask("GET", path, Authorization="Bearer of-alice").status == 404


def test_the_hub_is_asked_once_for_many_calls(server: LiveServer) -> None:
    browser = Browser(server)
    _Hub.asked.clear()
    assert {info(browser, Authorization="token of-alice").status for _ in range(20)} == {200}
    assert len(_Hub.asked) <= 3


def test_nobody_is_let_in_while_the_hub_is_away() -> None:
    with live_server(hub=HubConnection(f"http://127.0.0.1:{free_port()}/hub/api", "service-secret")) as server:
        answer = info(Browser(server), Authorization="Bearer of-alice")
        assert (answer.status, answer.header("Retry-After")) == (503, "2")
        assert answer.detail == "JupyterHub, which knows who you are, does not answer: try again in a moment."
        assert info(Browser(server)).status == 401
        assert Browser(server).ask("GET", f"{PREFIX}/healthz").status == 200


def test_administrators_of_the_hub_are_operators_only_where_that_is_said(hub: ThreadingHTTPServer) -> None:
    for said in (False, True):
        with live_server(hub=connection_to(hub, admins_are_operators=said)) as server:
            roles = json.loads(Browser(server).ask("GET", f"{PREFIX}/api/v1/access", Authorization="Bearer of-alice").body)["roles"]
            assert ("/" in roles) is said


def test_a_service_of_the_hub_does_not_pass_for_a_user(server: LiveServer) -> None:
    _Hub.users["of-a-service"] = {"kind": "service", "name": "alice", "admin": False, "scopes": SCOPES}
    answer = Browser(server).ask("GET", f"{PREFIX}/api/v1/access", Authorization="Bearer of-a-service")
    assert json.loads(answer.body)["user"] == "service:alice"
