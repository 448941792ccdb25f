"""``%%modelbox run NAME``: a cell becomes an experiment.

The cell runs in the user's namespace as it would without the magic: its last expression is shown, and an exception leaves it with the same
type and the same traceback. ``modelbox.log()`` in the cell logs to the experiment.
"""

import ast
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import CodeType

from IPython.core.interactiveshell import InteractiveShell

from modelbox.client.experiment import Experiment
from modelbox.client.shared import start
from modelbox.notebook.notes import quietly

__all__ = ["run_cell"]


def run_cell(
    shell: InteractiveShell,
    cell: str,
    name: str,
    *,
    params: Mapping[str, object] | None = None,
    tags: Sequence[str] = (),
    namespace: str = "",
    group: str = "",
) -> Experiment:
    """Execute `cell` as an experiment, and return the experiment.

    Kept as metadata: the source (``cell.source``), the time it took (``cell.duration_s``), and the exception if one left it
    (``cell.error``), beside what every run keeps (:mod:`modelbox.client.provenance`).
    """
    code = _compiled(shell, cell)  # first: a typo is no experiment
    with start(name, namespace=namespace, params=params, tags=tags, group=group, metadata={"cell.source": cell}) as experiment:
        begin_s = time.perf_counter()
        after: dict[str, object] = {}
        try:
            for part in code:
                exec(part, shell.user_global_ns, shell.user_ns)  # noqa: S102 - running the user's cell is what this is for
        except BaseException as error:
            after["cell.error"] = {"type": type(error).__name__, "message": str(error)}
            _keep_traceback(shell, error)
            raise
        finally:
            after["cell.duration_s"] = time.perf_counter() - begin_s
            with quietly("The end of the cell could not be recorded"):
                experiment.update_metadata(after)
    return experiment


def _compiled(shell: InteractiveShell, cell: str) -> list[CodeType]:
    """Return the statements of a cell, and apart from them the last one if it is an expression, whose value is shown."""
    source: str = shell.transform_cell(cell)  # type: ignore[no-untyped-call]
    filename = shell.compile.cache(source, shell.execution_count, raw_code=cell)
    flags = shell.compile.flags  # what earlier cells imported from __future__
    tree = compile(source, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    parts: list[tuple[ast.Module | ast.Interactive, str]] = [(tree, "exec")]
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        parts.append((ast.Interactive([tree.body.pop()]), "single"))
    return [compile(part, filename, mode, flags, dont_inherit=True) for part, mode in parts]


def _keep_traceback(shell: InteractiveShell, error: BaseException) -> None:
    """Make `error` show the traceback that it would have without the magic: the frames of the cell, not ours.

    The exception itself stays as it is; only IPython's hook for how to render it is set.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    lines = shell.InteractiveTB.structured_traceback(type(error), error, trace, tb_offset=0)
    # An exception class with __slots__ cannot take it; then the traceback shows our frame above the user's.
    with suppress(AttributeError):
        error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
