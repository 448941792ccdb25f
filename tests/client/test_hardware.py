"""System metrics: sampled beside the training, for as long as it runs, and never in its way."""

import math
import multiprocessing
import multiprocessing.connection
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil
import pytest

from modelbox.client import hardware
from modelbox.client.companions import Wanted, wanted_by
from modelbox.client.connection import ModelBox
from modelbox.client.hardware import GpuProbe, Sampler, gpu_probes, machine_probes
from modelbox.errors import InvalidRequest
from modelbox.testing import memory_connection

RATES = {"disk_read_bytes_per_s", "disk_write_bytes_per_s", "network_sent_bytes_per_s", "network_received_bytes_per_s"}


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1e6

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A sampler that is worked by hand, without its thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *probes: hardware.Probe) -> None:
        monkeypatch.setattr(Sampler, "_start", lambda self: None)
        self.clock = Clock()
        self.made = 0
        self.sampler = Sampler(lambda: self._make(probes), clock=self.clock)

    def _make(self, probes: tuple[hardware.Probe, ...]) -> list[hardware.Probe]:
        self.made += 1
        return list(probes)

    def run(self, seconds: float) -> None:
        """Let time pass in small steps, doing what is due."""
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s - 1e-9:
            pause_s = self.sampler.work()
            self.clock.now_s += min(end_s - self.clock.now_s, 0.25 if pause_s is None else max(pause_s, 0.01))
        self.sampler.work()


@dataclass
class Taken:
    samples: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        self.samples.append((step, dict(values)))

    @property
    def steps(self) -> list[int]:
        return [step for step, _ in self.samples]


def answer() -> dict[str, float]:
    return {"load_percent": 42}


def until(condition: Callable[[], bool], limit_s: float = 20) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


# --- when ---------------------------------------------------------------------------------------------------------------------------------


def test_the_first_sample_comes_after_a_second_and_then_one_every_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, taken = Bench(monkeypatch, answer), Taken()
    bench.sampler.watch(taken)
    bench.run(35)
    assert taken.steps == [1, 11, 21, 31]
    assert taken.samples[0][1] == {"system/load_percent": 42}


def test_nothing_is_loaded_for_a_run_of_an_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, taken = Bench(monkeypatch, answer), Taken()
    for _ in range(50):
        number = bench.sampler.watch(taken)
        bench.run(0.1)
        bench.sampler.unwatch(number)
    assert bench.made == 0
    assert taken.samples == []


def test_a_run_that_is_over_gets_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, taken = Bench(monkeypatch, answer), Taken()
    number = bench.sampler.watch(taken)
    bench.run(5)
    bench.sampler.unwatch(number)
    bench.sampler.unwatch(number)
    bench.run(60)
    assert taken.steps == [1]
    assert bench.sampler.work() is None


def test_runs_that_start_together_share_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []
    bench, first, second = Bench(monkeypatch, lambda: {"n": len(calls), **(calls.append(0) or {})}), Taken(), Taken()  # type: ignore[func-returns-value]
    bench.sampler.watch(first)
    bench.run(0.1)
    bench.sampler.watch(second)
    bench.run(25)
    assert first.samples[0][1] == second.samples[0][1]
    assert len(calls) == 1 + 3  # the baseline, then once for both


def test_a_machine_that_slept_does_not_catch_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, taken = Bench(monkeypatch, answer), Taken()
    bench.sampler.watch(taken)
    bench.run(2)
    bench.clock.now_s += 3600
    bench.run(5)
    assert taken.steps == [1, 3602]


# --- whatever goes wrong ------------------------------------------------------------------------------------------------------------------


def test_a_source_that_fails_is_left_out_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    tried = []

    def broken() -> dict[str, float]:
        tried.append(1)
        raise OSError("no such device")

    bench, taken = Bench(monkeypatch, broken, answer), Taken()
    bench.sampler.watch(taken)
    bench.run(40)
    assert len(taken.samples) == 4
    assert len(tried) == 1
    assert len(caplog.records) == 1


def test_a_run_that_cannot_take_its_samples_does_not_stop_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(step: int, values: Mapping[str, float]) -> None:
        raise ZeroDivisionError

    bench, taken = Bench(monkeypatch, answer), Taken()
    bench.sampler.watch(refuse)
    bench.sampler.watch(taken)
    bench.run(25)
    assert taken.steps == [1, 11, 21]


def test_without_psutil_and_without_a_gpu_there_is_nothing_to_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(hardware, "find_spec", lambda name: None)
    assert machine_probes() == []


def test_a_container_without_disk_counters_has_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    names = {name for _ in range(2) for probe in machine_probes() for name in (probe() and probe())}
    assert "memory_percent" in names
    assert not any(name.startswith("disk_read") for name in names)


