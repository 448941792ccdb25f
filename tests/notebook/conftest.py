"""A shell like that of a kernel, and a store in memory that the module-level functions use."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from modelbox.client import active, observers, shared
from modelbox.client.connection import ModelBox
from modelbox.notebook import load_ipython_extension, unload_ipython_extension
from modelbox.testing import memory_connection
from modelbox.testing.fixtures import clean_modelbox_environment

__all__ = ["clean_modelbox_environment"]


@pytest.fixture
def box(clean_modelbox_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelBox]:
    with memory_connection() as connection:
        monkeypatch.setattr(shared, "_default", connection)
        yield connection
        while (experiment := active.current()) is not None:
            active.end(experiment)


@pytest.fixture
def terminal(box: ModelBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell as in a terminal, with the extension loaded; what it displays is captured."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    yield from _loaded(kernel=False)


@pytest.fixture
def shell(box: ModelBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell as in a kernel, with the extension loaded; what it displays is captured."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    yield from _loaded(kernel=True)


def _loaded(*, kernel: bool) -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    if kernel:
        shell.kernel = object()
    shell.display_pub = CapturingDisplayPublisher(parent=shell, shell=shell)
    load_ipython_extension(shell)
    yield shell
    unload_ipython_extension(shell)
    InteractiveShell.clear_instance()
    assert observers._observers == {"started": [], "finished": []}
