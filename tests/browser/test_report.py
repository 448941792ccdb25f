"""A report opens from disk in a real Chromium without any network, draws its charts, and runs nothing that a user wrote."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

import modelbox.testing
from modelbox_server.testing.browser import SCREENSHOTS_VARIABLE, running_chromium
from modelbox_widgets.testing import HOSTILE_NAMES

EVIL = "<script>window.pwned = true</script><img src=x onerror='window.pwned = true'>"
DRAWN = (
    "() => { const all = document.querySelectorAll('.plot'); return all.length && [...all].every(one => one.querySelector('svg.marks')); }"
)
INJECT = """() => {
  const probe = document.createElement('script');
  probe.textContent = 'window.pwned = true';
  document.body.append(probe);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "model.bin").write_bytes(b"weights")
    with modelbox.testing.memory_connection() as box:
        for number in range(6):
            name = f"{HOSTILE_NAMES[number]} {EVIL}"
            params = {"lr": 10.0 ** -(number % 3), EVIL: name, "long": HOSTILE_NAMES[-1] + str(number)}
            with box.start(
                name, params=params, tags=[EVIL], metadata={"git.diff": f"+{EVIL}", "environment.packages": {EVIL: EVIL}}
            ) as run:
                for step in range(8):
                    run.log(
                        {f"{EVIL} loss": float("nan") if step == 3 else 1 / (step + 1 + number), "accuracy": step / (8 + number)}, step=step
                    )
                run.log_event(EVIL, source=EVIL)
                run.upload_artifact(folder / "model.bin", name=EVIL.replace("/", "-"))
        return modelbox.report(folder / "report.html", title=EVIL, connection=box)


@contextmanager
def opened(browser: Browser, report: Path, *, script: bool = True, dark: bool = False) -> Iterator[tuple[Page, list[str]]]:
    """Open the file offline; yield the page and what went wrong or went out."""
    context = browser.new_context(
        offline=True, java_script_enabled=script, color_scheme="dark" if dark else "light", viewport={"width": 1250, "height": 900}
    )
    troubles: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: troubles.append(request.url) if request.url.split("#")[0] != report.as_uri() else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    try:
        page.goto(report.as_uri())
        if script:
            page.wait_for_function(DRAWN)
        yield page, troubles
    finally:
        context.close()


def photographed(page: Page, name: str) -> None:
    folder = os.environ.get(SCREENSHOTS_VARIABLE)
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_report_draws_its_charts_from_disk_and_asks_for_nothing(browser: Browser, report: Path, dark: bool) -> None:
    with opened(browser, report, dark=dark) as (page, troubles):
        assert page.locator(".plot svg.marks").count() == 5
        photographed(page, f"report-{'dark' if dark else 'light'}")
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(20, 22, 26)") == dark
        data_addresses_only = [trouble for trouble in troubles if not trouble.startswith(("data:", "blob:"))]
        assert data_addresses_only == []


def test_nothing_that_a_user_wrote_is_executed(browser: Browser, report: Path) -> None:
    with opened(browser, report) as (page, _):
        page.locator("#open-all").click()
        page.locator(".plot svg.marks").first.hover()
        assert page.evaluate("() => window.pwned") is None
        assert page.locator("h1").inner_text() == EVIL
        assert page.locator("#runs summary").filter(has_text=EVIL).count() == 6


def test_the_page_forbids_code_made_from_text(browser: Browser, report: Path) -> None:
    with opened(browser, report) as (page, _):
        page.evaluate(INJECT)
        assert page.evaluate("() => window.pwned") is None


def test_tables_sort_and_runs_are_found(browser: Browser, report: Path) -> None:
    with opened(browser, report) as (page, _):
        rows = page.locator("#overview tbody tr:visible")
        page.locator("#overview th button").first.click()
        page.locator("#overview th button").first.click()
        assert rows.first.locator("td").first.inner_text() == "6"
        page.locator("#search").fill("a.b")
        assert rows.count() == 1
        assert page.locator("#runs > details:visible").count() == 1
        rows.first.locator("a").click()
        page.wait_for_function("() => document.querySelector('#runs > details:not([hidden])').open")


def test_without_scripts_there_are_pictures_and_tables(browser: Browser, report: Path) -> None:
    with opened(browser, report, script=False) as (page, troubles):
        photographed(page, "report-without-scripts")
        pictures = page.locator("figure img")
        assert pictures.count() == 5
        assert all(pictures.nth(at).bounding_box() for at in range(5))
        assert page.locator("#overview tbody tr").count() == 6
        assert not page.locator("#search").is_visible()
        assert [trouble for trouble in troubles if not trouble.startswith("data:")] == []
