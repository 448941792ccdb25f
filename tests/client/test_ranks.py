"""Many processes, one experiment: whoever comes first creates it, and each logs under a label of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from modelbox.client.connection import ModelBox
from modelbox.client.ranks import label_of_process, shared_experiment_id
from modelbox.entities.records import Status
from modelbox.errors import InvalidRequest

WORLD_SIZE = 4
RANK = """
    import os, sys, modelbox
    with modelbox.ModelBox(sys.argv[1]).start("distributed", params={"lr": 0.1}) as run:
        part = run.labelled()
        for step in range(100):
            part.log(loss=step / 7, step=step)
        if os.environ["RANK"] == "0":
            run.log(total=1.0)
    """


def test_ranks_of_torchrun_share_one_experiment(tmp_path: Path) -> None:
    """The environment is that of torchrun, and an id that all of them have."""
    shared = "0123456789" * 4
    base = {"MODELBOX_EXPERIMENT_ID": shared, "WORLD_SIZE": str(WORLD_SIZE), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(RANK), tmp_path / "runs"],
            env={**base, "RANK": str(rank), "LOCAL_RANK": str(rank), "MODELBOX_PROVENANCE": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(WORLD_SIZE)
    ]
    said = [process.communicate(timeout=120)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0] * WORLD_SIZE, said
    with ModelBox(tmp_path / "runs") as box:
        (run,) = box.experiments()
        assert (run.id, run.name, run.status, run.params) == (shared, "distributed", Status.FINISHED, {"lr": 0.1})
        points = run.all_metrics()
        assert {key for key in points if not key.startswith("system/")} == {"total", *(f"rank {rank}/loss" for rank in range(WORLD_SIZE))}
        for rank in range(WORLD_SIZE):
            assert [point.step for point in points[f"rank {rank}/loss"]] == list(range(100))


def test_only_the_first_rank_says_that_a_shared_run_is_over(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_EXPERIMENT_ID", "a" * 40)
    monkeypatch.setenv("RANK", "3")
    run = box.start("demo")
    run.finish()
    assert box.experiment("a" * 40).status is Status.RUNNING
    monkeypatch.setenv("RANK", "0")
    run.finish()
    assert box.experiment("a" * 40).status is Status.FINISHED


def test_a_second_start_in_one_process_is_fresh(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_EXPERIMENT_ID", "b" * 40)
    first, second = box.start("demo"), box.start("demo")
    assert first.id == "b" * 40
    assert second.id != first.id


def test_labels_count_their_steps_apart(box: ModelBox) -> None:
    run = box.start("demo")
    one, two = run.labelled("worker 1"), run.labelled("worker 2")
    for _ in range(3):
        one.log({"val/loss @1": 0.5})
    two.log({"val/loss @1": 0.5})
    points = run.all_metrics()
    assert [point.step for point in points["worker 1/val/loss @1"]] == [0, 1, 2]
    assert [point.step for point in points["worker 2/val/loss @1"]] == [0]


def test_mistakes_are_named(box: ModelBox) -> None:
    with pytest.raises(InvalidRequest, match=r"MODELBOX_EXPERIMENT_ID is 'x'.*40"):
        shared_experiment_id({"MODELBOX_EXPERIMENT_ID": "x"})
    with pytest.raises(InvalidRequest, match="RANK is not set"):
        label_of_process({})
    with pytest.raises(InvalidRequest, match="takes a dict"):
        box.start("demo").labelled("worker").log(3)  # type: ignore[arg-type]
