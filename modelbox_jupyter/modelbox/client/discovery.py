"""Where the store is: the first of seven places that says so, with the reason.

1. the argument of :class:`modelbox.ModelBox`;
2. ``MODELBOX_API_ADDR`` (and ``MODELBOX_API_TOKEN``);
3. the ModelBox that the users of a JupyterHub share, which the Hub names to their servers: ``MODELBOX_HUB_URL``;
4. the Jupyter server that owns this kernel or terminal;
5. ``modelbox_client.toml`` in the current folder or the configuration folder;
6. a standalone server of the same user on this machine;
7. the local store, in this process.

What somebody wrote (1, 2, 3, 5) is taken at its word: a server that is away is then an error, never a silent move to another store. What is
only found (4, 6) must answer, or the search goes on; :class:`Where` says what was passed over.

Two stores have names, wherever an address is asked for: ``local``, the one in the user's data folder, and ``shared``, the one of the Hub.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from modelbox import settings
from modelbox.client.address import ServerAddress, parse_address
from modelbox.client.lazy import LazyTransport
from modelbox.client.transport import local_transport
from modelbox.errors import ConfigError, nearest, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelbox.client.transport import Transport

__all__ = ["Found", "Where", "find_offline", "find_store", "open_store"]

_MAX_CONFIG_BYTES = 1 << 20
_CONFIG_KEYS = frozenset({"server_addr", "token", "ca_file"})
_MODES = ("online", "offline")


@dataclass(frozen=True, slots=True)
class Where:
    """Which store is used, and why.

    Parameters
    ----------
    kind
        ``"jupyter"`` (the server of this kernel), ``"hub"`` (the one that the users of a JupyterHub share), ``"server"`` (another server),
        ``"local"`` (a folder, in this process), ``"memory"``, or ``"offline"`` (a folder of journals that wait for a store).
    address
        URL of the server, or the folder.
    reason
        What decided it, as part of a sentence: ``"MODELBOX_API_ADDR is set"``.
    detail
        What was passed over on the way and why; empty when nothing was.
    user
        Who the store sees there, where the environment says so.
    """

    kind: Literal["jupyter", "hub", "server", "local", "memory", "offline"]
    address: str
    reason: str
    detail: str = ""
    user: str = ""

    def __str__(self) -> str:
        return f"{self.address} ({self.what}): {self.reason}." + (f" {self.detail}" if self.detail else "")

    @property
    def what(self) -> str:
        """What kind of store it is, in words."""
        match self.kind:
            case "jupyter":
                return "the Jupyter server of this kernel"
            case "hub":
                return f"shared ModelBox of {urlsplit(self.address).netloc}" + (f", as {self.user}" if self.user else "")
            case "server":
                return "a ModelBox server"
            case "local":
                return "the local store in this process"
            case "memory":
                return "a store in memory"
            case "offline":
                return "journals that wait for 'modelbox sync'"


@dataclass(frozen=True, slots=True)
class Found:
    """A store that was found, the token for it, which never shows in a ``repr``, and how it is known to be the right one."""

    where: Where
    token: str | None = field(default=None, repr=False)
    ca_file: str = ""
    certificate_sha256: str = ""


def find_store(
    address: str | os.PathLike[str] | None = None,
    token: str | None = None,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Found:
    """Return the store to use.

    Parameters
    ----------
    address, token
        What the caller asks for; ``None`` searches.
    env, cwd
        Environment and current folder; those of the process when left out.

    Raises
    ------
    ConfigError
        An address or a configuration file is malformed.
    """
    env = os.environ if env is None else env
    if address is not None:
        return _named(address, "The address argument", "it was asked for by address", token or env.get("MODELBOX_API_TOKEN"), env)
    if named := env.get("MODELBOX_API_ADDR"):
        return _named(named, "MODELBOX_API_ADDR", "MODELBOX_API_ADDR is set", token or env.get("MODELBOX_API_TOKEN"), env)
    passed: list[str] = []
    found = (
        _hub(env, "MODELBOX_HUB_URL is set")
        or _jupyter_by_environment(env, passed)
        or _jupyter_by_runtime_file(env, passed)
        or _configured(env, cwd or Path.cwd(), token)
        or _standalone(env, passed)
        or Found(Where("local", str(settings.data_folder(env)), "no server was found, so runs are kept in this folder"))
    )
    return replace(
        found,
        where=replace(found.where, detail=" ".join(passed)),
        token=token or found.token,
        ca_file=found.ca_file or env.get("MODELBOX_CA_FILE", ""),
    )


def find_offline(
    address: str | os.PathLike[str] | None = None, mode: str | None = None, *, env: Mapping[str, str] | None = None
) -> Where | None:
    """Return the folder that an offline connection writes to; ``None`` when the connection is not to be offline.

    Parameters
    ----------
    address, mode
        What the caller asks for; ``MODELBOX_MODE`` decides when `mode` is left out.
    env
        Environment; that of the process when left out.

    Raises
    ------
    ConfigError
        There is no such mode, or the address is that of a server.
    """
    env = os.environ if env is None else env
    chosen = mode or env.get("MODELBOX_MODE") or "online"
    if chosen not in _MODES:
        source = "mode" if mode else "MODELBOX_MODE"
        raise ConfigError(f"{source} is {shortened(chosen, 40)}: it is one of {', '.join(_MODES)}.", field="mode")
    if chosen == "online":
        return None
    reason = "the mode is offline" if mode else "MODELBOX_MODE is offline"
    if address is None:
        return Where("offline", str(settings.state_folder(env) / "offline"), reason)
    folder = parse_address(address)
    if isinstance(folder, ServerAddress):
        raise ConfigError(f"{folder} is a server, and this connection is offline: give the folder to keep journals in, or no address.")
    return Where("offline", str(folder), reason)


def open_store(found: Found) -> Transport:
    """Return a transport to the store; nothing is sent yet, and the local store is opened by its first use.

    Raises
    ------
    StorageError
        The folder of a local store cannot be used.
    """
    if found.where.kind in {"jupyter", "hub", "server"}:
        from modelbox.client.http import HttpTransport
        from modelbox.client.trust import Trust

        address = parse_address(found.where.address)
        assert isinstance(address, ServerAddress)  # noqa: S101  (a narrowing for the type checkers)
        return HttpTransport(address, found.token, trust=Trust(found.ca_file, found.certificate_sha256))
    folder = Path(found.where.address)
    # A folder that cannot be used is told now, to whoever asked for it.
    return LazyTransport(folder) if _is_usable(folder) else local_transport(folder)


def _is_usable(folder: Path) -> bool:
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _named(
    address: str | os.PathLike[str], source: str, reason: str, token: str | None, env: Mapping[str, str], ca_file: str = ""
) -> Found:
    ca_file = ca_file or env.get("MODELBOX_CA_FILE", "")
    if address == "local":
        return Found(Where("local", str(settings.data_folder(env)), reason))
    if address == "shared":
        shared = _hub(env, reason)
        if shared is None:
            raise ConfigError(f"{source} is 'shared', but no JupyterHub names a shared ModelBox here (MODELBOX_HUB_URL): give its address.")
        return replace(shared, token=token or shared.token, ca_file=ca_file)
    match parse_address(address, source=source):
        case ServerAddress() as server:
            own = _runtime_record(settings.servers_folder(env) / f"{server.port}.json") if server.is_loopback else None
            if own is None:
                return Found(Where("server", str(server), reason), token, ca_file)
            if server.scheme == "http" and own.get("url", "").startswith("https:"):
                server = replace(server, scheme="https")
            return Found(Where("server", str(server), reason), token or own.get("token"), ca_file, own.get("certificate_sha256", ""))
        case folder:
            return Found(Where("local", str(folder), reason))


def _hub(env: Mapping[str, str], reason: str) -> Found | None:
    url = env.get("MODELBOX_HUB_URL")
    if not url:
        return None
    address = parse_address(url, source="MODELBOX_HUB_URL")
    if not isinstance(address, ServerAddress):
        raise ConfigError(
            f"MODELBOX_HUB_URL is {shortened(url, 60)}: it is the URL of a server, such as https://hub.example/services/modelbox."
        )
    where = Where("hub", str(address), reason, user=env.get("JUPYTERHUB_USER", ""))
    return Found(where, env.get("MODELBOX_API_TOKEN") or env.get("JUPYTERHUB_API_TOKEN"), env.get("MODELBOX_CA_FILE", ""))


def _jupyter_by_environment(env: Mapping[str, str], passed: list[str]) -> Found | None:
    url = env.get("MODELBOX_JUPYTER_URL")
    if not url:
        return None
    address = _server(url)
    if address is not None and _answers(address, env.get("MODELBOX_CA_FILE", "")):
        return Found(Where("jupyter", str(address), "this process was started by that Jupyter server"), env.get("MODELBOX_JUPYTER_TOKEN"))
    passed.append("The Jupyter server that started this process does not answer.")
    return None


def _jupyter_by_runtime_file(env: Mapping[str, str], passed: list[str]) -> Found | None:
    parent = env.get("JPY_PARENT_PID", "")
    if not (parent.isascii() and parent.isdigit()):
        return None
    record = _runtime_record(settings.jupyter_runtime_folder(env) / f"jpserver-{parent}.json")
    if record is None or not record.get("url"):
        return None
    address = _server(record["url"].rstrip("/") + "/modelbox")
    if address is not None and _answers(address, env.get("MODELBOX_CA_FILE", "")):
        return Found(Where("jupyter", str(address), "that Jupyter server owns this kernel"), record.get("token"))
    passed.append("The Jupyter server of this kernel has no ModelBox that answers: is the extension enabled?")
    return None


def _configured(env: Mapping[str, str], cwd: Path, token: str | None) -> Found | None:
    for folder, env_token in ((cwd, None), (settings.config_folder(env), env.get("MODELBOX_API_TOKEN"))):
        # A file that came with somebody's repository may name any server: the token of the environment is not for that one.
        path = folder / settings.CLIENT_CONFIG
        config = _read_config(path)
        if config is None:
            continue
        given = token or config.get("token") or env_token
        return _named(config["server_addr"], f"server_addr in {path}", f"{path} names it", given, env, config.get("ca_file", ""))
    return None


def _read_config(path: Path) -> dict[str, str] | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CONFIG_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): mend it or remove it.") from error
    if len(data) > _MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_CONFIG_BYTES} bytes: that is no client configuration.")
    try:
        config = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not TOML in UTF-8: {error}.") from error
    problems = [
        f"{key}: unknown key, {nearest(key, _CONFIG_KEYS) or 'known are server_addr, token and ca_file'}"
        for key in config.keys() - _CONFIG_KEYS
    ]
    problems += [
        f"{key}: expected text, got {shortened(value, 40) if key != 'token' else type(value).__name__}"
        for key, value in config.items()
        if key in _CONFIG_KEYS and not isinstance(value, str)
    ]
    if "server_addr" not in config:
        problems.append('server_addr: missing, write server_addr = "host:8085"')
    if problems:
        raise ConfigError(f"{path} has mistakes: {'; '.join(sorted(problems))}.")
    return config


def _standalone(env: Mapping[str, str], passed: list[str]) -> Found | None:
    folder = settings.servers_folder(env)
    default = folder / f"{settings.DEFAULT_PORT}.json"
    try:
        files = sorted(folder.glob("*.json"), key=lambda path: (path != default, path.name))
    except OSError:
        return None
    for path in files:
        record = _runtime_record(path)
        if record is None or not record.get("url"):
            continue
        address, certificate = _server(record["url"]), record.get("certificate_sha256", "")
        if address is not None and _answers(address, certificate_sha256=certificate):
            where = Where("server", str(address), f"it runs on this machine under your account ({path})")
            return Found(where, record.get("token"), certificate_sha256=certificate)
        passed.append(f"The server named in {path} does not answer.")
    return None


def _answers(address: ServerAddress, ca_file: str = "", certificate_sha256: str = "") -> bool:
    from modelbox.client.http import answers  # 20 ms to load: only where there is a server to ask
    from modelbox.client.trust import Trust

    return answers(address, Trust(ca_file, certificate_sha256))


def _server(url: str) -> ServerAddress | None:
    """Return the address of a server that was found; ``None`` for what we do not speak, such as ``http+unix``."""
    try:
        address = parse_address(url)
    except ConfigError:
        return None
    return address if isinstance(address, ServerAddress) else None


def _runtime_record(path: Path) -> dict[str, str] | None:
    """Read a runtime file, if it is a plain file that nobody but this user can have written or read.

    Another user's file could send our points, and a token, to a server of theirs.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        ours = not hasattr(os, "getuid") or (info.st_uid == os.getuid() and not info.st_mode & 0o077)
        if not ours or not stat.S_ISREG(info.st_mode):
            return None
        try:
            record = json.loads(file.read(_MAX_CONFIG_BYTES))
        except ValueError:
            return None
    return {key: value for key, value in record.items() if isinstance(value, str)} if isinstance(record, dict) else None
