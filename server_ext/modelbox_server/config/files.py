"""The files that a configuration names: whether they are there and are what they should be, before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelbox_server.config.loading import ServerConfig
    from modelbox_server.http.auth import ProxyIdentity

__all__ = ["check_files", "holders_of", "proxies_of"]


def check_files(config: ServerConfig) -> None:
    """Return if certificate, key and additional tokens can be used.

    Raises
    ------
    ConfigError
        They cannot; the message names the setting, the file and what would be right.
    """
    from modelbox_server.http.tls import server_context

    if config.tls is not None:
        server_context(*config.tls)
    holders_of(config)


def holders_of(config: ServerConfig) -> Mapping[bytes, str]:
    """Return who holds additional tokens, by the SHA-256 of these; as :func:`check_files`."""
    from modelbox_server.http.tokens import read_holders

    place = config.text("auth.additional_tokens")
    return read_holders(Path(place).expanduser().absolute()) if place else {}


def proxies_of(config: ServerConfig) -> ProxyIdentity | None:
    """Return which proxies may say who calls, if any."""
    user_header = config.text("auth.proxy_user_header")
    if not user_header:
        return None
    from modelbox_server.http.auth import ProxyIdentity

    addresses, groups_header = frozenset(config.texts("auth.proxy_addresses")), config.text("auth.proxy_groups_header")
    return ProxyIdentity(addresses, user_header.lower(), groups_header.lower())
