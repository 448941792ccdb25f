"""The ``modelbox`` command as tests call it: in a process of its own, or in a pseudo terminal, where people see it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["CommandLine", "Terminal", "open_terminal", "without_colours"]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_MODELBOX = (sys.executable, "-m", "modelbox.cli.main")
_ROWS = 24


@dataclass
class Terminal:
    """A program in a pseudo terminal.

    Parameters
    ----------
    pid, fd
        The program, and our end of the terminal.
    written
        What it has written as far as it was read.
    """

    pid: int
    fd: int
    written: str = ""

    def wait_for(self, condition: Callable[[str], bool], timeout_s: float = 60) -> str:
        """Read until what was written fulfils the condition, or the program ends; return it all."""
        until_s = time.monotonic() + timeout_s
        while not condition(self.written):
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:  # EIO: nobody has the terminal open any more
                    return self.written
                self.written += data.decode("utf-8", "replace")
            assert time.monotonic() < until_s, self.written
        return self.written

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.fd, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end of the program; return its exit code and what it wrote."""
        self.wait_for(lambda _: False)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return code, self.written.replace("\r\n", "\n")

    def kill(self) -> None:
        """End the program, whatever it does."""
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def open_terminal(command: Sequence[str], env: Mapping[str, str], folder: Path, columns: int = 80) -> Terminal:
    """Start a program in a pseudo terminal that is so many columns wide."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
            os.chdir(folder)
            os.execvpe(command[0], [*command], {**env, "TERM": "xterm-256color"})  # noqa: S606  (there is no shell between)
        finally:
            os._exit(127)
    return Terminal(pid, fd)


def without_colours(text: str) -> str:
    """Return what stands on the screen of a terminal that was sent this."""
    return _ESCAPES.sub("", text)


@dataclass(frozen=True)
class CommandLine:
    """The command, and where it is called.

    Parameters
    ----------
    folder
        Where.
    env
        The environment, which names the store.
    """

    folder: Path
    env: Mapping[str, str] = field(repr=False)

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command with its output in pipes."""
        result = subprocess.run(  # noqa: S603
            [*_MODELBOX, *words], env=self.env, capture_output=True, text=True, check=False, timeout=120, cwd=self.folder
        )
        assert result.returncode == code, result.stderr
        return result

    def open(self, *words: str, columns: int = 80, **env: str) -> Terminal:
        """Start the command in a terminal."""
        return open_terminal([*_MODELBOX, *words], {**self.env, **env}, self.folder, columns)

    def seen(self, *words: str, columns: int = 80, **env: str) -> str:
        """Return what somebody sees who runs the command in a terminal, colours as they are sent."""
        code, text = self.open(*words, columns=columns, **env).end()
        assert code == 0, text
        return text
