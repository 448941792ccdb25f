"""From a file and the environment to a :class:`ServerConfig`, with every mistake told at once."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.errors import ConfigError, nearest, shortened
from modelbox_server.config.hub import contradictions_of_hub, hub_defaults
from modelbox_server.config.table import METRICS_PORT, MIN_TICKET_KEY_CHARACTERS, SECTIONS, SETTINGS, find_setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelbox_server.config.table import Setting, Value

__all__ = ["Endpoint", "ServerConfig", "load_config", "parse_endpoint", "read_config"]

_MAX_BYTES = 1 << 20
_REFERENCE = re.compile(r"\$\{(\w+)\}")
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list of texts": (list,),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen."""

    host: str
    """Empty for every address of the machine."""
    port: int
    """0 for a free one."""

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can reach it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Every setting with the value that holds. Secrets do not show in its ``repr``."""

    values: Mapping[str, Value] = field(repr=False)
    """By path, as in :data:`modelbox_server.config.table.SETTINGS`."""
    source: str = "built-in defaults"
    """Where they come from, as part of a sentence."""

    def text(self, path: str) -> str:
        """Return the value of a text setting; empty where there is none."""
        value = self.values[path]
        return value if isinstance(value, str) else ""

    def number(self, path: str) -> float:
        """Return the value of a number or integer setting."""
        value = self.values[path]
        assert isinstance(value, (int, float))  # noqa: S101  (validated: a narrowing for the type checkers)
        return value

    def is_on(self, path: str) -> bool:
        """Return the value of a boolean setting."""
        return self.values[path] is True

    def texts(self, path: str) -> tuple[str, ...]:
        """Return the value of a list setting."""
        value = self.values[path]
        return value if isinstance(value, tuple) else ()

    @property
    def listen(self) -> Endpoint:
        """Where to listen."""
        return parse_endpoint(self.text("listen_addr"), "listen_addr")

    @property
    def meters_address(self) -> Endpoint | None:
        """Where the page for Prometheus is, if it has an address of its own."""
        text = self.values["prometheus_addr"]
        text = f":{METRICS_PORT}" if text is None else str(text)
        return parse_endpoint(text, "prometheus_addr") if text else None

    @property
    def is_meters_address_said(self) -> bool:
        """Whether somebody chose that address, so that it is a mistake when it is taken."""
        return self.values["prometheus_addr"] is not None

    @property
    def grpc_listen(self) -> Endpoint | None:
        """Where to listen for gRPC alone."""
        return parse_endpoint(self.text("grpc_listen_addr"), "grpc_listen_addr") if self.text("grpc_listen_addr") else None

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach it."""
        return any(endpoint is not None and not endpoint.is_loopback for endpoint in (self.listen, self.grpc_listen))

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """The files of certificate and key."""
        certificate, key = (Path(self.text(name)).expanduser().absolute() for name in ("tls_cert", "tls_key"))
        return (certificate, key) if self.text("tls_cert") else None

    @property
    def sample_secrets(self) -> list[str]:
        """The paths of the secrets that are those of the sample, which everybody knows."""
        return [path for path, value in self.values.items() if find_setting(path).secret and value and value == find_setting(path).template]

    def shown(self) -> dict[str, Value]:
        """Return the settings by path, secrets masked."""
        return {path: "…" if value and find_setting(path).secret else value for path, value in self.values.items()}


def load_config(path: Path | None, env: Mapping[str, str], *, allow_insecure: bool = False) -> ServerConfig:
    """Return the configuration of a file, or of the built-in defaults when there is no `path`, and of the environment.

    Parameters
    ----------
    path, env
        Where to read.
    allow_insecure
        Take a file with secrets in it although others than its owner can read it.

    Raises
    ------
    ConfigError
        The file cannot be read, or something in it or in the environment is wrong; the message has every mistake, a line for each.
    """
    if path is None:
        return read_config("", env)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}: write one with 'modelbox server init-config --path {path}'.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): give a file that this user may read.") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES} bytes: that is no configuration.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8.") from None
    return read_config(text, env, source=str(path), is_readable_by_others=mode & 0o077 != 0 and not allow_insecure)


