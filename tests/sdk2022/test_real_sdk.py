"""The SDK of 2022, unmodified from the package index, against a server from the configuration file of ``init-config``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox.cli.main import main
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox.testing.sdk2022 import run_script, sdk_python
from modelbox.testing.server_process import running_server

__all__ = ["clean_modelbox_environment", "sdk_python"]

TUTORIAL = Path(__file__).parent / "tutorial.py"


@pytest.fixture(params=["ephemeral", "integrated"])
def server_addr(request: pytest.FixtureRequest, tmp_path: Path, clean_modelbox_environment: Path) -> Iterator[str]:
    """Run a server from the generated file, on a free port and in folders of the test."""
    path = tmp_path / "modelbox_server.toml"
    assert main(["server", "init-config", "--path", str(path)]) == 0
    text = path.read_text().replace('":8085"', '"127.0.0.1:0"').replace("/tmp/", f"{tmp_path}/")  # noqa: S108
    if request.param == "integrated":
        text = text.replace('"ephemeral"', '"integrated"').replace('"inmemory"', '"integrated"')
        text += f'[metrics_storage_integrated]\npath = "{tmp_path}/metrics.dat"\n'
    path.write_text(text)
    with running_server(path) as record:
        yield record["url"].removeprefix("http://")


def test_the_tutorials_of_2022_run_unchanged(sdk_python: Path, server_addr: str, tmp_path: Path) -> None:
    seen = run_script(sdk_python, TUTORIAL, server_addr, tmp_path)
    assert seen["experiment"] == seen["same experiment"] == "e71a25a8d3d481463c281f083f5e2671ea2896bc"
    known = [seen["experiment"], "wav2vec", "owner@email.com", "langtech", "extern123"]
    assert seen["experiments"] == [known]
    assert seen["fetched"] == known
    assert seen["elsewhere"] == 0
    assert seen["metadata"] == {"foo/bar": 12.0, "hyperparams": {"lr": 0.5, "layers": [1.0, 2.0], "name": "é"}}
    assert seen["checkpoints"] == [[seen["checkpoint"], 1]] == [["97f7fccf8d2d67aa78d7d58a86b5d938ddff9f38", 1]]
    assert seen["models"] == [[seen["model"], "asr_en", "asr"]] == [["93b7cf0bec10ff6d500a9273bc34ab7eff02eeca", "asr_en", "asr"]]
    assert seen["version"] == "0ae662556996e18f364a41b82cd1a4e043062687"
    assert seen["downloaded as uploaded"] is True
    assert seen["artifacts"] == [["3732697ec8c3808753130b69197b6289e88b4c96", "0019d23bef56a136a1891211d7007f6f", "test_artifact.txt"]]
    loss = seen["metrics"]["loss"]
    assert [(step, at_s) for step, at_s, _ in loss] == [(5, 12347), (10, 12345), (20, 12346)]
    assert [value for _, _, value in loss] == pytest.approx([2.6, 2.4, 2.5])
    assert seen["events"] == [["checkpoint_store_begin", "trainer", {"chk": 1.0}], ["checkpoint_store_finish", "trainer", {"chk": 1.0}]]
    assert seen["events of the version"] == ["inference"]
