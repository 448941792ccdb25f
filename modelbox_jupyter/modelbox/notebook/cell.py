"""``%%modelbox run NAME``: a cell becomes an experiment.

IPython runs the cell, as it runs any other: the line of the magic is turned into a call that begins the experiment, and the end of the cell
ends it. So top-level ``await``, the value of the last line, tracebacks and mistakes of spelling are what they are without the magic.

Kept beside what every run keeps (:mod:`modelbox.client.provenance`):

=================== =================================================================================================================
``cell.source``     the cell, without the line of the magic; what looks like a secret is masked
``cell.id``         id of the cell in its notebook, where the front end tells it
``cell.duration_s`` how long it took
``cell.error``      of an exception that ended it: ``type``, ``message`` and ``traceback``
``console/…``       what it printed, line by line
``cell.ipynb``      an artifact: the cell with its outputs, as a notebook of one cell
=================== =================================================================================================================
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from IPython.core.error import UsageError

from modelbox.client.experiment import Experiment
from modelbox.client.masking import masked_text
from modelbox.client.shared import start
from modelbox.entities.own_keys import CELL_ERROR, CELL_SOURCE
from modelbox.notebook.cell_error import CellError
from modelbox.notebook.cell_outputs import OutputKeeper, notebook_of
from modelbox.notebook.notes import notices, quietly

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from modelbox.entities.records import Json

__all__ = ["CellRuns", "CellSettings"]

_ARTIFACT = "cell.ipynb"
_MAX_SOURCE_CHARS = 250_000
_LINE = re.compile(r"%%modelbox[ \t]+(?P<rest>run\b.*)")
_HELP = re.compile(r"\s(?:-h|--help)\b")
_MAGIC_ALONE = re.compile(r"%{1,2}modelbox\s+run\b.*")
_VARIABLE = "exp"


@dataclass(frozen=True, slots=True)
class CellSettings:
    """What the line of the magic says."""

    name: str
    params: Mapping[str, object] = field(default_factory=dict)
    tags: Sequence[str] = ()
    namespace: str = ""
    group: str = ""
    """What ties it to other runs of the same thing; the name when empty, so that running a cell again makes one more of its group."""
    parent: Experiment | None = None
    metrics: Sequence[str] = ()
    """Variables whose values are logged when the cell has ended."""
    variable: str = ""
    """What the experiment is called in the cell; ``exp``, unless that means something else already, when empty."""
    keep_outputs: bool = True


@dataclass(slots=True, eq=False)
class _Cell:
    """A cell that runs, and the experiment that it is, if it is one."""

    info: ExecutionInfo | None
    thread: int
    run: _Run | None = None


@dataclass(slots=True, eq=False)
class _Run:
    """An experiment that a cell is."""

    settings: CellSettings
    experiment: Experiment
    keeper: OutputKeeper
    source: str
    cell_id: str
    execution_count: int
    begin_s: float


class CellRuns:
    """Makes experiments of cells of a shell.

    Parameters
    ----------
    shell
        The shell.

    Notes
    -----
    Several cells may run at once: one that a cell itself runs, and those of subshells, which have threads of their own.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._cells: list[_Cell] = []
        self._adopted: _Run | None = None

    @classmethod
    def of(cls, shell: InteractiveShell) -> CellRuns:
        """Return those of a shell that has loaded the extension."""
        return _known[shell]

    def load(self) -> Callable[[], None]:
        """Begin to listen to cells, and return how to stop."""
        events, transforms = self._shell.events, self._shell.input_transformers_cleanup
        events.register("pre_run_cell", self._before)
        events.register("post_run_cell", self._after)
        transforms.append(_begin_with_a_call)
        _known[self._shell] = self

        def unload() -> None:
            events.unregister("pre_run_cell", self._before)
            events.unregister("post_run_cell", self._after)
            transforms.remove(_begin_with_a_call)
            _known.pop(self._shell, None)
            for cell in self._cells:  # the one that unloads
                self._end(cell.run, None)

        return unload

    def begin(self, settings: CellSettings) -> None:
        """Make the rest of the cell that runs an experiment.

        Raises
        ------
        UsageError
            No cell runs, nothing follows in it, or it is an experiment already.
        """
        cell = next((cell for cell in reversed(self._cells) if cell.thread == threading.get_ident()), None)
        if cell is None or _is_nothing_but_the_magic(cell.info):
            raise UsageError("Write %%modelbox run NAME as the first line of the cell that is to be an experiment.")
        if cell.run is not None:
            raise UsageError(
                f"This cell is the experiment {cell.run.experiment.name!r} already: begin others in it with modelbox.start(name)."
            )
        cell.run = self._start(settings, cell.info)

    def run(self, source: str, settings: CellSettings) -> None:
        """Run `source` as a cell and as an experiment; for programs, which hand a magic the text of its cell."""
        run = self._adopted = self._start(settings, None, source)
        try:
            result = self._shell.run_cell(source)  # type: ignore[no-untyped-call]
        finally:
            self._adopted = None
        self._end(run, result.error_in_exec or result.error_before_exec)  # an empty cell has no events
        result.raise_error()

    def _before(self, info: ExecutionInfo | None = None) -> None:
        run, self._adopted = self._adopted, None
        self._cells.append(_Cell(info, threading.get_ident(), run))

    def _after(self, result: ExecutionResult | None = None) -> None:
        """End the experiment that the cell was. Runs before the reply, so that everything still belongs to the cell."""
        info = None if result is None else result.info
        ended = next((cell for cell in reversed(self._cells) if cell.info is info), None)
        if ended is None and result is None and self._cells:  # the kernel lost the result: somebody cancelled the cell
            ended = self._cells[-1]
        if ended is None:
            return
        self._cells.remove(ended)
        error = asyncio.CancelledError() if result is None else result.error_in_exec or result.error_before_exec
        self._end(ended.run, error)

    def _start(self, settings: CellSettings, info: ExecutionInfo | None, source: str | None = None) -> _Run:
        raw = _source_of(info) if source is None else source
        cell_id = "" if info is None else info.cell_id or ""
        text = masked_text(_LINE.sub("", raw, count=1).lstrip("\n") if _LINE.match(raw) else raw)[:_MAX_SOURCE_CHARS]
        about: dict[str, Json] = {CELL_SOURCE: text, **({"cell.id": cell_id} if cell_id else {})}
        experiment = start(
            settings.name,
            namespace=settings.namespace,
            params=settings.params,
            tags=settings.tags,
            group=settings.group or settings.name,
            parent=settings.parent,
            metadata=about,
            console=settings.keep_outputs,
        )
        self._name(experiment, settings.variable)
        # A cell that is kept in the history has raised the number for the next one already.
        number = self._shell.execution_count - (info is not None and info.store_history)
        keeper = OutputKeeper(self._shell)
        if settings.keep_outputs:
            keeper.start()
        return _Run(settings, experiment, keeper, masked_text(raw)[:_MAX_SOURCE_CHARS], cell_id, number, time.perf_counter())

    def _name(self, experiment: Experiment, variable: str) -> None:
        names = self._shell.user_ns
        if variable or isinstance(names.get(_VARIABLE, experiment), Experiment):  # `exp` may well be the function of the user
            names[variable or _VARIABLE] = experiment

    def _end(self, run: _Run | None, error: BaseException | None) -> None:
        if run is None or run.keeper.is_over:
            return
        duration_s = time.perf_counter() - run.begin_s
        run.keeper.stop()
        experiment = run.experiment
        after: dict[str, object] = {"cell.duration_s": duration_s}
        problem = None if error is None else CellError.of(self._shell, error)
        if problem is not None:
            after[CELL_ERROR] = problem.metadata()
        with quietly("The end of the cell could not be recorded"):
            self._log_variables(experiment, run.settings.metrics)
            experiment.update_metadata(after)
            if run.settings.keep_outputs:
                _upload(experiment, run, problem)
        if isinstance(error, asyncio.CancelledError):  # how the kernel interrupts an `await`
            error = KeyboardInterrupt()
        experiment.__exit__(None if error is None else type(error), error, None)

    def _log_variables(self, experiment: Experiment, names: Sequence[str]) -> None:
        found = {name: self._shell.user_ns[name] for name in names if name in self._shell.user_ns}
        if found:
            experiment.log(found)
        for name in names:
            if name not in found:
                notices.log(f"variable {name}", f"ModelBox: the cell has left no variable {name!r}, so there is no such metric.")


