"""Processes of the benchmarks: drivers, each in the environment of its tracker, and the servers that some of them talk to."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).resolve().parent / "peers"
sys.path.insert(0, str(PEERS))

from environments import ENVIRONMENTS, PACKAGES, python_of  # noqa: E402  # stands beside the drivers, which know no packages

from modelbox_server.testing.jupyter_process import free_port  # noqa: E402

SERVERS = {"modelbox": "modelbox_server_process.py", "trackio": "trackio_server.py", "mlflow": "mlflow_server.py"}
_PRIVATE = ("MODELBOX_", "TRACKIO_", "MLFLOW_", "WANDB_", "JPY_", "HF_")


class DriverFailed(Exception):
    """A tracker could not do what a row asks for."""


def installed() -> list[str]:
    """Return the trackers whose environments are there."""
    return [tracker for tracker in PACKAGES if (ENVIRONMENTS / tracker / "ready").exists()]


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment in which no tracker sees settings, caches or stores of whoever runs this; bytecode is allowed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    offline = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return inherited | offline | {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "MODELBOX_DATA_DIR": str(home / "data")}


class DriverProcess:
    """A driver that answers requests until its ``with`` block ends.

    Parameters
    ----------
    tracker
        Whose.
    folder
        Where it may leave files; also its log.
    """

    def __init__(self, tracker: str, folder: Path) -> None:
        self.tracker = tracker
        self._log = (folder / f"{tracker}.log").open("ab")
        self._process = subprocess.Popen(
            [python_of(tracker), PEERS / f"{tracker}_driver.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=folder,
            env=_environment(folder),
        )

    def send(self, do: str, **arguments: object) -> None:
        """Send a request without waiting for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, float]:
        """Return the answer to the request sent last."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DriverFailed(f"{self.tracker}: the process ended")
        answer: dict[str, float] = json.loads(line)
        if "error" in answer:
            raise DriverFailed(f"{self.tracker}: {answer['error']}")
        return answer

    def ask(self, do: str, **arguments: object) -> dict[str, float]:
        """Send a request and return its answer."""
        self.send(do, **arguments)
        return self.answer()

    def __enter__(self) -> "DriverProcess":
        return self

    def __exit__(self, *_: object) -> None:
        # Nothing of a driver outlives its row, and none may send the rest of its points into the next one.
        self._process.kill()
        self._process.communicate()
        self._log.close()


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    address: str
    token: str
    pid: int

    def peak_mib(self) -> float:
        """Return the most memory it had so far."""
        return int(Path(f"/proc/{self.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

    @property
    def where(self) -> dict[str, str]:
        """What a driver needs to know."""
        return {"address": self.address, "token": self.token}


class ServerProcess:
    """A server until its ``with`` block ends, or until it is killed."""

    def __init__(self, tracker: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [python_of(tracker), PEERS / SERVERS[tracker], folder, str(free_port())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=folder,
            env=_environment(folder),
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DriverFailed(f"the server of {tracker} did not start: {(folder / 'server.log').read_text()[-500:]}")
        self.server = Server(**json.loads(line), pid=self._process.pid)

    def kill(self) -> None:
        """Kill it, as kill -9 does."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@contextmanager
def empty_folder() -> Iterator[Path]:
    """Return a folder for one measurement. Outside of this repository: some trackers look for one above them, and write to it."""
    with tempfile.TemporaryDirectory(prefix="modelbox-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def size_bytes(folder: Path) -> int:
    """Return what the files below `folder` take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
