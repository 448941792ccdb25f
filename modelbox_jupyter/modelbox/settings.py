"""Where ModelBox keeps things on this machine, and which environment variables it reads.

======================= ===================================================================================================
variable                meaning
======================= ===================================================================================================
MODELBOX_API_ADDR       address of the server, or folder of the local store, that every client here uses
MODELBOX_API_TOKEN      token for that server
MODELBOX_CA_FILE        PEM file of the authority, or of the certificate itself, of a server at an https address
MODELBOX_JUPYTER_URL    set by the Jupyter extension for its kernels and terminals: where its API is
MODELBOX_JUPYTER_TOKEN  set by the Jupyter extension: the token that its kernels use
MODELBOX_HUB_URL        set by a JupyterHub for its users' servers: the ModelBox that they share, which JUPYTERHUB_API_TOKEN opens
MODELBOX_DATA_DIR       folder of the local store, which scripts and the Jupyter extension share
MODELBOX_CONFIG_DIR     folder that ``modelbox_client.toml`` is looked for in, after the current one
MODELBOX_STATE_DIR      folder of the runtime files of standalone servers, and of journals that wait to be sent
MODELBOX_JUPYTER_STORE  set by the Jupyter extension: folder of its store, by which the journals of its kernels are found again
MODELBOX_MODE           offline: write journals only, and never look for a store; online otherwise
MODELBOX_EXPERIMENT_ID  id of the experiment that start() continues, so that many processes log to one; 40 hex digits
MODELBOX_SYSTEM_METRICS 0: do not log what the machine does while experiments run
MODELBOX_COMPLETION_S   seconds that completion in a shell waits for a store at most; 1 otherwise
MODELBOX_PROGRESS       0: show no progress bars
MODELBOX_PROVENANCE     0: do not keep the state of git, the packages and the command line with experiments
======================= ===================================================================================================

Folders are computed on every call, never at import: a test, or a notebook that sets a variable in its first cell, is heard.
"""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = [
    "CLIENT_CONFIG",
    "DEFAULT_PORT",
    "JOURNAL_LOCK",
    "config_folder",
    "data_folder",
    "jupyter_runtime_folder",
    "servers_folder",
    "spool_folder",
    "state_folder",
]

DEFAULT_PORT = 8085
"""Port that a standalone server listens on unless it is told otherwise."""

CLIENT_CONFIG = "modelbox_client.toml"
"""Name of the client's configuration file."""

JOURNAL_LOCK = "owner.lock"
"""Name of the file in a journal that its owner holds locked: a journal whose lock is free waits for somebody to send it."""


def data_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the local store: ``MODELBOX_DATA_DIR``, else ``modelbox`` in the user's data folder."""
    return _folder("MODELBOX_DATA_DIR", "XDG_DATA_HOME", ".local/share", env)


def config_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return the folder of configuration files: ``MODELBOX_CONFIG_DIR``, else ``modelbox`` in the user's configuration folder."""
    return _folder("MODELBOX_CONFIG_DIR", "XDG_CONFIG_HOME", ".config", env)


def state_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return the folder of runtime state: ``MODELBOX_STATE_DIR``, else ``modelbox`` in the user's state folder."""
    return _folder("MODELBOX_STATE_DIR", "XDG_STATE_HOME", ".local/state", env)


def servers_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return the folder in which each standalone server leaves ``PORT.json`` (mode 0600: url, token, pid)."""
    return state_folder(env) / "servers"


def spool_folder(store: str, env: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the journals for `store`: the address of a server, or the folder of a local store."""
    key = hashlib.sha256((store if "://" in store else os.path.realpath(store)).encode()).hexdigest()[:16]
    return state_folder(env) / "spool" / key


def jupyter_runtime_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return the folder in which Jupyter servers leave ``jpserver-PID.json``.

    The same answer as ``jupyter_core.paths.jupyter_runtime_dir()``, without making every training script import it.
    """
    env = os.environ if env is None else env
    if explicit := env.get("JUPYTER_RUNTIME_DIR"):
        return Path(explicit)
    if explicit := env.get("JUPYTER_DATA_DIR"):
        return Path(explicit) / "runtime"
    if sys.platform == "darwin":
        return _home(env) / "Library/Jupyter/runtime"
    if sys.platform == "win32":
        return Path(env.get("APPDATA") or _home(env)) / "jupyter/runtime"
    return Path(env.get("XDG_DATA_HOME") or _home(env) / ".local/share") / "jupyter/runtime"


def _folder(own_variable: str, xdg_variable: str, below_home: str, env: Mapping[str, str] | None) -> Path:
    env = os.environ if env is None else env
    if explicit := env.get(own_variable):
        return Path(explicit).expanduser().absolute()
    if base := env.get(xdg_variable):
        return Path(base) / "modelbox"
    if sys.platform == "darwin":
        return _home(env) / "Library/Application Support/modelbox"
    if sys.platform == "win32":
        return Path(env.get("LOCALAPPDATA") or _home(env)) / "modelbox"
    return _home(env) / below_home / "modelbox"


def _home(env: Mapping[str, str]) -> Path:
    return Path(env["HOME"]) if env.get("HOME") else Path.home()
