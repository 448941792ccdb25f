"""Experiments: one training job, as the code that runs it sees it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from modelbox.client import active, observers
from modelbox.client.buffer import Record
from modelbox.client.checkpoint import Checkpoint
from modelbox.client.companions import NOTHING, Companions, Wanted
from modelbox.client.console import CONSOLE_SERIES, printed_text
from modelbox.client.masking import masked
from modelbox.client.metadata import wire_metadata
from modelbox.client.metrics import wire_metrics
from modelbox.client.sender import EXIT_FLUSH_S
from modelbox.client.tracked import TrackedObject
from modelbox.client.values import flat_params
from modelbox.entities.records import Status
from modelbox.errors import InvalidRequest, ModelBoxError, shortened
from modelbox.wire import routes
from modelbox.wire.messages import CheckpointCreate, ExperimentCreate, ExperimentsQuery, ExperimentUpdate, PageQuery

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from modelbox.client.session import Session
    from modelbox.client.values import Value
    from modelbox.entities.records import ExperimentRecord, Json

__all__ = ["Experiment", "start_experiment"]

_PARAMS = "params."
_TAGS = "tags."


class Experiment(TrackedObject):
    """One training job. Made by :func:`modelbox.start`, :meth:`modelbox.ModelBox.new_experiment` and their readers.

    As a context manager it is finished at the end of the block: ``finished``, ``failed`` when an exception leaves it, ``interrupted`` by
    Ctrl-C. Exceptions pass unchanged.

    Parameters
    ----------
    session
        The connection it belongs to.
    record
        What the store knew of it last.
    """

    def __init__(self, session: Session, record: ExperimentRecord) -> None:
        super().__init__(session, record.id)
        self.record = record
        self.pid = os.getpid()
        self._params_set: dict[str, Json] = {}
        self._companions: Companions | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def namespace(self) -> str:
        """Path that it is grouped under."""
        return self.record.namespace

    @property
    def status(self) -> Status:
        """``running``, ``finished``, ``failed`` or ``interrupted``, as last heard; :meth:`refresh` asks again."""
        return self.record.status

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.record.owner

    @property
    def group(self) -> str:
        """What ties it to repetitions of the same thing."""
        return self.record.group

    @property
    def framework(self) -> str:
        """What it is trained with."""
        return self.record.framework

    @property
    def external_id(self) -> str:
        """Its id in another system."""
        return self.record.external_id

    @property
    def created_at(self) -> datetime:
        """When it was created (UTC)."""
        return self.record.created_at

    @property
    def updated_at(self) -> datetime:
        """When it was changed last (UTC)."""
        return self.record.updated_at

    # --- parameters and tags -------------------------------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Json]:
        """Hyperparameters by flat name."""
        return {key.removeprefix(_PARAMS): value for key, value in self.metadata().items() if key.startswith(_PARAMS)}

    def log_params(self, params: Mapping[str, object], *, allow_secrets: bool = False) -> None:
        """Add hyperparameters; nested dicts are flattened with ``.`` and the text of secret-looking keys is masked."""
        document = _param_metadata(self._session, params, allow_secrets=allow_secrets)
        self.update_metadata(document)

    @property
    def tags(self) -> list[str]:
        """Tags, sorted."""
        return [key.removeprefix(_TAGS) for key, value in self.metadata().items() if key.startswith(_TAGS) and value]

    def tag(self, *names: str) -> None:
        """Add tags."""
        self.update_metadata({f"{_TAGS}{name}": True for name in names})

    def untag(self, *names: str) -> None:
        """Take tags away; those that are not there change nothing."""
        for name in names:
            self.delete_metadata(f"{_TAGS}{name}")

    def _before_update(self, document: dict[str, object]) -> None:
        for key, value in document.items():
            if key.startswith(_PARAMS):
                if key in self._params_set and repr(self._params_set[key]) != repr(value):
                    self._session.notices.warn(
                        f"param {self._id} {key}",
                        f"Parameter {key.removeprefix(_PARAMS)!r} of {self.name!r} changes from {shortened(self._params_set[key], 40)} to "
                        f"{shortened(value, 40)}: the new value counts, the old one stays in the list of changes.",
                    )
                self._params_set[key] = value

    # --- what goes along -----------------------------------------------------------------------------------------------------------------

    def log_beside(self, step: int, values: Mapping[str, Value]) -> None:
        """Log points that ModelBox collects by itself: checked already, and without moving the steps of :meth:`log`."""
        self._session.sender.log(Record(self._id, step, time.time_ns() // 1000, values))

    def console(self) -> str:
        """Return what the program printed, as far as it was kept: see `console` of :meth:`modelbox.ModelBox.start`."""
        return printed_text(self.read_metrics(list(CONSOLE_SERIES)))

    # --- relatives -----------------------------------------------------------------------------------------------------------------------

    def new_checkpoint(
        self, epoch: int, metrics: Mapping[str, object] | None = None, *, metadata: Mapping[str, object] | None = None
    ) -> Checkpoint:
        """Create the checkpoint of an epoch with the metrics it has, or return it if it is there."""
        body = CheckpointCreate(epoch=epoch, metrics=wire_metrics(metrics or {}), metadata=wire_metadata(metadata or {}))
        created = self._session.call(routes.CREATE_CHECKPOINT, path={"experiment_id": self._id}, body=body)
        return Checkpoint(self._session, created.item)

    def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints by epoch."""
        records = self._session.every(routes.LIST_CHECKPOINTS, PageQuery(), path={"experiment_id": self._id})
        return [Checkpoint(self._session, record) for record in records]

    def children(self) -> list[Experiment]:
        """Return the experiments that name this one as their parent, newest first."""
        records = self._session.every(routes.LIST_EXPERIMENTS, ExperimentsQuery(parent_id=self._id))
        return [Experiment(self._session, record) for record in records]

    def parent(self) -> Experiment | None:
        """Return the experiment that started this one."""
        if self.record.parent_id is None:
            return None
        record = self._session.call(routes.GET_EXPERIMENT, path={"experiment_id": self.record.parent_id})
        return Experiment(self._session, record)

    # --- life ----------------------------------------------------------------------------------------------------------------------------

    def finish(self, status: Status | str = Status.FINISHED, *, timeout_s: float = 30.0) -> None:
        """Send what is left, waiting at most `timeout_s`, and end the run; doing so twice changes nothing."""
        try:
            wanted = Status(status)
        except ValueError:
            raise InvalidRequest(f"There is no status {shortened(status)}: take one of {', '.join(Status)}.", field="status") from None
        if self._companions is not None:
            self._companions.end(timeout_s)
        report = self.flush(timeout_s)
        if not report:
            self._session.notices.log(
                "unsent", f"ModelBox: {report.pending} points of {self.name!r} have not arrived yet; they are sent in the background."
            )
        active.end(self)
        if self.record.status is not wanted:
            self.record = self._session.call(
                routes.UPDATE_EXPERIMENT, path={"experiment_id": self._id}, body=ExperimentUpdate(status=wanted)
            )
            observers.notify("finished", self)

    def update(
        self,
        *,
        name: str | None = None,
        owner: str | None = None,
        group: str | None = None,
        framework: str | None = None,
        external_id: str | None = None,
    ) -> None:
        """Change fields; those left out stay."""
        body = ExperimentUpdate(
            name=UNSET if name is None else name,
            owner=UNSET if owner is None else owner,
            group=UNSET if group is None else group,
            framework=UNSET if framework is None else framework,
            external_id=UNSET if external_id is None else external_id,
        )
        self.record = self._session.call(routes.UPDATE_EXPERIMENT, path={"experiment_id": self._id}, body=body)

    def refresh(self) -> Experiment:
        """Ask the store for the current fields and status, and return the experiment itself."""
        self.record = self._session.call(routes.GET_EXPERIMENT, path={"experiment_id": self._id})
        return self

    def delete(self) -> None:
        """Delete it with everything that hangs on it; experiments that it started stay."""
        if self._companions is not None:
            self._companions.end()
        self._session.settle()
        active.end(self)
        self._session.call(routes.DELETE_EXPERIMENT, path={"experiment_id": self._id})

    def __enter__(self) -> Experiment:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.pid != os.getpid():  # a forked child leaves the block of its parent
            self.flush(EXIT_FLUSH_S)
            return
        try:
            self.finish(active.status_after(error))
        except ModelBoxError as problem:
            # Neither the result of a training nor its own exception is lost over this.
            self._session.notices.log("finish", f"ModelBox: the end of {self.name!r} could not be recorded: {problem.detail}")

    def __repr__(self) -> str:
        return f"Experiment({self.name!r}, id={self._id!r}, namespace={self.namespace!r}, {self.status})"


