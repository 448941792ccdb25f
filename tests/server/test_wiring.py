"""One place opens the stores, and closes what it opened."""

import stat
from pathlib import Path

import pytest

from modelbox.errors import ConfigError, StorageError
from modelbox.wire.messages import ExperimentsQuery
from modelbox_server.service.context import Caller
from modelbox_server.storage.metadata.memory import MemoryMetadataStore
from modelbox_server.wiring import StorageSettings, build_services, ephemeral_services, local_services


def test_the_local_store_is_for_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "store"
    services = local_services(folder)
    services.check()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {"modelbox.db", "metrics.db", "blobs"} <= {path.name for path in folder.iterdir()}
    for path in folder.glob("*.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    services.close()


def test_names_of_stores_choose_them(tmp_path: Path, caller: Caller) -> None:
    services = build_services(StorageSettings(tmp_path, "ephemeral", "integrated", "filesystem"))
    info = services.info.get(caller)
    assert (info.metadata_storage, info.metrics_storage, info.artifact_storage) == ("ephemeral", "integrated", "filesystem")
    assert (info.user, info.face, info.api) == ("Zoë", "embedded", "v1")
    services.close()


def test_an_unknown_store_is_refused_and_nothing_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(MemoryMetadataStore, "close", lambda self: closed.append(True))
    with pytest.raises(ConfigError, match="There is no metrics storage 'timescale'"):
        build_services(StorageSettings(tmp_path, "ephemeral", "timescale"))
    assert closed == [True]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/store cannot be made"):
        local_services(tmp_path / "file" / "store")


def test_ephemeral_services_leave_no_files(caller: Caller) -> None:
    services = ephemeral_services()
    services.check()
    folder = Path(services.stores.blobs._folder)  # type: ignore[attr-defined]
    assert folder.exists()
    services.close()
    assert not folder.parent.exists()


def test_closed_services_say_so(tmp_path: Path, caller: Caller) -> None:
    services = local_services(tmp_path)
    services.close()
    with pytest.raises(StorageError):
        services.experiments.list(caller, ExperimentsQuery())
