"""``modelbox server gc``: what nothing refers to is counted, then removed, beside servers that run."""

import json
from pathlib import Path

import pytest

from modelbox.cli.main import main
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate
from modelbox_server.config.loading import load_config
from modelbox_server.config.stores import configured_services
from modelbox_server.service.context import Caller

__all__ = ["clean_modelbox_environment"]


@pytest.fixture(autouse=True)
def _own_home(clean_modelbox_environment: object) -> None:
    """Use the clean environment everywhere."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "box.toml"
    path.write_text(
        f"""
        metadata_storage = "integrated"
        [metadata_storage_integrated]
        path = "{tmp_path / "meta.db"}"
        [artifact_storage_filesystem]
        base_dir = "{tmp_path / "blobs"}"
        """
    )
    return path


def test_garbage_is_counted_by_a_dry_run_and_removed_without(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = configured_services(load_config(config, {}))
    caller = Caller("ana", "embedded")
    parent = running.experiments.create(caller, ExperimentCreate(name="e")).item.id
    artifacts = []
    for content in (b"kept", b"garbage"):
        with running.artifacts.begin_upload(caller, parent, ArtifactUploadQuery(name="w")) as upload:
            upload.write(content)
            artifacts.append(upload.commit())
    running.artifacts.delete(caller, artifacts[1].id)

    def gc(*options: str) -> str:
        assert main(["server", "gc", "--config-path", str(config), *options]) == 0
        return capsys.readouterr().out

    assert gc().endswith("were removed. What was stored within the last 3600 s is spared.\n")
    assert gc("--grace-s", "0", "--dry-run") == "1 content (7 bytes), 0 leftovers of uploads (0 bytes) and 0 points would be removed.\n"
    found = json.loads(gc("--grace-s", "0", "--json"))
    assert found == {"points": 0, "blobs": 1, "blob_bytes": 7, "leftovers": 0, "leftover_bytes": 0, "dry_run": False}
    assert b"".join(running.artifacts.open(caller, artifacts[0].id).chunks) == b"kept"
    assert list(running.stores.blobs.keys()) == [artifacts[0].content]
    running.close()


def test_storage_that_only_the_server_sees_is_not_looked_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command would find no record at all in it, and take everything for garbage."""
    path = tmp_path / "box.toml"
    main(["server", "init-config", "--path", str(path)])
    assert main(["server", "gc", "--config-path", str(path)]) == 2
    assert "keep things for themselves (metadata_storage is ephemeral)" in capsys.readouterr().err
    path.write_text("")
    assert main(["server", "gc", "--config-path", str(path)]) == 2
    assert "artifact_storage_filesystem.base_dir is not set" in capsys.readouterr().err
