"""The table of settings of ``modelbox server``: validation, help, documentation and the file of ``init-config`` are all made from it.

A setting is found in this order: the environment variable ``MODELBOX_<SECTION>_<KEY>`` (:attr:`Setting.variable`), the file, what a
JupyterHub tells its service (:mod:`modelbox_server.config.hub`), the default.
A text in the file may be ``"${NAME}"``, which stands for the environment variable `NAME`; a secret may instead stand in a file of its own,
which ``<key>_file`` names, or the variable with ``_FILE`` behind its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from modelbox.settings import DEFAULT_PORT
from modelbox_server.observing.logs import LOG_FORMATS
from modelbox_server.storage.databases.settings import TLS_MODES

__all__ = ["METRICS_PORT", "SECTIONS", "SETTINGS", "Kind", "Section", "Setting", "Value", "find_setting"]

METRICS_PORT = 2112
"""Where Prometheus finds the page unless the settings say otherwise, as in 2022."""

MIN_TICKET_KEY_CHARACTERS = 32
"""Least length of ``tickets.key``."""

Kind: TypeAlias = Literal["text", "integer", "number", "boolean", "list of texts"]
"""What a value is, in the words of messages."""

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None
"""A value of a setting; ``None`` where there is none."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the file.

    Parameters
    ----------
    name
        Its name; empty for the keys before the first table.
    help
        The comment above it.
    needed_by
        The setting and the value of it that need this section.
    """

    name: str
    help: str
    needed_by: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the file.

    Parameters
    ----------
    section, name
        Where it stands.
    kind
        What its value is.
    help
        One sentence about it.
    default
        What holds when nothing is said; ``None`` together with `needed` where somebody has to say something.
    template
        What ``init-config`` writes; ``None`` leaves the key out of the file.
    choices
        The values that there are, when they can be listed.
    least, most
        Bounds of numbers.
    needed
        A section that is used has to have it.
    secret
        Never shown.
    """

    section: str
    name: str
    kind: Kind
    help: str
    default: Value = None
    template: Value = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    needed: bool = False
    secret: bool = False

    @property
    def path(self) -> str:
        """Section and name with a dot between them."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        """The environment variable that overrides it."""
        # Clients have a MODELBOX_MODE of their own, which may well be set where somebody starts a server.
        return "MODELBOX_" + ("SERVER_MODE" if self.path == "mode" else self.path.replace(".", "_").upper())


SECTIONS = (
    Section("", "Where ModelBox keeps artifacts, metadata and metrics, and where it listens."),
    Section("artifact_storage_filesystem", "Artifacts as files in a folder, which may be on NFS.", ("artifact_storage", "filesystem")),
    Section("artifact_storage_s3", "Artifacts in a bucket of S3 or of a service that speaks its protocol.", ("artifact_storage", "s3")),
    Section("metadata_storage_integrated", "Metadata in one SQLite file.", ("metadata_storage", "integrated")),
    Section("metadata_storage_postgres", "Metadata in PostgreSQL.", ("metadata_storage", "postgres")),
    Section("metadata_storage_mysql", "Metadata in MySQL or MariaDB.", ("metadata_storage", "mysql")),
    Section("metrics_storage_integrated", "Metrics in one SQLite file.", ("metrics_storage", "integrated")),
    Section("metrics_storage_timescaledb", "Metrics in TimescaleDB.", ("metrics_storage", "timescaledb")),
    Section("metrics_storage_mysql", "Metrics in MySQL or MariaDB.", ("metrics_storage", "mysql")),
    Section("tickets", "What lets clients transfer bytes by way of blob servers."),
    Section("garbage", "What no artifact refers to any more."),
    Section("auth", "Who may call."),
    Section("hub", "A JupyterHub that knows people; for a service that it starts itself, all of this is in the environment."),
    Section("limits", "How much each user may have, and do in a second; 0 for no limit. An operator may set others for some."),
)
"""The tables of the file, in their order."""


def _database(section: str, host: str | None, port: int, username: str | None, dbname: str | None) -> tuple[Setting, ...]:
    """Return the settings that every database has, with what the configuration of 2022 says of them, if it does."""
    is_old = host is not None
    return (
        Setting(section, "host", "text", "Name or address of the database server.", template=host, needed=True),
        Setting(section, "port", "integer", "Its port.", default=port, template=port if is_old else None, least=1, most=65535),
        Setting(section, "username", "text", "Who to connect as.", template=username, needed=True),
        Setting(section, "password", "text", "The password of that user.", default="", template="foo" if is_old else None, secret=True),
        Setting(section, "dbname", "text", "The database to use.", template=dbname, needed=True),
        Setting(section, "pool_size", "integer", "Most connections that are open to it.", 10, least=1, most=1000),
        Setting(section, "pool_wait_s", "number", "Seconds that a call waits for one of them.", 10.0, least=0),
        Setting(section, "connect_timeout_s", "number", "Seconds that connecting may take.", 5.0, least=1),
        Setting(section, "statement_timeout_s", "number", "Seconds that one statement may take.", 60.0, least=1),
        Setting(section, "lock_wait_s", "number", "Seconds that a statement waits for other transactions.", 30.0, least=1),
        Setting(section, "tls", "text", "How connections are encrypted.", "prefer", choices=TLS_MODES),
        Setting(section, "ca_file", "text", "The certificates of the authorities that are trusted; those of the system when left out.", ""),
        Setting(
            section,
            "auto_migrate",
            "boolean",
            "Bring the schema up to date at the start; otherwise `modelbox server migrate apply` has to.",
            True,
        ),
    )


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "", "artifact_storage", "text", "Where the bytes of artifacts are kept.", "filesystem", "filesystem", choices=("filesystem", "s3")
    ),
    Setting(
        "",
        "metadata_storage",
        "text",
        "Where everything but points and bytes is kept; what is ephemeral is gone when the server stops.",
        "ephemeral",
        "ephemeral",
        choices=("ephemeral", "integrated", "postgres", "mysql"),
    ),
    Setting(
        "",
        "metrics_storage",
        "text",
        "Where the points of metrics are kept.",
        "inmemory",
        "inmemory",
        choices=("inmemory", "integrated", "timescaledb", "mysql"),
    ),
    Setting(
        "",
        "listen_addr",
        "text",
        "Host and port to listen on; without a host, on every address of this machine.",
        f":{DEFAULT_PORT}",
        f":{DEFAULT_PORT}",
    ),
    Setting("", "grpc_listen_addr", "text", "A second place to listen, for gRPC alone; listen_addr speaks gRPC too."),
    Setting(
        "",
        "tls_cert",
        "text",
        "PEM file of a certificate, and of its authorities where clients need them, to speak TLS with; read again at SIGHUP.",
    ),
    Setting("", "tls_key", "text", "PEM file of the private key of that certificate, not encrypted; read again at SIGHUP."),
    Setting(
        "",
        "prometheus_addr",
        "text",
        "Host and port of a page for Prometheus, /metrics, that needs no token; empty for none. "
        f"When left out, :{METRICS_PORT} where it is free. Whoever has the token finds the page at listen_addr too.",
    ),
    Setting("", "log_format", "text", "What log lines look like: text for people, json for programs.", "text", choices=LOG_FORMATS),
    Setting(
        "",
        "log_level",
        "text",
        "What is logged: debug tells every call.",
        "info",
        choices=("debug", "info", "warning", "error"),
    ),
    Setting(
        "",
        "advertise_addr",
        "text",
        "Host and port under which others reach this server, as the list of members tells; its host name and port when left out.",
    ),
    Setting(
        "",
        "shutdown_grace_s",
        "number",
        "Seconds that calls which are under way get to end when the server stops; read again at SIGHUP.",
        10.0,
        least=0,
    ),
    Setting(
        "",
        "shutdown_notice_s",
        "number",
        "Seconds that /readyz says 503 before a server that stops takes no new work, so that load balancers notice.",
        0.0,
        least=0,
    ),
    Setting(
        "",
        "allowed_hosts",
        "list of texts",
        "Names besides localhost and IP addresses under which callers may address this server; read again at SIGHUP.",
        (),
    ),
    Setting(
        "",
        "allowed_origins",
        "list of texts",
        "Web pages of other servers that may call this one from a browser, such as https://lab.example; read again at SIGHUP.",
        (),
    ),
    Setting(
        "artifact_storage_filesystem",
        "base_dir",
        "text",
        "The folder; it is made, for this user alone, when it is not there.",
        template="/tmp/modelboxblobs",  # noqa: S108  (the file of 2022 says so; the store refuses a folder of somebody else)
        needed=True,
    ),
    Setting("artifact_storage_s3", "region", "text", "The region of the bucket.", template="us-east-1", needed=True),
    Setting("artifact_storage_s3", "bucket", "text", "The bucket.", template="modelbox-artifacts", needed=True),
    Setting("artifact_storage_s3", "prefix", "text", "What all keys in the bucket begin with.", ""),
    Setting("artifact_storage_s3", "endpoint_url", "text", "The address of a service other than Amazon's.", ""),
    Setting("artifact_storage_s3", "path_style", "boolean", "Name the bucket in the path instead of in the host name.", False),
    Setting(
        "artifact_storage_s3",
        "access_key",
        "text",
        "Who to sign as; when left out, what the environment, the files or the role of the machine give to AWS programs.",
        None,
        secret=True,
    ),
    Setting("artifact_storage_s3", "secret_key", "text", "The secret of `access_key`.", None, secret=True),
    Setting("artifact_storage_s3", "sse", "text", "Encryption at rest that is asked for.", "", choices=("", "AES256", "aws:kms")),
    Setting("artifact_storage_s3", "sse_kms_key", "text", "The key of `aws:kms`.", None, secret=True),
    Setting(
        "artifact_storage_s3",
        "checksums",
        "text",
        "Whether uploads have checksums for the service beside our own; `when_required` is for services that do not know them.",
        "when_supported",
        choices=("when_supported", "when_required"),
    ),
    Setting(
        "artifact_storage_s3",
        "presign",
        "boolean",
        "Let clients transfer large files to and from the service by themselves, by URLs that are good for one file; needs `tickets.key`.",
        False,
    ),
    Setting(
        "artifact_storage_s3",
        "part_bytes",
        "integer",
        "Size of the parts of large uploads; each upload has some three of them in memory.",
        8 << 20,
        least=5 << 20,
        most=1 << 30,
    ),
    Setting("metadata_storage_integrated", "path", "text", "The file.", template="/tmp/modelbox.dat", needed=True),  # noqa: S108  (as above)
    *_database("metadata_storage_postgres", "172.17.0.3", 5432, "postgres", "modelbox"),
    *_database("metadata_storage_mysql", "172.17.0.2", 3306, "root", "modelbox"),
    Setting("metrics_storage_integrated", "path", "text", "The file.", needed=True),
    *_database("metrics_storage_timescaledb", "172.17.0.4", 5432, "postgres", "modelbox_metrics"),
    Setting("metrics_storage_timescaledb", "chunk_days", "integer", "Days of arriving points that one chunk holds.", 7, least=1, most=3650),
    Setting(
        "metrics_storage_timescaledb",
        "compress_after_days",
        "integer",
        "Days after which TimescaleDB compresses points; 0 for never.",
        7,
        least=0,
        most=36500,
    ),
    Setting(
        "metrics_storage_timescaledb",
        "retention_days",
        "integer",
        "Days after which TimescaleDB drops points, counted from their arrival; 0 for never.",
        0,
        least=0,
        most=36500,
    ),
    *_database("metrics_storage_mysql", None, 3306, None, None),
    Setting(
        "",
        "mode",
        "text",
        "What the server does: `metadata` has blob servers move large files, `blob` does nothing but that, `all` does without.",
        "all",
        choices=("all", "metadata", "blob"),
    ),
    Setting("", "blob_servers", "list of texts", "Addresses of blob servers, as clients reach them.", ()),
    Setting(
        "tickets",
        "key",
        "text",
        "At least 32 random characters, the same on all servers; who has it can read and write every file.",
        None,
        secret=True,
    ),
    Setting("tickets", "lifetime_s", "number", "Seconds in which a transfer has to begin.", 300.0, least=1, most=3600),
    Setting(
        "garbage",
        "every_s",
        "number",
        "Seconds between two collections of garbage, which one of the servers that share the stores makes; 0 for never.",
        86400.0,
        least=0,
    ),
    Setting(
        "garbage",
        "grace_s",
        "number",
        "Seconds that bytes without an artifact are spared after they were stored, as they may be on their way to a record.",
        3600.0,
        least=0,
    ),
    Setting(
        "auth",
        "mode",
        "text",
        "Whether callers need a token: of this server, or of a JupyterHub. Without one, it may only listen on the loopback address.",
        "token",
        choices=("token", "hub", "none"),
    ),
    Setting("auth", "allow_open_network", "boolean", "Allow mode none on an address that other machines can reach.", False),
    Setting("auth", "token", "text", "The token. When left out, a random one that is kept for the port.", None, secret=True),
    Setting(
        "auth",
        "additional_tokens",
        "text",
        "A file with the tokens of others, a line for each: name, colon, SHA-256 of the token in hexadecimal; read again at SIGHUP.",
    ),
    Setting(
        "auth",
        "trust_same_user_loopback",
        "boolean",
        "Let programs of the same user on this machine call without a token, as the SDK of 2022 does.",
        True,
    ),
    Setting(
        "auth",
        "proxy_user_header",
        "text",
        "Header in which a proxy names the user, after it asked for their password. Such users may do what they are granted.",
    ),
    Setting("auth", "proxy_groups_header", "text", "Header in which it names their groups, separated by commas."),
    Setting("auth", "proxy_addresses", "list of texts", "Addresses of these proxies; what others say in these headers is refused.", ()),
    Setting("hub", "api_url", "text", "Where this server reaches the API of the Hub, such as http://hub:8081/hub/api."),
    Setting("hub", "api_token", "text", "The token of this service at the Hub.", None, secret=True),
    Setting("hub", "service_name", "text", "Its name among the services of the Hub.", "modelbox"),
    Setting("hub", "client_id", "text", "Its name as an OAuth client; service-NAME when left out."),
    Setting("hub", "service_prefix", "text", "The path that everything is served below.", "/services/modelbox/"),
    Setting("hub", "base_url", "text", "Where browsers find the Hub, without hub/: a path, or an address when it is on another host.", "/"),
    Setting(
        "hub",
        "admins_are_operators",
        "boolean",
        "Whether administrators of the Hub may do everything here, as those with the scope custom:modelbox:admin may.",
        False,
    ),
    Setting("limits", "size_bytes", "integer", "Bytes of artifacts of one user.", 0, least=0, most=2**62),
    Setting("limits", "points", "integer", "Points of metrics of one user.", 0, least=0, most=2**62),
    Setting("limits", "experiments", "integer", "Experiments of one user.", 0, least=0, most=2**62),
    Setting("limits", "requests_per_s", "integer", "Calls of one user in a second, to one server.", 0, least=0, most=2**31),
    Setting("limits", "points_per_s", "integer", "Points of one user in a second, to one server.", 0, least=0, most=2**31),
)
"""Every setting, in the order of the file."""

_BY_PATH = {setting.path: setting for setting in SETTINGS}


def find_setting(path: str) -> Setting:
    """Return a setting by its path, such as ``"auth.mode"``."""
    return _BY_PATH[path]
