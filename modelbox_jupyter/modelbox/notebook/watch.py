"""``%modelbox watch``: a live chart of experiments, whoever runs them."""

from collections.abc import Sequence

from IPython.core.interactiveshell import InteractiveShell

from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.entities.records import Status
from modelbox.notebook.live_group import LiveGroup

__all__ = ["nothing_runs", "watch"]

MAX_WATCHED = 20
"""More curves than these tell nothing."""


def watch(shell: InteractiveShell, experiments: Sequence[Experiment]) -> None:
    """Show a chart of `experiments` that stays up to date until the last of them is over."""
    group = LiveGroup(shell, experiments[0].session, asks_how_they_are=True)
    for experiment in reversed(experiments[:MAX_WATCHED]):  # the newest last, as they would have started
        group.add(experiment)
    if all(experiment.status is not Status.RUNNING for experiment in experiments):
        group.settle()


def nothing_runs(box: ModelBox) -> str:
    """Return a sentence for somebody who wants to watch while nothing runs."""
    newest = box.experiments(limit=1)
    if not newest:
        return "No experiment is running, and there is none yet: begin one with modelbox.start(name)."
    run = newest[0]
    return f"No experiment is running. The newest is {run.name!r} ({run.status}): %modelbox watch {run.id[:10]} shows its curves."
