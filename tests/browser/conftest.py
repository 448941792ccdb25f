"""A real JupyterLab at a base URL that wants escaping, and a real Chromium that looks at it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from modelbox_server.testing.browser import LabPage, open_lab, running_chromium
from modelbox_server.testing.jupyter import JupyterProcess, running_jupyter


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


# Module scope, not session: Playwright keeps an event loop running as long as it lives, and other tests bring their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    with running_jupyter(tmp_path_factory.mktemp("lab"), base_url="/user/a%20b/") as process:
        yield process


@pytest.fixture
def shown(chromium: Browser, lab: JupyterProcess) -> Iterator[LabPage]:
    """The lab in a fresh browser profile; no request may have gone to another host."""
    with open_lab(chromium, lab) as page:
        yield page
        assert page.foreign_requests == []
