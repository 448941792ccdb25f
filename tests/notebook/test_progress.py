"""Progress bars where people look, and nowhere else."""

import io
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from modelbox.client import progress
from modelbox.client.connection import ModelBox
from modelbox.notebook.progress import bar

pytest.importorskip("tqdm", reason="progress bars need tqdm, which the package depends on")

MARKUP = "<b>x</b>\n.bin"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_notebook_keeps_the_bar_as_an_output(
    shell: InteractiveShell, box: ModelBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "DELAY_S", 0.0)
    (tmp_path / "model.bin").write_bytes(bytes(3_000_000))
    box.new_experiment("digits").upload_artifact(tmp_path / "model.bin")
    last = shell.display_pub.outputs[-1]
    assert "Uploading model.bin: 100%" in last["data"]["text/plain"]
    assert '<progress max="3000000" value="3000000">' in last["data"]["text/html"]
    assert len({output["transient"]["display_id"] for output in shell.display_pub.outputs}) == 1


def test_names_are_shown_literally(shell: InteractiveShell) -> None:
    shown = bar(f"Uploading {MARKUP}", None, "B", 0.5)
    assert shown is not None
    shown.show(1000)
    shown.close()
    data = shell.display_pub.outputs[-1]["data"]
    assert "<b>" not in data["text/html"]
    assert "<b>x</b>·.bin" in data["text/plain"]


def test_a_terminal_has_a_line_that_goes_away(terminal: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    shown = bar("Reading experiments", 3000, "runs", 1.0)
    assert shown is not None
    shown.show(1000)
    assert "Reading experiments:  33%" in screen.getvalue()
    shown.close()
    assert screen.getvalue().endswith("\r")


def test_nothing_is_drawn_where_nobody_looks(terminal: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert bar("Reading", None, "B", 1.0) is None
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("MODELBOX_PROGRESS", "0")
    assert bar("Reading", None, "B", 1.0) is None
