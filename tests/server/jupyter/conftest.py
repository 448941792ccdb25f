"""Jupyter's own fixtures, with the extension loaded and everything below a temporary folder; the base URL is ``/a%40b/``."""

from pathlib import Path

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403
from traitlets.config import Config


@pytest.fixture
def jp_server_config(tmp_path: Path) -> Config:
    """Load the extension on a store of its own."""
    return Config(
        {
            "ServerApp": {"jpserver_extensions": {"modelbox_server": True}},
            "ModelBoxExtension": {"data_dir": str(tmp_path / "store")},
        }
    )


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what whoever runs the tests has set."""
    for variable in ("MODELBOX_JUPYTER_URL", "MODELBOX_JUPYTER_TOKEN", "JUPYTERHUB_USER", "JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS"):
        monkeypatch.delenv(variable, raising=False)
