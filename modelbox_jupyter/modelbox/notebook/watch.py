"""``%modelbox watch``: a live chart of experiments, whoever runs them."""

from collections.abc import Iterable, Sequence

from IPython.core.interactiveshell import InteractiveShell

from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.entities.records import Status
from modelbox.notebook.live_group import LiveGroup

__all__ = ["nothing_runs", "running", "watch"]

_MAX_WATCHED = 20
"""More curves than these tell nothing."""


def running(box: ModelBox, namespace: str | None = None) -> list[Experiment]:
    """Return the experiments that run, the newest last, as somebody who starts them would have them."""
    return list(reversed(box.experiments(namespace, status=Status.RUNNING, limit=_MAX_WATCHED)))


def watch(shell: InteractiveShell, box: ModelBox, named: Sequence[Experiment], namespace: str | None = None) -> bool:
    """Show a chart that stays up to date until the last of its experiments is over, and tell whether there was any.

    Parameters
    ----------
    shell
        Where to display.
    box
        The store.
    named
        What to show. When empty, what runs in `namespace`, or anywhere; experiments that begin meanwhile join in.
    namespace
        Only experiments in this namespace or below it.
    """

    def who_runs() -> Iterable[Experiment]:
        return () if named else running(box, namespace)

    shown = list(named[-_MAX_WATCHED:]) or running(box, namespace)
    if not shown:
        return False
    group = LiveGroup(shell, box.session, running=who_runs)
    for experiment in shown:
        group.add(experiment)
    if all(experiment.status is not Status.RUNNING for experiment in shown):
        group.settle()
    return True


def nothing_runs(box: ModelBox) -> str:
    """Return a sentence for somebody who wants to watch while nothing runs."""
    newest = box.experiments(limit=1)
    if not newest:
        return "No experiment is running, and there is none yet: begin one with modelbox.start(name)."
    run = newest[0]
    return f"No experiment is running. The newest is {run.name!r} ({run.status}): %modelbox watch {run.id[:10]} shows its curves."
