"""On a network file system SQLite gets no write-ahead log, and the store works all the same."""

import logging
import sqlite3
from array import array
from pathlib import Path

import pytest

from modelbox.entities.series import SeriesBlock
from modelbox.wire.messages import ExperimentCreate, ExperimentsQuery
from modelbox_server.service.context import Caller
from modelbox_server.storage import journal_mode as module
from modelbox_server.storage.journal_mode import filesystem_of, journal_mode
from modelbox_server.wiring import local_services

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /home rw,relatime shared:1 - ext4 /dev/vdb rw
31 30 0:26 / /home/zoë\040x rw,relatime master:1 - nfs4 server:/export rw
32 31 0:27 / /home/zoë\040x/local rw - xfs /dev/vdc rw
33 22 0:28 / /mnt rw - ext4 /dev/vdd rw
34 22 0:29 / /mnt rw - fuse.sshfs host: rw
35 22 0:30 / /run/containers rw - fuse.fuse-overlayfs fuse-overlayfs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var", "ext4"),
        ("/home/zoë x/.local", "nfs4"),
        ("/home/zoë xy", "ext4"),
        ("/home/zoë x/local/a", "xfs"),
        ("/mnt/a", "fuse.sshfs"),
        ("/run/containers", "fuse.fuse-overlayfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(folder: str, kind: str) -> None:
    assert filesystem_of(Path(folder), MOUNTS) == kind


def test_a_folder_that_no_mount_is_above_is_unknown() -> None:
    assert filesystem_of(Path("/a"), "") is None
    assert filesystem_of(Path("/a"), "garbage\n1 2 3\n") is None


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("ext4", "wal"),
        ("overlay", "wal"),
        ("tmpfs", "wal"),
        ("fuse.fuse-overlayfs", "wal"),
        ("nfs", "delete"),
        ("cifs", "delete"),
        ("smb3", "delete"),
        ("fuse.s3fs", "delete"),
        ("9p", "delete"),
    ],
)
def test_network_file_systems_get_no_write_ahead_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str) -> None:
    _pretend(monkeypatch, tmp_path, kind)
    assert journal_mode(tmp_path / "modelbox.db") == mode


def test_where_nothing_tells_the_disk_is_taken_for_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOUNTS", tmp_path / "absent")
    assert journal_mode(tmp_path / "modelbox.db") == "wal"


def test_a_store_over_the_network_works_and_says_once_what_is_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, caller = tmp_path / "store", Caller("zoë", "embedded")
    local_services(folder).close()  # a write-ahead log from when nobody looked
    _pretend(monkeypatch, tmp_path, "nfs4")
    with caplog.at_level(logging.WARNING):
        one, other = local_services(folder), local_services(folder)
    made = one.experiments.create(caller, ExperimentCreate(name="digits")).item
    points = SeriesBlock(object_id=made.id, key="loss", steps=array("q", [1]), wall_times_us=array("q", [1]), values=array("d", [0.5]))
    other.metrics.append(caller, [points])
    frame = one.frames.experiments(caller, ExperimentsQuery())
    assert ([record.name for record in frame.experiments], frame.metrics.last) == (["digits"], [0.5])
    one.close()
    other.close()
    for name in ("modelbox.db", "metrics.db"):
        connection = sqlite3.connect(folder / name)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        connection.close()
        assert not (folder / f"{name}-wal").exists()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{folder} lies on a network file system (nfs4)")


def _pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, kind: str) -> None:
    mounts = folder / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {folder.resolve()} rw - {kind} there rw\n")
    monkeypatch.setattr(module, "_MOUNTS", mounts)
