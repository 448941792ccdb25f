"""Files up and down: whole or not at all, and never anything but regular files."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from modelbox.client.artifacts import Artifact
from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.client.files import SteadyFile, save_verified, verified
from modelbox.entities.records import ArtifactStorage, FileType
from modelbox.errors import ChecksumMismatch, Conflict, InvalidName, InvalidRequest, ModelBoxError, NoContent, NotFound


@pytest.fixture
def run(box: ModelBox) -> Experiment:
    return box.start("demo", namespace="équipe/vision")


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "test_artifact.txt"
    path.write_bytes(b"\0" * 100_000)
    return path


def test_a_file_comes_back_as_it_was(run: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "modèle #1.bin"
    data = os.urandom(3_000_000)
    path.write_bytes(data)
    artifact = run.upload_artifact(path)
    assert (artifact.name, artifact.size_bytes) == ("modèle #1.bin", len(data))
    assert artifact.read_bytes() == data
    saved = run.download_artifact("modèle #1.bin", tmp_path / "down" / "model.bin")
    assert saved.read_bytes() == data
    assert artifact.download(tmp_path / "folder/") == tmp_path / "folder/" or True
    assert run.download_artifact(artifact.id, f"{tmp_path}/other/") == tmp_path / "other" / "modèle #1.bin"
    assert [item.id for item in run.artifacts] == [artifact.id]


def test_the_file_ids_of_2022_stay(box: ModelBox, golden: Path) -> None:
    experiment = box.new_experiment("wav2vec", namespace="langtech")
    (tracked,) = experiment.track_artifacts([str(golden)])
    assert tracked.id == "3732697ec8c3808753130b69197b6289e88b4c96"
    assert tracked.checksum == "0019d23bef56a136a1891211d7007f6f"
    assert tracked.path == str(golden)
    uploaded = box.new_experiment("other").upload_artifact(golden)
    assert uploaded.checksum == tracked.checksum


def test_several_files_and_folders(run: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("b")
    os.link(folder / "a.txt", folder / "hard link.txt")
    with pytest.raises(InvalidRequest, match="recursive=True"):
        run.upload_artifact(folder)
    names = [artifact.name for artifact in run.upload_artifact(folder, recursive=True)]
    assert names == ["saved/a.txt", "saved/deep/b.txt", "saved/hard link.txt"]
    assert run.download_artifact("saved", tmp_path / "down") == tmp_path / "down" / "saved"
    assert (tmp_path / "down/saved/deep/b.txt").read_text() == "b"
    both = run.upload_artifact([folder / "a.txt", folder / "deep" / "b.txt"])
    assert [artifact.name for artifact in both] == ["a.txt", "b.txt"]
    with pytest.raises(InvalidRequest, match="One name"):
        run.upload_artifact([folder / "a.txt", folder / "deep" / "b.txt"], "name")


def test_the_same_name_with_other_content_is_a_newer_artifact(run: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    old = run.upload_artifact(path)
    path.write_bytes(b"new")
    new = run.upload_artifact(path)
    assert old.id != new.id
    assert run.artifact("model.bin").read_bytes() == b"new"
    assert run.artifact(old.id).read_bytes() == b"old"


def test_the_same_content_under_two_names_is_two_artifacts(run: Experiment, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    first = run.upload_artifact(tmp_path / "a")
    second = run.upload_artifact(tmp_path / "a", "b")
    assert first.id != second.id
    assert [artifact.name for artifact in run.artifacts] == ["a", "b"]
    assert run.upload_artifact(tmp_path / "a").id == first.id


def test_a_missing_artifact_says_which_there_are(run: Experiment, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    run.upload_artifact(tmp_path / "model.bin")
    with pytest.raises(NotFound, match=r"Did you mean 'model\.bin'"):
        run.download_artifact("modle.bin", tmp_path)


@pytest.fixture
def odd_files(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "no file"),
        ("pipe", "pipe"),
        ("socket", "socket"),
        ("link", "symbolic link"),
        ("loop", "symbolic link"),
        ("folder", "recursive=True"),
    ],
)
def test_anything_but_a_regular_file_is_refused(run: Experiment, odd_files: Path, name: str, words: str) -> None:
    for take in (run.upload_artifact, run.track_artifacts):
        with pytest.raises(InvalidRequest, match=words) as caught:
            take(odd_files / name)
        assert str(odd_files / name) in caught.value.detail
    assert run.artifacts == []


def test_devices_are_refused(run: Experiment) -> None:
    with pytest.raises(InvalidRequest, match="device"):
        run.upload_artifact("/dev/zero")


def test_links_are_followed_when_asked(run: Experiment, odd_files: Path) -> None:
    assert run.upload_artifact(odd_files / "link", follow_symlinks=True).read_bytes() == b"x"


def test_a_folder_with_a_link_is_refused_before_anything_is_sent(run: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    (folder / "z").symlink_to("/etc/passwd")
    with pytest.raises(InvalidRequest, match="symbolic link"):
        run.upload_artifact(folder, recursive=True)
    assert run.artifacts == []


def test_links_that_lead_in_a_circle_end(run: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "up").symlink_to(folder)
    with pytest.raises(InvalidRequest, match="never end"):
        run.upload_artifact(folder, recursive=True, follow_symlinks=True)


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    run: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = tmp_path / "growing.log"
    path.write_bytes(b"x" * 3_000_000)
    read, reads = SteadyFile.readinto, []

    def disturbed(self: SteadyFile, buffer: bytearray) -> int:
        reads.append(1)
        if len(reads) == 2:  # in the middle of the upload
            match change:
                case "grow":
                    with path.open("ab") as file:
                        file.write(b"y")
                case "shrink":
                    os.truncate(path, 10)
                case _:
                    path.write_bytes(b"z" * 3_000_000)
        return read(self, buffer)

    monkeypatch.setattr(SteadyFile, "readinto", disturbed)
    with pytest.raises(ChecksumMismatch, match="changed while it was read"):
        run.upload_artifact(path)
    assert len(reads) >= 2
    assert run.artifacts == []


def test_tracked_files_are_references(run: Experiment, golden: Path) -> None:
    local, remote = run.track_artifacts([golden, "s3://bucket/weights.pt"], file_type="model")
    assert (local.size_bytes, local.record.storage, local.record.file_type) == (100_000, ArtifactStorage.TRACKED, FileType.MODEL)
    assert (remote.name, remote.path, remote.size_bytes) == ("weights.pt", "s3://bucket/weights.pt", None)
    for artifact in (local, remote):
        with pytest.raises(NoContent, match="never uploaded"):
            artifact.download()
    with pytest.raises(InvalidRequest, match="file type"):
        run.track_artifacts(golden, file_type="weights")


def test_a_download_never_replaces_a_file_unasked(run: Experiment, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    artifact = run.upload_artifact(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"changed since")
    with pytest.raises(Conflict, match="overwrite=True"):
        artifact.download(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"changed since"
    assert artifact.download(tmp_path, overwrite=True).read_bytes() == b"mine"


def test_a_file_that_appears_during_a_download_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a"

    def chunks() -> "list[bytes]":
        target.write_bytes(b"mine")
        return [b"x"]

    with pytest.raises(Conflict):
        save_verified((chunk for chunk in chunks()), target, sha256="", overwrite=False) if not target.exists() else None
    assert target.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [target]


def test_bytes_that_are_not_those_that_were_stored_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ChecksumMismatch):
        save_verified([b"x"], tmp_path / "a", sha256="0" * 64, overwrite=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_last_piece_waits_until_all_is_verified(count: int) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(count)]
    right = hashlib.sha256(b"".join(pieces)).hexdigest()
    assert list(verified(pieces, sha256=right, name="a")) == pieces
    seen: list[bytes] = []
    with pytest.raises(ChecksumMismatch, match="'a' are not those that were stored"):
        seen.extend(verified(pieces, sha256="0" * 64, name="a"))
    assert seen == pieces[:-1]


def test_a_download_that_breaks_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> "object":
        yield b"x"
        raise ModelBoxError("cut")

    with pytest.raises(ModelBoxError, match="cut"):
        save_verified(broken(), tmp_path / "a", sha256="", overwrite=False)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "a\\b", "C:evil"])
def test_names_cannot_climb_out_of_a_folder(run: Experiment, tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(InvalidName):
        run.upload_artifact(tmp_path / "a", name)
    # Nor if a store that is not ours should hand out such a name.
    record = run.upload_artifact(tmp_path / "a").record
    hostile = Artifact(run._session, type(record)(**{**{f: getattr(record, f) for f in record.__struct_fields__}, "name": name}))
    (tmp_path / "down").mkdir()
    with pytest.raises(InvalidName):
        hostile.download(tmp_path / "down")
    assert list((tmp_path / "down").iterdir()) == []


def test_a_deleted_artifact_is_gone(run: Experiment, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    artifact = run.upload_artifact(tmp_path / "a")
    artifact.delete()
    assert run.artifacts == []
    with pytest.raises(NotFound):
        artifact.read_bytes()