def test_counters_that_start_over_count_as_standing_still(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Totals:
        bytes_sent: int
        bytes_recv: int

    answers = iter([Totals(1000, 1000), Totals(0, 1_000_000)])
    monkeypatch.setattr(psutil, "net_io_counters", lambda: next(answers))
    rates = hardware._rates(hardware._network_traffic)
    assert rates() == {}
    later = rates()
    assert later["network_sent_bytes_per_s"] == 0
    assert later["network_received_bytes_per_s"] > 0


# --- what this machine says ---------------------------------------------------------------------------------------------------------------


def test_this_machine_tells_plausible_numbers() -> None:
    probes = machine_probes()
    for probe in probes:
        probe()
    time.sleep(0.05)
    values = {name: float(value) for probe in probes for name, value in probe().items()}
    assert all(math.isfinite(value) and value >= 0 for value in values.values())
    assert 1e6 < values["process_memory_bytes"] < 1e12
    assert 0 < values["memory_percent"] <= 100
    assert 0 <= values["cpu_percent"] <= 100
    assert 0 < values["disk_used_percent"] <= 100
    assert RATES & values.keys()


# --- GPUs ---------------------------------------------------------------------------------------------------------------------------------


class FakeNvml:
    """One GPU that does not tell its power, as many do not."""

    class NVMLError(Exception):
        """What the real one raises for everything."""

    def __init__(self, *, driver: bool = True) -> None:
        self.driver = driver
        self.asked_for_power = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        return object()

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> "FakeNvml":  # noqa: N802
        return self

    gpu = 37

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> "FakeNvml":  # noqa: N802
        return self

    used, total = 3 << 30, 12 << 30

    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int:  # noqa: N802
        return 61

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:  # noqa: N802
        self.asked_for_power += 1
        raise self.NVMLError("Not Supported")


def test_a_gpu_tells_what_it_can() -> None:
    nvml = FakeNvml()
    probe = GpuProbe(nvml, 0)
    expected = {
        "gpu_0/utilization_percent": 37,
        "gpu_0/memory_bytes": 3 << 30,
        "gpu_0/memory_percent": 25,
        "gpu_0/temperature_celsius": 61,
    }
    assert probe() == probe() == expected
    assert nvml.asked_for_power == 1


def test_gpus_are_found_through_pynvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert len(gpu_probes()) == 1
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(driver=False))
    assert gpu_probes() == []


# --- with experiments ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Sampler:
    sampler = Sampler(lambda: [answer], first_s=0.02, interval_s=0.02)
    monkeypatch.setattr(hardware, "_sampler", sampler)
    return sampler


def test_samples_are_ordinary_series_that_do_not_move_the_steps_of_log(quick: Sampler) -> None:
    with memory_connection(wanted=Wanted(system_metrics=True)) as box:
        with box.start("demo") as run:
            until(lambda: bool(run.all_metrics().get("system/load_percent")))
            run.log(loss=1)
        assert run.all_metrics()["loss"][0].step == 0
        assert run.all_metrics()["system/load_percent"][0].value == 42
        count = run.summaries()["system/load_percent"].count
        time.sleep(0.1)
        assert run.summaries()["system/load_percent"].count == count


def test_new_experiments_and_connections_that_do_not_want_it_are_not_sampled(quick: Sampler, box: ModelBox) -> None:
    with memory_connection(wanted=Wanted(system_metrics=True)) as watched:
        run = watched.new_experiment("demo")
        with box.start("demo") as other:
            time.sleep(0.1)
        assert run.all_metrics() == other.all_metrics() == {}


def test_one_thread_serves_all_experiments(quick: Sampler) -> None:
    with memory_connection(wanted=Wanted(system_metrics=True)) as box:
        runs = [box.start(f"run {i}") for i in range(5)]
        until(lambda: all(run.all_metrics() for run in runs))
        assert sum(thread.name == "modelbox-hardware" and thread is quick._thread for thread in threading.enumerate()) == 1
        runs[0].delete()


def _sampler_of_child(pipe: multiprocessing.connection.Connection) -> None:
    pipe.send((hardware._sampler._watched == {}, hardware._sampler._thread is None))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_sample_for_its_parent() -> None:
    with memory_connection(wanted=Wanted(system_metrics=True)) as box, box.start("demo"):
        assert hardware._sampler._watched
        here, there = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_sampler_of_child, args=(there,))
        child.start()
        assert here.recv() == (True, True)
        child.join()


def test_one_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted_by(None, None, {}) == Wanted(system_metrics=True, provenance=True)
    assert wanted_by(None, None, {"MODELBOX_SYSTEM_METRICS": "0"}) == Wanted(provenance=True)
    assert wanted_by(None, None, {"MODELBOX_PROVENANCE": " No "}) == Wanted(system_metrics=True)
    assert wanted_by(True, False, {"MODELBOX_SYSTEM_METRICS": "off"}) == Wanted(system_metrics=True)
    with pytest.raises(InvalidRequest, match="MODELBOX_PROVENANCE is 'maybe': set it to 1 or 0"):
        wanted_by(None, None, {"MODELBOX_PROVENANCE": "maybe"})


def test_logging_loads_psutil_only_when_a_sample_is_due(tmp_path: object) -> None:
    code = (
        "import sys, modelbox\n"
        f"with modelbox.ModelBox({str(tmp_path)!r}, system_metrics=True) as box:\n"
        "    with box.start('x') as run:\n        run.log(loss=1)\n"
        "print('psutil' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
