"""ModelRegistry, ArtifactBrowser and EventFeed in a real JupyterLab: a click in the page is a change in the store, no file acts."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, expect

from modelbox_server.testing.browser import LabPage, open_lab
from modelbox_server.testing.lab import Lab

NOTEBOOK = "objects.ipynb"
HOSTILE = "<img src=x onerror='window.owned=1'>"
MODELS = f"""
import json
from pathlib import Path

import modelbox

run = modelbox.start("digits-mlp", namespace="équipe/vision", params={{"learning_rate": 0.003, "hidden": 64}})
for step in range(50):
    run.log({{"loss": 1 / (step + 1), "test/accuracy": 1 - 0.5 / (step + 1)}}, step=step)
run.new_checkpoint(4, {{"test/accuracy": 0.97}})
run.finish()
model = modelbox.new_model("digit-reader", namespace="équipe/vision", task="classification", description="Reads handwritten digits")
model.new_model_version("1", unique_tags=["production"], framework="numpy")
model.new_model_version("2", unique_tags=["candidate"], framework="numpy", experiment=run, metadata={{"data": "digits v7"}})
modelbox.new_model({HOSTILE!r}).new_model_version({HOSTILE!r}, unique_tags=[{HOSTILE!r}])
registry = modelbox.registry()
registry
"""
SELECTED = "print(registry.selected.version, registry.selected.tags)"
FILES = """
import struct, zlib

def png(width, height, pixel):
    rows = b"".join(b"\\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\\x89PNG\\r\\n\\x1a\\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")

