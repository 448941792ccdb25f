"""The one-file executable: with an empty environment, and on a machine without Python."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from modelbox.testing.sdk2022 import run_script, sdk_python
from modelbox_server.testing.engines import DatabaseServer, mariadb_server, postgres_server
from modelbox_server.testing.s3_engine import s3_engine

__all__ = ["sdk_python"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIBRARIES = ["libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libz.so.1"]


@pytest.fixture(scope="module")
def executable(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy that lies nowhere near the checkout; it is built anew when its sources are newer."""
    copy = tmp_path_factory.mktemp("bin") / "modelbox"
    subprocess.run([sys.executable, checkout / "deploy" / "executable" / "build.py", copy], check=True, timeout=500)
    return copy


def run(executable: Path, home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [executable, *arguments], capture_output=True, text=True, check=False, timeout=120, env={"HOME": str(home), **environment}, cwd=home
    )


@contextmanager
def served(executable: Path, home: Path, *arguments: str, **environment: str) -> Iterator[dict[str, str]]:
    """Run ``server start`` and yield what its runtime file says."""
    folder, log_path = home / ".local" / "state" / "modelbox" / "servers", home / "server.log"
    with log_path.open("wb") as log:
        command = [executable, "server", "start", *arguments]
        told = {"HOME": str(home), **environment}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=told, cwd=home, start_new_session=True)
    try:
        until_s = time.monotonic() + 60
        while not (found := list(folder.glob("*.json"))):
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < until_s, log_path.read_text()
            time.sleep(0.05)
        yield json.loads(found[0].read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log_path.read_text()
    finally:
        with suppress(ProcessLookupError):  # the server, and what unpacked it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_file_of_init_config_serves_the_sdk_of_2022(executable: Path, sdk_python: Path, checkout: Path, tmp_path: Path) -> None:
    made = run(executable, tmp_path, "server", "init-config")
    assert made.stdout == "config written to path: modelbox_server.toml\n", made.stderr
    # The file stays as it was written; the environment takes the server to a free port and away from the shared folder.
    environment = {"MODELBOX_LISTEN_ADDR": "127.0.0.1:0", "MODELBOX_ARTIFACT_STORAGE_FILESYSTEM_BASE_DIR": str(tmp_path / "blobs")}
    environment["TMPDIR"] = str(tmp_path / "unpacked")
    (tmp_path / "unpacked").mkdir()
    with served(executable, tmp_path, "-config-path", "modelbox_server.toml", **environment) as record:
        address = record["url"].removeprefix("http://")
        seen = run_script(sdk_python, Path(__file__).parents[1] / "sdk2022" / "tutorial.py", address, tmp_path)
        assert seen["experiment"] == "e71a25a8d3d481463c281f083f5e2671ea2896bc"
        assert seen["downloaded as uploaded"] is True
        assert [step for step, _, _ in seen["metrics"]["loss"]] == [5, 10, 20]
        with urllib.request.urlopen(record["url"], timeout=60) as page:  # noqa: S310  (a server of the test)
            is_built = (checkout / "server_ext" / "modelbox_server" / "page_files" / "index.html").exists()
            assert (b"assets/" in page.read()) == is_built, "the web page is in it, once it was built"
        listed = run(executable, tmp_path, "client", "experiments", "list", "--json", MODELBOX_API_ADDR=address)
        assert [run["name"] for run in json.loads(listed.stdout)] == ["wav2vec"], listed.stderr
    assert list((tmp_path / "unpacked").iterdir()) == [], "what the executable unpacked goes when it ends"


def test_a_hangup_reaches_the_server_that_it_unpacked(executable: Path, tmp_path: Path) -> None:
    """That is how systemd reloads it; the process that it knows is the one that unpacks."""
    config = tmp_path / "box.toml"
    config.write_text(
        'listen_addr = "127.0.0.1:0"\nprometheus_addr = ""\nmetadata_storage = "integrated"\nmetrics_storage = "integrated"\n'
        f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path}/blobs"\n'
        f'[metadata_storage_integrated]\npath = "{tmp_path}/m.db"\n[metrics_storage_integrated]\npath = "{tmp_path}/p.db"\n'
    )
    with served(executable, tmp_path, "--config-path", "box.toml") as record:
        parent = int(re.findall(r"^PPid:\s+(\d+)$", Path(f"/proc/{record['pid']}/status").read_text(), re.MULTILINE)[0])
        assert parent != os.getpid(), "the server is a child of what was started"
        os.kill(parent, signal.SIGHUP)
        until_s = time.monotonic() + 60
        while "was read again" not in (tmp_path / "server.log").read_text():
            assert time.monotonic() < until_s, (tmp_path / "server.log").read_text()
            time.sleep(0.05)


