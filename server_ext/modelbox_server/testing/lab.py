"""A real JupyterLab with both extensions, for tests that need the whole thing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

from modelbox.entities.records import Json
from modelbox_server.testing.jupyter_process import JupyterProcess, jupyter_process

__all__ = ["Lab", "running_lab"]

_ARGUMENTS = ("--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly")
_SETTINGS = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}


@dataclass(frozen=True, slots=True)
class Lab:
    """A JupyterLab that runs.

    Parameters
    ----------
    server
        Its process.
    """

    server: JupyterProcess

    @property
    def notebooks(self) -> Path:
        """The folder it shows."""
        return self.server.folder / "notebooks"

    @property
    def host(self) -> str:
        """Host and port, as they stand in its address."""
        return urlsplit(self.server.jupyter_url).netloc

    def page(self, path: str) -> str:
        """Return the address at which a browser finds `path`, the token included."""
        return f"{self.server.jupyter_url}/{path}?token={quote(self.server.token)}&reset"

    def request(self, method: str, path: str, body: Json = None) -> tuple[int, Json]:
        """Send a JSON request to `path` below the base URL and return the status and the JSON answer (``None`` when it is none)."""
        parts = urlsplit(self.server.jupyter_url)
        headers = {**self.server.headers, "Accept": "application/json", "Content-Type": "application/json"}
        connection = HTTPConnection(parts.netloc, timeout=30)
        try:
            connection.request(method, f"{parts.path}/{path}", None if body is None else json.dumps(body).encode(), headers)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(data)
        except ValueError:
            return response.status, None

    def api(self, method: str, path: str, body: Json = None) -> Json:
        """Send a request to the ModelBox API and return its answer, which must be a success."""
        status, answer = self.request(method, f"modelbox/api/v1/{path}", body)
        assert 200 <= status < 300, f"{method} {path} was answered with {status}: {answer}"
        return answer


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Run JupyterLab, at a base URL that wants escaping, until the block is left; everything that it keeps is below `folder`."""
    places = {"JUPYTERLAB_SETTINGS_DIR": folder / "settings", "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces"}
    for name, settings in _SETTINGS.items():
        file = places["JUPYTERLAB_SETTINGS_DIR"] / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    environment = {name: str(place) for name, place in places.items()}
    with jupyter_process(folder, module="jupyterlab", arguments=_ARGUMENTS, more_environment=environment) as server:
        yield Lab(server)
