"""Experiments: one per name for those who ask by name, a fresh one for those who bring an id; both safe to repeat."""

from datetime import UTC, datetime, timedelta

import pytest

from modelbox.entities.ids import experiment_id, random_id, salted_id
from modelbox.entities.records import ObjectType, Status
from modelbox.errors import Conflict, InvalidName, InvalidQuery, InvalidRequest, NotFound
from modelbox.wire.messages import (
    ChangesQuery,
    CheckpointCreate,
    EventCreate,
    EventsQuery,
    ExperimentCreate,
    ExperimentsQuery,
    ExperimentUpdate,
    MetadataDocument,
    MetricsQuery,
    ModelCreate,
    ModelVersionCreate,
)
from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import METRIC, NAMESPACE, float_block
from modelbox_server.wiring import Services

GOLDEN = "e71a25a8d3d481463c281f083f5e2671ea2896bc"


def create(services: Services, caller: Caller, name: str = "wav2vec", **fields: object) -> str:
    return services.experiments.create(caller, ExperimentCreate(name=name, **fields)).item.id  # type: ignore[arg-type]


def test_the_published_id_of_2022_comes_out(services: Services, caller: Caller) -> None:
    created = services.experiments.create(caller, ExperimentCreate(name="wav2vec", namespace="langtech"))
    assert (created.item.id, created.exists) == (GOLDEN, False)


def test_the_same_name_is_the_same_experiment_and_only_metadata_is_set(services: Services, caller: Caller) -> None:
    first = services.experiments.create(caller, ExperimentCreate(name="a", namespace=NAMESPACE, owner="ann", metadata={"x": 1}))
    again = services.experiments.create(caller, ExperimentCreate(name="a", namespace=NAMESPACE, owner="bob", metadata={"y": 2}))
    assert (again.exists, again.item) == (True, first.item)
    assert services.metadata.get(caller, first.item.id).metadata == {"x": 1, "y": 2}


def test_an_id_of_the_client_makes_a_fresh_experiment_that_is_safe_to_send_again(services: Services, caller: Caller) -> None:
    ids = [random_id(), random_id()]
    first, second = (ExperimentCreate(name="a", id=object_id, metadata={"n": 1}) for object_id in ids)
    one = services.experiments.create(caller, first)
    two = services.experiments.create(caller, second)
    assert [one.exists, two.exists] == [False, False]
    again = services.experiments.create(caller, first)
    assert (again.exists, again.item) == (True, one.item)
    assert len(services.changes.list(caller, ChangesQuery(object_id=ids[0])).items) == 1


def test_ids_that_collide_keep_their_experiments_apart(services: Services, caller: Caller) -> None:
    """The digest of 2022 joins its parts without a separator: ("ab", "c") and ("a", "bc") are one."""
    first = services.experiments.create(caller, ExperimentCreate(name="ab", namespace="c"))
    other = ExperimentCreate(name="a", namespace="bc")
    second = services.experiments.create(caller, other)
    assert first.item.id == experiment_id("ab", "c") == experiment_id("a", "bc")
    assert (second.item.id, second.exists) == (salted_id("experiment", "a", "bc"), False)
    assert services.experiments.create(caller, other).item == second.item


def test_a_model_of_the_same_name_came_first(services: Services, caller: Caller) -> None:
    model = services.models.create(caller, ModelCreate(name="net", namespace="x")).item
    experiment = services.experiments.create(caller, ExperimentCreate(name="net", namespace="x")).item
    assert model.id == experiment_id("net", "x") != experiment.id
    assert services.experiments.create(caller, ExperimentCreate(name="net", namespace="x")).item == experiment


def test_an_id_that_stands_for_something_else_is_refused(services: Services, caller: Caller) -> None:
    model = services.models.create(caller, ModelCreate(name="m")).item
    with pytest.raises(Conflict, match="stands for another model"):
        create(services, caller, id=model.id)
    with pytest.raises(InvalidRequest, match="40 lower-case hex digits"):
        create(services, caller, id="ABC")


