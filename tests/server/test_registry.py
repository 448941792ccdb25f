"""Stores are found by role and name, those of other packages too."""

import sys
from pathlib import Path

import pytest

from modelbox.errors import ConfigError
from modelbox_server.storage.registry import BUILT_IN, Role, open_store, store_names


@pytest.mark.parametrize(
    ("role", "name"), [(role, name) for role, names in BUILT_IN.items() for name in names if not names[name].configured]
)
def test_every_built_in_name_opens_a_store_that_bears_it(role: Role, name: str, tmp_path: Path) -> None:
    store = open_store(role, name, tmp_path)
    store.check()
    assert store.name == name
    store.close()


def test_a_store_that_needs_settings_says_so_without_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="artifacts storage 's3' needs settings of its own"):
        open_store("artifacts", "s3", tmp_path)


def test_an_unknown_name_is_answered_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no metadata storage 'integratd'. Did you mean 'integrated'\?"):
        open_store("metadata", "integratd", tmp_path)
    with pytest.raises(ConfigError, match=r"no metadata storage 'zzz'. Use one of ephemeral, integrated"):
        open_store("metadata", "zzz", tmp_path)


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package that brings stores of its own, one of them broken."""
    (tmp_path / "modelbox_redis.py").write_text(
        "from modelbox_server.storage.metadata.memory import MemoryMetadataStore\n"
        "def open_metadata(folder):\n"
        "    store = MemoryMetadataStore()\n"
        "    store.name = f'redis in {folder.name}'\n"
        "    return store\n"
    )
    info = tmp_path / "modelbox_redis-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: modelbox-redis\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[modelbox.stores]\n"
        "metadata.redis = modelbox_redis:open_metadata\n"
        "metadata.gone = modelbox_redis:absent\n"
        "metrics.redis = nowhere:x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "modelbox_redis", raising=False)


@pytest.mark.usefixtures("other_package")
def test_a_store_of_another_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    assert store_names("metadata") == ["ephemeral", "gone", "integrated", "mysql", "postgres", "redis"]
    store = open_store("metadata", "redis", tmp_path / "folder")
    assert store.name == "redis in folder"


@pytest.mark.usefixtures("other_package")
def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'metadata.gone' is registered as modelbox_redis:absent, which cannot be loaded"):
        open_store("metadata", "gone", tmp_path)
