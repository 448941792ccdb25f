"""What is heard of long reads and transfers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox.client import progress
from modelbox.client.connection import ModelBox
from modelbox.testing import memory_connection

CONTENT = bytes(3_000_000)


class Heard:
    """Keeps what every bar was told."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, int | None, list[int]]] = []
        self.closed = 0

    def __call__(self, label: str, total: int | None, unit: progress.Unit, elapsed_s: float) -> progress.Bar:
        heard: list[int] = []
        self.bars.append((label, total, heard))
        outer = self

        class Bar:
            def show(self, done: int) -> None:
                heard.append(done)

            def close(self) -> None:
                outer.closed += 1

        return Bar()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    monkeypatch.setattr(progress, "DELAY_S", 0.0)
    heard = Heard()
    stop = progress.observe(heard)
    yield heard
    stop()
    assert heard.closed == len(heard.bars)


@pytest.fixture
def box() -> Iterator[ModelBox]:
    with memory_connection() as box:
        yield box


def test_a_transfer_tells_its_bytes_up_and_down(box: ModelBox, heard: Heard, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(CONTENT)
    with box.start("digits") as run:
        run.upload_artifact(tmp_path / "model.bin").download(tmp_path / "copy.bin")
    up, down = heard.bars
    assert up[:2] == ("Uploading model.bin", 3_000_000)
    assert down[:2] == ("Downloading model.bin", 3_000_000)
    for _, _, done in (up, down):
        assert done == sorted(done)
        assert done[-1] == 3_000_000
        assert len(done) >= 3


def test_a_folder_is_one_task(box: ModelBox, heard: Heard, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.bin").write_bytes(bytes([number]) * 1000)
    with box.start("digits") as run:
        run.upload_artifact(folder, recursive=True)
        run.download_artifact("weights", tmp_path / "down")
    assert [(label, total, done[-1]) for label, total, done in heard.bars] == [
        ("Uploading 3 files", 3000, 3000),
        ("Downloading weights", 3000, 3000),
    ]


def test_a_table_of_runs_tells_its_rows(box: ModelBox, heard: Heard) -> None:
    for _ in range(3):
        box.start("digits").finish()
    box.experiment_frame()
    assert heard.bars == [("Reading experiments", None, [3])]


def test_a_read_of_many_runs_is_told_while_it_lasts(box: ModelBox, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_TICK_S", 0.001)
    monkeypatch.setattr(box.session.transport, "read_metrics", lambda query: _wait_for(heard))
    box.read_metrics(["0" * 40] * 20)
    assert heard.bars[0][:2] == ("Reading metrics of 20 runs", None)


def _wait_for(heard: Heard) -> list[object]:
    while not heard.bars:
        pass
    return []


def test_a_short_task_shows_nothing(box: ModelBox, tmp_path: Path) -> None:
    stop = progress.observe(lambda *_: pytest.fail("a bar for a moment"))
    with box.start("digits") as run:
        (tmp_path / "small").write_bytes(b"x")
        run.upload_artifact(tmp_path / "small")
    stop()


def test_a_bar_that_fails_ends_no_transfer(box: ModelBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> progress.Bar:
        raise ZeroDivisionError

    monkeypatch.setattr(progress, "DELAY_S", 0.0)
    stop = progress.observe(broken)
    (tmp_path / "model.bin").write_bytes(CONTENT)
    with box.start("digits") as run:
        assert run.upload_artifact(tmp_path / "model.bin").read_bytes() == CONTENT
    stop()
