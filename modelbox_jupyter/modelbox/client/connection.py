"""The connection to a store: :class:`ModelBox`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, get_args

import msgspec

from modelbox.client import active, progress
from modelbox.client.catchup import SyncReport, send_journals
from modelbox.client.companions import NOTHING, Wanted, wanted_by
from modelbox.client.experiment import Experiment, named_experiment, start_experiment, unseen_experiment
from modelbox.client.experiment_queries import experiments_query, joined_frames
from modelbox.client.metadata import wire_metadata
from modelbox.client.model import Model
from modelbox.client.opening import Mode, open_session
from modelbox.client.people import People
from modelbox.client.ranks import is_first_rank, shared_experiment_id
from modelbox.client.session import Session
from modelbox.client.spool import Durability
from modelbox.entities.ids import is_id, random_id
from modelbox.entities.records import Status
from modelbox.errors import Conflict, InvalidRequest, NotFound, shortened
from modelbox.wire import routes
from modelbox.wire.messages import (
    MAX_PAGE,
    ChangesQuery,
    ExperimentCreate,
    ExperimentFrame,
    ExperimentFrameQuery,
    MetricsQuery,
    ModelCreate,
    ModelsQuery,
    SqlRequest,
)

if TYPE_CHECKING:
    from modelbox.client.artifacts import PathLike
    from modelbox.client.discovery import Where
    from modelbox.client.sender import FlushReport, Sender
    from modelbox.client.transport import Transport
    from modelbox.entities.records import ChangeEvent, Json
    from modelbox.entities.series import SeriesBlock
    from modelbox.wire.messages import Member, ServerInfo, SqlResult

__all__ = ["ModelBox"]


class ModelBox:
    """A connection to a store.

    Parameters
    ----------
    address
        ``"host:8085"``, ``"https://host/path"``, or a folder for a local store; ``"local"`` is your own local store, ``"shared"`` the
        one that the users of a JupyterHub share. Left out, the store is searched: ``MODELBOX_API_ADDR``, the shared one, the Jupyter
        server of this kernel, ``modelbox_client.toml``, a server of yours on this machine, the local store. :attr:`where` says which.
    token
        For servers; ``MODELBOX_API_TOKEN`` when left out.
    strict
        Raise instead of one warning: what the store says where it is away or refuses a creation, a note or an upload;
        :class:`TypeError` for a metric value that cannot be stored; :class:`~modelbox.errors.StorageFull` where a point would be dropped
        because too many wait.
    durability
        What a point survives once ``log()`` has returned, before the store has it. ``"process"``: the end of this process, even by
        kill -9, and after about a second that of the machine. ``"disk"``: both at once, for the price of waiting for the disk.
        ``"memory"``: neither. What a process leaves behind is sent by the next one.
    system_metrics
        Log what the machine does while experiments run, as series under ``system/`` (:mod:`modelbox.client.hardware` lists them); unless
        ``MODELBOX_SYSTEM_METRICS=0`` when left out.
    provenance
        Keep the state of git, the packages, the machine and the command line with experiments, as metadata under ``git.`` and
        ``environment.`` (:mod:`modelbox.client.provenance` lists it); unless ``MODELBOX_PROVENANCE=0`` when left out.

    mode
        ``"offline"``: write journals only, and never look for a store; `address` is then the folder for them. ``modelbox sync FOLDER``
        brings them, or a copy of the folder, to a store. ``MODELBOX_MODE`` when left out, else ``"online"``.

    System metrics and provenance go with experiments of :meth:`start`, in the background.

    Examples
    --------
    >>> import modelbox, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, modelbox.ModelBox(folder) as box:
    ...     with box.start("digits", params={"lr": 0.1}) as run:
    ...         run.log(loss=0.25)
    ...     [experiment.name for experiment in box.experiments()]
    ['digits']
    """

    _wanted = NOTHING

    def __init__(
        self,
        address: str | os.PathLike[str] | None = None,
        *,
        token: str | None = None,
        strict: bool = False,
        durability: Durability = "process",
        system_metrics: bool | None = None,
        provenance: bool | None = None,
        mode: Mode | None = None,
    ) -> None:
        self._wanted = wanted_by(system_metrics, provenance)
        if durability not in get_args(Durability):
            raise InvalidRequest(
                f"There is no durability {shortened(durability)}: take one of {', '.join(get_args(Durability))}.", field="durability"
            )
        self._session = open_session(address, token=token, strict=strict, durability=durability, mode=mode)

    @classmethod
    def over(
        cls, transport: Transport, where: Where, *, strict: bool = False, sender: Sender | None = None, wanted: Wanted = NOTHING
    ) -> ModelBox:
        """Return a connection over a transport that is there already, such as one to services in this process."""
        connection = cls.__new__(cls)
        connection._wanted = wanted
        connection._session = Session(transport, where, strict=strict, sender=sender)
        return connection

    @property
    def where(self) -> Where:
        """Which store this is, and why."""
        return self._session.where

    @property
    def session(self) -> Session:
        """What the objects of this connection share."""
        return self._session

    @property
    def people(self) -> People:
        """Roles on namespaces, and tokens."""
        return People(self._session)

    def members(self) -> list[Member]:
        """Return the servers that share this store; none for a store in this process."""
        return self._session.call(routes.LIST_MEMBERS).items

    def info(self) -> ServerInfo:
        """Ask the store for its version, what it stores in, and as whom it sees you."""
        return self._session.call(routes.INFO)

    # --- experiments ---------------------------------------------------------------------------------------------------------------------

    def start(
        self,
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
        """Start a fresh experiment and make it the current one; best used as a ``with`` block, which also ends it.

        It never waits for the store, nor raises for outages: the store hears of the experiment before it gets its points. With the
        environment variable ``MODELBOX_EXPERIMENT_ID``, the first start of each process is one experiment with that id: see
        :mod:`modelbox.client.ranks`.

        Parameters
        ----------
        name
            Any name; several experiments may share it.
        namespace
            Slash-separated path that groups experiments; ``default`` when left out.
        params
            Hyperparameters; nested dicts are flattened with ``.``. Text under keys such as ``password`` or ``hf_token`` is masked.
        tags
            Names to find it by.
        group
            Ties repetitions together, such as seeds.
        parent
            The experiment that starts this one.
        owner
            Whose it is; the user that the server sees when left out.
        framework, external_id
            What it is trained with, and its id in another system.
        metadata
            Any JSON values by key.
        allow_secrets
            Keep secret-looking parameters as they are.
        console
            Keep what this process prints, line by line: :meth:`Experiment.console` returns it. A notebook keeps its outputs by itself.
        """
        shared_id = shared_experiment_id()
        body = ExperimentCreate(
            name=name,
            id=shared_id or random_id(),
            namespace=namespace,
            owner=owner,
            framework=framework,
            external_id=external_id,
            group=group,
            parent_id=parent.id if isinstance(parent, Experiment) else parent,
        )
        return start_experiment(
            self._session,
            body,
            params=params,
            tags=tags,
            metadata=metadata,
            allow_secrets=allow_secrets,
            wanted=replace(self._wanted if shared_id is None or is_first_rank() else NOTHING, console=console),
            is_shared=shared_id is not None,
        )

    def new_experiment(self, name: str, owner: str = "", namespace: str = "", external_id: str = "", framework: str = "") -> Experiment:
        """Return the experiment that `name` always means in `namespace`; the first call creates it.

        Unlike :meth:`start`, calling this again continues the same experiment.
        """
        body = ExperimentCreate(name=name, owner=owner, namespace=namespace, external_id=external_id, framework=framework)
        return named_experiment(self._session, body)

    def experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment by its id. An offline connection cannot ask whether there is one: it takes the id at its word."""
        if self._session.is_offline:
            return unseen_experiment(self._session, experiment_id)
        return Experiment(self._session, self._session.call(routes.GET_EXPERIMENT, path={"experiment_id": experiment_id}))

    def experiments(self, namespace: str | None = None, *, limit: int | None = None, **filters: object) -> list[Experiment]:
        """Return experiments, newest first unless a query orders them otherwise.

        Parameters
        ----------
        namespace
            Only those in this namespace or below it.
        limit
            At most so many.
        **filters
            ``name``, ``status``, ``owner``, ``group``, ``parent_id``, ``ids``, and ``q``, a query such as
            ``"metrics.loss.min < 0.1 order by created limit 20"`` (:mod:`modelbox.wire.query` has the language): all that are given
            must hold.
        """
        query = experiments_query(namespace=namespace, **filters)
        return [Experiment(self._session, record) for record in self._session.every(routes.LIST_EXPERIMENTS, query, limit=limit)]

    def experiment_frame(self, *, limit: int | None = None, long: bool = False, **filters: object) -> ExperimentFrame:
        """Return experiments with their metadata and metric summaries as columns: all pages as one.

        With `long` the packages and the patch of each experiment come along. Filters are ``namespace`` and those of :meth:`experiments`.
        :func:`modelbox.experiments` makes a DataFrame of it.
        """
        self._session.settle()
        query = ExperimentFrameQuery(**msgspec.structs.asdict(experiments_query(**filters)), long=long)
        pages: list[ExperimentFrame] = []
        left = limit
        with progress.task("Reading experiments", limit, "runs") as task:
            while left is None or left > 0:
                query = msgspec.structs.replace(query, limit=MAX_PAGE if left is None else min(left, MAX_PAGE))
                page = self._session.call(routes.FRAME_EXPERIMENTS, query=query)
                pages.append(page)
                task.advance(len(page.experiments))
                if page.next_page_token is None:
                    break
                left = None if left is None else left - len(page.experiments)
                query = msgspec.structs.replace(query, page_token=page.next_page_token)
        return joined_frames(pages)

    def sql(self, statement: str, parameters: Sequence[Json] | Mapping[str, Json] = ()) -> SqlResult:
        """Return what an SQL statement over the views selects, column by column; :func:`modelbox.sql` makes a DataFrame of it.

        Parameters
        ----------
        statement
            One statement in the SQL of SQLite that reads: :mod:`modelbox.wire.views` has the views.
        parameters
            Values for each ``?`` in it, or by name for each ``:name``.
        """
        self._session.settle()
        given = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
        return self._session.call(routes.RUN_SQL, body=SqlRequest(sql=statement, parameters=given))

    # --- models --------------------------------------------------------------------------------------------------------------------------

    def new_model(
        self,
        name: str,
        owner: str = "",
        namespace: str = "",
        task: str = "",
        description: str = "",
        artifacts: Sequence[PathLike] = (),
        metadata: Mapping[str, object] | None = None,
    ) -> Model:
        """Return the model that `name` means in `namespace`; the first call creates it. `artifacts` are files to track."""
        body = ModelCreate(
            name=name, owner=owner, namespace=namespace, task=task, description=description, metadata=wire_metadata(metadata or {})
        )
        made = Model(self._session, self._session.call(routes.CREATE_MODEL, body=body).item)
        if artifacts:
            made.track_artifacts(artifacts)
        return made

    def model(self, name_or_id: str, *, namespace: str | None = None) -> Model:
        """Return a model by its name, or by its id.

        Parameters
        ----------
        name_or_id
            A name means the model of that name in `namespace`. Without one it is looked for everywhere, and must be the only one.
        namespace
            Where the model is.

        Raises
        ------
        NotFound
            There is none; the message names one that is spelled alike, if there is one.
        Conflict
            Several namespaces have a model of this name, and `namespace` does not say which is meant.

        Examples
        --------
        >>> import modelbox.testing
        >>> with modelbox.testing.memory_connection() as box:
        ...     made = box.new_model("digit-reader", namespace="tutorial/digits")
        ...     box.model("digit-reader") == box.model("digit-reader", namespace="tutorial/digits") == box.model(made.id)
        True
        """
        if is_id(name_or_id) and namespace is None:
            return Model(self._session, self._session.call(routes.GET_MODEL, path={"model_id": name_or_id}))
        found = self.models(namespace, name=name_or_id)
        exact = [model for model in found if model.namespace == namespace] or found
        if len(exact) == 1:
            return exact[0]
        if not exact:
            place = "" if namespace is None else f" in the namespace {shortened(namespace)}"
            raise NotFound.among(f"model{place} called", name_or_id, {model.name for model in self.models(namespace, limit=MAX_PAGE)})
        places = ", ".join(sorted(model.namespace for model in exact)[:10])
        raise Conflict(
            f"{len(exact)} models are called {shortened(name_or_id)}: say which with namespace=…; there is {places}.", field="name"
        )

    def models(self, namespace: str | None = None, *, name: str | None = None, limit: int | None = None) -> list[Model]:
        """Return models, newest first: those in `namespace` or below it, and of that `name`, where given."""
        query = ModelsQuery(namespace=namespace, name=name)
        return [Model(self._session, record) for record in self._session.every(routes.LIST_MODELS, query, limit=limit)]

    # --- points and changes --------------------------------------------------------------------------------------------------------------

    def read_metrics(
        self,
        ids: Sequence[str],
        keys: Sequence[str] | None = None,
        *,
        max_points: int | None = None,
        skip: Mapping[str, Mapping[str, int]] | None = None,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> list[SeriesBlock]:
        """Return the points of many objects as columns, ordered by (step, wall clock).

        Parameters
        ----------
        ids
            Objects.
        keys
            Metrics; all when left out.
        max_points
            Thin each series to about so many points, keeping minima and maxima; every point when left out.
        skip
            Points per object and key that the caller already has, in order of arrival.
        first_step, last_step
            Only points from the one step to the other, both included; `max_points` counts among these.
        """
        self._session.settle()
        query = MetricsQuery(
            objects=list(ids),
            keys=None if keys is None else list(keys),
            max_points=max_points,
            first_step=first_step,
            last_step=last_step,
            skip={object_id: dict(counts) for object_id, counts in (skip or {}).items()},
        )
        with progress.waiting_for_many(len(query.objects), f"Reading metrics of {len(query.objects)} runs"):
            return self._session.transport.read_metrics(query)

    def changes(
        self, *, namespace: str | None = None, object_id: str | None = None, after: int = 0, limit: int | None = None
    ) -> list[ChangeEvent]:
        """Return what ModelBox recorded of creations, updates, deletions and transfers, in their order, after sequence number `after`."""
        events: list[ChangeEvent] = []
        while limit is None or len(events) < limit:
            size = MAX_PAGE if limit is None else min(MAX_PAGE, limit - len(events))
            query = ChangesQuery(namespace=namespace, object_id=object_id, after=events[-1].seq if events else after, limit=size)
            page = self._session.call(routes.LIST_CHANGES, query=query)
            events += page.items
            if len(page.items) < size:
                break
        return events

    # --- life ----------------------------------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float | None = None) -> FlushReport:
        """Wait until everything that was logged has arrived, at most `timeout_s`, and return what is left; never raises for outages."""
        return self._session.sender.flush(timeout_s)

    def sync(self, folder: str | os.PathLike[str] | None = None, *, timeout_s: float | None = None) -> SyncReport:
        """Send what processes that have ended left in their journals, and return what became of it; never raises for outages.

        Opening a connection does the same in the background; this waits for it.

        Parameters
        ----------
        folder
            Journals, such as those copied from another machine; those for this store on this machine when left out.
        timeout_s
            How long to try; as long as it takes when left out.
        """
        transport = self._session.transport
        if folder is not None:
            return send_journals(transport, Path(folder).expanduser(), timeout_s=timeout_s)
        if self._session.catch_up is None:
            return SyncReport()
        return self._session.catch_up.finish(timeout_s)

    def close(self) -> None:
        """End the runs that were started through it, send what is left (at most 5 s) and release the connection."""
        active.finish_open(Status.FINISHED, self._session)
        self._session.close()

    def __enter__(self) -> ModelBox:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        active.finish_open(active.status_after(error), self._session)
        self._session.close()

    def __repr__(self) -> str:
        return f"ModelBox({self.where.address!r})"