files = {
    "confusion.png": png(320, 200, lambda x, y: (x * 255 // 320, y * 255 // 200, 140)),
    "predictions.csv": b"digit,predicted,confidence\\n" + b"".join(b"%d,%d,0.%d\\n" % (i % 10, i % 10, 90 + i % 9) for i in range(40)),
    "training.log": "\\n".join(f"epoch {i}: loss {1 / (i + 1):.4f}" for i in range(30)).encode(),
    "report.html": b"<script>window.owned = 2</script><h1>owned</h1>",
    "evil.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.owned=3'><text>owned</text></svg>",
}
Path("out").mkdir(exist_ok=True)
for name, data in files.items():
    Path("out", name).write_bytes(data)
    run.upload_artifact(Path("out", name), name=name)
run.track_artifacts(["s3://bucket/weights.safetensors"])
browser = modelbox.artifact_browser(run)
browser
"""
FEED = "feed = modelbox.event_feed('équipe')\nfeed"
HAPPENS = "run.log_event('epoch ended', source='trainer', metadata={'epoch': 7})"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def shown(profile: BrowserContext, lab: Lab) -> Iterator[LabPage]:
    """One page for the whole story: each test goes on where the one before it stopped."""
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in (MODELS, SELECTED, FILES, FEED, HAPPENS)]
    nbformat.write(book, lab.notebooks / NOTEBOOK)
    with open_lab(profile, lab) as page:
        page.open_notebook(NOTEBOOK)
        page.page.set_default_timeout(30_000)
        yield page
        assert page.foreign_requests == []
        assert page.errors == []


def run(shown: LabPage, source: str) -> None:
    shown.output_of(source)
    shown.command("notebook:run-cell")


def test_a_tag_moves_by_a_click_after_a_question(shown: LabPage, lab: Lab) -> None:
    run(shown, MODELS)
    output = shown.output_of(MODELS)
    second = output.get_by_role("option", name="digit-reader, version 2, candidate")
    expect(second).to_be_visible(timeout=30_000)
    assert output.locator("img").count() == 0
    second.click()
    side = output.get_by_role("region", name="The chosen version")
    expect(side).to_contain_text("digits-mlp", timeout=30_000)
    expect(side).to_contain_text("learning_rate")
    shown.screenshot("model registry", output)
    side.get_by_label("Tag to give to this version").fill("production")
    side.get_by_role("button", name="Promote …").click()
    expect(side).to_contain_text("“production” is at version 1 now. Move it to version 2?")
    shown.screenshot("model registry question", output)
    side.get_by_role("button", name="Move").click()
    expect(output.get_by_role("option", name="digit-reader, version 2, candidate, production")).to_be_visible(timeout=30_000)
    model = next(model for model in lab.api("GET", "models")["items"] if model["name"] == "digit-reader")
    versions = lab.api("GET", f"models/{model['id']}/versions")["items"]
    assert {one["version"]: set(one["tags"]) for one in versions} == {"1": set(), "2": {"candidate", "production"}}


def test_what_is_chosen_is_known_in_python(shown: LabPage) -> None:
    run(shown, SELECTED)
    expect(shown.output_of(SELECTED)).to_contain_text("2 ('candidate', 'production')", timeout=30_000)


def test_the_list_is_operated_by_keyboard(shown: LabPage) -> None:
    output = shown.output_of(MODELS)
    output.get_by_role("option", name="digit-reader, version 2").focus()
    shown.page.keyboard.press("ArrowDown")
    expect(output.get_by_role("region", name="The chosen version").locator("h3")).to_have_text("digit-reader · 1", timeout=30_000)
    with shown.theme("JupyterLab Dark"):
        shown.screenshot("model registry dark", output)


def test_files_are_previewed_and_never_act(shown: LabPage, lab: Lab) -> None:
    run(shown, FILES)
    output = shown.output_of(FILES)
    side = output.get_by_role("region", name="The chosen artifact")
    for name, seen in {"report.html": "<script>", "evil.svg": "<svg", "training.log": "epoch 29", "predictions.csv": "confidence"}.items():
        output.get_by_role("option", name=name).click(timeout=30_000)
        expect(side.locator(".mbx-text, .mbx-table").first).to_contain_text(seen, timeout=30_000)
    shown.screenshot("artifact browser table", output)
    output.get_by_role("option", name="weights.safetensors").click()
    expect(side).to_contain_text("Only a reference is kept", timeout=30_000)
    output.get_by_role("option", name="confusion.png").click()
    picture = side.locator("img")
    expect(picture).to_be_visible(timeout=30_000)
    shown.page.wait_for_function("() => document.querySelector('.mbx-picture')?.naturalWidth === 320")
    shown.screenshot("artifact browser", output)
    with shown.theme("JupyterLab Dark"):
        shown.screenshot("artifact browser dark", output)
    assert shown.page.evaluate("() => window.owned") is None
    side.get_by_role("button", name="Save beside the notebook").click()
    expect(side).to_contain_text("Saved as", timeout=30_000)
    assert (lab.notebooks / "confusion.png").is_file()
    with shown.page.expect_download() as download:
        side.get_by_role("button", name="Download").click()
    assert Path(download.value.path()).read_bytes() == (lab.notebooks / "out" / "confusion.png").read_bytes()


def test_the_feed_shows_what_happens_and_filters_it(shown: LabPage, lab: Lab) -> None:
    run(shown, FEED)
    output = shown.output_of(FEED)
    log = output.get_by_role("log")
    expect(log).to_contain_text("model digit-reader", timeout=30_000)
    run(shown, HAPPENS)
    output = shown.output_of(FEED)
    expect(log).to_contain_text("epoch ended", timeout=30_000)
    shown.screenshot("event feed", output)
    with shown.theme("JupyterLab Dark"):
        shown.screenshot("event feed dark", output)
    output.get_by_role("button", name="uploaded").click()
    expect(log).to_contain_text("artifact confusion.png")
    expect(log).not_to_contain_text("epoch ended")
    output.get_by_role("button", name="Pause").click()
    expect(output.get_by_role("button", name="Follow")).to_be_visible()


def test_everything_is_still_shown_with_the_kernel_gone_and_the_page_reloaded(shown: LabPage, profile: BrowserContext, lab: Lab) -> None:
    shown.save()
    for kernel in lab.request("GET", "api/kernels")[1]:
        lab.request("DELETE", f"api/kernels/{kernel['id']}")
    with open_lab(profile, lab) as later:
        later.open_without_kernel(NOTEBOOK)
        for source, text in {MODELS: "digit-reader", FILES: "predictions.csv", FEED: "digit-reader"}.items():
            expect(later.output_of(source)).to_contain_text(text, timeout=30_000)
        later.screenshot("object widgets after reload", later.output_of(MODELS))
        assert later.page.evaluate("() => window.owned") is None
