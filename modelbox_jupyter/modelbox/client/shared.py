"""The connection that the functions of the package ``modelbox`` share, opened by the first of them that needs it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from modelbox.client.connection import ModelBox

if TYPE_CHECKING:
    from modelbox.client.artifacts import PathLike
    from modelbox.client.discovery import Where
    from modelbox.client.experiment import Experiment
    from modelbox.client.model import Model
    from modelbox.client.opening import Mode
    from modelbox.client.spool import Durability

__all__ = ["connect", "default_connection", "experiment", "model", "new_experiment", "new_model", "start", "where"]

_default: ModelBox | None = None
_default_lock = threading.Lock()


def connect(
    address: str | os.PathLike[str] | None = None,
    *,
    token: str | None = None,
    strict: bool = False,
    durability: Durability = "process",
    system_metrics: bool | None = None,
    provenance: bool | None = None,
    mode: Mode | None = None,
) -> ModelBox:
    """Open a connection and make it the one that the functions of this package use. Parameters are those of :class:`ModelBox`."""
    global _default
    connection = ModelBox(
        address,
        token=token,
        strict=strict,
        durability=durability,
        system_metrics=system_metrics,
        provenance=provenance,
        mode=mode,
    )
    with _default_lock:
        _default = connection
    return connection


def default_connection() -> ModelBox:
    """Return the connection that the functions of this package use; the first call searches the store."""
    global _default
    with _default_lock:
        if _default is None:
            _default = ModelBox()
        return _default


def where() -> Where:
    """Return which store the functions of this package use, and why."""
    return default_connection().where


def start(
    name: str,
    *,
    namespace: str = "",
    params: Mapping[str, object] | None = None,
    tags: Iterable[str] = (),
    group: str = "",
    parent: Experiment | str | None = None,
    owner: str = "",
    framework: str = "",
    external_id: str = "",
    metadata: Mapping[str, object] | None = None,
    allow_secrets: bool = False,
    console: bool = False,
) -> Experiment:
    """Start a fresh experiment and make it the current one; see :meth:`ModelBox.start`.

    Examples
    --------
    >>> import modelbox
    >>> with modelbox.start("digits", params={"lr": 0.1}, tags=["baseline"]) as run:  # doctest: +SKIP
    ...     run.log(loss=0.25)
    """
    return default_connection().start(
        name,
        namespace=namespace,
        params=params,
        tags=tags,
        group=group,
        parent=parent,
        owner=owner,
        framework=framework,
        external_id=external_id,
        metadata=metadata,
        allow_secrets=allow_secrets,
        console=console,
    )


def new_experiment(name: str, owner: str = "", namespace: str = "", external_id: str = "", framework: str = "") -> Experiment:
    """Return the experiment that `name` always means in `namespace`; see :meth:`ModelBox.new_experiment`."""
    return default_connection().new_experiment(name, owner, namespace, external_id, framework)


def experiment(experiment_id: str) -> Experiment:
    """Return an experiment by its id."""
    return default_connection().experiment(experiment_id)


def new_model(
    name: str,
    owner: str = "",
    namespace: str = "",
    task: str = "",
    description: str = "",
    artifacts: Sequence[PathLike] = (),
    metadata: Mapping[str, object] | None = None,
) -> Model:
    """Return the model that `name` means in `namespace`; see :meth:`ModelBox.new_model`."""
    return default_connection().new_model(name, owner, namespace, task, description, artifacts, metadata)


def model(name_or_id: str, *, namespace: str | None = None) -> Model:
    """Return a model by its name, or by its id; see :meth:`ModelBox.model`."""
    return default_connection().model(name_or_id, namespace=namespace)
