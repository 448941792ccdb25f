"""Who is at the other end of the connections that are passed on to the gRPC server, which itself sees only us.

A connection that is passed on gets a name: the path that our end of it is bound to, which the gRPC server tells of each call.
"""

from __future__ import annotations

import itertools
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Peer", "Peers"]


@dataclass(frozen=True, slots=True)
class Peer:
    """The caller behind a connection."""

    address: str = ""
    is_same_user: bool = False
    """Whether it is known to be a program of the user that this server runs under, on this machine."""


class Peers:
    """The private folder with the socket of the gRPC server, and who calls through it now."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="modelbox-grpc-")  # mode 0700
        self.socket_path = Path(self._folder.name) / "s"
        self._numbers = itertools.count()
        self._peers: dict[str, Peer] = {}

    @contextmanager
    def connection_for(self, peer: Peer) -> Iterator[socket.socket]:
        """Yield an end of a connection, not connected yet, through which `peer` calls until the block ends."""
        path = self.socket_path.with_name(f"{next(self._numbers):x}")
        name = f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.setblocking(False)
            connection.bind(str(path))
            self._peers[name] = peer
            try:
                yield connection
            finally:
                del self._peers[name]
                path.unlink(missing_ok=True)

    def find(self, name: str) -> Peer:
        """Return who calls through the connection of that name, as gRPC has it."""
        return self._peers.get(name) or Peer()

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
