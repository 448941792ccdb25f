"""A real JupyterLab process with the ModelBox extension, for tests that need the whole thing.

Everything the process reads or writes lies in one folder: its configuration, its runtime files, its notebooks and its ModelBox store.
Nothing of the user's own set-up reaches it.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

from modelbox.entities.records import Json

__all__ = ["JupyterProcess", "clean_environment", "running_jupyter"]

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0

_QUIET_LAB = {"fetchNews": "false", "checkForUpdates": False}
_FOREIGN_SETTINGS = ("MODELBOX_", "JUPYTER", "JPY_", "IPYTHON", "AWS_", "GIT_")


@dataclass(frozen=True, slots=True)
class JupyterProcess:
    """A JupyterLab that runs.

    Parameters
    ----------
    url
        Its address with the base URL and a final slash.
    token
        Opens it, as ``Authorization: token …`` or ``?token=…``.
    notebooks
        The folder it shows.
    store
        The folder of its ModelBox store.
    environment
        The environment it was started with; a script started with it shares store and runtime files, but has no address yet.
    pid
        Its process id.
    """

    url: str
    token: str
    notebooks: Path
    store: Path
    environment: Mapping[str, str]
    pid: int

    def request(self, method: str, path: str, body: Json = None, *, token: str | None = None) -> tuple[int, Json]:
        """Send a JSON request to `path` below the base URL and return the status and the JSON answer (``None`` when it is none)."""
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=30)
        used = self.token if token is None else token
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {used}"} if used else {})
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, parts.path + path, data, headers | ({} if data is None else {"Content-Type": "application/json"}))
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, None

    def api(self, method: str, path: str, body: Json = None) -> Json:
        """Send a request to the ModelBox API and return its answer, which must be a success."""
        status, answer = self.request(method, f"modelbox/api/v1/{path}", body)
        assert 200 <= status < 300, f"{method} {path} was answered with {status}: {answer}"
        return answer

    def page(self, path: str) -> str:
        """Return the address at which a browser finds `path`, the token included."""
        return f"{self.url}{path}?token={quote(self.token)}&reset"


@contextmanager
def running_jupyter(folder: Path, *, base_url: str = "/", notebooks: Path | None = None) -> Iterator[JupyterProcess]:
    """Run JupyterLab below `folder` until the block is left, on a free port of the loopback interface and with a token.

    Raises
    ------
    RuntimeError
        It did not answer in time; the message ends with what it printed.
    """
    root = notebooks or _made(folder / "notebooks")
    store = folder / "store"
    token = secrets.token_hex(16)
    environment = clean_environment(folder) | {"MODELBOX_DATA_DIR": str(store)}
    settings = _made(Path(environment["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension")
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(_QUIET_LAB))
    port = _free_port()
    log_path = folder / "jupyter.log"
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.base_url={base_url}", f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603
    lab = JupyterProcess(f"http://127.0.0.1:{port}{base_url}", token, root, store, environment, process.pid)
    try:
        _wait_until_it_answers(lab, process, log_path)
        yield lab
    finally:
        _stop(process)


def clean_environment(folder: Path) -> dict[str, str]:
    """Return this process's environment without any setting of Jupyter or ModelBox, with all their folders below `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_SETTINGS)}
    homes = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "XDG_CONFIG_HOME": "xdg",
    }
    # The programs of this environment come first: Jupyter starts its kernels by name.
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return kept | {name: str(_made(folder / part)) for name, part in homes.items()} | {"PATH": path}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_it_answers(lab: JupyterProcess, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            status, _ = lab.request("GET", "api/status")
        except OSError:
            time.sleep(0.1)
            continue
        if status == 200:
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not answer at {lab.url}; it printed:\n{log.read_text(errors='replace')[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