def read_config(
    text: str, env: Mapping[str, str], *, source: str = "built-in defaults", is_readable_by_others: bool = False
) -> ServerConfig:
    """Return the configuration that a TOML document says; as :func:`load_config`."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{source} is not TOML: {error}.") from None
    problems = list(_unknown(document))
    values: dict[str, Value] = {}
    told = hub_defaults(env)
    for setting in SETTINGS:
        default = told.get(setting.path, setting.default)
        try:
            # Where the Hub sends calls to is where its service listens, whatever a file says that was made for a server of its own.
            is_dictated = setting.path == "listen_addr" and setting.path in told and setting.variable not in env
            values[setting.path] = default if is_dictated else _value(setting, document, env, default)
        except _Wrong as wrong:
            problems.append(f"{setting.path}: {wrong}")
            values[setting.path] = default
    problems += _contradictions(values, document)
    if is_readable_by_others and (open_secrets := list(_secrets_in(document))):
        problems.append(
            f"{', '.join(open_secrets)}: others than the owner of the file can read it. Run 'chmod 600 {source}', "
            "name a file of its own with …_file, or say --allow-insecure-config."
        )
    if problems:
        count = f"{len(problems)} mistakes" if len(problems) > 1 else "a mistake"
        raise ConfigError("\n  ".join([f"{source} has {count}:", *problems]))
    return ServerConfig(values, source)


class _Wrong(Exception):
    """A value that is not what it should be."""


def _unknown(document: Mapping[str, object]) -> Iterator[str]:
    sections = {section.name: {s.name for s in SETTINGS if s.section == section.name} for section in SECTIONS}
    secrets = {setting.path for setting in SETTINGS if setting.secret}
    for key, value in document.items():
        if isinstance(value, dict) and key in sections:
            for name in value.keys() - sections[key] - {f"{path.partition('.')[2]}_file" for path in secrets if path.startswith(f"{key}.")}:
                yield f"{key}.{name}: unknown key. {nearest(name, sections[key]) or 'Known are ' + ', '.join(sorted(sections[key])) + '.'}"
        elif key in sections and key:
            yield f"{key}: expected a section, write [{key}] on a line of its own, got {shortened(value, 40)}."
        elif key not in sections[""]:
            what = "section" if isinstance(value, dict) else "key"
            yield f"{key}: unknown {what}. {nearest(key, [*sections, *sections['']]) or 'Remove it.'}"


def _value(setting: Setting, document: Mapping[str, object], env: Mapping[str, str], default: Value) -> Value:
    if (given := env.get(setting.variable)) is not None:
        return _checked(setting, _from_environment(setting, given), f"{setting.variable} is ")
    if setting.secret and (path := env.get(f"{setting.variable}_FILE")) is not None:
        return _from_file(path)
    table = document.get(setting.section, {}) if setting.section else document
    if not isinstance(table, dict):
        return default
    if setting.secret and (path := table.get(f"{setting.name}_file")) is not None:
        if setting.name in table:
            raise _Wrong(f"{setting.name} and {setting.name}_file are both there, keep one of them.")
        return _from_file(path)
    if setting.name not in table:
        return default
    return _checked(setting, _resolved(table[setting.name], env), "got ")


def _from_environment(setting: Setting, given: str) -> object:
    """Return what a text of the environment says in the kind of the setting; the text itself when it says nothing of that kind."""
    match setting.kind:
        case "integer" | "number":
            for kind in (int, float)[: 1 if setting.kind == "integer" else 2]:
                try:
                    return kind(given)
                except ValueError:
                    continue
        case "boolean":
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(given.strip().lower(), given)
        case "list of texts":
            return [part.strip() for part in given.split(",") if part.strip()]
        case "text":
            pass
    return given


def _from_file(path: object) -> str:
    try:
        return Path(str(path)).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _Wrong(f"the file {shortened(path, 80)} cannot be read ({reason}).") from error


def _resolved(value: object, env: Mapping[str, str]) -> object:
    reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if reference is None:
        return value
    if reference[1] not in env:
        raise _Wrong(f"{value} names an environment variable that is not set.")
    return env[reference[1]]


def _checked(setting: Setting, value: object, lead: str) -> Value:
    shown = type(value).__name__ if setting.secret else shortened(value, 40)
    fits = isinstance(value, _KINDS[setting.kind]) and (setting.kind == "boolean" or not isinstance(value, bool))
    if not fits or (isinstance(value, list) and not all(isinstance(part, str) for part in value)):
        article = "an" if setting.kind == "integer" else "a"
        raise _Wrong(f"expected {article} {setting.kind}, {lead}{shown}.")
    if setting.choices and value not in setting.choices:
        raise _Wrong(f"{lead}{shown}. {nearest(str(value), setting.choices) or 'Use one of ' + ', '.join(setting.choices) + '.'}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if (setting.least is not None and not value >= setting.least) or (setting.most is not None and not value <= setting.most):
            bounds = f"at least {setting.least:g}" if setting.most is None else f"between {setting.least:g} and {setting.most:g}"
            raise _Wrong(f"expected {bounds}, {lead}{shown}.")
        return value
    if isinstance(value, list):
        return tuple(str(part) for part in value)
    assert isinstance(value, (str, bool))  # noqa: S101  (checked above: a narrowing for the type checkers)
    if setting.needed and not value:
        raise _Wrong("is empty, it has to say something.")
    return value


def _secrets_in(document: Mapping[str, object]) -> Iterator[str]:
    """Yield the secrets that stand in a document itself. What everybody can read in the sample is none."""
    for setting in SETTINGS:
        table = document.get(setting.section)
        value = table.get(setting.name) if setting.secret and isinstance(table, dict) else None
        if isinstance(value, str) and value not in {"", setting.template} and not _REFERENCE.fullmatch(value):
            yield setting.path


def _contradictions(values: Mapping[str, Value], document: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong between settings that are right by themselves."""
    for section in SECTIONS:
        if section.needed_by is None or values[section.needed_by[0]] != section.needed_by[1]:
            continue
        missing = [s.name for s in SETTINGS if s.section == section.name and s.needed and values[s.path] is None]
        table = document.get(section.name)
        if missing and section.name in document and isinstance(table, dict):
            yield from (f"{section.name}.{name}: missing" for name in missing if name not in table)
        elif missing and section.name not in document and document:
            setting, value = section.needed_by
            yield f'[{section.name}]: missing, {setting} = "{value}" needs {", ".join(missing)} in it.'
    yield from _contradictions_of_addresses(values)
    for origin in values["allowed_origins"] if isinstance(values["allowed_origins"], tuple) else ():
        if not _ORIGIN.fullmatch(origin):
            yield f'allowed_origins: expected "SCHEME://HOST" or "SCHEME://HOST:PORT" without a path, got {shortened(origin, 60)}.'
    for given, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if values[given] and not values[other]:
            yield f"{other}: missing, {given} needs it."
    yield from _contradictions_of_proxies(values)
    yield from _contradictions_of_tickets(values)
    yield from contradictions_of_hub(values)


