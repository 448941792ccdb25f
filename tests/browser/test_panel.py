"""The panel in the left sidebar, fed through the HTTP API alone."""

import pytest
from playwright.sync_api import expect

from modelbox_server.testing.browser import LabPage
from modelbox_server.testing.lab import Lab

NAMESPACE = "équipe/vision"
METRIC = "val/loss @1"
HOSTILE = "<img src=x onerror=alert(1)> ' \" run"


@pytest.fixture(scope="module")
def runs(lab: Lab) -> dict[str, str]:
    """Runs of each status, by name."""
    ids = {}
    for i, (name, status) in enumerate([("alpha", "finished"), ("beta", "failed"), (HOSTILE, "interrupted"), ("gamma", "running")]):
        experiment_id = f"{i + 1:040x}"
        metadata = {"params.lr": 10.0**-i, "params.net": {"$float": "NaN"} if i == 0 else "mlp", "tags.baseline": i == 0}
        lab.api("POST", "experiments", {"name": name, "id": experiment_id, "namespace": NAMESPACE, "owner": "ada", "metadata": metadata})
        series = [
            {"object_id": experiment_id, "key": METRIC, "values": [0.5, 0.25 / (i + 1), "NaN" if i == 2 else 0.125]},
            {"object_id": experiment_id, "key": "accuracy", "values": [0.9123456]},
        ]
        lab.api("POST", "metrics", {"series": series})
        if status != "running":
            lab.api("PATCH", f"experiments/{experiment_id}", {"status": status})
        ids[name] = experiment_id
    return ids


def test_an_empty_panel_says_what_to_type(shown: LabPage) -> None:
    panel = shown.show_panel()
    expect(panel).to_contain_text("No experiments yet")
    expect(panel.locator("pre")).to_contain_text("modelbox.start(")
    shown.screenshot("panel empty")


def test_runs_are_listed_with_status_age_and_main_metrics(shown: LabPage, runs: dict[str, str]) -> None:
    panel = shown.show_panel()
    expect(panel.locator(".mb-Run")).to_have_count(len(runs))
    expect(panel.locator("h3")).to_contain_text(NAMESPACE)
    alpha = panel.get_by_role("button", name="finished alpha")
    expect(alpha).to_contain_text("accuracy 0.9123")
    expect(alpha).to_contain_text(f"{METRIC} 0.125")
    expect(panel.get_by_text(HOSTILE)).to_be_visible()
    shown.screenshot("panel light")


def test_a_new_run_appears_by_itself(shown: LabPage, lab: Lab, runs: dict[str, str]) -> None:
    panel = shown.show_panel()
    expect(panel.locator(".mb-Run")).to_have_count(len(runs))
    lab.api("POST", "experiments", {"name": "late", "id": "f" * 40, "namespace": NAMESPACE})
    expect(panel.get_by_text("late", exact=True)).to_be_visible(timeout=15_000)
    lab.api("DELETE", f"experiments/{'f' * 40}")
    expect(panel.get_by_text("late", exact=True)).to_be_hidden(timeout=15_000)


def test_the_filter_finds_names_parameters_and_tags(shown: LabPage, runs: dict[str, str]) -> None:
    panel = shown.show_panel()
    for text, found in [("beta", 1), ("lr=0.01", 1), ("baseline", 1), ("ada mlp", len(runs) - 1), ("nothing like it", 0)]:
        panel.get_by_label("Filter experiments").fill(text)
        expect(panel.locator(".mb-Run")).to_have_count(found)
    expect(panel).to_contain_text("No experiment matches")


def test_everything_can_be_done_by_keyboard(shown: LabPage, runs: dict[str, str]) -> None:
    panel = shown.show_panel()
    panel.get_by_role("button", name="gamma").focus()
    for key in ["End", "Enter"]:
        shown.page.keyboard.press(key)
    opened = panel.get_by_role("button", name="finished alpha")
    expect(opened).to_have_attribute("aria-expanded", "true")
    details = panel.locator(".mb-Details")
    expect(details.locator("table", has_text="Parameters")).to_contain_text("lr")
    expect(details.locator(".mb-Details-metrics")).to_contain_text("0.9123")
    expect(details.locator(".mb-Details-tags")).to_have_text("baseline")
    shown.screenshot("panel details")
    shown.page.keyboard.press("ArrowUp")
    shown.page.keyboard.press("Enter")
    expect(opened).to_have_attribute("aria-expanded", "false")


def test_an_id_can_be_copied_and_code_goes_into_the_notebook(shown: LabPage, runs: dict[str, str]) -> None:
    panel = shown.show_panel()
    panel.get_by_role("button", name="finished alpha").click()
    panel.get_by_role("button", name="Copy id").click()
    expect(panel.locator(".mb-Details [role=status]")).to_have_text("Copied")
    assert shown.page.evaluate("() => navigator.clipboard.readText()") == runs["alpha"]
    panel.get_by_role("button", name="Insert code").click()
    expect(panel.locator(".mb-Details [role=status]")).to_have_text("No notebook is open: copied")
    shown.page.evaluate("() => window.jupyterapp.commands.execute('notebook:create-new', {kernelName: 'python3'}).then(() => undefined)")
    shown.page.wait_for_selector(".jp-Notebook .jp-Cell")
    panel.get_by_role("button", name="Insert code").click()
    expect(shown.page.locator(".jp-Notebook")).to_contain_text(f'modelbox.experiment("{runs["alpha"]}")')


def test_the_panel_looks_right_in_the_dark(shown: LabPage, runs: dict[str, str]) -> None:
    panel = shown.show_panel()
    panel.get_by_role("button", name="finished alpha").click()
    with shown.theme("JupyterLab Dark"):
        background, colour = shown.page.evaluate("""() => {
          const style = getComputedStyle(document.querySelector('.mb-Run-name'));
          return [getComputedStyle(document.querySelector('.mb-Panel')).backgroundColor, style.color];
        }""")
        shown.screenshot("panel dark")
    assert _lightness(background) < 80 < 150 < _lightness(colour)


def test_an_error_is_the_servers_own_sentence(shown: LabPage, runs: dict[str, str]) -> None:
    sentence = "The store is being repaired: try again in a minute."
    problem = f'{{"status": 503, "code": "unavailable", "title": "Unavailable", "detail": "{sentence}"}}'
    shown.page.route(
        "**/frames/experiments*", lambda route: route.fulfill(status=503, body=problem, content_type="application/problem+json")
    )
    panel = shown.show_panel()
    panel.get_by_role("button", name="Refresh").click()
    expect(panel.get_by_role("alert")).to_have_text(sentence)


def _lightness(rgb: str) -> float:
    red, green, blue = (int(part) for part in rgb[rgb.index("(") + 1 : -1].split(",")[:3])
    return 0.3 * red + 0.59 * green + 0.11 * blue
