"""``modelbox server``: write a configuration, check it, start a server from it, and tell the token of one that runs.

Exit codes: 0 done, 2 the configuration or the command is wrong, 1 and 3 the storage is broken or away.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.errors import ConfigError, Conflict, ModelBoxError, NotFound, StorageError
from modelbox.settings import DEFAULT_PORT, servers_folder

if TYPE_CHECKING:
    import argparse

    from modelbox_server.config.loading import ServerConfig
    from modelbox_server.standalone import StandaloneServer

__all__ = ["add_server", "run_server"]

_CONFIG_NAME = "modelbox_server.toml"
_RELOADED = frozenset({"allowed_hosts", "shutdown_grace_s"})
_log = logging.getLogger("modelbox.server")


def add_server(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser of ``modelbox``."""
    server = commands.add_parser("server", help="a server of your own, for more than one machine or person")
    verbs = server.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    write = verbs.add_parser("init-config", help="write a configuration file to start from")
    write.add_argument("--path", default=_CONFIG_NAME, metavar="FILE", help=f"where to ({_CONFIG_NAME})")
    write.add_argument("--force", action="store_true", help="replace a file that is there")
    start = verbs.add_parser("start", help="start a server, and serve until Ctrl-C or SIGTERM")
    # With one hyphen too: that is how the documentation of 2022 writes it.
    start.add_argument(
        "--config-path", "-config-path", metavar="FILE", help="configuration file; the built-in defaults keep everything in memory"
    )
    check = verbs.add_parser("check-config", help="say what is wrong with a configuration file, or what it means")
    check.add_argument("path", metavar="FILE")
    token = verbs.add_parser("token", help="print the token of a server that runs here, for clients on other machines")
    token.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"the port it listens on ({DEFAULT_PORT})")


def run_server(options: argparse.Namespace) -> int:
    """Carry out the command.

    Raises
    ------
    ConfigError
        The configuration has mistakes; the message has them all.
    Conflict
        The file is there already.
    NotFound
        No server runs on that port.
    StorageError, StorageUnavailable
        A store cannot be opened.
    """
    match options.verb:
        case "init-config":
            _write_config(Path(options.path), force=options.force)
        case "check-config":
            _check_config(Path(options.path))
        case "token":
            _print_token(options.port)
        case _:
            _start(options.config_path)
    return 0


def _write_config(path: Path, *, force: bool) -> None:
    from modelbox_server.config.template import template

    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        # For this user alone: passwords are going to stand in it.
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise Conflict(f"{path} is there already: give another --path, or --force to replace it.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}): give a --path that this user can write to.") from error
    sys.stdout.write(f"config written to path: {path}\n")


def _check_config(path: Path) -> None:
    from modelbox_server.config.stores import check_storage

    config = _configuration(str(path))
    check_storage(config)
    for name, value in config.shown().items():
        if value is not None:
            sys.stdout.write(f"{name} = {json.dumps(value)}\n")


def _print_token(port: int) -> None:
    path = servers_folder() / f"{port}.json"
    try:
        token = json.loads(path.read_bytes())["token"]
    except FileNotFoundError:
        raise NotFound(f"No server of yours runs on port {port}: start one, or say --port.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: stop that server and start it again.") from error
    sys.stdout.write(f"{token}\n")


def _configuration(path: str | None) -> ServerConfig:
    from modelbox_server.config.loading import load_config

    return load_config(None if path is None else Path(path), os.environ)


def _start(config_path: str | None) -> None:
    from modelbox_server.config.stores import check_storage, configured_services
    from modelbox_server.standalone import StandaloneServer, serve

    config = _configuration(config_path)
    check_storage(config)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("tornado.access").setLevel(logging.WARNING)
    # Opened now rather than by the first request: what is wrong with a store is said to whoever starts the server.
    services = configured_services(config)
    server = StandaloneServer(
        lambda: services,
        host=config.listen.host,
        port=config.listen.port,
        token=config.text("auth.token") or None,
        allowed_hosts=config.texts("allowed_hosts"),
        runtime_folder=servers_folder(),
        trust_same_user=config.is_on("auth.trust_same_user_loopback"),
        needs_token=config.text("auth.mode") == "token",
        grace_s=config.number("shutdown_grace_s"),
    )
    try:
        serve(server, on_start=lambda started: _tell(started, config), on_hangup=lambda running: _reload(running, config_path, config))
    finally:
        services.close()


def _reload(server: StandaloneServer, config_path: str | None, before: ServerConfig) -> None:
    """Read the configuration again; what is wrong with it is told, and the server goes on as it was."""
    try:
        config = _configuration(config_path)
    except ModelBoxError as error:
        _log.warning("The configuration was not read again: %s", error.detail)
        return
    server.reconfigure(allowed_hosts=config.texts("allowed_hosts"), grace_s=config.number("shutdown_grace_s"))
    fixed = [path for path, value in config.values.items() if value != before.values[path] and path not in _RELOADED]
    tail = f" These take effect at the next start: {', '.join(fixed)}." if fixed else ""
    _log.info("The configuration was read again from %s.%s", config.source, tail)


def _tell(server: StandaloneServer, config: ServerConfig) -> None:
    storage = ", ".join(f"{what} {config.text(f'{what}_storage')}" for what in ("metadata", "metrics", "artifact"))
    sys.stderr.write(f"ModelBox listens at {server.url} ({config.text('listen_addr')}); {storage}; {config.source}.\n")
    if config.text("auth.mode") == "token":
        sys.stderr.write(
            f"Its token is in {servers_folder() / f'{server.port}.json'}: clients of yours on this machine find it by themselves.\n"
        )
    if not config.listen.is_loopback:
        sys.stderr.write(
            "Other machines can reach it, and what they send is not encrypted: put TLS in front of it outside of a trusted network.\n"
        )
    sys.stderr.flush()
