"""What a result depends on beside its parameters: the state of the code, the packages, the machine and the command line.

======================== ==============================================================================================================
metadata                 holds
======================== ==============================================================================================================
``git.commit``           the commit that is checked out; the ``git.`` keys are left out where there is no git work tree
``git.branch``           its branch; left out when none is checked out
``git.dirty``            whether a tracked file differs from the commit
``git.remote``           address of ``origin``, without user name and password
``git.diff``             what differs, as a patch of at most 256 KiB; only when something does
``environment.python``   version of Python
``environment.platform`` operating system and processor
``environment.packages`` installed packages with their versions, as one JSON object
``environment.command``  the command line; left out in a notebook, whose cells are the program
``environment.host``     name of the machine
``environment.pid``      process id
``environment.cpus``     processors that the machine has
``…memory_bytes``        its memory; left out where the system does not tell
======================== ==============================================================================================================

Values that look like secrets are masked in the command line and in the patch. All of it takes some tens of milliseconds, most of them
outside of Python, and is meant for a background thread. Packages are listed once per process; git is asked again after ten seconds, so that
a loop of short runs asks once and an edit between two cells is seen.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from modelbox.client.masking import masked_arguments, masked_text, without_credentials

if TYPE_CHECKING:
    from modelbox.entities.records import Json

__all__ = ["MAX_DIFF_BYTES", "command_line", "environment", "git_state", "installed_packages", "provenance"]

MAX_DIFF_BYTES = 256 * 1024
"""Most bytes of a patch that are kept."""

_GIT_TIMEOUT_S = 2.0
_GIT_FRESH_S = 10.0
_MAX_COMMAND_CHARS = 4000
_DISTRIBUTION = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-.*)?\.(?:dist|egg)-info", re.IGNORECASE)


def provenance(folders: Iterable[Path]) -> dict[str, Json]:
    """Return all of it, with the state of the first of `folders` that lies in a git work tree."""
    found: dict[str, Json] = {}
    for folder in folders:
        if state := _recent_git_state(folder):
            found.update({f"git.{key}": value for key, value in state.items()})
            break
    found.update({f"environment.{key}": value for key, value in environment().items()})
    return found


# --- the machine and the process ---------------------------------------------------------------------------------------------------------


def environment() -> dict[str, Json]:
    """Return what there is to say about Python, the machine and this process."""
    found: dict[str, Json] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(installed_packages()),
        "host": platform.node(),
        "pid": os.getpid(),
        "cpus": os.cpu_count(),
    }
    if memory_bytes := _memory_bytes():
        found["memory_bytes"] = memory_bytes
    command = command_line(sys.orig_argv)
    if command is not None and "ipykernel" not in sys.modules:
        found["command"] = command
    return found


def _memory_bytes() -> int:
    """Return how much memory the machine has, without loading anything for it; 0 where that is not told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 0


def command_line(arguments: Iterable[str]) -> str | None:
    """Return a command as one would type it, without secrets; ``None`` where there is none."""
    text = shlex.join(masked_arguments([printable(argument) for argument in arguments]))
    if not text:
        return None
    return text if len(text) <= _MAX_COMMAND_CHARS else f"{text[:_MAX_COMMAND_CHARS]} …"


def installed_packages() -> dict[str, str]:
    """Return the version of each installed distribution by its normalised name.

    Read from the names of the folders that installers leave beside the packages, which takes a hundredth of the time of opening them. The
    first folder of ``sys.path`` that has a package wins, as it does for imports.
    """
    path = tuple(sys.path)
    if path not in _packages:
        _packages.clear()
        _packages[path] = _installed_below(path)
    return _packages[path]


_packages: dict[tuple[str, ...], dict[str, str]] = {}


