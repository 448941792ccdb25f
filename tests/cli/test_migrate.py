"""``modelbox server migrate`` on real databases."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelbox.cli.main import main
from modelbox_server.storage.migrations.steps import METADATA_STEPS
from modelbox_server.testing.engines import DatabaseServer
from modelbox_server.testing.fixtures import database_server

__all__ = ["database_server"]

Migrate = Callable[..., list[dict[str, object]]]


@pytest.fixture
def config(database_server: DatabaseServer, tmp_path: Path) -> Iterator[Path]:
    """Return a configuration of a server on an empty database."""
    with database_server.database() as settings:
        path = tmp_path / "box.toml"
        path.write_text(
            f'metadata_storage = "{database_server.kind}"\n'
            f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n'
            f'[metadata_storage_{database_server.kind}]\nhost = "{settings.host}"\nport = {settings.port}\n'
            f'username = "{settings.username}"\npassword = "{settings.password}"\ndbname = "{settings.dbname}"\n'
        )
        path.chmod(0o600)
        yield path


@pytest.fixture
def migrate(config: Path, capsys: pytest.CaptureFixture[str]) -> Migrate:
    def run(command: str) -> list[dict[str, object]]:
        assert main(["server", "migrate", command, "--config-path", str(config), "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        rows: list[dict[str, object]] = json.loads(captured.out)
        return rows

    return run


def test_plan_apply_and_status_tell_of_every_step(migrate: Migrate) -> None:
    names = [step.name for step in METADATA_STEPS]
    assert [row["name"] for row in migrate("plan")] == names
    assert {row["applied at"] for row in migrate("status")} == {"pending"}
    assert [row["name"] for row in migrate("apply")] == names
    assert migrate("plan") == []
    assert migrate("apply") == []
    status = migrate("status")
    assert [(row["store"], row["step"], row["name"]) for row in status] == [("metadata", i + 1, name) for i, name in enumerate(names)]
    assert all("T" in str(row["applied at"]) for row in status)


def test_a_table_is_for_people(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "migrate", "apply", "--config-path", str(config)]) == 0
    assert "initial" in capsys.readouterr().out
    assert main(["server", "migrate", "plan", "--config-path", str(config)]) == 0
    assert "Nothing is left to do." in "".join(capsys.readouterr())


def test_storage_that_migrates_itself_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "box.toml"
    path.write_text(f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path}"\n')
    assert main(["server", "migrate", "plan", "--config-path", str(path)]) == 2
    assert "names no database server" in capsys.readouterr().err


def test_a_database_that_is_away_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "box.toml"
    path.write_text(
        'metadata_storage = "postgres"\n'
        f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path}"\n'
        '[metadata_storage_postgres]\nhost = "127.0.0.1"\nport = 9\nusername = "u"\ndbname = "d"\n'
    )
    path.chmod(0o600)
    assert main(["server", "migrate", "status", "--config-path", str(path)]) == 3
    assert "cannot be reached" in capsys.readouterr().err
