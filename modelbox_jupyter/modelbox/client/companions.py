"""What goes along with an experiment from its start to its end: provenance, system metrics, printed lines.

Nothing of it holds up ``start()``: provenance is found and sent by a thread of this process, and the machine is sampled by the one of
:mod:`modelbox.client.hardware`. The end of an experiment waits a little for its provenance, so that whoever reads a finished experiment
sees it. A forked child has threads of its own, for the experiments that it starts.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.client.notices import Notices
from modelbox.errors import InvalidRequest, ModelBoxError, NotFound, shortened

if TYPE_CHECKING:
    from modelbox.client.experiment import Experiment

__all__ = ["NOTHING", "Companions", "Wanted", "wanted_by"]

_LONGEST_WAIT_S = 5.0
# What was started goes first: work that begins at once would take the interpreter for the first milliseconds of training.
_COURTESY_S = 0.05
_OFF = frozenset({"0", "false", "no", "off"})
_ON = frozenset({"", "1", "true", "yes", "on"})
_notices = Notices()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to go along with experiments."""

    system_metrics: bool = False
    provenance: bool = False
    console: bool = False


NOTHING = Wanted()


def wanted_by(system_metrics: bool | None, provenance: bool | None, env: Mapping[str, str] | None = None) -> Wanted:
    """Return what is wanted: what the arguments say; where they say nothing, the environment; else both.

    Raises
    ------
    InvalidRequest
        ``MODELBOX_SYSTEM_METRICS`` or ``MODELBOX_PROVENANCE`` is neither a yes nor a no.
    """
    env = os.environ if env is None else env
    return Wanted(
        system_metrics=_switch("MODELBOX_SYSTEM_METRICS", env) if system_metrics is None else system_metrics,
        provenance=_switch("MODELBOX_PROVENANCE", env) if provenance is None else provenance,
    )


def _switch(name: str, env: Mapping[str, str]) -> bool:
    value = env.get(name, "").strip().lower()
    if value not in _OFF | _ON:
        raise InvalidRequest(f"{name} is {shortened(env[name], 40)}: set it to 1 or 0.", field=name)
    return value not in _OFF


class Companions:
    """What goes along with one experiment of this process.

    Parameters
    ----------
    experiment
        The experiment, which has just started.
    wanted
        What is to go along.
    given
        Metadata that the experiment was started with, which stays as it is.
    """

    def __init__(self, experiment: Experiment, wanted: Wanted, given: Collection[str] = ()) -> None:
        self._stops: list[Callable[[], None]] = []
        self._errand: _Errand | None = None
        if wanted.console:
            from modelbox.client import console

            self._stops.append(console.capture(experiment))
        if wanted.provenance:
            # The folders now: the program may go elsewhere as soon as this returns.
            errand = _Errand(experiment, _code_folders(), frozenset(given))
            self._errand = errand if _runner.take(errand) else None
        if wanted.system_metrics:
            from modelbox.client import hardware

            self._stops.append(hardware.watch(experiment))

    def end(self, wait_s: float = _LONGEST_WAIT_S) -> None:
        """Let everything come to its end, waiting at most `wait_s`; doing so twice changes nothing."""
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()
        errand, self._errand = self._errand, None
        if errand is not None:
            errand.wait(min(wait_s, _LONGEST_WAIT_S))


class _Errand:
    """Find out the provenance of one experiment, and keep it."""

    def __init__(self, experiment: Experiment, folders: list[Path], given: frozenset[str]) -> None:
        self._experiment = experiment
        self._folders = folders
        self._given = given
        self._pid = os.getpid()
        self._is_urgent = threading.Event()
        self._is_done = threading.Event()

    def wait(self, timeout_s: float) -> None:
        """Wait until it is done; not in a forked child, whose parent does it."""
        self._is_urgent.set()
        if self._pid == os.getpid():
            self._is_done.wait(timeout_s)

    def run(self) -> None:
        """Do it; never raises."""
        self._is_urgent.wait(_COURTESY_S)
        try:
            self._keep()
        except NotFound:  # deleted already
            pass
        except ModelBoxError as error:
            _notices.log("provenance", f"ModelBox: code and environment of {self._experiment.name!r} are not kept: {error.detail}")
        except Exception as error:  # noqa: BLE001  (a machine that cannot be asked about itself must not put a traceback into training output)
            _notices.log("provenance", f"ModelBox: code and environment could not be found out: {type(error).__name__}: {error}")
        finally:
            self._is_done.set()

    def _keep(self) -> None:
        from modelbox.client.provenance import provenance

        self._experiment.update_metadata({key: value for key, value in provenance(self._folders).items() if key not in self._given})


class _Runner:
    """Runs errands, one after the other, on a thread that starts with the first: a thread for each would cost every start a switch."""

    def __init__(self) -> None:
        self._errands: queue.SimpleQueue[_Errand] = queue.SimpleQueue()
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None

    def take(self, errand: _Errand) -> bool:
        """Run `errand` as soon as those before it are done; ``False`` when this process can start no thread any more."""
        self._errands.put(errand)
        if self._thread is None:
            with self._starting, suppress(RuntimeError):
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="modelbox-provenance", daemon=True)
                    thread.start()
                    self._thread = thread
        return self._thread is not None

    def _run(self) -> None:
        while True:
            self._errands.get().run()


_runner = _Runner()


def _begin_anew_in_child() -> None:
    global _runner
    _runner = _Runner()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)


def _code_folders() -> list[Path]:
    """Return where the code of this process may lie: the current folder, then that of the script."""
    folders: list[Path] = []
    with suppress(OSError):  # it was deleted
        folders.append(Path.cwd())
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(script, str):
        folders.append(Path(script).parent)
    return folders
