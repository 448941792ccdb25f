"""A real JupyterHub with its proxy and ModelBox as its service, on the configuration that people are told to paste, for tests."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelbox_server.testing.jupyter_process import JupyterProcess, free_port, jupyter_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelbox.entities.records import Json

__all__ = ["PASSWORD", "RunningHub", "running_hub"]

PASSWORD = "of everybody"  # noqa: S105  (what the dummy authenticator of the tests takes)

_ROOT = Path(__file__).parents[3]
_CONFIG = _ROOT / "deploy" / "jupyterhub" / "jupyterhub_config.py"
_SERVER = _ROOT / "deploy" / "modelbox_server.toml"
_PROXY = _ROOT / "labextension" / "node_modules" / ".bin" / "configurable-http-proxy"
_START_S = 120.0
_STOP_S = 60.0

# What the tests change of the pasted configuration: ports, folders, how people log in, how servers are spawned.
_CHANGES = """
import json
from pathlib import Path

c = get_config()
changes = json.loads(Path({changes!r}).read_text())
load_subconfig({config!r})
c.JupyterHub.bind_url = changes["url"]
c.JupyterHub.hub_bind_url = changes["hub_url"]
c.ConfigurableHTTPProxy.api_url = changes["proxy_api_url"]
c.ConfigurableHTTPProxy.command = changes["proxy"]
c.JupyterHub.db_url = changes["database"]
c.JupyterHub.cookie_secret_file = changes["cookie_secret_file"]
c.JupyterHub.pid_file = changes["pid_file"]
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = changes["password"]
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = changes["home"]
c.Spawner.cmd = changes["singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {{**c.Spawner.environment, "MODELBOX_HUB_URL": changes["modelbox_url"], **changes["environment"]}}
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
c.JupyterHub.services[0]["url"] = changes["service_url"]
c.JupyterHub.services[0]["command"] = changes["service"]
c.JupyterHub.services[0]["environment"] = changes["service_environment"]
c.JupyterHub.services.append({{"name": "tests", "api_token": changes["tests_token"]}})
c.JupyterHub.load_roles.append(
    {{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "tokens", "groups", "list:services", "read:hub"]}}
)
c.JupyterHub.load_groups["vision"]["users"] += changes["writers"]
c.JupyterHub.active_server_limit = c.JupyterHub.concurrent_spawn_limit = 0
"""


@dataclass(frozen=True, slots=True)
class RunningHub:
    """A JupyterHub that runs."""

    url: str
    """Where browsers find it, without a slash at its end."""

    pid: int
    folder: Path
    """Holds everything: ``hub.log``, the store (``store``), the homes of users (``homes/NAME``)."""

    grpc_port: int
    tests_token: str

    @property
    def modelbox_url(self) -> str:
        """Where ModelBox is, through the proxy."""
        return f"{self.url}/services/modelbox"

    @property
    def log(self) -> str:
        """What Hub, proxy and ModelBox said."""
        return (self.folder / "hub.log").read_text(errors="replace")

    def api(self, method: str, path: str, body: Json = None) -> Json:
        """Send a request to the API of the Hub as somebody who may do everything there, and return its answer, which must be a success."""
        status, answer = request(method, f"{self.url}/hub/api/{path}", body, {"Authorization": f"token {self.tests_token}"})
        assert 200 <= status < 300, f"{method} {path} was answered with {status}: {answer}\n{self.log[-4000:]}"
        return answer

    def make_token(self, user: str, *scopes: str) -> tuple[str, str]:
        """Return a token of a user and its id; with all that they may do unless `scopes` say less."""
        self._ensure(user)
        made = self.api("POST", f"users/{user}/tokens", {"note": "tests", **({"scopes": list(scopes)} if scopes else {})})
        return str(made["token"]), str(made["id"])

    def start_server(self, user: str) -> JupyterProcess:
        """Start a user's server, and return it with a token of theirs."""
        self._ensure(user)
        self.api("POST", f"users/{user}/server")
        until_s = time.monotonic() + _START_S
        while not self.api("GET", f"users/{user}")["servers"].get("", {}).get("ready"):
            assert time.monotonic() < until_s, self.log[-8000:]
            time.sleep(0.1)
        return JupyterProcess(f"{self.url}/user/{user}", self.make_token(user)[0], self.pid, self.folder, {})

    def _ensure(self, user: str) -> None:
        if request("GET", f"{self.url}/hub/api/users/{user}", None, {"Authorization": f"token {self.tests_token}"})[0] == 404:
            self.api("POST", f"users/{user}")


def request(method: str, url: str, body: Json, headers: Mapping[str, str]) -> tuple[int, Json]:
    """Send a JSON request and return status and answer (``None`` when that is no JSON)."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=60)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, parts.path, data, {**headers, "Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    try:
        return response.status, json.loads(answer)
    except ValueError:
        return response.status, None


@contextmanager
def running_hub(
    folder: Path, *, writers: tuple[str, ...] = (), service_environment: Mapping[str, str] | None = None
) -> Iterator[RunningHub]:
    """Run a Hub until the block is left.

    Parameters
    ----------
    folder
        An empty folder for everything that it keeps.
    writers
        More users of the group vision, beside alice and bob.
    service_environment
        More variables for ModelBox.
    """
    assert _PROXY.exists(), f"There is no {_PROXY}: run 'jlpm install' in labextension/."
    port, hub_port, proxy_port, service_port, grpc_port = (free_port() for _ in range(5))
    url, tests_token = f"http://127.0.0.1:{port}", secrets.token_hex(16)
    environment = {
        name: value for name, value in jupyter_environment(folder).items() if not name.startswith(("JUPYTER_", "IPYTHON", "MODELBOX_"))
    }
    config = folder / "modelbox_server.toml"
    sample = _SERVER.read_text().replace("/var/lib/modelbox", f"{folder}/store").replace(":2112", "")
    config.write_text(f'grpc_listen_addr = "127.0.0.1:{grpc_port}"\n{sample}')
    changes = {
        "url": url,
        "hub_url": f"http://127.0.0.1:{hub_port}",
        "proxy_api_url": f"http://127.0.0.1:{proxy_port}",
        "proxy": [str(_PROXY)],
        "database": f"sqlite:///{folder}/hub.sqlite",
        "cookie_secret_file": str(folder / "cookie_secret"),
        "pid_file": str(folder / "proxy.pid"),
        "password": PASSWORD,
        "home": f"{folder}/homes/{{username}}",
        "singleuser": [sys.executable, "-m", "jupyterhub.singleuser"],
        "modelbox_url": f"{url}/services/modelbox",
        "environment": {},
        "service_url": f"http://127.0.0.1:{service_port}",
        "service": [sys.executable, "-m", "modelbox.cli.main", "server", "start", "--config-path", str(config)],
        "service_environment": dict(service_environment or {}),
        "tests_token": tests_token,
        "writers": list(writers),
    }
    (folder / "changes.json").write_text(json.dumps(changes))
    hub_config = folder / "jupyterhub_config.py"
    hub_config.write_text(_CHANGES.format(changes=str(folder / "changes.json"), config=str(_CONFIG)))
    with (folder / "hub.log").open("wb") as log:
        command = [sys.executable, "-m", "jupyterhub", "--config", str(hub_config)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True)  # noqa: S603
    hub = RunningHub(url, process.pid, folder, grpc_port, tests_token)
    try:
        _wait(hub, process)
        yield hub
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(hub: RunningHub, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until_s:
        try:
            if request("GET", f"{hub.modelbox_url}/readyz", None, {})[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"The Hub did not come up with ModelBox:\n{hub.log[-8000:]}")