@pytest.mark.parametrize(("storage", "database_server"), [("postgres", postgres_server), ("mysql", mariadb_server)])
def test_it_brings_the_drivers_of_databases_and_buckets(
    executable: Path, tmp_path: Path, storage: str, database_server: Callable[[], DatabaseServer]
) -> None:
    with database_server().database() as database, s3_engine() as engine, engine.bucket() as bucket:
        environment = {"MODELBOX_LISTEN_ADDR": "127.0.0.1:0", "MODELBOX_METADATA_STORAGE": storage, "MODELBOX_ARTIFACT_STORAGE": "s3"}
        reached = {name: str(getattr(database, name)) for name in ("host", "port", "username", "password", "dbname")}
        environment |= {f"MODELBOX_METADATA_STORAGE_{storage}_{name}".upper(): value for name, value in reached.items()}
        found = {name: str(getattr(bucket, name)) for name in ("region", "bucket", "endpoint_url", "access_key", "secret_key")}
        environment |= {f"MODELBOX_ARTIFACT_STORAGE_S3_{name}".upper(): value for name, value in found.items()}
        with served(executable, tmp_path, **environment) as record:
            (tmp_path / "model.bin").write_bytes(b"weights")
            told = {"MODELBOX_API_ADDR": record["url"]}
            made = run(executable, tmp_path, "client", "experiments", "create", "--name", "kept", "--json", **told)
            assert made.returncode == 0, made.stderr
            parent = re.findall(r"[0-9a-f]{40}", made.stdout)[0]
            sent = run(executable, tmp_path, "client", "artifacts", "upload", "--parent-id", parent, "--path", "model.bin", **told)
            assert sent.returncode == 0, sent.stderr


@pytest.mark.skipif(not Path("/lib/x86_64-linux-gnu").is_dir(), reason="libraries lie elsewhere than on Debian on x86-64")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can change the root folder")
def test_it_runs_where_there_is_no_python(executable: Path, tmp_path: Path) -> None:
    """In a root folder with the C library, zlib, an empty /tmp, and nothing else at all."""
    for folder in ("lib", "lib64", "tmp"):
        (tmp_path / folder).mkdir()
    shutil.copy("/lib64/ld-linux-x86-64.so.2", tmp_path / "lib64")
    for name in LIBRARIES:
        shutil.copy(f"/lib/x86_64-linux-gnu/{name}", tmp_path / "lib")
    shutil.copy2(executable, tmp_path / "modelbox")

    def run_inside(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["/usr/sbin/chroot", tmp_path, "/modelbox", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": "/"}, timeout=120)

    version = run_inside("--version")
    assert version.stdout == "modelbox 0.1.0\n", version.stderr
    assert run_inside("server", "init-config", "--path", "box.toml").returncode == 0
    checked = run_inside("server", "check-config", "box.toml")
    assert 'metadata_storage = "ephemeral"' in checked.stdout, checked.stderr


def test_what_needs_an_installation_says_so_in_one_sentence(executable: Path, tmp_path: Path) -> None:
    done = run(executable, tmp_path, "doctor", MODELBOX_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr.startswith("modelbox: This needs jupyter_core, which the one-file executable does not have: ")
    assert "Traceback" not in done.stderr
