"""What goes along with an experiment from its start to its end: provenance, system metrics, printed lines.

Nothing of it holds up ``start()``: the provenance is found and sent by a thread of its own, and the machine is sampled by the one of
:mod:`modelbox.client.hardware`. The end of the experiment waits a little for the provenance, so that whoever reads a finished experiment
sees it.
"""

from __future__ import annotations

import os
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
        self._experiment = experiment
        self._pid = os.getpid()
        self._stops: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        if wanted.console:
            from modelbox.client import console

            self._stops.append(console.capture(experiment))
        if wanted.provenance:
            self._find_provenance(given)
        if wanted.system_metrics:
            from modelbox.client import hardware

            self._stops.append(hardware.watch(experiment))

    def end(self, wait_s: float = _LONGEST_WAIT_S) -> None:
        """Let everything come to its end, waiting at most `wait_s`; doing so twice changes nothing."""
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()
        thread, self._thread = self._thread, None
        # In a forked child the thread never runs, and the experiment is its parent's.
        if thread is not None and self._pid == os.getpid():
            thread.join(min(wait_s, _LONGEST_WAIT_S))

    def _find_provenance(self, given: Collection[str]) -> None:
        # The folders now: the program may go elsewhere as soon as this returns.
        arguments = (_code_folders(), frozenset(given))
        thread = threading.Thread(target=self._keep_provenance, args=arguments, name="modelbox-provenance", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter is shutting down
            return
        self._thread = thread

    def _keep_provenance(self, folders: list[Path], given: Collection[str]) -> None:
        from modelbox.client.provenance import provenance

        try:
            self._experiment.update_metadata({key: value for key, value in provenance(folders).items() if key not in given})
        except NotFound:  # deleted already
            pass
        except ModelBoxError as error:
            _notices.log("provenance", f"ModelBox: code and environment of {self._experiment.name!r} are not kept: {error.detail}")
        except Exception as error:  # noqa: BLE001  (a machine that cannot be asked about itself must not put a traceback into training output)
            _notices.log("provenance", f"ModelBox: code and environment could not be found out: {type(error).__name__}: {error}")


def _code_folders() -> list[Path]:
    """Return where the code of this process may lie: the current folder, then that of the script."""
    folders: list[Path] = []
    with suppress(OSError):  # it was deleted
        folders.append(Path.cwd())
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(script, str):
        folders.append(Path(script).parent)
    return folders
