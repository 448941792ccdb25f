"""From a configuration to the services of a server."""

from __future__ import annotations

import os
import stat
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from modelbox.errors import ConfigError, StorageError
from modelbox_server.service.limits import Limits
from modelbox_server.storage.blobs.s3_settings import S3Settings
from modelbox_server.storage.databases.settings import DatabaseSettings, Tls
from modelbox_server.storage.metrics.timescale import Policies, TimescaleSettings
from modelbox_server.wiring import StorageSettings, passing_services

if TYPE_CHECKING:
    from modelbox_server.config.loading import ServerConfig
    from modelbox_server.observing.meters import Meters
    from modelbox_server.storage.interfaces import BlobStore
    from modelbox_server.wiring import Services

__all__ = ["check_shared", "check_storage", "configured_blobs", "configured_services", "database_settings"]

_SETTINGS = {"metadata": "metadata_storage", "metrics": "metrics_storage", "artifacts": "artifact_storage"}

_PLACES = (
    ("metadata", "integrated", "metadata_storage_integrated.path"),
    ("artifacts", "filesystem", "artifact_storage_filesystem.base_dir"),
)


def configured_services(config: ServerConfig, meters: Meters | None = None) -> Services:
    """Open the stores that a configuration names and return services over them.

    What is ephemeral, and artifacts without a folder of their own, goes when the services are closed. `meters` time what the stores do.

    Raises
    ------
    ConfigError
        A store is not there in this version.
    StorageError, StorageUnavailable
        A store cannot be opened, or its folder belongs to somebody else.
    """
    check_storage(config)
    folder = _place(config, "artifact_storage_filesystem.base_dir")
    if folder is not None:
        _own(folder)
    settings = StorageSettings(
        Path(),
        metadata_storage=config.text("metadata_storage"),
        metrics_storage=config.text("metrics_storage"),
        artifact_storage=config.text("artifact_storage"),
        metadata_file=_place(config, "metadata_storage_integrated.path"),
        metrics_file=_place(config, "metrics_storage_integrated.path"),
        artifact_folder=folder,
        metadata_database=database_settings(config, "metadata_storage"),
        metrics_database=database_settings(config, "metrics_storage"),
        s3=_s3(config),
        grace_s=config.number("garbage.grace_s"),
        blob_servers=config.texts("blob_servers"),
        ticket_key=config.text("tickets.key"),
        ticket_lifetime_s=config.number("tickets.lifetime_s"),
        limits=Limits(**{name: int(config.number(f"limits.{name}")) for name in Limits.__struct_fields__}),
    )
    return passing_services(settings, meters=meters)


def configured_blobs(config: ServerConfig, meters: Meters | None = None) -> BlobStore:
    """Open the store of artifacts alone, for a blob server.

    Raises
    ------
    ConfigError
        It is not there in this version, or not one that other servers share.
    StorageError, StorageUnavailable
        It cannot be opened.
    """
    from modelbox_server.observing.stores import TimedBlobStore
    from modelbox_server.storage.registry import open_store

    check_storage(config)
    folder = _place(config, "artifact_storage_filesystem.base_dir")
    s3 = _s3(config)
    if config.text("artifact_storage") == "filesystem":
        if folder is None:
            raise ConfigError("artifact_storage_filesystem.base_dir is not set: name the folder that all servers share.")
        _own(folder)
    blobs = open_store("artifacts", config.text("artifact_storage"), Path(), folder if s3 is None else s3)
    return blobs if meters is None else TimedBlobStore(blobs, meters)


def check_storage(config: ServerConfig) -> None:
    """Return if this version has the stores that a configuration names.

    Raises
    ------
    ConfigError
        It has not; the message names the setting and the values that there are.
    """
    from modelbox_server.storage.registry import store_names

    missing = [
        f"{setting}: {config.text(setting)!r} is not in this version, it has {', '.join(names)}."
        for role, setting in _SETTINGS.items()
        if config.text(setting) not in (names := store_names(role))  # type: ignore[arg-type]  # the keys above are roles
    ]
    if missing:
        raise ConfigError("\n  ".join([f"{config.source} asks for what is not there:", *missing]))


def check_shared(config: ServerConfig) -> None:
    """Return if another process sees what the servers of this configuration keep.

    Raises
    ------
    ConfigError
        It does not: what they keep lies in their memory, or in folders of their own.
    """
    private = [
        *(["metadata_storage is ephemeral"] if config.text("metadata_storage") == "ephemeral" else []),
        *(
            f"{setting} is not set"
            for role, name, setting in _PLACES
            if config.text(_SETTINGS[role]) == name and _place(config, setting) is None
        ),
    ]
    if private:
        raise ConfigError(
            f"{config.source} is of servers that keep things for themselves ({', '.join(private)}): "
            "give the configuration of servers that share their storage with this command."
        )


def database_settings(config: ServerConfig, role: Literal["metadata_storage", "metrics_storage"]) -> DatabaseSettings | None:
    """Return where the database of a role is; ``None`` when its storage uses none."""
    section = f"{role}_{config.text(role)}"
    if section not in {"metadata_storage_postgres", "metadata_storage_mysql", "metrics_storage_timescaledb", "metrics_storage_mysql"}:
        return None
    settings = DatabaseSettings(
        host=config.text(f"{section}.host"),
        port=int(config.number(f"{section}.port")),
        username=config.text(f"{section}.username"),
        password=config.text(f"{section}.password"),
        dbname=config.text(f"{section}.dbname"),
        pool_size=int(config.number(f"{section}.pool_size")),
        pool_wait_s=config.number(f"{section}.pool_wait_s"),
        connect_timeout_s=config.number(f"{section}.connect_timeout_s"),
        statement_timeout_s=config.number(f"{section}.statement_timeout_s"),
        lock_wait_s=config.number(f"{section}.lock_wait_s"),
        tls=cast(Tls, config.text(f"{section}.tls")),
        ca_file=config.text(f"{section}.ca_file"),
        auto_migrate=config.is_on(f"{section}.auto_migrate"),
    )
    if section != "metrics_storage_timescaledb":
        return settings
    days = (int(config.number(f"{section}.{name}")) for name in ("chunk_days", "compress_after_days", "retention_days"))
    return TimescaleSettings(**asdict(settings), policies=Policies(*days))


def _s3(config: ServerConfig) -> S3Settings | None:
    if config.text("artifact_storage") != "s3":
        return None

    def text(name: str) -> str | None:
        return config.text(f"artifact_storage_s3.{name}") or None

    return S3Settings(
        bucket=config.text("artifact_storage_s3.bucket"),
        region=config.text("artifact_storage_s3.region"),
        prefix=config.text("artifact_storage_s3.prefix"),
        endpoint_url=text("endpoint_url"),
        path_style=config.is_on("artifact_storage_s3.path_style"),
        access_key=text("access_key"),
        secret_key=text("secret_key"),
        sse=text("sse"),
        sse_kms_key=text("sse_kms_key"),
        checksums="when_required" if text("checksums") == "when_required" else "when_supported",
        part_bytes=int(config.number("artifact_storage_s3.part_bytes")),
        presign=config.is_on("artifact_storage_s3.presign"),
    )


def _place(config: ServerConfig, setting: str) -> Path | None:
    text = config.text(setting)
    return Path(text).expanduser().absolute() if text else None


def _own(folder: Path) -> None:
    """Make a folder for this user alone, or refuse one that somebody else could have laid there, as anybody can below ``/tmp``."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made ({error.strerror}): choose one that this user can write to.") from error
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
        raise StorageError(
            f"The folder {folder} is a link or belongs to another user, who could read and change your artifacts: choose another base_dir."
        )
