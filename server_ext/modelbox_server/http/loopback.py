"""Whose program is at the other end of a connection from this machine: what Linux tells in ``/proc/net/tcp``.

A token-less call is let in only when nothing points to anybody but the same user: a connection over the loopback address, whose other end
belongs to the user that this server runs under, with none of the headers that browsers and proxies add. A web page, another user of the
machine, and whoever comes through a reverse proxy all fail one of these.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["comes_from_program", "owner_of_peer", "plain_address"]

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_OF_BROWSERS_AND_PROXIES = ("Origin", "Referer", "Cookie", "Forwarded", "Via", "X-Real-IP")
_PREFIXES = ("sec-fetch-", "x-forwarded-")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def comes_from_program(headers: Mapping[str, str]) -> bool:
    """Tell whether a request addresses this machine by its loopback name and carries no mark of a browser or a proxy."""
    try:
        host = urlsplit(f"//{headers.get('Host', '')}").hostname or ""
    except ValueError:
        return False
    marked = any(name in headers for name in _OF_BROWSERS_AND_PROXIES) or any(name.lower().startswith(_PREFIXES) for name in headers)
    return not marked and (host == "localhost" or _is_loopback(host))


def owner_of_peer(connection: socket.socket, tables: tuple[Path, ...] = _TABLES) -> int | None:
    """Return the user id that owns the other end of a loopback connection; ``None`` when it is not one, or nobody can tell.

    Parameters
    ----------
    connection
        Our end.
    tables
        Where the kernel lists connections; for tests.
    """
    try:
        ours, theirs = connection.getsockname()[:2], connection.getpeername()[:2]
        here, there = (_plain(ours[0]), int(ours[1])), (_plain(theirs[0]), int(theirs[1]))
    except (OSError, ValueError, IndexError):
        return None
    if not there[0].is_loopback or not here[0].is_loopback:
        return None
    owners = {owner for table in tables for local, remote, owner in _connections(table) if (local, remote) == (there, here)}
    return owners.pop() if len(owners) == 1 else None


def _connections(table: Path) -> Iterator[tuple[tuple[_Address, int], tuple[_Address, int], int]]:
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if len(fields) > 7 and fields[3] == _ESTABLISHED:
            yield _endpoint(fields[1]), _endpoint(fields[2]), int(fields[7])


def _endpoint(text: str) -> tuple[_Address, int]:
    """Decode ``0100007F:1F95``: groups of four bytes in the order of this machine, then the port."""
    address, _, port = text.partition(":")
    words = [int(address[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(address), 8)]
    return _plain(ipaddress.ip_address(b"".join(words))), int(port, 16)


def _plain(address: str | _Address) -> _Address:
    """Return an address in its shortest family: a server that listens for both sees callers by IPv4 as IPv6 ones."""
    parsed = ipaddress.ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def plain_address(address: str) -> str:
    """Return an address as people write it: without the wrapping that sockets of both families give to those of IPv4."""
    try:
        return str(_plain(address))
    except ValueError:
        return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
