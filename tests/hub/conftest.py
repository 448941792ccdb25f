"""One JupyterHub for all tests here: alice and bob of the group vision, rita of the group readers, carol of none."""

from collections.abc import Iterator

import pytest

from modelbox_server.testing.hub import RunningHub, running_hub


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/hub/" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub"), writers=tuple(f"user{number:02}" for number in range(50))) as hub:
        yield hub
