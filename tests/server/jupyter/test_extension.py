"""What is Jupyter's in the extension: its logins, its permissions, its checks, and how kernels find the API."""

import getpass
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from jupyter_server.auth import Authorizer, IdentityProvider, User
from jupyter_server.auth.identity import PasswordIdentityProvider
from jupyter_server.auth.security import passwd
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import JupyterServerAuthWarning, ServerApp
from tornado.httpclient import HTTPClientError, HTTPResponse
from traitlets.config import Config

from modelbox_server.extension import PAGE_OPTION, TOKEN_VARIABLE, URL_VARIABLE, ModelBoxExtension

Fetch = Callable[..., Awaitable[HTTPResponse]]

API = "modelbox/api/v1"
JSON = {"Content-Type": "application/json"}
NO_TOKEN = {"Authorization": ""}


def extension_of(server: ServerApp) -> ModelBoxExtension:
    app = server.extension_manager.extension_points["modelbox_server"].app
    assert isinstance(app, ModelBoxExtension)
    return app


async def status_of(response: Awaitable[HTTPResponse]) -> int:
    try:
        return (await response).code
    except HTTPClientError as error:
        return int(error.code)


async def kernel_headers(server: ServerApp) -> dict[str, str]:
    """Run the hook that follows the start of the server, and return what a kernel would send."""
    await extension_of(server)._start_jupyter_server_extension(server)
    return {"Authorization": f"Bearer {os.environ[TOKEN_VARIABLE]}"}


async def test_it_answers_below_the_base_url(jp_fetch: Fetch) -> None:
    assert json.loads((await jp_fetch("modelbox", "livez")).body) == {"status": "ok"}
    info = json.loads((await jp_fetch(API, "info")).body)
    assert (info["face"], info["metadata_storage"]) == ("jupyter", "integrated")


async def test_a_shared_token_belongs_to_the_account_of_the_server(jp_fetch: Fetch) -> None:
    body = json.dumps({"name": "essai/№1", "namespace": "équipe/vision"})
    response = await jp_fetch(API, "experiments", method="POST", body=body, headers=dict(JSON))
    assert response.code == 201
    assert json.loads(response.body)["item"]["owner"] == getpass.getuser()


async def test_the_store_is_where_the_setting_says(jp_fetch: Fetch, tmp_path: Path) -> None:
    await jp_fetch(API, "info")
    assert (tmp_path / "store" / "modelbox.db").exists()
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0


async def test_kernels_are_told_the_address_and_a_token_of_their_own(jp_serverapp: ServerApp, jp_fetch: Fetch) -> None:
    headers = await kernel_headers(jp_serverapp)
    assert os.environ[URL_VARIABLE] == jp_serverapp.connection_url.rstrip("/") + "/modelbox"
    assert os.environ[TOKEN_VARIABLE] != jp_serverapp.identity_provider.token
    assert (await jp_fetch(API, "info", headers=dict(headers))).code == 200
    body = json.dumps({"name": "x"})
    assert (await jp_fetch(API, "experiments", method="POST", body=body, headers={**headers, **JSON})).code == 201
    await extension_of(jp_serverapp).stop_extension()
    assert URL_VARIABLE not in os.environ
    assert TOKEN_VARIABLE not in os.environ


async def test_the_token_of_kernels_opens_nothing_else(jp_serverapp: ServerApp, jp_fetch: Fetch) -> None:
    headers = await kernel_headers(jp_serverapp)
    assert await status_of(jp_fetch("api", "contents", headers=dict(headers))) == 403
    assert await status_of(jp_fetch("api", "kernels", headers=dict(headers))) == 403


@pytest.mark.parametrize("listens", ["0.0.0.0", "::", ""])  # noqa: S104
async def test_a_server_that_listens_everywhere_is_found_on_the_loopback_address(jp_serverapp: ServerApp, listens: str) -> None:
    jp_serverapp.ip = listens
    await kernel_headers(jp_serverapp)
    assert os.environ[URL_VARIABLE] == f"http://127.0.0.1:{jp_serverapp.port}/a%40b/modelbox"


async def test_what_another_server_told_the_environment_stays(jp_serverapp: ServerApp) -> None:
    await kernel_headers(jp_serverapp)
    os.environ[URL_VARIABLE] = "http://another/modelbox"
    await extension_of(jp_serverapp).stop_extension()
    assert os.environ.pop(URL_VARIABLE) == "http://another/modelbox"


