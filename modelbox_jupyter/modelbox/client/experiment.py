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
from modelbox.client.labelled import Labelled
from modelbox.client.masking import masked
from modelbox.client.metadata import wire_metadata
from modelbox.client.metrics import wire_metrics
from modelbox.client.operations import operation
from modelbox.client.process_end import EXIT_FLUSH_S
from modelbox.client.ranks import is_first_rank, label_of_process
from modelbox.client.tracked import TrackedObject
from modelbox.client.values import flat_params
from modelbox.entities.checks import checked_epoch, checked_id, checked_label
from modelbox.entities.ids import checkpoint_id, experiment_id, is_id, random_id
from modelbox.entities.names import DEFAULT_NAMESPACE, checked_key, checked_name, checked_namespace
from modelbox.entities.records import CheckpointRecord, ExperimentRecord, Status
from modelbox.entities.times import now
from modelbox.errors import InvalidRequest, ModelBoxError, NotFound, ServerUnreachable, StorageUnavailable, shortened
from modelbox.wire import routes
from modelbox.wire.messages import (
    CheckpointCreate,
    Created,
    ExperimentCreate,
    ExperimentsQuery,
    ExperimentUpdate,
    MetadataDelete,
    PageQuery,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from modelbox.client.session import Session
    from modelbox.client.values import Value
    from modelbox.entities.records import Json

__all__ = ["Experiment", "named_experiment", "start_experiment", "unseen_experiment"]

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
        self._record = record
        self._heard: ExperimentRecord | None = None
        self.is_shared = False
        self.pid = os.getpid()
        self._params_set: dict[str, Json] = {}
        self._companions: Companions | None = None

    @property
    def record(self) -> ExperimentRecord:
        """What is known of it: what this process did to it, and what the store answered last."""
        heard, self._heard = self._heard, None
        if heard is not None:
            # Answers come late: what was done here since is newer.
            known = self._record
            self._record = msgspec.structs.replace(
                known, owner=known.owner or heard.owner, created_at=heard.created_at, updated_at=heard.updated_at
            )
        return self._record

    @record.setter
    def record(self, record: ExperimentRecord) -> None:
        self._record, self._heard = record, None

    def hear(self, answer: Created[ExperimentRecord] | ExperimentRecord | None) -> None:
        """Take what the store answered to a creation or an update."""
        self._heard = answer.item if isinstance(answer, Created) else answer

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
        if not self.record.owner:  # the user that the store sees
            self._session.introduce()
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
        self._session.introduce()
        return self.record.created_at

    @property
    def updated_at(self) -> datetime:
        """When it was changed last (UTC)."""
        self._session.introduce()
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
            key = MetadataDelete(key=checked_key(f"{_TAGS}{name}", "tag", field="tags"))
            self._session.submit(operation(routes.DELETE_METADATA, path={"object_id": self._id}, query=key))

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

    def labelled(self, label: str | None = None) -> Labelled:
        """Return this experiment as one of several processes that log to it, whose metrics have names such as ``rank 3/loss``.

        Parameters
        ----------
        label
            What to put in front of the names; ``"rank N"`` after the environment variable ``RANK`` when left out.

        Raises
        ------
        InvalidRequest
            No label is given, and ``RANK`` is not set.
        """
        return Labelled(self._session, self._id, label_of_process() if label is None else label)

    # --- relatives -----------------------------------------------------------------------------------------------------------------------

    def new_checkpoint(
        self, epoch: int, metrics: Mapping[str, object] | None = None, *, metadata: Mapping[str, object] | None = None
    ) -> Checkpoint:
        """Create the checkpoint of an epoch with the metrics it has, or return it if it is there.

        Never waits for the store, nor raises for outages.
        """
        body = CheckpointCreate(epoch=checked_epoch(epoch), metrics=wire_metrics(metrics or {}), metadata=wire_metadata(metadata or {}))
        at = now()
        numbers = {key: float(value) for key, value in body.metrics.items()}
        made = CheckpointRecord(
            id=checkpoint_id(self._id, body.epoch), experiment_id=self._id, epoch=body.epoch, metrics=numbers, created_at=at, updated_at=at
        )
        checkpoint = Checkpoint(self._session, made)
        self._session.submit(operation(routes.CREATE_CHECKPOINT, path={"experiment_id": self._id}, body=body), checkpoint.hear)
        return checkpoint

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
        # Other ranks may still be at work.
        ends = self.record.status is not wanted and (is_first_rank() or wanted is not Status.FINISHED or not self.is_shared)
        if ends:
            self._update(ExperimentUpdate(status=wanted, finished_at=None if wanted is Status.RUNNING else now()))
        # What waits on disk arrives without this process.
        report = self._session.sender.flush(timeout_s, patient=self._session.sender.tally().volatile > 0)
        if not report and not self._session.is_offline:
            waiting = f"{report.pending} points" if report.pending else f"{report.operations} changes"
            self._session.notices.log(
                "unsent", f"ModelBox: {waiting} of {self.name!r} have not arrived yet; they are sent in the background."
            )
        active.end(self)
        if ends:
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
        """Change fields; those left out stay. Never waits for the store, nor raises for outages."""
        self._update(
            ExperimentUpdate(
                name=UNSET if name is None else checked_name(name, "experiment name", field="name"),
                owner=UNSET if owner is None else checked_label(owner, "owner", field="owner"),
                group=UNSET if group is None else checked_label(group, "group", field="group"),
                framework=UNSET if framework is None else checked_label(framework, "framework", field="framework"),
                external_id=UNSET if external_id is None else checked_label(external_id, "external id", field="external_id"),
            )
        )

    def _update(self, body: ExperimentUpdate) -> None:
        self._session.submit(operation(routes.UPDATE_EXPERIMENT, path={"experiment_id": self._id}, body=body), self.hear)
        changes = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}
        self.record = msgspec.structs.replace(self.record, **changes)

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
    is_shared: bool = False,
) -> Experiment:
    """Create a fresh experiment, make it the current one, and tell the observers. See :meth:`modelbox.ModelBox.start`."""
    param_metadata = _param_metadata(session, params or {}, allow_secrets=allow_secrets)
    names = [tags] if isinstance(tags, str) else list(tags)
    document = {**(metadata or {}), **param_metadata, **{f"{_TAGS}{name}": True for name in names}}
    body = _checked(msgspec.structs.replace(body, metadata=wire_metadata(document), started_at=now()))
    experiment = Experiment(session, _provisional(body, body.id or random_id()))
    experiment.is_shared = is_shared
    session.submit(operation(routes.CREATE_EXPERIMENT, body=body), experiment.hear)
    experiment._params_set = dict(param_metadata)
    active.begin(experiment)
    observers.notify("started", experiment)
    experiment._companions = Companions(experiment, wanted, document)
    return experiment


