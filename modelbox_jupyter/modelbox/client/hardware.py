"""What the machine does while an experiment runs: processor, memory, disk, network and GPUs, as ordinary series under ``system/``.

=============================================== =======================================================================================
series                                          holds
=============================================== =======================================================================================
``system/cpu_percent``                          load of all processors of the machine, 0 to 100
``system/process_cpu_percent``                  load that this process makes, 100 per processor
``system/process_memory_bytes``                 resident memory of this process
``system/memory_percent``                       memory of the machine in use
``system/memory_available_bytes``               memory that programs could still get
``system/disk_used_percent``                    how full the disk of the current folder is
``system/disk_read_bytes_per_s``, ``…_write_…`` traffic of all disks
``system/network_sent_bytes_per_s``,            traffic of all network interfaces
``system/network_received_bytes_per_s``
``system/gpu_N/utilization_percent``,           for each GPU, where ``pynvml`` can be imported and finds some
``…/memory_bytes``, ``…/memory_percent``,
``…/temperature_celsius``, ``…/power_watts``
=============================================== =======================================================================================

The step of a point is the number of seconds since the experiment started. Loads and rates are means since the point before.

One thread per process samples for all its running experiments. A source that fails is left out from then on; nothing here raises into
training, and nothing is loaded or measured before an experiment has run for half a second. A forked child samples only for experiments that
it starts itself.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from modelbox.client.notices import Notices
from modelbox.entities.own_keys import SYSTEM_PREFIX

if TYPE_CHECKING:
    from modelbox.client.experiment import Experiment

__all__ = ["GpuProbe", "Nvml", "Probe", "Sampler", "gpu_probes", "machine_probes", "watch"]

Probe: TypeAlias = Callable[[], Mapping[str, float]]
"""Reads some numbers, by name without the prefix; rates are counted since its previous call."""

Take: TypeAlias = Callable[[int, Mapping[str, float]], None]
"""Takes one sample: seconds since the start, and the values by key."""

_FIRST_S = 1.0
_INTERVAL_S = 10.0
# Two experiments that are due at nearly the same time share one sample: loads and rates over an instant mean nothing.
_SHARED_S = 0.4


@dataclass(slots=True)
class _Watched:
    take: Take
    begin_s: float
    due_s: float
    has_baseline: bool = False


class Sampler:
    """Samples the machine for those who watch, from one thread.

    Parameters
    ----------
    make_probes
        Makes the sources, on the thread, when the first sample is due.
    first_s, interval_s
        When the first sample is taken, and the time between further ones.
    clock
        Monotonic seconds.

    Notes
    -----
    `watch` and `unwatch` may be called from any thread, and take no lock that the thread holds while it samples.
    """

    def __init__(
        self,
        make_probes: Callable[[], Sequence[Probe]] | None = None,
        *,
        first_s: float = _FIRST_S,
        interval_s: float = _INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_probes = make_probes or machine_probes
        self._first_s = first_s
        self._interval_s = interval_s
        self._clock = clock
        self._probes: list[Probe] | None = None
        self._values: dict[str, float] = {}
        self._sampled_s = float("-inf")
        self._watched: dict[int, _Watched] = {}
        self._numbers = itertools.count()
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._notices = Notices()

    def watch(self, take: Take) -> int:
        """Begin to hand samples to `take`, and return what :meth:`unwatch` wants."""
        begin_s = self._clock()
        number = next(self._numbers)
        # Half way to the first sample a baseline is taken, from which that sample's rates count.
        self._watched[number] = _Watched(take, begin_s, begin_s + self._first_s / 2)
        if self._thread is None:
            self._start()
        self._wake.set()
        return number

    def unwatch(self, number: int) -> None:
        """Stop handing out samples; doing so twice changes nothing."""
        self._watched.pop(number, None)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="modelbox-hardware", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads, or the interpreter is shutting down
                    return
                self._thread = thread

    def _run(self) -> None:
        while True:
            self._wake.wait(self.work())
            self._wake.clear()

    def work(self) -> float | None:
        """Do what is due now, and return after how many seconds there is more to do; ``None`` while nobody watches."""
        now_s = self._clock()
        for number, watched in list(self._watched.items()):
            if watched.due_s > now_s:
                continue
            if watched.has_baseline:
                self._hand_out(number, watched, self._sample(now_s), now_s)
                # Counted from now: a machine that slept does not catch up.
                watched.due_s = now_s + self._interval_s
            else:
                if now_s - self._sampled_s > self._interval_s:
                    self._sample(now_s)
                watched.has_baseline = True
                watched.due_s = watched.begin_s + self._first_s
        left = [watched.due_s for watched in list(self._watched.values())]
        return max(0.0, min(left) - self._clock()) if left else None

    def _hand_out(self, number: int, watched: _Watched, values: Mapping[str, float], now_s: float) -> None:
        if not values or number not in self._watched:
            return
        try:
            watched.take(int(now_s - watched.begin_s), values)
        except Exception as error:  # noqa: BLE001  (whatever is wrong with one experiment, the others go on)
            self._notices.log("take", f"ModelBox: system metrics could not be logged: {type(error).__name__}: {error}")
            self.unwatch(number)

    def _sample(self, now_s: float) -> Mapping[str, float]:
        if now_s - self._sampled_s < _SHARED_S:
            return self._values
        if self._probes is None:
            self._probes = list(self._make_probes())
        values: dict[str, float] = {}
        for probe in list(self._probes):
            try:
                values.update({f"{SYSTEM_PREFIX}{name}": float(value) for name, value in probe().items()})
            except Exception as error:  # noqa: BLE001  (drivers and containers fail in ways of their own; training must not notice)
                self._probes.remove(probe)
                self._notices.log(f"probe {probe}", f"ModelBox: a source of system metrics is left out: {type(error).__name__}: {error}")
        self._values, self._sampled_s = values, now_s
        return values


def machine_probes() -> list[Probe]:
    """Return the sources of this machine: what psutil and pynvml can tell, as far as they are installed."""
    probes: list[Probe] = []
    try:
        import_module("psutil")
    except ImportError:
        pass
    else:
        probes += [_load_probe(), _memory_probe(), _disk_space, _rates(_disk_traffic), _rates(_network_traffic)]
    probes += gpu_probes()
    return probes


def _load_probe() -> Probe:
    import psutil

    process = psutil.Process()

    def load() -> dict[str, float]:
        return {"cpu_percent": psutil.cpu_percent(None), "process_cpu_percent": process.cpu_percent(None)}

    load()  # the first answer of psutil is always zero
    return load


def _memory_probe() -> Probe:
    import psutil

    process = psutil.Process()

    def memory() -> dict[str, float]:
        machine = psutil.virtual_memory()
        return {
            "process_memory_bytes": process.memory_info().rss,
            "memory_percent": machine.percent,
            "memory_available_bytes": machine.available,
        }

    return memory


def _disk_space() -> dict[str, float]:
    import psutil

    return {"disk_used_percent": psutil.disk_usage(str(Path.cwd())).percent}


def _disk_traffic() -> dict[str, float]:
    import psutil

    totals = psutil.disk_io_counters()
    return {} if totals is None else {"disk_read_bytes": totals.read_bytes, "disk_write_bytes": totals.write_bytes}


def _network_traffic() -> dict[str, float]:
    import psutil

    totals = psutil.net_io_counters()
    return {} if totals is None else {"network_sent_bytes": totals.bytes_sent, "network_received_bytes": totals.bytes_recv}


def _rates(totals: Probe) -> Probe:
    """Return a probe of how fast counters grow; one that starts over, such as that of a replaced interface, counts as standing still."""
    seen: dict[str, float] = {}
    seen_s = float("nan")

    def rates() -> dict[str, float]:
        nonlocal seen, seen_s
        now, now_s = dict(totals()), time.monotonic()
        passed_s = now_s - seen_s
        grown = {f"{name}_per_s": max(0.0, value - seen[name]) / passed_s for name, value in now.items() if name in seen and passed_s > 0}
        seen, seen_s = now, now_s
        return grown

    return rates


# --- GPUs --------------------------------------------------------------------------------------------------------------------------------


class _Utilization(Protocol):
    gpu: int


class _Memory(Protocol):
    used: int
    total: int


class Nvml(Protocol):
    """What is used of ``pynvml``, which ships no type information."""

    @property
    def NVMLError(self) -> type[Exception]:  # noqa: N802
        """What is raised for everything that a GPU or its driver cannot do."""
        ...

    def nvmlInit(self) -> None:  # noqa: N802
        """Connect to the driver."""
        ...

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """Return how many GPUs there are."""
        ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        """Return a GPU."""
        ...

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> _Utilization:  # noqa: N802
        """Return loads in percent."""
        ...

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> _Memory:  # noqa: N802
        """Return memory in bytes."""
        ...

    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int:  # noqa: N802
        """Return degrees Celsius; sensor 0 is the chip."""
        ...

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:  # noqa: N802
        """Return milliwatts."""
        ...


class GpuProbe:
    """Reads one GPU. What this model of GPU cannot tell is not asked for again.

    Parameters
    ----------
    nvml
        The library, initialised.
    index
        Number of the GPU.
    """

    def __init__(self, nvml: Nvml, index: int) -> None:
        self._nvml = nvml
        self._prefix = f"gpu_{index}"
        self._handle = nvml.nvmlDeviceGetHandleByIndex(index)
        self._readings: list[Probe] = [self._load, self._memory, self._temperature, self._power]

    def __call__(self) -> dict[str, float]:
        """Return what the GPU tells now."""
        values: dict[str, float] = {}
        for reading in list(self._readings):
            try:
                values.update({f"{self._prefix}/{name}": value for name, value in reading().items()})
            except self._nvml.NVMLError:
                self._readings.remove(reading)
        return values

    def _load(self) -> dict[str, float]:
        return {"utilization_percent": self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu}

    def _memory(self) -> dict[str, float]:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        return {"memory_bytes": memory.used, "memory_percent": 100 * memory.used / max(memory.total, 1)}

    def _temperature(self) -> dict[str, float]:
        return {"temperature_celsius": self._nvml.nvmlDeviceGetTemperature(self._handle, 0)}

    def _power(self) -> dict[str, float]:
        return {"power_watts": self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000}


def gpu_probes() -> list[Probe]:
    """Return a source for each GPU that pynvml finds; none where it is not installed or there is no driver."""
    if find_spec("pynvml") is None:
        return []
    try:
        nvml = cast("Nvml", import_module("pynvml"))
        nvml.nvmlInit()
        return [GpuProbe(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    except Exception:  # noqa: BLE001  (no driver, another library of that name, a driver of another version: then there are no GPUs to watch)
        return []


# --- the sampler of this process ---------------------------------------------------------------------------------------------------------

_sampler = Sampler()


def watch(experiment: Experiment) -> Callable[[], None]:
    """Log system metrics to `experiment` until what is returned is called."""
    sampler = _sampler
    number = sampler.watch(experiment.log_beside)
    return lambda: sampler.unwatch(number)


def _begin_anew_in_child() -> None:
    # The thread stayed behind in the parent, and so do the experiments of the parent.
    global _sampler
    _sampler = Sampler()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
