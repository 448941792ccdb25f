"""For crash tests: what a writer was told is kept, held against what the store has.

A crash test passes when nothing that ``log()`` returned for is missing, and nothing is there twice. Every test prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from modelbox.client.connection import ModelBox

__all__ = ["ACKNOWLEDGING_WRITER", "KEY", "STARTING_WRITER", "Outcome", "acknowledged", "acknowledged_steps", "stored_steps"]

KEY = "val/loss @1"
"""The metric that writers log."""

ACKNOWLEDGING_WRITER = """
import os, sys, time, modelbox
address, object_id, ack_path, first, rate, seconds = sys.argv[1:7]
box = modelbox.ModelBox(address)
run = box.experiment(object_id)
ack = os.open(ack_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
pause_s = 1 / float(rate) if float(rate) else 0.0
end = time.monotonic() + float(seconds)
step = int(first)
print("ready", flush=True)
while time.monotonic() < end:
    run.log({"val/loss @1": float("nan") if step % 7 else step / 3, "second": 1.0}, step=step)
    os.write(ack, b"%d\\n" % step)
    step += 1
    if pause_s:
        time.sleep(pause_s)
box.close()
"""
"""A program that writes a step to a file as soon as ``log()`` has returned for it.

Arguments: address, id of the experiment, path of the file, first step, steps per second (0 for as many as possible), seconds.
"""


STARTING_WRITER = """
import itertools, os, sys, time, modelbox
address, ack_path, name = sys.argv[1:4]
ack = os.open(ack_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
run = modelbox.ModelBox(address or None).start(name, namespace="équipe/vision", params={"name": name}, tags=["crash"])
os.write(ack, b"start %s\\n" % run._id.encode())
print("ready", flush=True)
for step in itertools.count():
    run.log({"val/loss @1": step / 3}, step=step)
    os.write(ack, b"point %d\\n" % step)
    if step % 10 == 0:
        run.update_metadata({"mark": step, f"mark {step}": True})
        os.write(ack, b"mark %d\\n" % step)
        run.log_event(f"event {step}", source="trainer")
        os.write(ack, b"event %d\\n" % step)
    if step % 100 == 0:
        run.new_checkpoint(step, {"loss": 0.5}).log(inner=0.25, step=step)
        os.write(ack, b"checkpoint %d\\n" % step)
    time.sleep(0.002)
"""
"""A program that starts an experiment, and writes to a file what it is told is kept: points, metadata, events, checkpoints.

Arguments: address (empty for the default), path of the file, name of the experiment.
"""


@dataclass
class Outcome:
    """What a crash test found.

    Parameters
    ----------
    test
        Its name.
    rounds
        How often something was broken.
    """

    test: str
    rounds: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    duplicated: int = 0
    more: dict[str, object] = field(default_factory=dict)

    def count(self, acknowledged: Iterable[int], stored: Iterable[int]) -> None:
        """Hold the steps of one series against what its writer was told."""
        told, there = set(acknowledged), Counter(stored)
        self.acknowledged += len(told)
        self.stored += len(there)
        self.lost += len(told - there.keys())
        self.duplicated += sum(count - 1 for count in there.values())

    def report(self) -> None:
        """Print the line, and fail if anything was lost or doubled."""
        names = ("test", "rounds", "acknowledged", "stored", "lost", "duplicated")
        line = json.dumps({**{name: getattr(self, name) for name in names}, **self.more})
        sys.stdout.write(f"\n{line}\n")
        sys.stdout.flush()
        assert self.acknowledged, "nothing was logged, so nothing was tested"
        assert (self.lost, self.duplicated) == (0, 0), line


def acknowledged_steps(path: Path) -> list[int]:
    """Return the steps that a writer was told are kept."""
    return [int(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def acknowledged(path: Path, kind: str) -> list[str]:
    """Return what a :data:`STARTING_WRITER` was told is kept, of one kind: ``"start"``, ``"point"``, ``"mark"`` or ``"event"``."""
    lines = [line.split(" ", 1) for line in path.read_text().split("\n")[:-1]] if path.exists() else []
    return [rest for first, rest in lines if first == kind]


def stored_steps(box: ModelBox, object_id: str, at_least: Iterable[int] = (), *, key: str = KEY, timeout_s: float = 30.0) -> list[int]:
    """Return the steps in the store, once all of `at_least` are there, or when the time is over."""
    wanted = set(at_least)
    deadline_s = time.monotonic() + timeout_s
    while True:
        blocks = box.read_metrics([object_id], [key])
        steps = [step for block in blocks for step in memoryview(block.steps).cast("B").cast("q").tolist()]
        if wanted <= set(steps) or time.monotonic() > deadline_s:
            return steps
        time.sleep(0.05)
