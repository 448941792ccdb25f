"""Real processes: many writers at once, forks, Ctrl-C, and the end of the interpreter."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import modelbox
from modelbox.entities.records import Status

WRITERS = 8
STEPS = 300


def _spawn(code: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _run(code: str, *arguments: object, timeout_s: float = 60) -> str:
    process = _spawn(code, *arguments)
    out, err = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, err
    assert "Traceback" not in err, err
    return out


def test_eight_processes_log_to_the_local_store_while_one_lists(tmp_path: Path) -> None:
    """None of them sees an error, and no point is lost; the store does not even exist when they start."""
    writer = """
        import sys, modelbox
        with modelbox.ModelBox(sys.argv[1]) as box, box.start(f"writer {sys.argv[2]}", namespace="équipe/vision") as run:
            for step in range(int(sys.argv[3])):
                run.log({"loss": step / 7, "val/loss @1": float("nan")}, step=step)
                if step % 100 == 0:
                    run.update_metadata(f"mark {step}", step)
            shared = box.new_experiment("shared by all", namespace="équipe/vision")
            for step in range(int(sys.argv[3])):
                shared.log({f"writer {sys.argv[2]}": float(step)}, step=step)
        """
    folder = tmp_path / "store"
    writers = [_spawn(writer, folder, number, STEPS) for number in range(WRITERS)]
    listings = 0
    with modelbox.ModelBox(folder) as box:
        while any(process.poll() is None for process in writers):
            box.experiment_frame()
            box.experiments("équipe")
            listings += 1
        for process in writers:
            out, err = process.communicate()
            assert (process.returncode, out, err) == (0, "", "")
        runs = box.experiments("équipe/vision")
        assert len(runs) == WRITERS + 1
        for run in runs:
            points = run.all_metrics()
            if run.name == "shared by all":
                assert len(points) == WRITERS
            else:
                assert set(points) == {"loss", "val/loss @1"}
                assert run.status is Status.FINISHED
                assert len(run.metadata()) == 3
            for series in points.values():
                assert [point.step for point in series] == list(range(STEPS))
    assert listings > 3


def test_forked_children_log_to_the_experiment_of_their_parent(tmp_path: Path) -> None:
    """Each child has an identity of its own, sends nothing of the parent twice, and loses nothing when multiprocessing ends it."""
    out = _run(
        """
        import multiprocessing, sys, time, modelbox
        box = modelbox.ModelBox(sys.argv[1])
        run = box.start("parent")
        def child(number):
            for step in range(200):
                run.log({f"child {number}": float(step)}, step=step)
        for step in range(200):
            run.log(parent=float(step), step=step)
        children = [multiprocessing.get_context("fork").Process(target=child, args=(number,)) for number in range(4)]
        for process in children: process.start()
        for process in children: process.join()
        assert [process.exitcode for process in children] == [0] * 4
        run.finish()
        print(run.id)
        """,
        tmp_path,
    )
    with modelbox.ModelBox(tmp_path) as box:
        points = box.experiment(out.strip()).all_metrics()
    assert set(points) == {"parent", "child 0", "child 1", "child 2", "child 3"}
    for series in points.values():
        assert [point.step for point in series] == list(range(200))


def test_a_fork_in_the_middle_of_logging_neither_hangs_nor_doubles(tmp_path: Path) -> None:
    out = _run(
        """
        import os, sys, threading, modelbox
        box = modelbox.ModelBox(sys.argv[1])
        run = box.start("parent")
        stop = threading.Event()
        steps = [0, 0]
        def work(number):
            while not stop.is_set():
                run.log({f"thread {number}": 1.0}, step=steps[number])
                steps[number] += 1
        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads: thread.start()
        for number in range(10):
            pid = os.fork()
            if not pid:
                run.log(child=float(number), step=number)
                ok = bool(run.flush(20))
                os._exit(0 if ok else 1)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        run.finish()
        print(run.id, *steps)
        """,
        tmp_path,
        timeout_s=120,
    )
    object_id, *steps = out.split()
    with modelbox.ModelBox(tmp_path) as box:
        points = box.experiment(object_id).all_metrics()
    assert [point.step for point in points["child"]] == list(range(10))
    for number, count in enumerate(steps):
        assert [point.step for point in points[f"thread {number}"]] == list(range(int(count)))


def test_ctrl_c_inside_log_leaves_whole_records(tmp_path: Path) -> None:
    out = _run(
        """
        import signal, sys, time, modelbox
        box = modelbox.ModelBox(sys.argv[1])
        run = box.start("demo")
        def interrupt(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        interrupts, step, deadline = 0, 0, time.monotonic() + 1.5
        while time.monotonic() < deadline:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.001)  # once: the next one comes only when this one was caught
                # Not for ever: what is raised inside a finalizer is told and forgotten, and no other interrupt comes then.
                while time.monotonic() < deadline:
                    run.log(a=1.0, b=2.0, note="x", step=step)
                    step += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupts += 1
        run.finish()
        print(run.id, interrupts, step)
        """,
        tmp_path,
    )
    object_id, interrupts, count = out.split()
    assert int(interrupts) > 50
    with modelbox.ModelBox(tmp_path) as box:
        points = box.experiment(object_id).all_metrics()
    steps = [point.step for point in points["a"]]
    assert steps == [point.step for point in points["b"]] == [point.step for point in points["note"]]
    assert set(range(int(count))) <= set(steps)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", Status.FINISHED),
        ("sys.exit(0)", Status.FINISHED),
        ("raise ValueError('x')", Status.FAILED),
        ("raise KeyboardInterrupt", Status.INTERRUPTED),
    ],
)
def test_a_script_without_a_block_loses_nothing_and_its_run_ends(tmp_path: Path, end: str, status: Status) -> None:
    script = (
        "import sys, modelbox\nrun = modelbox.ModelBox(sys.argv[1]).start('demo')\nprint(run.id)\nfor _ in range(1000): run.log(loss=0.5)\n"
    )
    out, _ = _spawn(script + end, tmp_path).communicate(timeout=60)
    with modelbox.ModelBox(tmp_path) as box:
        run = box.experiment(out.strip())
        assert run.status is status
        assert len(run.all_metrics()["loss"]) == 1000


def test_the_end_of_a_process_waits_at_most_five_seconds_for_a_store_that_is_away() -> None:
    code = """
        import sys
        from modelbox.errors import ServerUnreachable
        from modelbox.testing import FaultyTransport, memory_connection
        from modelbox.client.connection import ModelBox
        store = memory_connection()
        faulty = FaultyTransport(store.session.transport)
        run = ModelBox.over(faulty, store.where).start("demo")
        faulty.away = ServerUnreachable("No server answers.")
        for _ in range(100_000): run.log(loss=0.5)
        print("done", flush=True)
        """
    process = _spawn(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    begin = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 7.5
    assert process.returncode == 0
    assert "100000 points and 2 creations and notes did not reach the store" in err


def test_a_run_is_interrupted_by_ctrl_c_and_the_interrupt_passes(tmp_path: Path) -> None:
    code = """
        import sys, time, modelbox
        with modelbox.ModelBox(sys.argv[1]).start("demo") as run:
            run.log(loss=0.5)
            print(run.id, flush=True)
            time.sleep(60)
        """
    process = _spawn(code, tmp_path)
    assert process.stdout is not None
    object_id = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    with modelbox.ModelBox(tmp_path) as box:
        run = box.experiment(object_id)
        assert run.status is Status.INTERRUPTED
        assert len(run.all_metrics()["loss"]) == 1
