"""A real server with some experiments, and logging that is left as it was."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelbox
from modelbox.testing.command_line import CommandLine
from modelbox.testing.server_process import running_server

HOSTILE_VALUE = "\x1b[31mred\x07 \u202egnp.exe\nsecond line"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A server that starts in this process, and be it to fail, has all log lines of the process."""
    root, access = logging.getLogger(), logging.getLogger("tornado.access")
    handlers, levels = root.handlers[:], (root.level, access.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    access.setLevel(levels[1])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Yield the command, and a server that knows a few experiments."""
    folder = tmp_path_factory.mktemp("served")
    config = folder / "server.toml"
    config.write_text(f'listen_addr = "127.0.0.1:0"\n[artifact_storage_filesystem]\nbase_dir = "{folder / "blobs"}"\n')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MODELBOX_", "JUPYTER", "JPY_", "XDG_", "COLUMNS"))}
    own = {
        name: str(folder / name.lower())
        for name in ("MODELBOX_STATE_DIR", "MODELBOX_CONFIG_DIR", "MODELBOX_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    env = kept | own | {"HOME": str(folder), "PATH": path, "TZ": "UTC", "LC_ALL": "C.UTF-8", "MODELBOX_COMPLETION_S": "60"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        server = running_server(config)
        record = server.__enter__()
    try:
        env |= {"MODELBOX_API_ADDR": record["url"], "MODELBOX_API_TOKEN": record["token"]}
        with modelbox.ModelBox(record["url"], token=record["token"], provenance=False, system_metrics=False) as box:
            _fill(box, folder)
        yield CommandLine(folder, env)
    finally:
        server.__exit__(None, None, None)


def _fill(box: modelbox.ModelBox, folder: Path) -> None:
    (folder / "model.pt").write_bytes(b"weights")
    for name, lr in (("baseline", 0.01), ("digits", 0.003), ("$(touch injected);", 0.5), ("漢字のモデル", 0.7), ("x" * 500, 0.9)):
        with box.start(name, namespace="team/vision", params={"lr": lr}, metadata={"note": HOSTILE_VALUE}) as run:
            run.log(loss=lr, accuracy=1 - lr / 10, step=1)
        if name == "digits":
            run.upload_artifact(folder / "model.pt")
            run.log_event("checkpoint written", source="trainer")
    for number in range(25):
        box.start(f"run-{number}", namespace="team/vision", params={"lr": 1.0}).finish()
    box.people.new_token("nightly", role="reader")
    model = box.new_model("digits", task="classification", namespace="team/vision")
    model.new_model_version("1", unique_tags=["prod"])
