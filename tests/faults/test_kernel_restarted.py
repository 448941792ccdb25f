"""A kernel that is restarted in the middle of a cell: the next one that looks at the store sees all that the cell had logged."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from modelbox.client.connection import ModelBox
from modelbox.testing.crash import Outcome, acknowledged_steps, stored_steps

CELL = """
import os, time, modelbox
box = modelbox.ModelBox({store!r})
run = box.experiment({object_id!r})
ack = os.open({ack!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for step in range({first}, {first} + 100_000):
    run.log({{"val/loss @1": 0.5}}, step=step)
    os.write(ack, b"%d\\n" % step)
    time.sleep(0.002)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_kernel_restarted_in_the_middle_of_a_cell_loses_nothing(tmp_path: Path, rounds: Callable[[int, int], int]) -> None:
    outcome = Outcome("kernel restarted mid-cell", rounds(3, 20))
    store, ack = tmp_path / "store", tmp_path / "ack"
    with ModelBox(store) as box:
        object_id = box.new_experiment("demo", namespace="équipe/vision").id
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    try:
        for number in range(outcome.rounds):
            client = manager.blocking_client()
            client.start_channels()
            client.wait_for_ready(timeout=60)
            known = len(acknowledged_steps(ack))
            client.execute(CELL.format(store=str(store), object_id=object_id, ack=str(ack), first=number * 1_000_000))
            deadline_s = time.monotonic() + 30
            while len(acknowledged_steps(ack)) < known + 100 and time.monotonic() < deadline_s:
                time.sleep(0.02)
            manager.restart_kernel(now=True)
            client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
    told = acknowledged_steps(ack)
    with ModelBox(store) as box:
        outcome.count(told, stored_steps(box, object_id, told))
    outcome.report()
