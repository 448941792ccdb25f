"""``modelbox server start``: serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelbox.cli.output import example
from modelbox.cli.server.config import CONFIG_FILE, may_be_insecure
from modelbox.errors import ModelBoxError
from modelbox.settings import servers_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox_server.config.loading import ServerConfig
    from modelbox_server.standalone import StandaloneServer
    from modelbox_server.storage.interfaces import BlobStore
    from modelbox_server.wiring import Services

__all__ = ["start"]

_RELOADED = frozenset({"allowed_hosts", "allowed_origins", "shutdown_grace_s"})
_log = logging.getLogger("modelbox.server")


@click.command(epilog=example("server start --config-path modelbox_server.toml"))
# With one hyphen too: that is how the documentation of 2022 writes it.
@click.option("--config-path", "-config-path", metavar="FILE", type=CONFIG_FILE, help="Configuration file.")
@click.option("--mode", type=click.Choice(["all", "metadata", "blob"]), help="What the server does, whatever the file says.")
@may_be_insecure
def start(config_path: Path | None, mode: str | None, *, allow_insecure_config: bool) -> None:
    """Start a server, and serve until Ctrl-C or SIGTERM.

    Without a file, the built-in defaults keep everything in memory.
    """
    from modelbox_server.config.files import check_files
    from modelbox_server.config.loading import load_config
    from modelbox_server.config.stores import check_storage, configured_blobs, configured_services
    from modelbox_server.config.table import find_setting
    from modelbox_server.observing.logs import log_to
    from modelbox_server.observing.meters import Meters
    from modelbox_server.standalone import serve

    env = os.environ if mode is None else {**os.environ, find_setting("mode").variable: mode}
    read = partial(load_config, config_path, env, allow_insecure=allow_insecure_config)
    config = read()
    check_storage(config)
    check_files(config)
    log_to(sys.stderr, config.text("log_format"), config.text("log_level"))
    meters, meters_address = Meters(), config.meters_address
    listening: dict[str, Any] = {
        "host": config.listen.host,
        "port": config.listen.port,
        "tls": config.tls,
        "grace_s": config.number("shutdown_grace_s"),
        "notice_s": config.number("shutdown_notice_s"),
        "meters": meters,
        "meters_address": None if meters_address is None else (meters_address.host, meters_address.port),
        "needs_meters": config.is_meters_address_said,
    }
    # Stores are opened now rather than by the first request: what is wrong with one is said to whoever starts the server.
    if config.text("mode") == "blob":
        blobs = configured_blobs(config, meters)
        server, close = _blob_server(config, blobs, listening), blobs.close
    else:
        services = configured_services(config, meters)
        server, close = _server(config, services, listening), services.close
    try:
        first = serve(server, on_start=lambda started: _tell(started, config), on_hangup=lambda running: _reload(running, read, config))
    finally:
        close()
    if first is signal.SIGINT:
        raise click.Abort


def _server(config: ServerConfig, services: Services, listening: dict[str, Any]) -> StandaloneServer:
    from modelbox_server.config.files import holders_of, proxies_of
    from modelbox_server.config.hub import hub_of
    from modelbox_server.http.tokens import kept_token
    from modelbox_server.standalone import StandaloneServer

    hub = hub_of(config)
    # A free port is another one next time, so there is nothing to keep a token for. Behind a Hub, whoever may do everything is known by it,
    # and a token in a file would be for all users whose servers run under this account.
    kept = kept_token(servers_folder() / f"{config.listen.port}.token") if config.listen.port and hub is None else None
    return StandaloneServer(
        lambda: services,
        grpc_address=None if config.grpc_listen is None else (config.grpc_listen.host, config.grpc_listen.port),
        token=config.text("auth.token") or kept,
        holders=holders_of(config),
        allowed_hosts=config.texts("allowed_hosts"),
        allowed_origins=config.texts("allowed_origins"),
        runtime_folder=servers_folder() if hub is None else None,
        hub=hub,
        trust_same_user=config.is_on("auth.trust_same_user_loopback"),
        needs_token=config.text("auth.mode") != "none",
        proxies=proxies_of(config),
        advertised=config.text("advertise_addr"),
        collect_every_s=config.number("garbage.every_s"),
        **listening,
    )


def _blob_server(config: ServerConfig, blobs: BlobStore, listening: dict[str, Any]) -> StandaloneServer:
    from modelbox.entities.times import now
    from modelbox_server.blob_server import BlobServer
    from modelbox_server.service.tickets import TicketDesk

    return BlobServer(lambda: blobs, TicketDesk(config.text("tickets.key"), now), **listening)


def _reload(server: StandaloneServer, read: Callable[[], ServerConfig], before: ServerConfig) -> None:
    """Read the configuration again; what is wrong with it is told, and the server goes on as it was."""
    from modelbox_server.config.files import holders_of

    try:
        config = read()
        server.reconfigure(
            allowed_hosts=config.texts("allowed_hosts"),
            allowed_origins=config.texts("allowed_origins"),
            holders=holders_of(config),
            grace_s=config.number("shutdown_grace_s"),
        )
    except ModelBoxError as error:
        _log.warning("The configuration was not read again: %s", error.detail)
        return
    fixed = [path for path, value in config.values.items() if value != before.values[path] and path not in _RELOADED]
    tail = f" These take effect at the next start: {', '.join(fixed)}." if fixed else ""
    _log.info("The configuration was read again from %s.%s", config.source, tail)


def _tell(server: StandaloneServer, config: ServerConfig) -> None:
    is_blob_server = config.text("mode") == "blob"
    kept = {"metadata": "metadata_storage", "metrics": "metrics_storage", "artifacts": "artifact_storage"}
    storage = ", ".join(f"{what} {config.text(setting)}" for what, setting in kept.items() if what == "artifacts" or not is_blob_server)
    what = "ModelBox, a blob server," if is_blob_server else "ModelBox"
    sys.stderr.write(f"{what} listens at {server.url} ({config.text('listen_addr')}); {storage}; {config.source}.\n")
    if server.meters_url:
        sys.stderr.write(f"Prometheus finds its figures at {server.meters_url}.\n")
    if config.text("auth.mode") == "token" and not is_blob_server:
        sys.stderr.write(
            f"Its token is in {servers_folder() / f'{server.port}.json'}: clients of yours on this machine find it by themselves.\n"
            f"'modelbox server token --port {server.port} --url' prints an address that opens its web page.\n"
        )
    if server.grpc_address is not None:
        sys.stderr.write(f"It speaks gRPC alone at {config.text('grpc_listen_addr')} (port {server.grpc_address[1]}) as well.\n")
    if config.sample_secrets:
        sys.stderr.write(
            f"Everybody knows the password of the sample: choose another for {', '.join(config.sample_secrets)} before it is used.\n"
        )
    if config.tls is None and config.is_open:
        sys.stderr.write(
            "Other machines can reach it, and what they send is not encrypted: set tls_cert and tls_key outside of a trusted network.\n"
        )
    sys.stderr.flush()