def test_defaults_are_the_caller_the_default_namespace_and_now(services: Services, caller: Caller) -> None:
    record = services.experiments.create(caller, ExperimentCreate(name="a")).item
    assert (record.owner, record.namespace, record.status) == ("Zoë", "default", Status.RUNNING)
    assert record.started_at == record.created_at == record.updated_at
    assert services.experiments.get(caller, record.id) == record


def test_names_are_normalised_so_that_two_spellings_are_one(services: Services, caller: Caller) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert create(services, caller, composed) == create(services, caller, decomposed)


@pytest.mark.parametrize("name", ["", " ", "a ", " a", ".", "..", "a\x00", "a\nb", "a\x1b[1m", "a\u202eb", "\ud800", "x" * 513])
def test_a_name_that_cannot_be_shown_is_refused(services: Services, caller: Caller, name: str) -> None:
    with pytest.raises(InvalidName):
        create(services, caller, name)
    assert services.experiments.list(caller, ExperimentsQuery()).items == []


@pytest.mark.parametrize("name", ["💥" * 512, "a/b", "a.b", "a[0]", "=x", "<b>", "' OR 1=1 --", "100%_\\", '"', "__class__", "اختبار"])
def test_every_other_name_is_kept_literally(services: Services, caller: Caller, name: str) -> None:
    object_id = create(services, caller, name, namespace=NAMESPACE)
    assert services.experiments.get(caller, object_id).name == name
    assert [record.id for record in services.experiments.list(caller, ExperimentsQuery(name=name)).items] == [object_id]


@pytest.mark.parametrize("namespace", ["/", "a//b", "a/", "a/../b", "a\n", "x" * 513])
def test_a_namespace_is_a_path_of_names(services: Services, caller: Caller, namespace: str) -> None:
    with pytest.raises(InvalidName):
        create(services, caller, namespace=namespace)


def test_a_parent_must_exist(services: Services, caller: Caller) -> None:
    missing = random_id()
    with pytest.raises(NotFound, match=f"parent experiment '{missing}'"):
        create(services, caller, parent_id=missing)


def test_a_parent_cannot_be_a_descendant(services: Services, caller: Caller) -> None:
    root = create(services, caller, "root")
    leaf = create(services, caller, "leaf", parent_id=create(services, caller, "middle", parent_id=root))
    with pytest.raises(InvalidRequest, match="descends from"):
        services.experiments.update(caller, root, ExperimentUpdate(parent_id=leaf))
    with pytest.raises(InvalidRequest, match="descends from"):
        services.experiments.update(caller, root, ExperimentUpdate(parent_id=root))
    assert services.experiments.update(caller, leaf, ExperimentUpdate(parent_id=root)).parent_id == root


def test_what_is_missing_is_said_with_its_id_and_kind(services: Services, caller: Caller) -> None:
    model = services.models.create(caller, ModelCreate(name="m")).item
    with pytest.raises(NotFound, match="this id stands for a model"):
        services.experiments.get(caller, model.id)
    with pytest.raises(NotFound, match="40 lower-case hex digits"):
        services.experiments.get(caller, "wav2vec")


def test_finishing_sets_the_end_once_and_resuming_clears_it(services: Services, caller: Caller) -> None:
    object_id = create(services, caller)
    finished = services.experiments.update(caller, object_id, ExperimentUpdate(status=Status.FINISHED))
    assert finished.finished_at is not None
    again = services.experiments.update(caller, object_id, ExperimentUpdate(status=Status.FINISHED))
    assert again == finished
    failed = services.experiments.update(caller, object_id, ExperimentUpdate(status=Status.FAILED))
    assert failed.finished_at is not None
    assert failed.finished_at >= failed.started_at
    resumed = services.experiments.update(caller, object_id, ExperimentUpdate(status=Status.RUNNING))
    assert resumed.finished_at is None


