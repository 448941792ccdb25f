"""Files for this user alone: what stands in them lets whoever reads them in."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelbox.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["private_folder", "read_private", "write_private", "write_private_once"]

_MAX_BYTES = 1 << 20


def private_folder(folder: Path) -> None:
    """Make a folder for this user alone.

    Raises
    ------
    ConfigError
        It cannot be made, or is there already and is not this user's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ConfigError(f"The folder {folder} cannot be made ({error.strerror}): set MODELBOX_STATE_DIR to another one.") from error
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(f"The folder {folder} is a link or belongs to another user: set MODELBOX_STATE_DIR to another one.")
    folder.chmod(0o700)


def read_private(path: Path) -> str:
    """Return the text of a file that nobody but this user can have written or read.

    Raises
    ------
    FileNotFoundError
        It is not there.
    ConfigError
        Others may read it or write to it, or it is no plain file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): remove it, and the next start makes a new one.") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ConfigError(f"{path} belongs to another user or others may read it: remove it, and the next start makes a new one.")
        return os.read(descriptor, _MAX_BYTES).decode(errors="replace")
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Write a file, or replace it; it appears whole or not at all."""
    with _written(path, text) as partial:
        partial.replace(path)


def write_private_once(path: Path, text: str) -> None:
    """Write a file that is not there yet; it appears whole or not at all.

    Raises
    ------
    FileExistsError
        It is there.
    """
    with _written(path, text) as partial:
        path.hardlink_to(partial)


@contextmanager
def _written(path: Path, text: str) -> Iterator[Path]:
    private_folder(path.parent)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        yield partial
    finally:
        partial.unlink(missing_ok=True)
