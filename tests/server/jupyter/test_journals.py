"""What a killed kernel left behind reaches the store while Jupyter runs, without a command."""

import asyncio
from pathlib import Path

import pytest
from jupyter_server.serverapp import ServerApp

from modelbox.client.buffer import Record
from modelbox.client.connection import ModelBox
from modelbox.client.disk_journal import DiskJournal
from modelbox.client.spool import journals_in
from modelbox.settings import spool_folder
from modelbox_server.extension import STORE_VARIABLE, ModelBoxExtension
from modelbox_server.journals import JournalWatch, journal_waits


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MODELBOX_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    return tmp_path / "state"


def _journal(store: Path, object_id: str) -> DiskJournal:
    journal = DiskJournal(spool_folder(str(store)))
    for step in range(25):
        journal.append(Record(object_id, step, step, {"val/loss @1": 0.5}))
    return journal


def test_only_a_journal_whose_owner_has_ended_waits(tmp_path: Path) -> None:
    folder = spool_folder(str(tmp_path))
    assert not journal_waits(folder)
    journal = _journal(tmp_path, "a" * 40)
    assert not journal_waits(folder)
    journal.leave()
    assert journal_waits(folder)


async def test_a_journal_that_waits_is_sent_without_a_command(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ModelBox(store) as box:
        run = box.new_experiment("demo", namespace="équipe/vision")
    _journal(store, run.id).leave()
    watch = JournalWatch(store, interval_s=0.1)
    watch.start()
    try:
        async with asyncio.timeout(30):
            while list(journals_in(spool_folder(str(store)))):  # noqa: ASYNC110  (another process ends this)
                await asyncio.sleep(0.1)
    finally:
        await watch.stop()
    with ModelBox(store) as box:
        assert len(box.experiment(run.id).all_metrics()["val/loss @1"]) == 25


async def test_the_extension_watches_while_it_runs(
    jp_serverapp: ServerApp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jp_server_config: object
) -> None:
    app = jp_serverapp.extension_manager.extension_points["modelbox_server"].app
    assert isinstance(app, ModelBoxExtension)
    asked: list[Path] = []
    monkeypatch.setattr("modelbox_server.journals.journal_waits", lambda folder: bool(asked.append(folder)))
    await app._start_jupyter_server_extension(jp_serverapp)
    async with asyncio.timeout(10):
        while not asked:  # noqa: ASYNC110  (a thread ends this)
            await asyncio.sleep(0.01)
    await app.stop_extension()
    assert asked[0] == spool_folder(str(tmp_path / "store"))