async def test_the_panel_is_told_where_notebooks_keep_their_experiments(
    monkeypatch: pytest.MonkeyPatch, jp_configurable_serverapp: Callable[..., ServerApp]
) -> None:
    monkeypatch.setenv("MODELBOX_API_ADDR", "https://ana:secret@box.example/modelbox")
    server = jp_configurable_serverapp()
    assert server.web_app.settings["page_config_data"][PAGE_OPTION] == "https://box.example/modelbox"


class TestPassword:
    """Where people log in with a password, the server has no token."""

    @pytest.fixture
    def jp_server_config(self, tmp_path: Path) -> Config:
        """Set a password."""
        return Config(
            {
                "ServerApp": {"jpserver_extensions": {"modelbox_server": True}, "identity_provider_class": PasswordIdentityProvider},
                "IdentityProvider": {"token": " "},
                "PasswordIdentityProvider": {"hashed_password": passwd("geheim"), "token": ""},
                "ModelBoxExtension": {"data_dir": str(tmp_path / "store")},
            }
        )

    async def test_kernels_get_in(self, jp_serverapp: ServerApp, jp_fetch: Fetch) -> None:
        assert jp_serverapp.identity_provider.token == ""
        assert await status_of(jp_fetch(API, "info", headers=dict(NO_TOKEN))) == 403
        assert await status_of(jp_fetch(API, "info", headers={"Authorization": "Bearer "})) == 403
        headers = await kernel_headers(jp_serverapp)
        assert json.loads((await jp_fetch(API, "info", headers=headers)).body)["user"] == getpass.getuser()


class Rules(Authorizer):
    """Lets people read, and remembers what was asked."""

    asked: list[tuple[str, str, str]] = []  # noqa: RUF012

    def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:
        """Decide."""
        self.asked.append((user.username, action, resource))
        return action == "read"


class Names(IdentityProvider):
    """Knows people by name."""

    async def get_user(self, handler: object) -> User:  # type: ignore[override]
        """Find Ana."""
        return User(username="ana")

    def is_token_authenticated(self, handler: object) -> bool:
        """Ask for no XSRF token."""
        return True


@pytest.fixture
def guarded(tmp_path: Path) -> Config:
    """A server with rules and names of its own."""
    return Config(
        {
            "ServerApp": {"jpserver_extensions": {"modelbox_server": True}, "authorizer_class": Rules, "identity_provider_class": Names},
            "ModelBoxExtension": {"data_dir": str(tmp_path / "store")},
        }
    )


class TestGuarded:
    """With an authorizer and an identity provider of the place."""

    @pytest.fixture
    def jp_server_config(self, guarded: Config) -> Config:
        """Use them."""
        return guarded

    async def test_the_authorizer_is_asked_for_the_action_of_the_route(self, jp_fetch: Fetch) -> None:
        Rules.asked.clear()
        assert json.loads((await jp_fetch(API, "info")).body)["user"] == "ana"
        # Reading metrics is a POST, and still reading.
        query = json.dumps({"objects": []})
        assert await status_of(jp_fetch(API, "metrics", "read", method="POST", body=query, headers=dict(JSON))) in {200, 400}
        refused = jp_fetch(API, "experiments", method="POST", body='{"name": "x"}', headers=dict(JSON))
        with pytest.raises(HTTPClientError) as caught:
            await refused
        assert caught.value.code == 403
        assert caught.value.response is not None
        assert json.loads(caught.value.response.body)["code"] == "permission_denied"
        with pytest.raises(HTTPClientError) as caught:
            await jp_fetch(API, "sql", method="POST", body='{"sql": "select 1"}', headers=dict(JSON))
        assert caught.value.response is not None
        assert json.loads(caught.value.response.body)["detail"].startswith("Your account may not ask in SQL here")
        assert [entry for entry in Rules.asked if entry[2] == "modelbox"] == [
            ("ana", "read", "modelbox"),
            ("ana", "read", "modelbox"),
            ("ana", "write", "modelbox"),
            ("ana", "sql", "modelbox"),
        ]