def _installed_below(path: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208  (names are all that is needed, and this is most of the cost)
        except OSError:  # a zip file, or no longer there
            continue
        for name in names:
            if name.endswith(("-info", "-INFO")) and (match := _DISTRIBUTION.fullmatch(name)):
                found.setdefault(re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"])
    return dict(sorted(found.items()))


# --- git ---------------------------------------------------------------------------------------------------------------------------------


class _Looked(NamedTuple):
    at_s: float
    state: dict[str, Json]
    too_slow: bool


# Written without a lock: at worst two threads look at the same time. A lock that another thread holds would be held for ever in a forked
# child.
_git: dict[Path, _Looked] = {}


class _TooSlowError(Exception):
    """Git took longer than anybody should wait for it."""


def _recent_git_state(folder: Path) -> dict[str, Json]:
    looked = _git.get(folder)
    # A work tree that is so large that git takes seconds is looked at once per process.
    if looked is None or (not looked.too_slow and time.monotonic() - looked.at_s > _GIT_FRESH_S):
        try:
            state, too_slow = git_state(folder), False
        except _TooSlowError:
            state, too_slow = {}, True
        looked = _git[folder] = _Looked(time.monotonic(), state, too_slow)
    return looked.state


def git_state(folder: Path) -> dict[str, Json]:
    """Return ``commit``, ``branch``, ``dirty``, ``remote`` and ``diff`` of the work tree around `folder`; empty where there is none."""
    git = shutil.which("git")
    if git is None:
        return {}
    ask = _Git(git, folder)
    status, _ = ask("status", "--porcelain=v2", "--branch", "--untracked-files=no")
    lines = status.splitlines()
    heads = dict(line.removeprefix("# ").split(" ", 1) for line in lines if line.startswith("# branch.") and " " in line[2:])
    if "branch.oid" not in heads:
        return {}
    has_commit = heads["branch.oid"] != "(initial)"
    state: dict[str, Json] = {"dirty": any(not line.startswith("#") for line in lines)}
    if has_commit:
        state["commit"] = heads["branch.oid"]
    if (branch := heads.get("branch.head", "(detached)")) != "(detached)":
        state["branch"] = printable(branch)
    if remote := ask("config", "--get", "remote.origin.url")[0].strip():
        state["remote"] = without_credentials(printable(remote))
    if state["dirty"] and has_commit:
        diff, was_cut = ask("diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD", "--")
        if diff:
            note = f"\n[cut by ModelBox: only the first {MAX_DIFF_BYTES // 1024} KiB are kept]\n" if was_cut else ""
            state["diff"] = masked_text(printable(diff)) + note
    return state


class _Git:
    """Asks git about a folder, without changing anything there and without starting programs that the repository names."""

    def __init__(self, git: str, folder: Path) -> None:
        self._command = [git, "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false"]
        # Without optional locks a look in the background never gets into the way of a commit that is being made.
        quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        self._env = {
            name: value for name, value in os.environ.items() if name not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
        } | quiet

    def __call__(self, *words: str) -> tuple[str, bool]:
        """Return the answer, cut to :data:`MAX_DIFF_BYTES`, and whether it was cut; empty when git refuses."""
        try:
            process = subprocess.Popen(  # noqa: S603  (fixed words and a folder)
                [*self._command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self._env
            )
        except OSError:
            return "", False
        slow = threading.Event()

        def give_up() -> None:
            slow.set()
            process.kill()

        timer = threading.Timer(_GIT_TIMEOUT_S, give_up)
        timer.daemon = True
        timer.start()
        try:
            with process:
                answer = cast("IO[bytes]", process.stdout).read(MAX_DIFF_BYTES + 1)
                was_cut = len(answer) > MAX_DIFF_BYTES
                if was_cut:
                    process.kill()
        finally:
            timer.cancel()
        if slow.is_set():
            raise _TooSlowError
        if process.returncode != 0 and not was_cut:
            return "", False
        return answer[:MAX_DIFF_BYTES].decode(errors="replace"), was_cut


def printable(text: str) -> str:
    """Return `text` as every store keeps it: without NUL characters and undecodable bytes."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
