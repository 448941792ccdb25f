"""A server of its own process, started by the command that people use, for tests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelbox.settings import servers_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["running_server"]

_START_S = 60.0
_STOP_S = 30.0


@contextmanager
def running_server(config: Path, flag: str = "--config-path") -> Iterator[dict[str, str]]:
    """Run ``modelbox server start`` until the block is left, and yield what its runtime file says: ``url``, ``token``, ``pid``.

    Parameters
    ----------
    config
        The configuration file; the log goes beside it, as ``NAME.log``. The server's port must be 0, or its own.
    flag
        How the file is named on the command line.
    """
    folder, log_path = servers_folder(), config.with_suffix(".log")
    before = set(folder.glob("*.json"))
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "modelbox.cli.main", "server", "start", flag, str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
    try:
        until_s = time.monotonic() + _START_S
        while not (found := set(folder.glob("*.json")) - before):
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < until_s, f"The server did not come up: {log_path.read_text()}"
            time.sleep(0.02)
        yield {name: str(value) for name, value in json.loads(found.pop().read_text()).items()}
        process.send_signal(signal.SIGTERM)
        assert process.wait(_STOP_S) == 0, log_path.read_text()
    finally:
        process.kill()
        process.wait()
    assert set(folder.glob("*.json")) <= before