def _contradictions_of_proxies(values: Mapping[str, Value]) -> Iterator[str]:
    if values["auth.proxy_user_header"] and not values["auth.proxy_addresses"]:
        yield "auth.proxy_addresses: missing, proxy_user_header needs the addresses of the proxies, or anybody could name anybody."
    for address in values["auth.proxy_addresses"] if isinstance(values["auth.proxy_addresses"], tuple) else ():
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield f"auth.proxy_addresses: expected IP addresses, got {shortened(address, 60)}."


def _contradictions_of_addresses(values: Mapping[str, Value]) -> Iterator[str]:
    try:
        if values["prometheus_addr"]:
            parse_endpoint(str(values["prometheus_addr"]), "prometheus_addr")
    except ConfigError as error:
        yield error.detail
    for setting in ("listen_addr", "grpc_listen_addr"):
        if values[setting] is None:
            continue
        try:
            endpoint = parse_endpoint(str(values[setting]), setting)
        except ConfigError as error:
            yield error.detail
            continue
        if values["auth.mode"] == "none" and not endpoint.is_loopback and values["auth.allow_open_network"] is not True:
            yield (
                f"auth.mode: none lets everybody in who reaches {values[setting]}. Keep mode token, listen on 127.0.0.1:{endpoint.port}, "
                "or say allow_open_network = true as well."
            )
    if values["grpc_listen_addr"] == values["listen_addr"] and not str(values["listen_addr"]).endswith(":0"):
        yield "grpc_listen_addr: it is listen_addr, which speaks gRPC anyway. Leave it out, or choose another port."


def _contradictions_of_tickets(values: Mapping[str, Value]) -> Iterator[str]:
    """Yield what is missing for metadata servers and blob servers to work together."""
    servers, key = values["blob_servers"], values["tickets.key"]
    if values["mode"] == "metadata" and not servers:
        yield 'blob_servers: empty, mode = "metadata" needs the address of at least one. Use mode = "all" to do without.'
    presign = values["artifact_storage"] == "s3" and values["artifact_storage_s3.presign"] is True
    if (values["mode"] == "blob" or servers or presign) and (not isinstance(key, str) or len(key) < MIN_TICKET_KEY_CHARACTERS):
        yield f"tickets.key: expected at least {MIN_TICKET_KEY_CHARACTERS} characters, the same on all servers that work together."
    for url in servers if isinstance(servers, tuple) else ():
        if not url.startswith(("http://", "https://")):
            yield f'blob_servers: expected addresses such as "http://blob1:8085", got {shortened(url, 40)}.'


def parse_endpoint(address: str, setting: str) -> Endpoint:
    """Return what ``"HOST:PORT"`` says; the host may be left out, or be an IPv6 address in brackets.

    Raises
    ------
    ConfigError
        It says something else.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or (":" in host and not bracketed):
        raise ConfigError(
            f'{setting}: expected "HOST:PORT" or ":PORT" with a port up to 65535, got {shortened(address, 40)}.', field=setting
        )
    return Endpoint(host[1:-1] if bracketed else host, int(port))
