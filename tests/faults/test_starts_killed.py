"""kill -9 of a program that starts experiments and takes notes: whatever it was told is kept is in the store afterwards, once."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from modelbox.cli.main import main
from modelbox.client.connection import ModelBox
from modelbox.testing.crash import STARTING_WRITER, Outcome, acknowledged, stored_steps
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import local_services

TOKEN = "a token of this test"


def _killed(address: str, ack: Path, name: str, seconds: float) -> None:
    process = subprocess.Popen([sys.executable, "-c", STARTING_WRITER, address, str(ack), name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()


def _compare(outcome: Outcome, box: ModelBox, ack: Path, name: str) -> None:
    """Hold what one program was told against what the store has of its experiment."""
    (object_id,) = acknowledged(ack, "start")
    known = [run for run in box.experiments(limit=1000) if run.name == name]
    outcome.count([0], [0 for _ in known])
    assert [run.id for run in known] == [object_id]
    (run,) = known
    assert (run.params, run.tags) == ({"name": name}, ["crash"])
    points = [int(step) for step in acknowledged(ack, "point")]
    outcome.count(points, stored_steps(box, object_id, points))
    metadata = run.metadata()
    marks = [int(step) for step in acknowledged(ack, "mark")]
    outcome.count(marks, [int(key.removeprefix("mark ")) for key in metadata if key.startswith("mark ")])
    assert not marks or int(str(metadata["mark"])) >= marks[-1], "an older value of a key came after a newer one"
    events = [int(step) for step in acknowledged(ack, "event")]
    outcome.count(events, [int(event.name.removeprefix("event ")) for event in run.events()])
    checkpoints = run.checkpoints()
    outcome.count([int(step) for step in acknowledged(ack, "checkpoint")], [checkpoint.epoch for checkpoint in checkpoints])
    for checkpoint in checkpoints:
        assert checkpoint.metrics == {"loss": 0.5}


@pytest.mark.parametrize("store", ["local", "server", "server away"])
def test_kill_9_of_a_program_that_starts_experiments_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: Callable[[int, int], int], store: Literal["local", "server", "server away"]
) -> None:
    outcome = Outcome(f"kill -9 after start(), store: {store}", rounds(3, 50))
    seed = random.Random(store)  # noqa: S311  (chooses instants)
    monkeypatch.setenv("MODELBOX_API_TOKEN", TOKEN)
    names = [f"round {number}" for number in range(outcome.rounds)]
    folder = tmp_path / "store"

    def kill_all(address: str) -> None:
        for name in names:
            _killed(address, tmp_path / name, name, seed.uniform(0.0, 1.0))

    if store == "local":
        kill_all(str(folder))
        with ModelBox(folder) as box:
            assert box.sync(timeout_s=120)
            for name in names:
                _compare(outcome, box, tmp_path / name, name)
    else:
        with live_server(lambda: local_services(folder), token=TOKEN) as server:
            port = server.port
            if store == "server":
                kill_all(server.url)
        if store == "server away":
            kill_all(f"http://127.0.0.1:{port}")
        with live_server(lambda: local_services(folder), port=port, token=TOKEN) as server, ModelBox(server.url) as box:
            assert box.sync(timeout_s=120)
            for name in names:
                _compare(outcome, box, tmp_path / name, name)
    outcome.report()


def test_offline_runs_that_are_killed_arrive_once_from_every_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: Callable[[int, int], int]
) -> None:
    """Copies are made while a program still writes and after it is dead; each is sent, some of them twice, in any order."""
    outcome = Outcome("kill -9 offline, sent from copies", rounds(3, 10), more={"copies": 0})
    seed = random.Random(7)  # noqa: S311  (chooses instants)
    folder, store = tmp_path / "offline", tmp_path / "store"
    copies: list[Path] = []
    names = [f"round {number}" for number in range(outcome.rounds)]
    with monkeypatch.context() as offline:
        offline.setenv("MODELBOX_MODE", "offline")
        for name in names:
            arguments = [str(folder), str(tmp_path / name), name]
            process = subprocess.Popen([sys.executable, "-c", STARTING_WRITER, *arguments], stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            with process.stdout:
                assert process.stdout.readline() == "ready\n"
                for _ in range(2):
                    time.sleep(seed.uniform(0.0, 0.5))
                    copies.append(shutil.copytree(folder, tmp_path / f"copy {len(copies)}", ignore=shutil.ignore_patterns(".*")))
                process.send_signal(signal.SIGKILL)
                process.wait()
    copies.append(shutil.copytree(folder, tmp_path / "last copy"))
    again = [shutil.copytree(copy, f"{copy} again") for copy in copies[::2]]
    order = [*copies, *again, folder]
    seed.shuffle(order)
    for copy in order:
        assert main(["sync", os.fspath(copy), "--to", str(store), "--timeout", "600"]) == 0
    with ModelBox(store) as box:
        for name in names:
            _compare(outcome, box, tmp_path / name, name)
    outcome.more["copies"] = len(order)
    outcome.report()


def test_a_run_that_is_offline_can_be_followed_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``modelbox sync --watch`` beside the program: points show up while it lives, and all of them once after its death."""
    outcome = Outcome("followed while it is offline", 1, more={"seen_alive": 0})
    folder, store, ack = tmp_path / "offline", tmp_path / "store", tmp_path / "ack"
    command = [sys.executable, "-m", "modelbox.cli.main", "sync", str(folder), "--to", str(store), "--watch"]
    watcher = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    monkeypatch.setenv("MODELBOX_MODE", "offline")
    writer = subprocess.Popen([sys.executable, "-c", STARTING_WRITER, str(folder), str(ack), "followed"], stdout=subprocess.PIPE, text=True)
    monkeypatch.delenv("MODELBOX_MODE")
    assert writer.stdout is not None
    try:
        with writer.stdout, ModelBox(store) as box:
            assert writer.stdout.readline() == "ready\n"
            deadline_s = time.monotonic() + 60
            seen = 0
            for _ in itertools.takewhile(lambda _: time.monotonic() < deadline_s, itertools.count()):
                runs = box.experiments()
                seen = len(stored_steps(box, runs[0].id, timeout_s=0)) if runs else 0
                if seen > 500:
                    break
                time.sleep(0.1)
            assert writer.poll() is None
            assert seen > 500
            outcome.more["seen_alive"] = seen
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            points = [int(step) for step in acknowledged(ack, "point")]
            stored_steps(box, box.experiments()[0].id, points, timeout_s=60)
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(60) == 130
            assert box.sync(folder, timeout_s=60)
            _compare(outcome, box, ack, "followed")
    finally:
        writer.kill()
        watcher.kill()
        writer.wait()
        watcher.wait()
    outcome.report()