_known: WeakKeyDictionary[InteractiveShell, CellRuns] = WeakKeyDictionary()


def _begin_with_a_call(lines: list[str]) -> list[str]:
    """Turn the first line of ``%%modelbox run`` into a call, and leave the rest of the cell to IPython.

    A cell that has no rest, or asks for help, stays a cell magic, which runs nothing.
    """
    line = _LINE.match(lines[0]) if lines else None
    if line is None or _HELP.search(line["rest"]) or not any(rest.strip() for rest in lines[1:]):
        return lines
    return [f"get_ipython().run_line_magic('modelbox', {line['rest']!r})\n", *lines[1:]]


# A terminal asks after each line whether a cell is complete: that of a cell magic is with an empty line, and it should still look like one.
_begin_with_a_call.has_side_effects = True  # type: ignore[attr-defined]


def _source_of(info: ExecutionInfo | None) -> str:
    return "" if info is None or info.raw_cell is None else info.raw_cell


def _is_nothing_but_the_magic(info: ExecutionInfo | None) -> bool:
    lines = _source_of(info).strip().splitlines()
    return bool(lines) and _MAGIC_ALONE.fullmatch(lines[-1].strip()) is not None


def _upload(experiment: Experiment, run: _Run, problem: CellError | None) -> None:
    cell_id = run.cell_id if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", run.cell_id) else experiment.id[:8]
    error = None if problem is None else problem.output()
    notebook = notebook_of(run.source, run.keeper.outputs(), cell_id=cell_id, execution_count=run.execution_count, error=error)
    with tempfile.TemporaryDirectory(prefix="modelbox-") as folder:
        path = Path(folder, _ARTIFACT)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), encoding="utf-8", errors="replace")
        experiment.upload_artifact(path)
