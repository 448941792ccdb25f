"""The standalone web page in a real Chromium, against a real server."""

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from modelbox.entities.ids import random_id
from modelbox.entities.series import SeriesBlock
from modelbox.wire.messages import ExperimentCreate, ExperimentUpdate
from modelbox_server.service.context import Caller
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.browser import keep_picture, running_chromium
from modelbox_server.testing.live_server import LiveServer, live_server
from modelbox_server.wiring import Services, ephemeral_services, local_services

NAMESPACE = "équipe/vision"
METRIC = "val/loss @1"
HOSTILE = '<img src=x onerror="window.__pwn=1"> \' {{7*7}} \\n run'
ADA = Caller("ada", "http")
MANY = 10_000


class WebPage:
    """A page of the browser that shows the web page of a server, and what went wrong or out of the house meanwhile."""

    def __init__(self, page: Page, server: LiveServer) -> None:
        self.page = page
        self.server = server
        self.troubles: list[str] = []
        page.on("request", lambda request: self._note_request(request.url))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda message: self.troubles.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("dialog", lambda dialog: self.troubles.append(dialog.message))

    def open(self, view: str = "") -> None:
        """Open a view as somebody who was handed the token."""
        self.page.goto(f"{self.server.url}/#token={quote(self.server.token, safe='')}")
        self.page.locator(".mb-top").wait_for()
        if view:
            self.go(view)

    def go(self, view: str) -> None:
        """Show a view by its address."""
        self.page.evaluate("view => { window.location.hash = view; }", f"#/{view}")

    def rows(self) -> Locator:
        """Return the rows of the table of experiments that are drawn."""
        return self.page.locator(".mbw-body .mbw-row")

    def _note_request(self, url: str) -> None:
        if not url.startswith((self.server.url, "blob:", "data:")):
            self.troubles.append(f"asked another host: {url}")
        if self.server.token in url.partition("#")[0]:
            self.troubles.append(f"the token is in an address: {url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@contextmanager
def shown(browser: Browser, server: LiveServer, *, dark: bool = False, width: int = 1400, height: int = 900) -> Iterator[WebPage]:
    """Show the page in a profile of its own. No script may have failed, and nothing may have gone to another host."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light", viewport={"width": width, "height": height}, accept_downloads=True
    )
    try:
        page = WebPage(context.new_page(), server)
        yield page
        assert page.troubles == []
        assert page.page.evaluate("window.__pwn") is None
    finally:
        context.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a few runs, one of which has a hostile name."""
    with live_server(partial(local_services, tmp_path_factory.mktemp("store"))) as server:
        yield server


@pytest.fixture(scope="module")
def runs(server: LiveServer) -> list[str]:
    """The ids of runs with parameters, curves and all that hangs on them; the first has the hostile name."""
    client = ApiClient(server.url, server.headers)
    return [make_run(client, i, HOSTILE if i == 0 else f"digits-{i}") for i in range(6)]


def make_run(client: ApiClient, number: int, name: str, *, points: int = 40) -> str:
    """Make a run that learns, and return its id."""
    run_id = random_id()
    metadata = {"params.lr": 10.0 ** -(number % 3 + 1), "params.net": "mlp", f"params.{HOSTILE}": name, "tags.baseline": number == 0}
    body = {"name": name, "id": run_id, "namespace": NAMESPACE, "metadata": {**metadata, "git.diff": f"+{HOSTILE}\n" * 30}}
    assert client.api("POST", "/experiments", body).status == 201
    steps = range(points)
    curves = {METRIC: [1 / (1 + step * (number + 1) / 9) for step in steps], "accuracy": [1 - 0.9 ** (step + number) for step in steps]}
    curves[HOSTILE] = [math.sin(step / 5) for step in steps]
    series = [{"object_id": run_id, "key": key, "values": values} for key, values in curves.items()]
    assert client.api("POST", "/metrics", {"series": series}).status == 200
    if number != 1:
        client.api("PATCH", f"/experiments/{run_id}", {"status": "failed" if number == 3 else "finished"})
    return run_id


def many_runs(count: int) -> Services:
    """Return services that hold many runs, with parameters and metrics each."""
    services = ephemeral_services()
    for i in range(count):
        metadata = {"params.lr": 10.0 ** -(i % 4), "params.seed": i, "params.depth": i % 7, "params.net": f"net-{i % 3}"}
        run_id = f"{i:040x}"
        services.experiments.create(ADA, ExperimentCreate(name=f"run-{i}", id=run_id, namespace="search", metadata=metadata))
        services.experiments.update(ADA, run_id, ExperimentUpdate(status="finished"))
    for start in range(0, count, 1000):
        services.metrics.append(
            ADA,
            [
                SeriesBlock(
                    object_id=f"{i:040x}",
                    key=key,
                    steps=array("q", (0, 1)),
                    wall_times_us=array("q", (0, 1)),
                    values=array("d", (1.0, value)),
                )
                for i in range(start, min(start + 1000, count))
                for key, value in (("loss", i / count), ("accuracy", 1 - i / count))
            ],
        )
    return services


def test_a_wrong_token_is_refused_and_the_right_one_kept(browser: Browser, server: LiveServer, runs: list[str]) -> None:
    with shown(browser, server) as web:
        page = web.page
        page.goto(f"{server.url}/")
        expect(page.get_by_text("modelbox server token --port")).to_be_visible()
        keep_picture(page, "page sign in")
        page.get_by_label("Token of this server").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The token is not valid: send the token of this server.")
        web.troubles.clear()  # the browser itself writes down the 401 answers that were asked for here
        page.get_by_label("Token of this server").fill(server.token)
        page.get_by_role("button", name="Sign in").click()
        expect(web.rows()).to_have_count(len(runs))
        page.reload()
        expect(web.rows()).to_have_count(len(runs))
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token of this server")).to_be_visible()
        assert page.context.cookies() == []
        web.troubles.clear()


def test_a_token_behind_the_hash_opens_the_page_and_leaves_the_address(browser: Browser, server: LiveServer, runs: list[str]) -> None:
    with shown(browser, server) as web:
        web.open()
        expect(web.rows()).to_have_count(len(runs))
        assert web.page.url == f"{server.url}/#/"
        assert server.token not in str(web.page.evaluate("JSON.stringify(window.history.state) + document.documentElement.outerHTML"))


def test_ten_thousand_runs_scroll_sort_and_filter(browser: Browser) -> None:
    services = many_runs(MANY)
    with live_server(lambda: services) as server, shown(browser, server) as web:
        web.open()
        page = web.page
        expect(web.rows().first).to_contain_text(f"run-{MANY - 1}")
        expect(page.get_by_role("status")).to_contain_text(f"{MANY:,} experiments", timeout=60_000)
        assert web.rows().count() < 80
        keep_picture(page, "page many")
        page.get_by_role("grid").focus()
        page.keyboard.press("End")
        expect(web.rows().last).to_contain_text("run-0")
        page.get_by_role("columnheader", name="loss").click()
        page.keyboard.press("Home")
        expect(page.locator(".mbw-body [aria-rowindex='2']")).to_contain_text("run-0")
        query = page.get_by_label("Filter by a query")
        query.fill("params.depth = 3 and metrics.loss.last < 0.01")
        expect(page.get_by_role("status")).to_contain_text("14 experiments")
        query.fill("params.depth = ")
        expect(page.get_by_role("alert")).to_contain_text("params.depth = ")
        web.troubles.clear()  # the answer 400 that was asked for here
