"""What the page for operators tells to do, done: the blocks ``sh`` of deploy/README.md run as they stand, with places of the test."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import modelbox
from modelbox.entities.records import Role
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox.testing.server_process import running_server
from modelbox_server.config.loading import load_config
from modelbox_server.testing.engines import postgres_server

__all__ = ["clean_modelbox_environment"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "deploy" / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ENGINES = ":".join(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture
def place(clean_modelbox_environment: Path) -> Iterator[Path]:
    """A folder with deploy/ and an executable in it, as beside a release."""
    shutil.copytree(ROOT / "deploy", clean_modelbox_environment / "deploy", ignore=shutil.ignore_patterns("secrets"))
    (clean_modelbox_environment / "dist").mkdir()
    (clean_modelbox_environment / "dist" / "modelbox").write_text("#!/bin/sh\n")
    return clean_modelbox_environment


def run(place: Path, having: str, *, without: str = "", **environment: str) -> None:
    """Run the only block that has a text in it, below a folder instead of ``/``; leave out the lines with the text `without`."""
    (block,) = [block for block in BLOCKS if having in block]
    lines = [line for line in block.splitlines() if not without or without not in line]
    script = re.sub(r"(?<=[ \"])/(?=(usr|etc|var)/)", f"{place}/", "\n".join(lines))
    told = {**os.environ, "PATH": f"{os.environ['PATH']}:{ENGINES}", **environment}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=place, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def keep(url: str, file: Path) -> None:
    file.write_bytes(b"weights")
    with modelbox.ModelBox(url) as box, box.start("kept") as run:
        run.log(loss=0.5, step=3)
        run.upload_artifact(file)


def check_kept(url: str, copy: Path) -> None:
    with modelbox.ModelBox(url) as box:
        (run,) = box.experiments()
        assert (run.name, run.all_metrics()["loss"][0].value) == ("kept", 0.5)
        run.download_artifact("model.bin", copy)
    assert copy.read_bytes() == b"weights"


def test_all_blocks_are_run_here() -> None:
    assert len(BLOCKS) == 6


def test_the_executable_is_installed_for_systemd(place: Path) -> None:
    run(place, "/etc/systemd/system")
    assert os.access(place / "usr/local/bin/modelbox", os.X_OK)
    token = place / "etc/modelbox/token"
    assert token.stat().st_mode & 0o777 == 0o600
    config = load_config(place / "etc/modelbox/modelbox_server.toml", {"MODELBOX_AUTH_TOKEN_FILE": str(token)})
    assert len(config.text("auth.token")) == 64
    assert "ExecStart=/usr/local/bin/modelbox" in (place / "etc/systemd/system/modelbox.service").read_text()


def test_the_secrets_of_compose_and_kubernetes_are_made(place: Path) -> None:
    run(place, "deploy/secrets")
    made = {path.name: path.read_text().strip() for path in (place / "deploy" / "secrets").iterdir()}
    assert set(made) == set(yaml.safe_load((place / "deploy" / "docker-compose.yml").read_text())["secrets"])
    named = re.findall(r'"/run/secrets/modelbox/(\w+)"', (place / "deploy" / "kubernetes" / "modelbox_server.toml").read_text())
    assert set(made) == set(named)
    assert len(set(made.values())) == len(made)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the program sqlite3 is not installed")
def test_one_machine_comes_back_from_its_backup(place: Path) -> None:
    config = place / "box.toml"
    text = (place / "deploy" / "modelbox_server.toml").read_text().replace("/var/", f"{place}/var/")
    config.write_text(text.replace('":8085"', '"127.0.0.1:0"').replace(":2112", ""))
    state = place / "var" / "lib" / "modelbox"
    state.mkdir(parents=True)
    with running_server(config) as record:
        keep(record["url"], place / "model.bin")
        run(place, ".backup")
    shutil.rmtree(state)
    state.mkdir()
    run(place, "cp --archive backup/.")
    with running_server(config) as record:
        check_kept(record["url"], place / "copy.bin")


def test_records_in_postgresql_come_back_from_their_backup(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = postgres_server()
    monkeypatch.setenv("MODELBOX_METADATA_STORAGE_POSTGRES_PASSWORD", server.settings.password)
    with server.database() as lost, server.database() as restored:
        databases = [f"postgresql://{one.username}:{one.password}@{one.host}:{one.port}/{one.dbname}" for one in (lost, restored)]
        configs = [place / "lost.toml", place / "restored.toml"]
        for config, database in zip(configs, (lost, restored), strict=True):
            config.write_text(
                'listen_addr = "127.0.0.1:0"\nprometheus_addr = ""\nmetadata_storage = "postgres"\nmetrics_storage = "integrated"\n'
                f'[artifact_storage_filesystem]\nbase_dir = "{place}/blobs"\n[metrics_storage_integrated]\npath = "{place}/metrics.db"\n'
                f'[metadata_storage_postgres]\nhost = "{database.host}"\nport = {database.port}\nusername = "{database.username}"\n'
                f'dbname = "{database.dbname}"\n'
            )
        (place / "backup").mkdir()
        with running_server(configs[0]) as record:
            keep(record["url"], place / "model.bin")
            run(place, "pg_dump", without="pg_restore", DATABASE=databases[0])
        run(place, "pg_restore", without="pg_dump", DATABASE=databases[1])
        with running_server(configs[1]) as record:
            check_kept(record["url"], place / "copy.bin")


def test_people_get_roles_tokens_and_limits(place: Path) -> None:
    config = place / "box.toml"
    config.write_text(
        'listen_addr = "127.0.0.1:0"\nprometheus_addr = ""\nmetadata_storage = "ephemeral"\nmetrics_storage = "inmemory"\n'
        f'[artifact_storage_filesystem]\nbase_dir = "{place}/blobs"\n'
    )
    with running_server(config) as record:
        told = {"MODELBOX_API_ADDR": record["url"], "MODELBOX_API_TOKEN": record["token"]}
        run(place, "modelbox server limit", **told, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        with modelbox.ModelBox(record["url"], token=record["token"]) as box:
            assert {grant.principal: grant.role for grant in box.people.grants("team")} == {
                "user:ana": Role.WRITER,
                "group:interns": Role.READER,
            }
            limits = {one.subject: one for one in box.people.limits()}
            assert (limits["user:ana"].size_bytes, limits["user:ana"].points_per_s) == (50 * 10**9, 20_000)
            assert (limits["namespace:team"].size_bytes, limits["namespace:team"].experiments) == (2 * 10**12, 10_000)
            assert {token.name: (token.user, token.role) for token in box.people.tokens()} == {
                "ana-laptop": ("ana", None),
                "nightly": ("robot", Role.WRITER),
            }
