"""What the image of the server runs, in the environment that its steps make: there is no container engine where the tests run."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def words_of(checkout: Path, pattern: str) -> list[str]:
    """Return the words of the last instruction that `pattern` finds."""
    found = re.findall(pattern, (checkout / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    words: list[str] = json.loads(found[-1])
    return words


def test_the_server_of_the_image_gets_healthy_serves_and_stops(checkout: Path, home: Path, tmp_path: Path) -> None:
    start = words_of(checkout, r"^ENTRYPOINT (.+)$") + words_of(checkout, r"^CMD (.+)$")
    healthy = words_of(checkout, r"^    CMD (.+)$")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = (checkout / "deploy" / "modelbox_server.toml").read_text()
    (tmp_path / "box.toml").write_text(config.replace("/var/lib/modelbox", str(tmp_path / "state")).replace(":2112", ""))
    (tmp_path / "state").mkdir(mode=0o700)
    environment = {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path / "state"), "MODELBOX_LISTEN_ADDR": f":{port}"}
    start = [word.replace("/etc/modelbox/modelbox_server.toml", str(tmp_path / "box.toml")) for word in start]
    healthy = [word.replace(":8085", f":{port}") for word in healthy]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(start, env=environment, cwd=tmp_path / "state", stdout=log, stderr=log)
    try:
        until_s = time.monotonic() + 60
        while subprocess.run(healthy, env=environment, capture_output=True, check=False).returncode != 0:
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until_s, (tmp_path / "log").read_text()
        command = ["modelbox", "client", "experiments", "create", "--name", "in a container"]
        subprocess.run(command, env=environment | {"MODELBOX_API_ADDR": f"127.0.0.1:{port}"}, check=True, capture_output=True, timeout=60)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, (tmp_path / "log").read_text()
    finally:
        server.kill()
        server.wait()
    assert subprocess.run(healthy, env=environment, capture_output=True, check=False).returncode == 1, (
        "a server that is gone is not healthy"
    )
    assert {path.name for path in (tmp_path / "state").iterdir()} >= {"blobs", "metadata.db", "metrics.db"}
