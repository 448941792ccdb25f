"""In a browser: people sign in at the Hub, and see at the service what they may."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

import modelbox
from modelbox_server.testing.browser import keep_picture, new_profile, running_chromium
from modelbox_server.testing.hub import PASSWORD, RunningHub

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def runs(hub: RunningHub) -> dict[str, str]:
    """Ids of runs by name: one of bob's, one of his that the group has."""
    ids = {}
    with modelbox.ModelBox(hub.modelbox_url, token=hub.make_token("bob")[0], strict=True) as bob:
        for name, namespace in (("seen by bob alone", "default"), ("seen by the group", "group/vision")):
            with bob.start(name, namespace=namespace) as run:
                run.log(loss=0.5, step=1)
            ids[name] = run.id
    return ids


@pytest.fixture(scope="module")
def profile() -> Iterator[BrowserContext]:
    with running_chromium() as browser, new_profile(browser) as profile:
        yield profile


@pytest.fixture
def signed_in(profile: BrowserContext, hub: RunningHub) -> Iterator[Page]:
    """The page as alice sees it, and every address that was asked for on the way."""
    profile.clear_cookies()
    page = profile.new_page()
    page.goto(f"{hub.modelbox_url}/")
    page.locator("#username_input").fill("alice")
    page.locator("#password_input").fill(PASSWORD)
    page.locator("#login_submit").click()
    page.locator(".mb-top").wait_for()
    yield page
    page.close()


def test_people_sign_in_at_the_hub_and_see_what_they_may(signed_in: Page, hub: RunningHub, runs: dict[str, str]) -> None:
    page = signed_in
    assert page.url.startswith(f"{hub.modelbox_url}/")
    assert "code=" not in page.url
    expect(page.locator(".mb-user")).to_have_text("alice")
    expect(page.get_by_text("seen by the group")).to_be_visible()
    expect(page.get_by_text("seen by bob alone")).to_have_count(0)
    keep_picture(page, "hub_page")
    page.evaluate("id => { window.location.hash = `#/experiments/${id}`; }", runs["seen by bob alone"])
    expect(page.get_by_text(re.compile("There is no experiment"))).to_be_visible()


def test_scripts_reach_neither_the_session_nor_the_token(signed_in: Page, hub: RunningHub) -> None:
    assert "modelbox-session" not in signed_in.evaluate("document.cookie")
    assert signed_in.evaluate("Object.keys(sessionStorage).length") == 0
    # A page of a user's server lies on the same origin: it has neither the session's cookie to read nor the proof to send.
    outside = signed_in.context.new_page()
    outside.goto(f"{hub.url}/hub/home")
    assert "modelbox" not in outside.evaluate("document.cookie")
    asked = "async url => (await fetch(url, {credentials: 'include'})).status"
    assert outside.evaluate(asked, f"{hub.modelbox_url}/api/v1/experiments") == 403
    framed = """async url => {
        const frame = document.createElement('iframe');
        const loaded = new Promise(done => { frame.onload = done; });
        frame.src = url;
        document.body.append(frame);
        await loaded;
        try { return frame.contentDocument?.cookie ?? ''; } catch { return ''; }
    }"""
    for path in ("/", "/api/v1/info", "/livez"):
        assert "modelbox" not in outside.evaluate(framed, f"{hub.modelbox_url}{path}")
    outside.close()


def test_whoever_leaves_the_hub_leaves_modelbox(signed_in: Page, hub: RunningHub) -> None:
    other = signed_in.context.new_page()
    other.goto(f"{hub.url}/hub/logout")
    other.close()
    expect(signed_in.get_by_role("link", name="Sign in with JupyterHub")).to_be_visible(timeout=30_000)
    assert signed_in.get_by_role("link", name="Sign in with JupyterHub").get_attribute("href") == f"{hub.modelbox_url}/login"
