"""Many processes log to one experiment of the local store while somebody reads it: all is stored, and nobody sees an error."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from modelbox.client.connection import ModelBox
from modelbox.testing.crash import Outcome, stored_steps

PROCESSES = 16
POINTS = 500
METRICS = 3
WRITER = """
import sys, modelbox
store, object_id, number, points, metrics = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
with modelbox.ModelBox(store) as box:
    run = box.experiment(object_id)
    for step in range(points):
        run.log({f"rank {number}/loss @{metric}": step / 7 for metric in range(metrics)}, step=step)
        if step % 100 == 99:
            run.update_metadata(f"rank {number}", step)
    assert run.flush(60)
"""


def test_sixteen_processes_log_to_one_experiment_while_one_reads(tmp_path: Path, rounds: Callable[[int, int], int]) -> None:
    outcome = Outcome(f"{PROCESSES} processes x {POINTS} points x {METRICS}", rounds(1, 3))
    for number in range(outcome.rounds):
        with ModelBox(tmp_path / f"store {number}") as box:
            run = box.new_experiment("shared", namespace="équipe/vision")
            arguments = [str(tmp_path / f"store {number}"), run.id]
            writers = [
                subprocess.Popen(
                    [sys.executable, "-c", WRITER, *arguments, str(rank), str(POINTS), str(METRICS)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                for rank in range(PROCESSES)
            ]
            reads = 0
            while any(writer.poll() is None for writer in writers):
                run.all_metrics()
                box.experiment_frame()
                reads += 1
                time.sleep(0.1)
            said = [writer.communicate()[0] for writer in writers]
            assert said == [""] * PROCESSES
            assert [writer.returncode for writer in writers] == [0] * PROCESSES
            for rank in range(PROCESSES):
                for metric in range(METRICS):
                    steps = stored_steps(box, run.id, range(POINTS), key=f"rank {rank}/loss @{metric}", timeout_s=5)
                    outcome.count(range(POINTS), steps)
            assert len(run.metadata()) == PROCESSES
            outcome.more["reads"] = reads
    outcome.report()
