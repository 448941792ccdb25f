"""The standalone web page in a real Chromium, against a real server."""

import base64
import math
import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from modelbox.entities.ids import random_id
from modelbox.entities.series import SeriesBlock
from modelbox.wire.messages import ExperimentCreate
from modelbox_server.service.context import Caller
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.browser import keep_picture, running_chromium
from modelbox_server.testing.jupyter_process import jupyter_process
from modelbox_server.testing.live_server import LiveServer, live_server
from modelbox_server.wiring import Services, ephemeral_services, local_services

NAMESPACE = "équipe/vision"
METRIC = "val/loss @1"
HOSTILE = '<img src=x onerror="window.__pwn=1"> \' {{7*7}} \\n run'
ADA = Caller("ada", "http")
MANY = 10_000
CURVE = re.compile("M.+L")
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


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
    metadata = {
        "params.lr": 10.0 ** -(number % 3 + 1),
        "params.hidden": 16 * (number + 1),
        "params.net": "mlp",
        "tags.baseline": number == 4,
    }
    if name == HOSTILE:
        metadata |= {f"params.{HOSTILE}": HOSTILE, f"tags.{HOSTILE}": True, "git.diff": f"+{HOSTILE}\n" * 30}
    body = {"name": name, "id": run_id, "namespace": NAMESPACE, "metadata": metadata}
    assert client.api("POST", "/experiments", body).status == 201
    steps = range(points)
    curves = {METRIC: [1 / (1 + step * (number + 1) / 9) for step in steps], "accuracy": [1 - 0.9 ** (step + number) for step in steps]}
    if name == HOSTILE:
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
        expect(page.get_by_role("alert")).to_contain_text("The token is not valid")
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


