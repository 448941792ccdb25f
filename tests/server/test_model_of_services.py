"""Whatever is done, memory and every durable storage answer the same, through restarts of the durable one.

``MODELBOX_STATEFUL_S=60`` runs for a minute on SQLite; the suite takes a few seconds.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, cast

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from modelbox.entities.ids import salted_id
from modelbox.entities.records import ArtifactRecord, Status
from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import ModelBoxError
from modelbox.wire import messages as m
from modelbox_server.service.context import Caller
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.testing.engines import DatabaseServer, mariadb_server, postgres_server
from modelbox_server.testing.fixtures import Storage, storage_services
from modelbox_server.testing.samples import JumpingClock, float_block, text_block
from modelbox_server.wiring import Services, ephemeral_services

_SECONDS = float(os.environ.get("MODELBOX_STATEFUL_S", "4"))
_CALLER = Caller("Zoë", "embedded")

# Mostly what is allowed, so that something comes together, and now and then what is not.
_names = st.sampled_from(["a", "ab", "é", "_%", "'", "x.y", "c", "💥", "a b", ""])
_namespaces = st.sampled_from(["", "b", "bc", "équipe", "équipe/vision", "équipe-b", "a//b"])
_keys = st.sampled_from(["val/loss @1", "params.lr", "é", "e\u0301", "'", "a", "b", "c", "d", "\x00"])
_values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(), st.text(max_size=5), st.lists(st.floats(), max_size=3),
    st.dictionaries(st.sampled_from(["$float", "$plain", "é"]), st.sampled_from(["NaN", 1, None]), max_size=2),
)  # fmt: skip
_documents = st.dictionaries(_keys, _values, max_size=4)
_steps = st.one_of(st.integers(-3, 3), st.sampled_from([-(2**63), 2**63 - 1]))
_points = st.lists(st.tuples(_steps, st.floats()), max_size=20)
_contents = st.sampled_from([b"", b"1", b"2", bytes(100_000)])
_picks = st.integers(0, 1_000)


class BothServices(RuleBasedStateMachine):
    """Does the same to both and compares the answers."""

    storage: ClassVar[Storage] = "sqlite"
    server: ClassVar[DatabaseServer | None] = None

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="modelbox-model-"))
        self._clock = JumpingClock()
        self._memory = ephemeral_services(clock=JumpingClock())
        self._database = None if self.server is None else self.server.create_database()
        self._durable = self._open()
        self._objects: dict[str, str] = {}
        self._artifacts: list[str] = []
        self._fresh = 0

    def teardown(self) -> None:
        self.everything_is_equal()
        self._memory.close()
        self._durable.close()
        if self.server is not None and self._database is not None:
            self.server.drop_database(self._database)
        shutil.rmtree(self._folder)

    def _open(self) -> Services:
        return storage_services(self.storage, self._folder, self._database, clock=self._clock)

    def _both(self, act: Callable[[Services], object]) -> object:
        expected, found = (_outcome(act, services) for services in (self._memory, self._durable))
        assert found == expected
        return expected

    def _created(self, kind: str, act: Callable[[Services], m.Created[msgspec.Struct]]) -> None:
        """Do it and remember the id, for later steps to use."""
        match self._both(act):
            case {"item": {"id": str(object_id)}}:
                self._objects[object_id] = kind

    def _object(self, pick: int, kind: str = "") -> str:
        """Return one of the ids that were ever in use, of this kind if there is one; now and then another one, or one that never was."""
        ids = [object_id for object_id, of_kind in self._objects.items() if kind in {"", of_kind}]
        return ids[pick % len(ids)] if ids and pick % 10 < 9 else [*self._objects, "0" * 40][pick % (len(self._objects) + 1)]

    def _artifact(self, pick: int) -> str:
        return self._artifacts[pick % len(self._artifacts)] if self._artifacts and pick % 10 < 9 else "0" * 40

    @rule(name=_names, namespace=_namespaces, metadata=_documents)
    def create_an_experiment_by_name(self, name: str, namespace: str, metadata: dict[str, object]) -> None:
        self._created(
            "experiment", lambda s: s.experiments.create(_CALLER, m.ExperimentCreate(name=name, namespace=namespace, metadata=metadata))
        )

    @rule(name=_names, parent=_picks, again=st.booleans())
    def start_an_experiment(self, name: str, parent: int, again: bool) -> None:
        self._fresh += not again
        parent_id = self._object(parent, "experiment") if parent % 2 else None
        request = m.ExperimentCreate(name=name, id=salted_id("fresh", str(self._fresh)), parent_id=parent_id)
        self._created("experiment", lambda s: s.experiments.create(_CALLER, request))

    @precondition(lambda self: self._objects)
    @rule(
        pick=_picks,
        name=st.one_of(st.just(msgspec.UNSET), _names),
        status=st.one_of(st.just(msgspec.UNSET), st.sampled_from(Status)),
        parent=st.one_of(st.just(msgspec.UNSET), st.none(), _picks),
    )
    def update_an_experiment(
        self, pick: int, name: str | msgspec.UnsetType, status: Status | msgspec.UnsetType, parent: int | msgspec.UnsetType | None
    ) -> None:
        parent_id = self._object(parent, "experiment") if isinstance(parent, int) else parent
        request = m.ExperimentUpdate(name=name, status=status, parent_id=parent_id)
        self._both(lambda s: s.experiments.update(_CALLER, self._object(pick, "experiment"), request))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, epoch=st.sampled_from([0, 1, 11, 2**63 - 1]), value=st.floats())
    def create_a_checkpoint(self, pick: int, epoch: int, value: float) -> None:
        request = m.CheckpointCreate(epoch=epoch, metrics={"loss": value})
        self._created("checkpoint", lambda s: s.checkpoints.create(_CALLER, self._object(pick, "experiment"), request))

    @rule(name=_names, namespace=_namespaces)
    def create_a_model(self, name: str, namespace: str) -> None:
        self._created("model", lambda s: s.models.create(_CALLER, m.ModelCreate(name=name, namespace=namespace)))

    @rule(pick=_picks, version=st.sampled_from(["1", "10"]), name=_names, tags=st.lists(_names, max_size=2), move_tags=st.booleans())
    def create_a_version(self, pick: int, version: str, name: str, tags: list[str], move_tags: bool) -> None:
        request = m.ModelVersionCreate(version=version, name=name, tags=tuple(tags), move_tags=move_tags)
        self._created("version", lambda s: s.versions.create(_CALLER, self._object(pick, "model"), request))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, tags=st.lists(_names, max_size=2), move_tags=st.booleans())
    def tag_a_version(self, pick: int, tags: list[str], move_tags: bool) -> None:
        request = m.ModelVersionUpdate(tags=tuple(tags), move_tags=move_tags)
        self._both(lambda s: s.versions.update(_CALLER, self._object(pick, "version"), request))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, metadata=_documents)
    def update_metadata(self, pick: int, metadata: dict[str, object]) -> None:
        self._both(lambda s: s.metadata.update(_CALLER, self._object(pick), m.MetadataDocument(metadata=metadata)))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, key=_keys)
    def delete_metadata(self, pick: int, key: str) -> None:
        self._both(lambda s: s.metadata.delete(_CALLER, self._object(pick), m.MetadataDelete(key=key)))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, key=_keys, points=_points, text=st.lists(st.text(max_size=3), max_size=2))
    def log(self, pick: int, key: str, points: list[tuple[int, float]], text: list[str]) -> None:
        blocks = [
            float_block(self._object(pick), [value for _, value in points], key=key, steps=[step for step, _ in points]),
            text_block(self._object(pick + 1), text, key=key),
        ]
        self._both(lambda s: s.metrics.append(_CALLER, blocks))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, number=st.integers(0, 2), content=st.sampled_from([b"1", b"2"]))
    def log_a_batch(self, pick: int, number: int, content: bytes) -> None:
        block = float_block(self._object(pick), list(content))
        self._both(lambda s: s.metrics.append(_CALLER, [block], BatchKey("client", number, content * 32)))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, name=_names, metadata=_documents)
    def log_an_event(self, pick: int, name: str, metadata: dict[str, object]) -> None:
        request = m.EventCreate(name=name, source="s", metadata=metadata)
        self._both(lambda s: s.events.log(_CALLER, self._object(pick), request))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, name=_names, content=_contents, whole=st.booleans())
    def upload(self, pick: int, name: str, content: bytes, whole: bool) -> None:
        def act(services: Services) -> ArtifactRecord | None:
            with services.artifacts.begin_upload(_CALLER, self._object(pick), m.ArtifactUploadQuery(name=name)) as started:
                started.write(content)
                return started.commit() if whole else None

        self._remember_artifact(self._both(act))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks, name=_names, md5=st.sampled_from(["", "c4ca4238a0b923820dcc509a6f75849b"]), uri=st.sampled_from(["/a", "/b"]))
    def track(self, pick: int, name: str, md5: str, uri: str) -> None:
        request = m.TrackArtifacts(files=[m.TrackedFile(name=name, uri=uri, md5=md5)])
        self._remember_artifact(self._both(lambda s: s.artifacts.track(_CALLER, self._object(pick), request).items[0]))

    def _remember_artifact(self, outcome: object) -> None:
        match outcome:
            case {"id": str(artifact_id)} if artifact_id not in self._artifacts:
                self._artifacts.append(artifact_id)

    @precondition(lambda self: self._artifacts)
    @rule(pick=_picks, start=st.integers(-1, 3), stop=st.one_of(st.none(), st.integers(0, 4)))
    def download(self, pick: int, start: int, stop: int | None) -> None:
        self._both(lambda s: b"".join(s.artifacts.open(_CALLER, self._artifact(pick), start, stop).chunks))

    @precondition(lambda self: self._artifacts)
    @rule(pick=_picks)
    def delete_an_artifact(self, pick: int) -> None:
        self._both(lambda s: s.artifacts.delete(_CALLER, self._artifact(pick)))

    @precondition(lambda self: self._objects)
    @rule(pick=_picks)
    def delete_an_object(self, pick: int) -> None:
        object_id = self._object(pick)
        self._both(lambda s: s.experiments.delete(_CALLER, object_id))
        self._both(lambda s: s.checkpoints.delete(_CALLER, object_id))
        self._both(lambda s: s.models.delete(_CALLER, object_id))
        self._both(lambda s: s.versions.delete(_CALLER, object_id))

    @rule(
        namespace=st.one_of(st.none(), _namespaces), name=st.one_of(st.none(), _names), status=st.one_of(st.none(), st.sampled_from(Status))
    )
    def list_in_pages(self, namespace: str | None, name: str | None, status: Status | None) -> None:
        query = m.ExperimentsQuery(namespace=namespace, name=name, status=status, limit=2)
        while True:
            page = self._both(lambda s, query=query: s.experiments.list(_CALLER, query))  # type: ignore[misc]
            token = page.get("next_page_token") if isinstance(page, dict) else None
            if token is None:
                return
            query = msgspec.structs.replace(query, page_token=token)

    @precondition(lambda self: self._objects)
    @rule(
        pick=_picks,
        skip=st.integers(0, 5),
        max_points=st.one_of(st.none(), st.integers(4, 10)),
        first_step=st.one_of(st.none(), st.integers(-2, 5)),
    )
    def follow(self, pick: int, skip: int, max_points: int | None, first_step: int | None) -> None:
        object_id = self._object(pick)
        query = m.MetricsQuery(objects=[object_id], skip={object_id: {"val/loss @1": skip}}, max_points=max_points, first_step=first_step)
        self._both(lambda s: s.metrics.read(_CALLER, query))

    @precondition(lambda self: self._objects)
    @rule()
    def restart(self) -> None:
        self._durable.close()
        self._durable = self._open()
        self.everything_is_equal()

    @precondition(lambda self: self._artifacts)
    @rule()
    def collect_garbage(self) -> None:
        assert self._both(lambda s: s.collect_garbage()) == dict.fromkeys(
            ("points", "blobs", "blob_bytes", "leftovers", "leftover_bytes"), ("int", 0)
        )

    def everything_is_equal(self) -> None:
        self._both(lambda s: s.namespaces.list(_CALLER, m.PageQuery()))
        self._both(lambda s: s.frames.experiments(_CALLER, m.ExperimentsQuery(limit=1000)))
        self._both(lambda s: s.models.list(_CALLER, m.ModelsQuery(limit=1000)))
        self._both(lambda s: s.changes.list(_CALLER, m.ChangesQuery(limit=1000)))
        self._both(lambda s: sorted(s.stores.blobs.keys()))
        for object_id in self._objects:
            self._both(lambda s, id_=object_id: s.metadata.get(_CALLER, id_))  # type: ignore[misc]
            self._both(lambda s, id_=object_id: s.checkpoints.list(_CALLER, id_, m.PageQuery()))  # type: ignore[misc]
            self._both(lambda s, id_=object_id: s.versions.list(_CALLER, id_, m.PageQuery()))  # type: ignore[misc]
            self._both(lambda s, id_=object_id: s.metrics.read(_CALLER, m.MetricsQuery(objects=[id_])))  # type: ignore[misc]
            self._both(lambda s, id_=object_id: s.metrics.summaries(_CALLER, m.SummariesQuery(objects=[id_])))  # type: ignore[misc]
            self._both(lambda s, id_=object_id: s.events.list(_CALLER, id_, m.EventsQuery()))  # type: ignore[misc]
            self._both(lambda s, id_=object_id: s.artifacts.list(_CALLER, id_, m.ArtifactsQuery()))  # type: ignore[misc]


def _outcome(act: Callable[[Services], object], services: Services) -> object:
    """Return what came out in a form that compares NaN with NaN, 1 with 1.0 and errors with errors as different or equal as they are."""
    try:
        return _plain(act(services))
    except ModelBoxError as error:
        return (type(error).__name__, error.detail, error.field)


def _plain(value: object) -> object:
    match value:
        case float():
            return value.hex()
        case bool() | int() | str() | bytes() | None:
            return (type(value).__name__, value) if isinstance(value, bool | int) else value
        case SeriesBlock():
            values = np.asarray(value.values, dtype=np.float64) if value.kind is ValueKind.FLOAT else value.values
            rows = [list(memoryview(column).cast("B").cast("q")) for column in (value.steps, value.wall_times_us)]
            return (
                value.object_id,
                value.key,
                value.kind,
                rows,
                [_plain(item) for item in cast("list[object]", list(cast("list[object]", values)))],
            )
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return _plain(msgspec.to_builtins(value))


class PostgresServices(BothServices):
    storage = "postgres"


class MariaDbServices(BothServices):
    storage = "mariadb"


@pytest.mark.parametrize("machine", [BothServices, PostgresServices, MariaDbServices])
def test_memory_and_durable_storage_never_differ(machine: type[BothServices]) -> None:
    if machine.storage != "sqlite":
        machine.server = postgres_server() if machine.storage == "postgres" else mariadb_server()
    until = time.monotonic() + (_SECONDS if machine.server is None else _SECONDS / 4)
    runs = settings(
        max_examples=5 if machine.server is None else 2,
        stateful_step_count=50,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    while True:
        run_state_machine_as_test(machine, settings=runs)  # type: ignore[no-untyped-call]
        if time.monotonic() > until:
            return