class TestStrict:
    """On a server that opens nothing without a login."""

    @pytest.fixture
    def jp_server_config(self, tmp_path: Path) -> Config:
        """Forbid unauthenticated access."""
        return Config(
            {
                "ServerApp": {"jpserver_extensions": {"modelbox_server": True}, "allow_unauthenticated_access": False},
                "ModelBoxExtension": {"data_dir": str(tmp_path / "store")},
            }
        )

    async def test_every_verb_says_whether_it_needs_a_login(
        self, jp_server_config: Config, jp_configurable_serverapp: Callable[..., ServerApp]
    ) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            jp_configurable_serverapp(config=jp_server_config)
        about_us = [str(warning.message) for warning in caught if issubclass(warning.category, JupyterServerAuthWarning)]
        assert not [message for message in about_us if "modelbox" in message]

    async def test_health_is_open_and_nothing_else(self, jp_fetch: Fetch) -> None:
        assert await status_of(jp_fetch("modelbox", "livez", headers=dict(NO_TOKEN))) == 200
        assert await status_of(jp_fetch("modelbox", "readyz", headers=dict(NO_TOKEN))) == 200
        assert await status_of(jp_fetch(API, "info", headers=dict(NO_TOKEN))) == 403
        assert await status_of(jp_fetch("modelbox", "nope", headers=dict(NO_TOKEN))) == 403
        assert await status_of(jp_fetch(API, "info")) == 200

    async def test_kernels_get_in(self, jp_serverapp: ServerApp, jp_fetch: Fetch) -> None:
        assert (await jp_fetch(API, "info", headers=await kernel_headers(jp_serverapp))).code == 200


async def login_cookie(fetch: Fetch) -> str:
    """Return the cookie that a browser holds after a login."""
    response = await fetch("api", "me")
    return "; ".join(cookie.split(";")[0] for cookie in response.headers.get_list("Set-Cookie"))


async def test_a_browser_needs_its_xsrf_token_to_write(jp_fetch: Fetch) -> None:
    cookie = await login_cookie(jp_fetch)
    page = await jp_fetch("login", headers=dict(NO_TOKEN))
    xsrf = next(item.split(";")[0] for item in page.headers.get_list("Set-Cookie") if item.startswith("_xsrf"))
    sent = {"Cookie": f"{cookie}; {xsrf}", **NO_TOKEN, **JSON}
    body = '{"name": "x"}'
    assert await status_of(jp_fetch(API, "info", headers=dict(sent))) == 200
    assert await status_of(jp_fetch(API, "experiments", method="POST", body=body, headers=dict(sent))) == 403
    sent["X-XSRFToken"] = xsrf.removeprefix("_xsrf=")
    assert await status_of(jp_fetch(API, "experiments", method="POST", body=body, headers=dict(sent))) == 201


@pytest.mark.parametrize("origin", ["null", "http://evil.com"])
async def test_a_page_of_another_origin_gets_nowhere_with_the_cookie(jp_fetch: Fetch, origin: str) -> None:
    sent = {"Cookie": await login_cookie(jp_fetch), "Origin": origin, **NO_TOKEN, **JSON}
    assert await status_of(jp_fetch(API, "experiments", method="POST", body='{"name": "x"}', headers=sent)) in {403, 404}


async def test_what_the_front_end_adds_to_queries_is_passed_over(jp_fetch: Fetch) -> None:
    assert await status_of(jp_fetch(API, "info", params={"1763900000000": ""})) == 200
    assert await status_of(jp_fetch(API, "info", params={"1763900000000": "x"})) == 400
    assert await status_of(jp_fetch(API, "info", params={"no_track_activity": "1"})) == 200


async def test_a_store_that_cannot_be_opened_is_a_503_until_it_can(jp_fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch(API, "info")
    assert caught.value.code in {500, 503}
    assert (await jp_fetch("modelbox", "livez")).code == 200
    (tmp_path / "store").unlink()
    assert (await jp_fetch(API, "info")).code == 200


def test_the_extension_does_not_make_jupyter_wait_for_what_it_may_never_need() -> None:
    program = "import sys, modelbox_server.extension as e; print([n for n in sys.argv[1:] if n in sys.modules])"
    heavy = ["pandas", "altair", "boto3", "sqlalchemy", "pyarrow", "numpy", "modelbox.client"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"[]", "['numpy']"}


def test_jupyter_finds_the_extension_without_importing_it() -> None:
    program = (
        "import sys, modelbox_server as m; print('tornado' in sys.modules); print(m._jupyter_server_extension_points()[0]['app'].name)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "modelbox_server"]
