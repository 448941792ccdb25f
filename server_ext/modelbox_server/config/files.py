"""The files that a configuration names: whether they are there and are what they should be, before anything is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelbox_server.config.loading import ServerConfig

__all__ = ["check_files"]


def check_files(config: ServerConfig) -> None:
    """Return if certificate and key can be used.

    Raises
    ------
    ConfigError
        They cannot; the message names the setting, the file and what would be right.
    """
    from modelbox_server.http.tls import server_context

    if config.tls is not None:
        server_context(*config.tls)
