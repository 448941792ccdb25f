"""Keep-alive connections to one server, shared by the threads of one process.

A connection is taken out, used for one exchange and put back if the server keeps it open. A forked child starts with an empty pool: two
processes writing into one socket would mix their requests.
"""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelbox.client.address import ServerAddress
    from modelbox.client.trust import Trust

__all__ = ["ConnectionPool"]

_MAX_IDLE = 8


class ConnectionPool:
    """Connections to `address`.

    Proxy variables of the environment are ignored on purpose: the address that was named is the one that gets the token.

    Parameters
    ----------
    address
        Where to connect to.
    trust
        Which server is believed to be the one at an ``https`` address.
    connect_timeout_s, answer_timeout_s
        How long to wait for a connection, and for each next piece of an answer.
    """

    def __init__(self, address: ServerAddress, trust: Trust, *, connect_timeout_s: float, answer_timeout_s: float) -> None:
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._trust = trust
        self._tls = trust.context() if address.scheme == "https" else None
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        # A connection that somebody forgets to close ends with its owner, without a ResourceWarning about our sockets.
        weakref.finalize(self, _close_all, self._idle).atexit = False

    def take(self, *, fresh: bool = False) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection, and whether it was used before, so that the server may have closed it meanwhile.

        Raises
        ------
        OSError
            No connection could be made.
        """
        if self._pid != os.getpid():
            # The lock may have been held by a thread of the parent. Its sockets stay open over there: these are copies.
            self._pid, self._lock = os.getpid(), threading.Lock()
            _close_all(self._idle)
        if not fresh:
            with self._lock:
                if self._idle:
                    return self._idle.pop(), True
        host, port = self._address.host, self._address.port
        if self._tls is None:
            connection = http.client.HTTPConnection(host, port, timeout=self._connect_timeout_s)
        else:
            connection = http.client.HTTPSConnection(host, port, timeout=self._connect_timeout_s, context=self._tls)
        connection.connect()
        if isinstance(connection.sock, ssl.SSLSocket):
            self._trust.check(connection.sock)
        connection.sock.settimeout(self._answer_timeout_s)
        return connection, False

    def put(self, connection: http.client.HTTPConnection) -> None:
        """Give back a connection whose last answer was read to its end."""
        with self._lock:
            if connection.sock is not None and self._pid == os.getpid() and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            _close_all(self._idle)


def _close_all(idle: list[http.client.HTTPConnection]) -> None:
    while idle:
        idle.pop().close()
