"""modelbox.report(), from the store to the file."""

import hashlib
from pathlib import Path

import pytest

import modelbox
from modelbox.client.connection import ModelBox
from modelbox.errors import InvalidRequest


@pytest.fixture(autouse=True)
def runs(box: ModelBox, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    for seed in range(3):
        with box.start("digits", params={"lr": 0.1, "seed": seed}, metadata={"git.diff": "+x = 1"}) as run:
            run.log(loss=1.0 / (seed + 1))
            run.log_event("data loaded")
            run.upload_artifact(tmp_path / "model.bin")


def test_a_report_holds_what_the_store_knows(tmp_path: Path) -> None:
    path = modelbox.experiments().modelbox.to_report(tmp_path / "all.html", title="Digits & <more>")
    html = path.read_text(encoding="utf-8")
    assert "<h1>Digits &amp; &lt;more&gt;</h1>" in html
    assert "3 runs" in html
    assert hashlib.sha256(b"weights").hexdigest() in html
    assert "data loaded" in html
    assert '<span class="added">+x = 1</span>' in html
    assert [child.name for child in tmp_path.glob("*all*")] == ["all.html"]


def test_runs_are_a_query_or_a_table_or_ids_or_the_newest(tmp_path: Path) -> None:
    table = modelbox.experiments()
    for wanted, count in (
        ("params.seed > 0", "2 runs"),
        (table.head(1), "1 run"),
        (list(table["experiment_id"][:2]), "2 runs"),
        (None, "3 runs"),
    ):
        assert f"{count} ·" in modelbox.report(tmp_path / "some.html", wanted).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "runs", "sentence"),
    [("", None, "is a folder"), ("none/r.html", None, "does not exist"), ("r.html", "params.seed > 9", "no run to report about")],
)
def test_what_cannot_be_written_is_one_sentence(tmp_path: Path, path: str, runs: str | None, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        modelbox.report(tmp_path / path, runs)
