"""When the extension passes calls on to the ModelBox of a Hub, when it keeps the local store, and what it says when it can do neither."""

import json
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPClientError, HTTPResponse
from traitlets.config import Config

from modelbox.errors import ConfigError
from modelbox_server.extension import HUB_VARIABLE, URL_VARIABLE, ModelBoxExtension
from modelbox_server.testing.live_server import LiveServer, live_server

Fetch = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    """A server that takes what the environment has for the token of the Hub."""
    with live_server() as server:
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", server.token)
        monkeypatch.setenv(HUB_VARIABLE, server.url)
        yield server


@pytest.fixture
def jp_server_config(shared: LiveServer, tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    mode = getattr(request, "param", "auto")
    extension = {"data_dir": str(tmp_path / "store"), "mode": mode}
    return Config({"ServerApp": {"jpserver_extensions": {"modelbox_server": True}}, "ModelBoxExtension": extension})


def extension_of(server: ServerApp) -> ModelBoxExtension:
    app = server.extension_manager.extension_points["modelbox_server"].app
    assert isinstance(app, ModelBoxExtension)
    return app


async def test_calls_go_on_to_the_shared_store(jp_fetch: Fetch, tmp_path: Path) -> None:
    body = json.dumps({"name": "shared"})
    answer = await jp_fetch("modelbox", "api", "v1", "experiments", method="POST", body=body, headers={"Content-Type": "application/json"})
    assert answer.code == 201
    listed = json.loads((await jp_fetch("modelbox", "api", "v1", "experiments", params={"limit": "5", "1700000000": ""})).body)
    assert [run["name"] for run in listed["items"]] == ["shared"]
    assert not (tmp_path / "store").exists()


async def test_health_is_that_of_the_shared_store_and_the_page_is_here(jp_fetch: Fetch) -> None:
    assert json.loads((await jp_fetch("modelbox", "readyz")).body) == {"status": "ok"}
    assert (await jp_fetch("modelbox/")).headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_nobody_gets_through_without_a_login(jp_fetch: Fetch) -> None:
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("modelbox", "api", "v1", "info", headers={"Authorization": ""})
    assert refused.value.code == 403


@pytest.mark.parametrize("path", ["..", "%2e%2e", "api/%2E%2E/%2e%2e/secret", "./."])
async def test_a_path_with_dots_goes_nowhere(jp_fetch: Fetch, path: str) -> None:
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch(f"modelbox/{path}")
    assert refused.value.code == 404


async def test_a_shared_store_that_is_away_is_a_503(jp_serverapp: ServerApp, jp_fetch: Fetch) -> None:
    extension_of(jp_serverapp)._upstream.url = "http://127.0.0.1:9"
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("modelbox", "api", "v1", "info")
    assert refused.value.code == 503
    assert refused.value.response is not None
    assert "http://127.0.0.1:9 does not answer" in json.loads(refused.value.response.body)["detail"]


async def test_kernels_are_told_nothing_but_where_the_shared_store_is(jp_serverapp: ServerApp, shared: LiveServer) -> None:
    await extension_of(jp_serverapp)._start_jupyter_server_extension(jp_serverapp)
    assert os.environ[HUB_VARIABLE] == shared.url
    assert URL_VARIABLE not in os.environ
    await extension_of(jp_serverapp).stop_extension()


@pytest.mark.parametrize("jp_server_config", ["local"], indirect=True)
async def test_the_local_mode_keeps_the_local_store(jp_serverapp: ServerApp, jp_fetch: Fetch) -> None:
    await extension_of(jp_serverapp)._start_jupyter_server_extension(jp_serverapp)
    assert HUB_VARIABLE not in os.environ
    assert URL_VARIABLE in os.environ
    assert json.loads((await jp_fetch("modelbox", "api", "v1", "info")).body)["metadata_storage"] == "integrated"
    await extension_of(jp_serverapp).stop_extension()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (HUB_VARIABLE, "JUPYTERHUB_API_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match="needs an address: set hub_url or MODELBOX_HUB_URL"):
        ModelBoxExtension(mode="shared")._find_shared()
    with pytest.raises(ConfigError, match="needs JUPYTERHUB_API_TOKEN, which a JupyterHub sets"):
        ModelBoxExtension(hub_url="http://hub.example/services/modelbox")._find_shared()


async def test_a_large_upload_that_is_refused_says_why(jp_fetch: Fetch) -> None:
    """The shared store answers, and hangs up, long before all of it has come."""
    target = ("modelbox", "api", "v1", "objects", "0" * 40, "artifacts")
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch(*target, params={"name": "x"}, method="PUT", body=b"x" * 64_000_000, request_timeout=60)
    assert refused.value.code == 404
