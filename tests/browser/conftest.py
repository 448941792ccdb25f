"""A real JupyterLab at a base URL that wants escaping, and a real Chromium that looks at it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from modelbox_server.testing.browser import LabPage, new_profile, open_lab, running_chromium
from modelbox_server.testing.lab import Lab, running_lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


# Module scope, not session: Playwright keeps an event loop running as long as it lives, and other tests bring their own.
@pytest.fixture(scope="module")
def profile() -> Iterator[BrowserContext]:
    with running_chromium() as browser, new_profile(browser) as profile:
        yield profile


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def shown(profile: BrowserContext, lab: Lab) -> Iterator[LabPage]:
    """The lab in a page of its own; no script may have failed, and no request may have gone to another host."""
    with open_lab(profile, lab) as page:
        yield page
        assert page.errors == []
        assert page.foreign_requests == []
