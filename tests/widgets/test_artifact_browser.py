"""ArtifactBrowser without a browser: list, preview, saving, and names and files of people who mean harm."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, NoContent, NotFound
from modelbox.testing import memory_connection
from modelbox_widgets.artifact_browser import ArtifactBrowser

PNG = b"\x89PNG\r\n\x1a\n" + bytes(300_000)
HOSTILE = "<img src=x onerror=alert(1)>.html"


@pytest.fixture
def box() -> Iterator[ModelBox]:
    with memory_connection() as connection:
        yield connection


@pytest.fixture
def run(box: ModelBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """An experiment with files; the current folder is empty."""
    run = box.start("a")
    source = tmp_path / "source"
    (source / "plots").mkdir(parents=True)
    for name, data in {"metrics.csv": b"a,b\n1,2\n", "plots/loss.png": PNG, HOSTILE: b"<script>window.owned = 1</script>"}.items():
        (source / name).write_bytes(data)
        run.upload_artifact(source / name, name=name)
    run.track_artifacts(["s3://bucket/weights.bin"])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return run


def ids(browser: ArtifactBrowser) -> dict[str, str]:
    return {one["name"]: one["id"] for one in browser._artifacts}


def test_artifacts_are_listed_with_size_checksum_and_whether_bytes_are_kept(run: Experiment) -> None:
    browser = ArtifactBrowser(run)
    listed = {one["name"]: one for one in browser._artifacts}
    assert set(listed) == {"metrics.csv", "plots/loss.png", HOSTILE, "weights.bin"}
    assert (listed["metrics.csv"]["size_bytes"], listed["metrics.csv"]["storage"]) == (8, "uploaded")
    assert len(listed["metrics.csv"]["sha256"]) == 64
    assert (listed["weights.bin"]["storage"], listed["weights.bin"]["uri"]) == ("tracked", "s3://bucket/weights.bin")
    assert "4 artifacts, 300 kB" in browser.static_bundle()[0]["text/plain"]


def test_previews_are_of_the_bytes(run: Experiment) -> None:
    browser = ArtifactBrowser(run)
    known = ids(browser)
    table, _ = browser.answer("preview", {"artifact": known["metrics.csv"]})
    assert (table["kind"], table["rows"]) == ("table", [["a", "b"], ["1", "2"]])
    picture, (data,) = browser.answer("preview", {"artifact": known["plots/loss.png"]})
    assert (picture["media_type"], data) == ("image/png", PNG)
    markup, buffers = browser.answer("preview", {"artifact": known[HOSTILE]})
    assert (markup["kind"], markup["text"], list(buffers)) == ("text", "<script>window.owned = 1</script>", [])
    tracked, _ = browser.answer("preview", {"artifact": known["weights.bin"]})
    assert tracked["kind"] == "none"
    assert "s3://bucket/weights.bin" in tracked["note"]


def test_files_are_saved_beside_the_notebook_and_never_over_another(run: Experiment) -> None:
    browser = ArtifactBrowser(run)
    known = ids(browser)
    paths = [Path(browser.answer("save", {"artifact": known["metrics.csv"]})[0]["path"]) for _ in range(2)]
    assert [path.relative_to(Path.cwd()).as_posix() for path in paths] == ["metrics.csv", "metrics (2).csv"]
    assert paths[1].read_bytes() == b"a,b\n1,2\n"
    below = Path(browser.answer("save", {"artifact": known["plots/loss.png"]})[0]["path"])
    assert below == Path.cwd() / "plots" / "loss.png"
    content, (data,) = browser.answer("content", {"artifact": known["plots/loss.png"]})
    assert (content["name"], data) == ("loss.png", PNG)
    with pytest.raises(NoContent, match="never uploaded"):
        browser.answer("save", {"artifact": known["weights.bin"]})


def test_the_chosen_artifact_goes_both_ways_and_leaves_when_it_is_deleted(run: Experiment) -> None:
    browser = ArtifactBrowser(run)
    browser.set_state({"selected_id": ids(browser)["metrics.csv"]})
    assert browser.selected is not None
    assert browser.selected.read_bytes() == b"a,b\n1,2\n"
    browser.selected.delete()
    browser.answer("refresh", {})
    assert browser.selected is None
    assert "metrics.csv" not in ids(browser)


@pytest.mark.parametrize(
    "content", [{}, {"artifact": None}, {"artifact": ["x"]}, {"artifact": "../../etc/passwd"}, {"artifact": "x" * 100_000}]
)
@pytest.mark.parametrize("question", ["preview", "save", "content"])
def test_questions_that_make_no_sense_are_refused(run: Experiment, question: str, content: Json) -> None:
    with pytest.raises((InvalidRequest, NotFound)) as refusal:
        ArtifactBrowser(run).answer(question, content)
    assert len(str(refusal.value)) < 300


def test_names_are_text_and_only_objects_have_artifacts(run: Experiment, box: ModelBox) -> None:
    assert "<img" not in ArtifactBrowser(run).static_bundle()[0]["text/html"]
    assert ArtifactBrowser(box.new_model("m")).static_bundle()[0]["text/plain"] == "no artifacts"
    with pytest.raises(InvalidRequest, match="give an experiment"):
        ArtifactBrowser("run")  # type: ignore[arg-type]