def test_hostile_names_are_shown_as_they_are(browser: Browser, server: LiveServer, runs: list[str]) -> None:
    client = ApiClient(server.url, server.headers)
    model_id = client.api("POST", "/models", {"name": HOSTILE, "task": HOSTILE, "description": HOSTILE}).json["item"]["id"]
    client.api("POST", f"/models/{model_id}/versions", {"version": HOSTILE, "tags": [HOSTILE], "experiment_id": runs[0]})
    client.api("POST", f"/objects/{runs[0]}/events", {"name": HOSTILE, "source": HOSTILE, "metadata": {HOSTILE: HOSTILE}})
    with shown(browser, server) as web:
        web.open()
        expect(web.rows().filter(has_text="{{7*7}}")).to_have_count(1)
        web.page.get_by_role("link", name=HOSTILE).click()
        expect(web.page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        expect(web.page.locator("figcaption", has_text=HOSTILE)).to_be_visible()
        expect(web.page.locator("svg.marks")).to_have_count(3)
        web.page.get_by_text("git.diff").click()
        web.page.get_by_role("link", name="Events and changes").click()
        expect(web.page.get_by_label("Events").get_by_role("listitem")).to_contain_text(HOSTILE)
        web.go("models")
        expect(web.page.locator(".mb-version b")).to_have_text(HOSTILE)
        expect(web.page.locator(".mb-version .mb-tag")).to_have_text(HOSTILE)
        web.go(f"compare/{','.join(runs[:2])}")
        expect(web.page.get_by_role("table", name="What differs")).to_contain_text(HOSTILE)
        expect(web.page.locator("svg.marks")).to_have_count(1)


def test_a_run_appears_and_its_chart_moves_while_it_is_logged(browser: Browser, server: LiveServer, runs: list[str]) -> None:
    client = ApiClient(server.url, server.headers)
    run_id = random_id()
    with shown(browser, server) as web:
        web.open()
        expect(web.rows().first).to_be_visible()
        client.api("POST", "/experiments", {"name": "live", "id": run_id, "namespace": NAMESPACE})
        expect(web.rows().first).to_contain_text("live")
        web.page.get_by_role("link", name="live").click()
        expect(web.page.get_by_text("No metrics yet")).to_be_visible()
        log(client, run_id, range(3))
        curve = web.page.locator("svg.marks .mark-line path")
        expect(curve).to_have_attribute("d", CURVE)
        before = curve.get_attribute("d")
        log(client, run_id, range(3, 30))
        expect(curve).not_to_have_attribute("d", before or "")
        expect(web.page.get_by_role("row", name="loss")).to_contain_text("30")
        client.api("PATCH", f"/experiments/{run_id}", {"status": "finished"})
        expect(web.page.locator(".mb-head .mbw-badge")).to_have_text("finished")
        web.page.get_by_role("link", name="Experiments").click()
        expect(web.rows().filter(has_text="live")).to_have_count(1)
        client.api("DELETE", f"/experiments/{run_id}")
        expect(web.rows().filter(has_text="live")).to_have_count(0)


def test_runs_are_selected_and_compared_by_keyboard(browser: Browser, server: LiveServer, runs: list[str]) -> None:
    with shown(browser, server, dark=True) as web:
        web.open()
        page = web.page
        expect(web.rows()).to_have_count(len(runs))
        page.get_by_role("grid").focus()
        for key in ("Space", "ArrowDown", "Space", "ArrowDown", "Space"):
            page.keyboard.press(key)
        page.get_by_role("link", name="Compare 3").press("Enter")
        table = page.get_by_role("table", name="What differs")
        expect(table.get_by_role("columnheader")).to_have_count(3)
        expect(table).to_contain_text("lr")
        expect(table).not_to_contain_text("mlp")
        page.get_by_role("button", name="Show what is the same").click()
        expect(table).to_contain_text("mlp")
        page.get_by_label("Metric").select_option(METRIC)
        expect(page.locator("figcaption")).to_have_text(METRIC)
        expect(page.locator("svg.marks .mark-line path")).to_have_count(3)
        assert f"metric={quote(METRIC, safe='').replace('%20', '+')}" in page.url
        page.set_viewport_size({"width": 1150, "height": 760})
        keep_picture(page, "page compare dark")
        ground = str(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert sum(int(part) for part in ground[4:-1].split(",")) < 120


def test_addresses_can_be_shared_reloaded_and_left_again(browser: Browser, server: LiveServer, runs: list[str]) -> None:
    with shown(browser, server) as web:
        page = web.page
        page.goto(f"{server.url}/#/experiments/{runs[2]}/artifacts")
        page.get_by_label("Token of this server").fill(server.token)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("digits-2")
        expect(page.get_by_text("No artifacts.")).to_be_visible()
        web.troubles.clear()  # the 401 before the token was there
        page.reload()
        expect(page.get_by_text("No artifacts.")).to_be_visible()
        page.get_by_role("link", name="Experiments").click()
        page.get_by_label("Filter by a query").fill("params.lr = 0.1")
        expect(web.rows()).to_have_count(2)
        web.rows().first.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("digits-3")
        page.go_back()
        expect(page.get_by_label("Filter by a query")).to_have_value("params.lr = 0.1")
        expect(web.rows()).to_have_count(2)
        page.reload()
        expect(web.rows()).to_have_count(2)
        web.go("experiments/" + "0" * 40)
        expect(page.get_by_role("alert")).to_contain_text("0" * 40)
        web.troubles.clear()  # the 404 that was asked for


def test_files_are_previewed_as_what_they_are_and_saved_whole(browser: Browser, server: LiveServer, runs: list[str]) -> None:
    client = ApiClient(server.url, server.headers)
    drawing = f"<svg xmlns='http://www.w3.org/2000/svg' onload='window.__pwn=1'>{HOSTILE}</svg>".encode()
    for name, media, body in (("plot.png", "image/png", PNG), ("evil.svg", "image/svg+xml", drawing), ("evil.html", "text/html", drawing)):
        address = f"/api/v1/objects/{runs[3]}/artifacts?name={name}&media_type={quote(media, safe='')}"
        assert client.request("PUT", address, body=body).status == 201
    with shown(browser, server) as web:
        web.open(f"experiments/{runs[3]}/artifacts")
        page = web.page
        for name in ("evil.html", "evil.svg"):
            row = page.get_by_role("row", name=name)
            row.get_by_role("button", name="Preview").click()
            expect(page.locator(".mb-preview pre")).to_have_text(drawing.decode())
        page.get_by_role("row", name="plot.png").get_by_role("button", name="Preview").click()
        expect(page.locator(".mb-preview img")).to_have_js_property("naturalWidth", 1)
        with page.expect_download() as saving:
            page.get_by_role("row", name="evil.svg").get_by_role("button", name="Download").click()
        assert saving.value.suggested_filename == "evil.svg"
        assert saving.value.path().read_bytes() == drawing


def test_a_phone_shows_everything_without_scrolling_sideways(browser: Browser, server: LiveServer, runs: list[str]) -> None:
    with shown(browser, server, width=390, height=800) as web:
        web.open()
        for view in (
            "experiments",
            f"experiments/{runs[1]}",
            f"experiments/{runs[1]}/history",
            f"compare/{','.join(runs)}",
            "models",
            "access",
            "server",
        ):
            web.go(view)
            expect(web.page.get_by_text("Looking for")).to_have_count(0)
            assert web.page.evaluate("document.documentElement.scrollWidth") <= 390, view
        expect(web.page.get_by_role("table", name="Servers on this store")).to_contain_text(str(server.port))


def test_roles_and_tokens_are_given_and_taken_back(browser: Browser, server: LiveServer) -> None:
    with shown(browser, server) as web:
        web.open("access")
        page = web.page
        roles, tokens = page.get_by_role("region", name="Roles"), page.get_by_role("region", name="Tokens")
        roles.get_by_label("Namespace").fill("équipe")
        roles.get_by_label("Who").fill("ada")
        roles.get_by_role("button", name="Grant").click()
        expect(roles.get_by_role("alert")).to_contain_text("write user:NAME, group:NAME or everyone")
        web.troubles.clear()  # the answer 400 that was asked for
        roles.get_by_label("Who").fill("user:ada")
        roles.get_by_label("Role").select_option("writer")
        roles.get_by_role("button", name="Grant").click()
        expect(roles.get_by_role("row", name="user:ada")).to_contain_text("writer")
        tokens.get_by_label("Name of the token").fill(HOSTILE)
        tokens.get_by_label("Role").select_option("reader")
        tokens.get_by_role("button", name="Make a token").click()
        secret = tokens.get_by_role("status").locator("code").inner_text()
        holder = ApiClient(server.url, {"Authorization": f"Bearer {secret}"})
        assert set(holder.api("GET", "/access").json["roles"].values()) == {"reader"}
        keep_picture(page, "page access")
        tokens.get_by_role("button", name="Revoke").click()
        tokens.get_by_role("button", name="Really revoke").click()
        expect(tokens.get_by_role("row", name=HOSTILE)).to_contain_text("revoked")
        roles.get_by_role("button", name="Revoke the role of user:ada").click()
        roles.get_by_role("button", name="Really revoke the role of user:ada").click()
        expect(roles.get_by_role("row", name="user:ada")).to_have_count(0)
        assert ApiClient(server.url, server.headers).api("GET", "/grants").json["items"] == []


def test_an_empty_server_shows_the_python_that_makes_a_run(browser: Browser) -> None:
    with live_server() as server, shown(browser, server) as web:
        web.open()
        expect(web.page.locator("pre")).to_contain_text(f'modelbox.connect("{server.url}")')
        keep_picture(web.page, "page empty")
        web.go("models")
        expect(web.page.locator("pre")).to_contain_text("modelbox.new_model(")


def test_the_page_works_inside_jupyter_below_its_base_url_with_its_login(browser: Browser, tmp_path: Path) -> None:
    with jupyter_process(tmp_path) as jupyter:
        make_run(ApiClient(jupyter.url, jupyter.headers), 0, HOSTILE)
        inside = LiveServer(jupyter.url, jupyter.token, 0)
        with shown(browser, inside) as web:
            web.page.goto(f"{jupyter.url}/")
            expect(web.page.get_by_role("link", name="Log in to Jupyter")).to_be_visible()
            web.page.get_by_role("link", name="Log in to Jupyter").click()
            web.page.locator("#password_input").fill(jupyter.token)
            web.page.keyboard.press("Enter")
            web.page.get_by_role("link", name=HOSTILE).click()
            expect(web.page.locator("svg.marks .mark-line path").first).to_have_attribute("d", CURVE)
            web.troubles.clear()  # Jupyter answers a missing login with 403


def log(client: ApiClient, run_id: str, steps: range) -> None:
    series = {"object_id": run_id, "key": "loss", "steps": list(steps), "values": [1 / (1 + step) for step in steps]}
    assert client.api("POST", "/metrics", {"series": [series]}).status == 200
