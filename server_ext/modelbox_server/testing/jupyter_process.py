"""A real Jupyter server with the extension for tests: its own process, away from the settings and the store of whoever runs the tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["JupyterProcess", "free_port", "jupyter_environment", "jupyter_process"]

_START_S = 60.0
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class JupyterProcess:
    """A Jupyter server that runs."""

    jupyter_url: str
    """The server with its base URL, without a slash at its end."""

    token: str
    pid: int
    folder: Path
    """Holds the configuration, the runtime files, the store (``store``) and the log (``server.log``)."""

    environment: Mapping[str, str]
    """What the process was started with."""

    @property
    def url(self) -> str:
        """Where ModelBox is."""
        return f"{self.jupyter_url}/modelbox"

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header that it wants."""
        return {"Authorization": f"Bearer {self.token}"}


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def jupyter_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which Jupyter and ModelBox keep everything in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY_", "MODELBOX_", "XDG_", "IPYTHON"))}
    places = {
        "HOME": folder,
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "IPYTHONDIR": folder / "ipython",
        "MODELBOX_DATA_DIR": folder / "store",
        "MODELBOX_STATE_DIR": folder / "state",
        "MODELBOX_CONFIG_DIR": folder / "modelbox-config",
    }
    return {**kept, **{name: str(place) for name, place in places.items()}}


@contextmanager
def jupyter_process(
    folder: Path,
    *,
    base_url: str = "/user/a%20b/",
    extensions: Sequence[str] = ("modelbox_server",),
    arguments: Sequence[str] = (),
    module: str = "jupyter_server",
    more_environment: Mapping[str, str] | None = None,
) -> Iterator[JupyterProcess]:
    """Run a Jupyter server until the ``with`` block ends.

    Parameters
    ----------
    folder
        An empty folder for everything that it keeps.
    base_url
        Path that it is served under.
    extensions
        Server extensions to enable.
    arguments
        More command-line arguments.
    module
        What to run: ``jupyter_server``, or ``jupyterlab``.
    more_environment
        Environment variables besides those of :func:`jupyter_environment`.
    """
    environment = {**jupyter_environment(folder), **(more_environment or {})}
    token, port = "jüpyter-token".encode().hex(), free_port()
    config = {"ServerApp": {"jpserver_extensions": dict.fromkeys(extensions, True), "allow_root": True, "open_browser": False}}
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(config))
    (folder / "notebooks").mkdir()
    command = [
        sys.executable,
        *("-m", module, f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.base_url={base_url}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder / 'notebooks'}"),
        *arguments,
    ]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)  # noqa: S603
    server = JupyterProcess(f"http://127.0.0.1:{port}{base_url.rstrip('/')}", token, process.pid, folder, environment)
    try:
        _wait_until_alive(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_alive(server: JupyterProcess, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until_s:
        try:
            with urlopen(f"{server.url}/livez"):  # noqa: S310  (our own http address)
                return
        except (URLError, ConnectionError):
            time.sleep(0.05)
    lines = (server.folder / "server.log").read_text(errors="replace").splitlines()
    log = "\n".join(line for line in lines if "/livez" not in line)
    raise AssertionError(f"The Jupyter server did not come up with ModelBox:\n{log[-8000:]}")