def test_a_run_never_ends_before_it_began(services: Services, caller: Caller) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    object_id = create(services, caller, started_at=start)
    early = ExperimentUpdate(status=Status.FINISHED, finished_at=start - timedelta(hours=1))
    assert services.experiments.update(caller, object_id, early).finished_at == start
    future = create(services, caller, "future", started_at=datetime(2100, 1, 1, tzinfo=UTC))
    ended = services.experiments.update(caller, future, ExperimentUpdate(status=Status.FINISHED))
    assert ended.finished_at == ended.started_at


def test_a_running_experiment_has_no_end(services: Services, caller: Caller) -> None:
    with pytest.raises(InvalidRequest, match="set its status"):
        services.experiments.update(caller, create(services, caller), ExperimentUpdate(finished_at=datetime.now(UTC)))


def test_a_time_without_a_zone_is_refused(services: Services, caller: Caller) -> None:
    with pytest.raises(InvalidRequest, match="no time zone"):
        create(services, caller, started_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_fields_that_are_left_out_stay(services: Services, caller: Caller) -> None:
    object_id = create(services, caller, group="g", framework="pytorch", external_id="ext")
    record = services.experiments.update(caller, object_id, ExperimentUpdate(name="new", group=""))
    assert (record.name, record.group, record.framework, record.external_id) == ("new", "", "pytorch", "ext")


def test_a_renamed_experiment_leaves_its_old_name_free(services: Services, caller: Caller) -> None:
    object_id = create(services, caller, "old")
    services.experiments.update(caller, object_id, ExperimentUpdate(name="new"))
    fresh = services.experiments.create(caller, ExperimentCreate(name="old"))
    assert not fresh.exists
    assert fresh.item.id != object_id


def test_late_points_of_a_finished_run_are_welcome(services: Services, caller: Caller) -> None:
    object_id = create(services, caller)
    services.experiments.update(caller, object_id, ExperimentUpdate(status=Status.FINISHED))
    assert services.metrics.append(caller, [float_block(object_id, [1.0])]).points == 1


def test_lists_come_newest_first_and_filters_hold_together(services: Services, caller: Caller) -> None:
    for i in range(9):
        create(services, caller, f"e{i}", namespace=["équipe", NAMESPACE, "équipe-b"][i % 3], owner=["ann", "bob"][i % 2], group="g")
    everything = services.experiments.list(caller, ExperimentsQuery()).items
    assert everything == sorted(everything, key=lambda record: (record.created_at, record.id), reverse=True)
    below = services.experiments.list(caller, ExperimentsQuery(namespace="équipe")).items
    assert {record.namespace for record in below} == {"équipe", NAMESPACE}
    assert len(below) == 6
    both = services.experiments.list(caller, ExperimentsQuery(namespace="équipe", owner="ann", group="g", status=Status.RUNNING)).items
    assert both == [record for record in below if record.owner == "ann"]
    chosen = [below[0].id, below[-1].id]
    assert [record.id for record in services.experiments.list(caller, ExperimentsQuery(ids=",".join(chosen))).items] == chosen
    assert services.experiments.list(caller, ExperimentsQuery(ids="")).items == []


def test_pages_neither_repeat_nor_skip(services: Services, caller: Caller) -> None:
    ids = {create(services, caller, f"e{i}") for i in range(7)}
    seen: list[str] = []
    token: str | None = None
    while True:
        page = services.experiments.list(caller, ExperimentsQuery(limit=3, page_token=token))
        seen += [record.id for record in page.items]
        create(services, caller, f"late{len(seen)}", started_at=datetime(2000, 1, 1, tzinfo=UTC))
        token = page.next_page_token
        if token is None:
            break
    assert len(seen) == len(set(seen))
    assert ids <= set(seen)


def test_a_token_of_another_query_or_of_nobody_is_refused(services: Services, caller: Caller) -> None:
    for i in range(3):
        create(services, caller, f"e{i}")
    token = services.experiments.list(caller, ExperimentsQuery(limit=1)).next_page_token
    assert token is not None
    assert services.experiments.list(caller, ExperimentsQuery(limit=2, page_token=token)).items
    for wrong in (token[:-2], token[1:], "", "🎉", "AAAA", token.swapcase()):
        with pytest.raises(InvalidQuery, match="page_token"):
            services.experiments.list(caller, ExperimentsQuery(page_token=wrong))
    with pytest.raises(InvalidQuery, match="same filters"):
        services.experiments.list(caller, ExperimentsQuery(owner="ann", page_token=token))


def test_a_limit_is_at_least_one_and_lowered_with_notice(services: Services, caller: Caller) -> None:
    for limit in (0, -1):
        with pytest.raises(InvalidQuery, match="at least 1"):
            services.experiments.list(caller, ExperimentsQuery(limit=limit))
    assert services.experiments.list(caller, ExperimentsQuery(limit=10**9)).limit == 1000


def test_deleting_takes_everything_along_and_leaves_the_children(services: Services, caller: Caller) -> None:
    doomed = create(services, caller, metadata={"lr": 0.1})
    child = create(services, caller, "child", parent_id=doomed)
    checkpoint = services.checkpoints.create(caller, doomed, CheckpointCreate(epoch=1, metadata={"a": 1})).item
    services.metrics.append(caller, [float_block(doomed), float_block(checkpoint.id)])
    services.events.log(caller, doomed, EventCreate(name="n", source="s"))
    model = services.models.create(caller, ModelCreate(name="m")).item
    version = services.versions.create(caller, model.id, ModelVersionCreate(version="1", experiment_id=doomed)).item

    assert services.experiments.delete(caller, doomed).deleted == 2

    assert services.experiments.get(caller, child).parent_id is None
    assert services.versions.get(caller, version.id).experiment_id is None
    for gone in (doomed, checkpoint.id):
        with pytest.raises(NotFound):
            services.metadata.get(caller, gone)
        with pytest.raises(NotFound):
            services.metrics.append(caller, [float_block(gone)])
    with pytest.raises(NotFound):
        services.experiments.delete(caller, doomed)


def test_an_experiment_that_comes_back_is_empty(services: Services, caller: Caller) -> None:
    """A derived id returns with its name, but nothing that was deleted does."""
    object_id = create(services, caller, metadata={"lr": 0.1})
    services.metrics.append(caller, [float_block(object_id)])
    services.events.log(caller, object_id, EventCreate(name="n", source="s"))
    services.experiments.delete(caller, object_id)
    assert create(services, caller) == object_id
    assert services.metadata.get(caller, object_id) == MetadataDocument(metadata={})
    assert services.metrics.read(caller, MetricsQuery(objects=[object_id], keys=[METRIC])) == []
    assert services.events.list(caller, object_id, EventsQuery()).items == []


def test_every_change_is_in_the_audit_log_with_old_and_new(services: Services, caller: Caller) -> None:
    object_id = create(services, caller, metadata={"lr": 0.1})
    services.experiments.update(caller, object_id, ExperimentUpdate(owner="ann"))
    services.experiments.delete(caller, object_id)
    created, updated, destroyed = services.changes.list(caller, ChangesQuery(object_id=object_id)).items
    assert [event.kind for event in (created, updated, destroyed)] == ["created", "updated", "destroyed"]
    assert {event.object_type for event in (created, updated, destroyed)} == {ObjectType.EXPERIMENT}
    assert {(event.actor, event.face) for event in (created, updated, destroyed)} == {("Zoë", "embedded")}
    assert created.payload["metadata"] == {"lr": 0.1}
    assert updated.payload == {"old": {"owner": "Zoë"}, "new": {"owner": "ann"}}
    assert destroyed.payload["old"]["owner"] == "ann"