def start_experiment(
    session: Session,
    body: ExperimentCreate,
    *,
    params: Mapping[str, object] | None,
    tags: Iterable[str],
    metadata: Mapping[str, object] | None,
    allow_secrets: bool,
    wanted: Wanted = NOTHING,
) -> Experiment:
    """Create a fresh experiment, make it the current one, and tell the observers. See :meth:`modelbox.ModelBox.start`."""
    param_metadata = _param_metadata(session, params or {}, allow_secrets=allow_secrets)
    names = [tags] if isinstance(tags, str) else list(tags)
    document = {**(metadata or {}), **param_metadata, **{f"{_TAGS}{name}": True for name in names}}
    body = msgspec.structs.replace(body, metadata=wire_metadata(document))
    experiment = Experiment(session, session.call(routes.CREATE_EXPERIMENT, body=body).item)
    experiment._params_set = dict(param_metadata)
    active.begin(experiment)
    observers.notify("started", experiment)
    experiment._companions = Companions(experiment, wanted, document)
    return experiment


def _param_metadata(session: Session, params: Mapping[str, object], *, allow_secrets: bool) -> dict[str, Json]:
    flat = flat_params(params)
    if not allow_secrets:
        flat, hidden = masked(flat)
        if hidden:
            names = ", ".join(map(repr, hidden))
            session.notices.warn(
                f"secrets {names}", f"{names} looked like a secret and was masked: pass allow_secrets=True to keep it as it is."
            )
    return {f"{_PARAMS}{key}": value for key, value in flat.items()}
