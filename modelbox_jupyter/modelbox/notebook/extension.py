"""Loading into IPython and unloading again, piece by piece and in reverse order."""

from collections.abc import Callable
from importlib import import_module

from IPython.core.interactiveshell import InteractiveShell

from modelbox.notebook.cell import CellRuns
from modelbox.notebook.complete import Completion
from modelbox.notebook.live import LiveCharts
from modelbox.notebook.magics import ModelBoxMagics
from modelbox.notebook.renderer import use_renderer

__all__ = ["load", "unload"]

# What each loaded shell has to do when it unloads. A process has one shell, apart from tests.
_loaded: dict[int, list[Callable[[], None]]] = {}


def load(shell: InteractiveShell) -> None:
    """Add magics, completion, accessor, renderer and live charts to `shell`; a shell that has them stays as it is."""
    if id(shell) in _loaded:
        return
    import_module("modelbox.notebook.accessor")  # registers df.modelbox, which needs no shell and stays
    magics = ModelBoxMagics(shell)
    shell.register_magics(magics)
    # Experiments that cells are end before the charts of the cell get their last picture: events are heard in the order of registration.
    unload_cells = CellRuns(shell).load()
    charts = LiveCharts(shell)
    charts.start()
    _loaded[id(shell)] = [lambda: _remove_magics(shell), Completion(shell).load(), use_renderer(shell), unload_cells, charts.stop]


def unload(shell: InteractiveShell) -> None:
    """Undo :func:`load`; a shell that was never loaded stays as it is."""
    for undo in reversed(_loaded.pop(id(shell), [])):
        undo()


def _remove_magics(shell: InteractiveShell) -> None:
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("modelbox", None)