def named_experiment(session: Session, body: ExperimentCreate) -> Experiment:
    """Return the experiment that a name means. See :meth:`modelbox.ModelBox.new_experiment`.

    Where the store is away, it is the one with the id that the name has since 2022, and the store makes it when it answers.
    """
    if not session.is_offline:
        try:
            return Experiment(session, session.call(routes.CREATE_EXPERIMENT, body=body).item)
        except (ServerUnreachable, StorageUnavailable):
            if session.strict:
                raise
    body = _checked(body)
    experiment = Experiment(session, _provisional(body, experiment_id(body.name, body.namespace)))
    session.submit(operation(routes.CREATE_EXPERIMENT, body=body), experiment.hear)
    return experiment


def unseen_experiment(session: Session, object_id: str) -> Experiment:
    """Return an experiment of which nothing is known but its id.

    Raises
    ------
    InvalidRequest
        It is no id.
    """
    body = ExperimentCreate(name=object_id, id=checked_id(object_id, "experiment id", field="id"))
    return Experiment(session, _provisional(body, object_id))


def _provisional(body: ExperimentCreate, object_id: str) -> ExperimentRecord:
    """Return the record of an experiment as it will be, before the store has answered."""
    at = now() if body.started_at is None else body.started_at
    return ExperimentRecord(
        id=object_id,
        name=body.name,
        namespace=body.namespace or DEFAULT_NAMESPACE,
        owner=body.owner,
        framework=body.framework,
        external_id=body.external_id,
        group=body.group,
        parent_id=body.parent_id,
        created_at=at,
        updated_at=at,
        started_at=at,
    )


def _checked(body: ExperimentCreate) -> ExperimentCreate:
    """Return a request that the store will not refuse, as far as that can be known here."""
    if body.parent_id is not None and not is_id(body.parent_id):
        raise NotFound(f"There is no parent experiment {shortened(body.parent_id, 60)}: an id has 40 lower-case hex digits.")
    return msgspec.structs.replace(
        body,
        name=checked_name(body.name, "experiment name", field="name"),
        namespace=checked_namespace(body.namespace),
        owner=checked_label(body.owner, "owner", field="owner"),
        framework=checked_label(body.framework, "framework", field="framework"),
        external_id=checked_label(body.external_id, "external id", field="external_id"),
        group=checked_label(body.group, "group", field="group"),
    )


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
