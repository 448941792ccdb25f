"""Addresses that people write, and what each of them means.

============================ ============================================
written                      means
============================ ============================================
``host:8085``, ``:8085``     a standalone server (``http://host:8085``)
``http(s)://host[:port]/x``  a server, below a path prefix if there is one
``/folder``, ``./x``, ``~``  the local store in that folder
a :class:`~pathlib.Path`     the local store in that folder
``local``, ``shared``        stores with a name, which
                             :mod:`modelbox.client.discovery` knows
============================ ============================================
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from modelbox.errors import ConfigError, shortened

__all__ = ["AddressError", "ServerAddress", "parse_address"]

_FORMS = "write 'host:8085', 'http://host:8085', 'https://host/path', or a folder such as './runs' for a local store"
_HOST = re.compile(r"[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]")


class AddressError(ConfigError, ValueError):
    """An address has none of the forms that ModelBox understands."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server listens, taken apart; ``str()`` puts it together again."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    """Percent-encoded path that everything of ModelBox is below, without a slash at the end; empty for the root."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default_port = 443 if self.scheme == "https" else 80
        return f"{self.scheme}://{host}{'' if self.port == default_port else f':{self.port}'}{self.prefix}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, by its spelling."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


def parse_address(address: str | os.PathLike[str], *, source: str = "The address") -> ServerAddress | Path:
    """Return what `address` means: a server, or the folder of a local store.

    Parameters
    ----------
    address
        As written by a person; see the table at the top of the module.
    source
        Where it was written, for the message: ``"MODELBOX_API_ADDR"``.

    Raises
    ------
    AddressError
        It has none of the known forms; the message names them.
    """
    if isinstance(address, os.PathLike):
        return _folder(os.fspath(address))
    text = address.strip()
    if "://" in text:
        return _from_url(text, source)
    if text.startswith(("/", "./", "../", "~", ".\\", "..\\")) or text in {".", ".."} or re.match(r"[A-Za-z]:[\\/]", text):
        return _folder(text)
    host, colon, port = text.rpartition(":")
    if colon and _HOST.fullmatch(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return ServerAddress("http", host.strip("[]") or "localhost", int(port))
    raise AddressError(f"{source} is {_shown(text)}, which is no address: {_FORMS}.")


def _from_url(text: str, source: str) -> ServerAddress | Path:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"{source} is {_shown(text)}, which is no address ({error}): {_FORMS}.") from error
    if parts.scheme == "file":
        return _folder(parts.path)
    if parts.scheme not in {"http", "https"}:
        raise AddressError(f"{source} has the unknown scheme {shortened(parts.scheme)}: {_FORMS}.")
    if not parts.hostname or port == 0:
        raise AddressError(f"{source} is {_shown(text)}, which names no host and port: {_FORMS}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise AddressError(f"{source} has a user, a query or a fragment in it: give the bare address, and the token as token=….")
    # base_url of a Jupyter server may hold a blank, raw or already escaped: escape once.
    prefix = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~-._")
    return ServerAddress(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), prefix)


def _shown(text: str) -> str:
    """Show what was written, without what may be a password in it."""
    return shortened(re.sub(r"//[^/@]*@", "//…@", text))


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()
