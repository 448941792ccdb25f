"""Where a database server is, and how patient to be with it."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

__all__ = ["TLS_MODES", "DatabaseSettings", "Tls"]

Tls: TypeAlias = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]
"""How a connection is encrypted: never; when the server can; always; always and by a server whose certificate is signed by a trusted
authority; and has the right name as well."""

TLS_MODES: tuple[Tls, ...] = get_args(Tls)
"""Every mode."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """One database of a server, and how many connections may wait how long for it.

    Parameters
    ----------
    host
        Name or address; a path that begins with ``/`` is a folder with the Unix socket (PostgreSQL), or the socket (MySQL).
    port, username, password, dbname
        As usual. The password never shows in ``repr``, messages or logs.
    pool_size
        Most connections that one store holds open.
    pool_wait_s
        How long a transaction waits for one of them.
    connect_timeout_s
        How long to try to connect.
    statement_timeout_s
        The longest that one statement may take; a server that stopped answering is given up soon after.
    lock_wait_s
        How long a statement waits for the locks of other transactions.
    tls, ca_file
        Encryption, and the file with the certificates of trusted authorities; those of the system when empty.
    auto_migrate
        Bring the schema up to date; otherwise calls are refused until ``modelbox server migrate apply`` has done so.
    """

    host: str
    port: int
    username: str
    password: str = field(default="", repr=False)
    dbname: str = "modelbox"
    pool_size: int = 10
    pool_wait_s: float = 10.0
    connect_timeout_s: float = 5.0
    statement_timeout_s: float = 60.0
    lock_wait_s: float = 30.0
    tls: Tls = "prefer"
    ca_file: str = ""
    auto_migrate: bool = True

    def __str__(self) -> str:
        """Return the place without secrets, for sentences."""
        at = self.host if self.host.startswith("/") else f"{self.host}:{self.port}"
        return f"{self.dbname!r} at {at}"
