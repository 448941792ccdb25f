"""Appending writes as os.write does, whether a sender is at work or not."""

import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from modelbox.client import appending
from modelbox.client.appending import append, at_work, keep_between_turns


@pytest.mark.parametrize("busy", [False, True])
def test_bytes_arrive_whole_whatever_they_are(tmp_path: Path, busy: bool) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_APPEND | os.O_CREAT)
    with at_work() if busy else nullcontext():
        assert append(fd, b"a\0b") == 3
        assert append(fd, b"") == 0
        assert append(fd, memoryview(b"view")) == 4  # type: ignore[arg-type]  # os.write takes it, too
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"a\0bview"


@pytest.mark.parametrize("busy", [False, True])
def test_a_failure_says_what_os_write_says(tmp_path: Path, busy: bool) -> None:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with at_work() if busy else nullcontext(), pytest.raises(OSError, match="Bad file descriptor") as raised:
        append(fd, b"x")
    os.close(fd)
    assert raised.value.errno == errno.EBADF


def test_the_interpreter_is_kept_only_while_somebody_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with at_work():
        pass
    keep_between_turns(False)  # another test of this process may have logged now and then
    calls: list[bytes] = []

    def keeping_write(fd: int, data: bytes, size: int) -> int:
        calls.append(data)
        return os.write(fd, data[:size])

    monkeypatch.setattr(appending, "_keeping_write", keeping_write)
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    append(fd, b"before")
    with at_work(), at_work():
        append(fd, b"while")
    append(fd, b"after")
    keep_between_turns(True)
    append(fd, b"slow")
    keep_between_turns(False)
    append(fd, b"fast")
    os.close(fd)
    assert calls == [b"while", b"slow"]


def test_without_a_c_library_it_is_os_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "_keeping_write", None)
    fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    with at_work():
        assert append(fd, b"abc") == 3
    os.close(fd)
