"""Tokens on disk: the one that a server keeps across restarts, and the digests of those that others hold."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from modelbox.errors import ConfigError, shortened
from modelbox_server.private_files import read_private, write_private_once

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["kept_token", "read_holders"]

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
"""256 random bits, as :func:`secrets.token_urlsafe` writes them."""

_HOLDER = re.compile(r"(?P<name>[^\s#:]+)\s*:\s*(?P<digest>[0-9a-fA-F]{64})")
_MAX_BYTES = 1 << 20
_FORM = "'NAME: SHA256', the digest in 64 hexadecimal digits"


def kept_token(path: Path) -> str:
    """Return the token that stands in a file; a new one, which is written there, when there is no file.

    Raises
    ------
    ConfigError
        The file, or its folder, is not this user's alone, or holds something else.
    """
    for _ in range(2):
        try:
            token = read_private(path).strip()
        except FileNotFoundError:
            with suppress(FileExistsError):  # another server was faster: its token is as good
                write_private_once(path, f"{secrets.token_urlsafe(32)}\n")
            continue
        if not _TOKEN.fullmatch(token):
            raise ConfigError(f"{path} does not hold a token: remove it, and the next start makes a new one.")
        return token
    raise ConfigError(f"{path} comes and goes: is another server started at the same time? Start this one again.")


def read_holders(path: Path) -> Mapping[bytes, str]:
    """Return who holds which token, by its SHA-256, from a file with a line for each; the tokens themselves stand nowhere.

    Raises
    ------
    ConfigError
        The file cannot be read, others may write to it, or lines of it are wrong; the message has them all.
    """
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            text = file.read(_MAX_BYTES).decode(errors="replace")
    except OSError as error:
        raise ConfigError(f"auth.additional_tokens: {path} cannot be read ({error.strerror}), give a file with lines {_FORM}.") from error
    if mode & 0o022:
        raise ConfigError(f"auth.additional_tokens: others may write to {path}, and so let themselves in. Run 'chmod go-w {path}'.")
    holders: dict[bytes, str] = {}
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        match = _HOLDER.fullmatch(content)
        if match:
            holders[bytes.fromhex(match["digest"])] = match["name"]
        elif content:
            # Somebody may have written the token itself here.
            wrong.append(f"line {number} ({shortened(content.partition(':')[0], 20) if ':' in content else 'no colon'})")
    if wrong:
        raise ConfigError(f"auth.additional_tokens: {path}, {', '.join(wrong)}: expected {_FORM}.")
    return holders
