"""Many processes that log to one experiment: ranks of a distributed training, workers of a pool, machines of a cluster.

Each process has a journal of its own, and all name the experiment by its id. Either one of them starts it and the others continue it
with :func:`modelbox.experiment`, or all are started with the same ``MODELBOX_EXPERIMENT_ID`` (40 hex digits), as in ::

    MODELBOX_EXPERIMENT_ID=$(python -c "import secrets; print(secrets.token_hex(20))") torchrun --nproc-per-node 4 train.py

Then :func:`modelbox.start` means that experiment in each of them, whichever comes first. With ``RANK`` in the environment, as torchrun sets
it, only rank 0 says that the run has finished, and samples the machine. What ranks log beside each other goes through
:meth:`modelbox.Experiment.labelled`, under names such as ``rank 3/loss``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from modelbox.entities.ids import is_id
from modelbox.errors import InvalidRequest, shortened

__all__ = ["is_first_rank", "label_of_process", "shared_experiment_id"]

_VARIABLE = "MODELBOX_EXPERIMENT_ID"
_begun_in_pid: dict[str, int] = {}


def shared_experiment_id(env: Mapping[str, str] | None = None) -> str | None:
    """Return the id that all processes with this environment start, the first time in a process; ``None`` when there is none.

    Raises
    ------
    InvalidRequest
        ``MODELBOX_EXPERIMENT_ID`` is no id.
    """
    env = os.environ if env is None else env
    shared = env.get(_VARIABLE)
    if not shared or _begun_in_pid.get(shared) == os.getpid():
        return None
    if not is_id(shared):
        raise InvalidRequest(f"{_VARIABLE} is {shortened(shared, 60)}: an id has 40 lower-case hex digits.", field=_VARIABLE)
    _begun_in_pid[shared] = os.getpid()
    return shared


def is_first_rank(env: Mapping[str, str] | None = None) -> bool:
    """Tell whether this process speaks for all: it is rank 0, or has no rank."""
    return (os.environ if env is None else env).get("RANK", "0").strip() in {"", "0"}


def label_of_process(env: Mapping[str, str] | None = None) -> str:
    """Return ``"rank N"`` after ``RANK``.

    Raises
    ------
    InvalidRequest
        The environment says no rank.
    """
    rank = (os.environ if env is None else env).get("RANK", "").strip()
    if not rank:
        raise InvalidRequest("RANK is not set, so this process has no label of its own: give one, as in labelled('worker 3').")
    return f"rank {rank}"
