"""ModelBox inside a Jupyter server, below ``{base_url}modelbox/``.

It is the same store that scripts of this user write to: the local one, or in a user's server of a JupyterHub the one that its users share.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from jupyter_server.extension.application import ExtensionApp
from traitlets import Enum, Unicode

from modelbox.errors import ConfigError, StorageError
from modelbox.settings import data_folder
from modelbox_server.http.face import Face
from modelbox_server.http.handlers import handler_rules
from modelbox_server.http.jupyter import JupyterExchangeHandler, JupyterGate, OpenJupyterExchangeHandler
from modelbox_server.hub.relay import Upstream, relay_rules
from modelbox_server.journals import JournalWatch

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from modelbox_server.wiring import Services

__all__ = ["HUB_VARIABLE", "PAGE_OPTION", "STORE_VARIABLE", "TOKEN_VARIABLE", "URL_VARIABLE", "ModelBoxExtension"]

URL_VARIABLE = "MODELBOX_JUPYTER_URL"
TOKEN_VARIABLE = "MODELBOX_JUPYTER_TOKEN"  # noqa: S105  (the name of a variable)
STORE_VARIABLE = "MODELBOX_JUPYTER_STORE"
HUB_VARIABLE = "MODELBOX_HUB_URL"
"""Names of the environment variables by which kernels and terminals find the API of the server that started them, and which store it is."""

PAGE_OPTION = "modelboxElsewhere"
"""Under this name the panel in JupyterLab finds the address of the store that notebooks use instead of the one of this server."""

_PREFIX = "modelbox"
_WILDCARDS = {"", "0.0.0.0", "::", "*"}  # noqa: S104  (compared with, never bound to)


class ModelBoxExtension(ExtensionApp):
    """Jupyter server extension: the ModelBox API, and the environment by which kernels find it."""

    name = "modelbox_server"
    load_other_extensions = True

    data_dir = Unicode(
        "",
        config=True,
        help="Folder of the store. Empty: MODELBOX_DATA_DIR, else 'modelbox' in your data folder, as for scripts without a server.",
    )

    mode = Enum(
        ("auto", "local", "shared"),
        "auto",
        config=True,
        help="Which store: 'local', that of this user, or 'shared', that of a JupyterHub; 'auto' takes the second where a Hub names it.",
    )

    hub_url = Unicode(
        "",
        config=True,
        help="Where the ModelBox is that users of a JupyterHub share. Empty: MODELBOX_HUB_URL, which the Hub may set for their servers.",
    )

    def initialize_handlers(self) -> None:
        """Add the API to the server. Nothing is opened yet."""
        self._gate = JupyterGate()
        self._environment: dict[str, str] = {}
        self._tell_page()
        self._shared_url = self._find_shared()
        if self._shared_url:
            self._face = Face(_never_opened, self._gate)
            self._upstream = Upstream(self._shared_url, os.environ["JUPYTERHUB_API_TOKEN"])
            self._journals = JournalWatch(self._shared_url, address="shared")
            rules = relay_rules(self._face, self._upstream, JupyterExchangeHandler, OpenJupyterExchangeHandler, f"/{_PREFIX}")
            self.handlers.extend(rules)
            return
        self._store = Path(self.data_dir).expanduser().absolute() if self.data_dir else data_folder()
        self._face = Face(partial(_open_services, self._store), self._gate)
        self._journals = JournalWatch(self._store)
        self.handlers.extend(handler_rules(self._face, JupyterExchangeHandler, OpenJupyterExchangeHandler, f"/{_PREFIX}"))

    def _tell_page(self) -> None:
        """Let the page know of an address that kernels inherit, and keep their experiments at."""
        address = os.environ.get("MODELBOX_API_ADDR")
        if address and self.serverapp is not None:
            shown = self.serverapp.web_app.settings.setdefault("page_config_data", {})
            shown[PAGE_OPTION] = re.sub(r"//[^/]*@", "//", address)

    def _find_shared(self) -> str:
        """Return where the shared ModelBox is; empty where the local store is to be used."""
        url = self.hub_url or os.environ.get(HUB_VARIABLE, "")
        if self.mode == "local" or (self.mode == "auto" and not url):
            return ""
        if url.startswith(("http://", "https://")) and os.environ.get("JUPYTERHUB_API_TOKEN"):
            return url.rstrip("/")
        missing = (
            "JUPYTERHUB_API_TOKEN, which a JupyterHub sets" if url.startswith("http") else f"an address: set hub_url or {HUB_VARIABLE}"
        )
        raise ConfigError(f"The ModelBox that is shared needs {missing}; or set ModelBoxExtension.mode = 'local'.")

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Tell kernels where the API is, now that the port is known, and open the store while the first page loads."""
        if self._shared_url:
            if os.environ.get(HUB_VARIABLE, "").rstrip("/") != self._shared_url:
                self._environment = {HUB_VARIABLE: self._shared_url}
                os.environ.update(self._environment)
            self._journals.start()
            self.log.info("ModelBox is the shared one at %s", self._shared_url)
            return
        if os.environ.pop(HUB_VARIABLE, ""):
            self.log.info("Kernels use the local store, as the mode of ModelBox is %s", self.mode)
        self._environment = {
            URL_VARIABLE: _url_for_kernels(serverapp),
            TOKEN_VARIABLE: self._gate.kernel_token,
            STORE_VARIABLE: str(self._store),
        }
        os.environ.update(self._environment)
        self._face.warm_up(settle=True)
        self._journals.start()
        self.log.info("ModelBox is at %s", self._environment[URL_VARIABLE])

    async def stop_extension(self) -> None:
        """Let requests end, close the store, and take back what was told to kernels."""
        for variable, value in self._environment.items():
            if os.environ.get(variable) == value:
                del os.environ[variable]
        await self._journals.stop()
        await self._face.close()


def _never_opened() -> NoReturn:
    raise StorageError("This server passes everything on to the shared ModelBox, and has no store of its own.")


def _open_services(folder: Path) -> Services:
    # Imported here, in a worker thread: SQLAlchemy is a noticeable part of a second that nobody has to wait for.
    from modelbox_server.wiring import local_services

    return local_services(folder)


def _url_for_kernels(serverapp: ServerApp) -> str:
    """Return the address of the API for processes on this machine; a server that listens everywhere does so on the loopback address too."""
    parts = urlsplit(serverapp.connection_url)
    if serverapp.ip in _WILDCARDS and not serverapp.sock:
        parts = parts._replace(netloc=f"127.0.0.1:{serverapp.port}")
    return parts.geturl().rstrip("/") + f"/{_PREFIX}"
