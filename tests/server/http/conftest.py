"""The two faces that people meet, as real processes on real sockets: what holds for one holds for the other."""

from collections.abc import Iterator
from functools import partial

import pytest

from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.jupyter_process import jupyter_process
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import local_services


@pytest.fixture(scope="session")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """A standalone server on SQLite and files."""
    with live_server(partial(local_services, tmp_path_factory.mktemp("standalone"))) as server:
        yield ApiClient(server.url, server.headers)


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """A Jupyter server with the extension, below ``/user/a%20b/``."""
    with jupyter_process(tmp_path_factory.mktemp("jupyter")) as server:
        yield ApiClient(server.url, server.headers)


@pytest.fixture(params=["standalone", "jupyter"])
def client(request: pytest.FixtureRequest) -> ApiClient:
    """A client of either face, in turn."""
    found: ApiClient = request.getfixturevalue(request.param)
    return found
