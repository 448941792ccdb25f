"""Actions are asked for once, taken by one agent, and end once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelbox.entities.records import ActionInstanceRecord, ActionOutcome, ActionRecord, ActionStatus, ChangeEvent, ObjectType
from modelbox.errors import InvalidName, InvalidRequest, ModelBoxError, NotFound, PreconditionFailed
from modelbox.wire import messages as m
from modelbox_server.service.context import Caller
from modelbox_server.storage.interfaces import Condition
from modelbox_server.wiring import Services, ephemeral_services, local_services

RUNNING = m.ActionInstanceUpdate(status=ActionStatus.RUNNING)
NEW_VERSION = 'event.ObjectType == "model_version" && event.Kind == "created"'


def done(outcome: ActionOutcome, reason: str = "") -> m.ActionInstanceUpdate:
    return m.ActionInstanceUpdate(status=ActionStatus.FINISHED, outcome=outcome, reason=reason)


@pytest.fixture
def model(services: Services, caller: Caller) -> str:
    return services.models.create(caller, m.ModelCreate(name="asr", namespace="équipe")).item.id


def waiting(services: Services, caller: Caller, name: str = "", arch: str = "") -> list[m.RunnableAction]:
    return services.actions.runnable(caller, m.RunnableQuery(name=name, arch=arch)).items


def test_an_agent_finds_an_action_takes_it_and_says_how_it_ended(services: Services, caller: Caller, model: str) -> None:
    services.actions.create(caller, model, m.ActionCreate(name="bench", params={"batch": 8}))
    (found,) = waiting(services, caller)
    assert (found.action.name, found.action.params, found.instance.attempt) == ("bench", {"batch": 8}, 0)
    services.actions.report(caller, found.instance.id, RUNNING)
    assert waiting(services, caller) == []
    services.actions.report(caller, found.instance.id, done(ActionOutcome.FAILURE, "no memory"))
    (state,) = services.actions.list(caller, model, m.PageQuery()).items
    assert [(one.status, one.outcome, one.reason) for one in state.instances] == [("finished", "failure", "no memory")]


def test_the_same_work_again_is_the_same_action_whatever_the_order_of_its_parameters(
    services: Services, caller: Caller, model: str
) -> None:
    first = services.actions.create(caller, model, m.ActionCreate(name="bench", params={"a": 1, "b": 2}))
    again = services.actions.create(caller, model, m.ActionCreate(name="bench", params={"b": 2, "a": 1}))
    assert (first.exists, again.exists, again.item) == (False, True, first.item)
    assert len(waiting(services, caller)) == 1


def test_an_agent_gets_what_it_can_do(services: Services, caller: Caller, model: str) -> None:
    for name, arch in (("bench", "arm64"), ("bench", ""), ("quantise", "x86_64")):
        services.actions.create(caller, model, m.ActionCreate(name=name, arch=arch))

    def kinds(name: str, arch: str) -> list[tuple[str, str]]:
        return [(one.action.name, one.action.arch) for one in waiting(services, caller, name, arch)]

    assert kinds("bench", "arm64") == [("bench", "arm64"), ("bench", "")]
    assert kinds("bench", "x86_64") == [("bench", "")]
    assert kinds("quantise", "arm64") == []
    assert len(kinds("", "")) == 3


def test_of_many_agents_one_gets_an_action(services: Services, caller: Caller, model: str) -> None:
    services.actions.create(caller, model, m.ActionCreate(name="bench"))
    (found,) = waiting(services, caller)

    def take(_: int) -> bool:
        try:
            services.actions.report(caller, found.instance.id, RUNNING)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(16))) == 1


def test_an_end_is_said_once_and_repeated_without_effect(services: Services, caller: Caller, model: str) -> None:
    services.actions.create(caller, model, m.ActionCreate(name="bench"))
    (found,) = waiting(services, caller)
    ended = services.actions.report(caller, found.instance.id, done(ActionOutcome.SUCCESS))
    assert services.actions.report(caller, found.instance.id, done(ActionOutcome.SUCCESS, "again")) == ended
    for other in (RUNNING, done(ActionOutcome.FAILURE), m.ActionInstanceUpdate(status=ActionStatus.PENDING)):
        with pytest.raises(PreconditionFailed, match="is finished with success already"):
            services.actions.report(caller, found.instance.id, other)


def test_a_predicate_asks_for_an_action_at_each_change_that_it_holds_for(services: Services, caller: Caller, model: str) -> None:
    services.versions.create(caller, model, m.ModelVersionCreate(version="0"))
    services.actions.create(caller, model, m.ActionCreate(name="evaluate", predicate=NEW_VERSION))
    assert waiting(services, caller) == []
    for version in "12":
        services.versions.create(caller, model, m.ModelVersionCreate(version=version))
    services.experiments.create(caller, m.ExperimentCreate(name="another kind", namespace="équipe"))
    other = services.models.create(caller, m.ModelCreate(name="asr", namespace="elsewhere")).item.id
    services.versions.create(caller, other, m.ModelVersionCreate(version="another namespace"))
    for _ in range(2):
        found = waiting(services, caller)
        assert [(one.instance.attempt, one.instance.cause["Version"]) for one in found] == [(0, "1"), (1, "2")]


def test_many_servers_over_one_store_ask_once(tmp_path: Path, caller: Caller) -> None:
    one, two = local_services(tmp_path), local_services(tmp_path)
    try:
        model = one.models.create(caller, m.ModelCreate(name="asr")).item.id
        one.actions.create(caller, model, m.ActionCreate(name="evaluate", predicate=NEW_VERSION))
        for version in range(20):
            two.versions.create(caller, model, m.ModelVersionCreate(version=str(version)))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda services: waiting(services, caller), [one, two] * 4))
        assert len(waiting(one, caller)) == 20
    finally:
        one.close()
        two.close()


def test_changes_of_actions_are_watched_but_cause_nothing(services: Services, caller: Caller, model: str) -> None:
    services.actions.create(caller, model, m.ActionCreate(name="endless", predicate='event.Kind != ""'))
    services.actions.create(caller, model, m.ActionCreate(name="bench"))
    (found,) = waiting(services, caller)
    services.actions.report(caller, found.instance.id, RUNNING)
    assert waiting(services, caller) == []
    kinds = [(event.object_type, event.kind) for event in services.changes.list(caller, m.ChangesQuery(namespace="équipe")).items]
    assert kinds == [("model", "created"), ("action", "created"), ("action", "created"), ("action_instance", "updated")]


def test_actions_go_with_their_object(caller: Caller) -> None:
    services = ephemeral_services()
    model = services.models.create(caller, m.ModelCreate(name="asr")).item.id
    services.actions.create(caller, model, m.ActionCreate(name="bench"))
    services.models.delete(caller, model)
    with services.stores.metadata.read() as tx:
        assert tx.count(ActionRecord) == tx.count(ActionInstanceRecord) == 0
        assert tx.count(ChangeEvent, [Condition("object_type", "eq", ObjectType.MODEL)]) == 2
    services.close()


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"name": ""}, InvalidName, "action name is empty"),
        ({"name": "a", "object_type": "experiment"}, InvalidRequest, "is of the type model, not 'experiment'"),
        ({"name": "a", "predicate": "event.Kind =="}, InvalidRequest, "its end stands where a field"),
    ],
)
def test_a_wrong_action_is_refused(
    services: Services, caller: Caller, model: str, fields: dict[str, str], kind: type[ModelBoxError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        services.actions.create(caller, model, m.ActionCreate(**fields))


def test_what_is_not_there_is_not_found(services: Services, caller: Caller) -> None:
    with pytest.raises(NotFound):
        services.actions.create(caller, "0" * 40, m.ActionCreate(name="bench"))
    with pytest.raises(NotFound):
        services.actions.list(caller, "0" * 40, m.PageQuery())
    with pytest.raises(NotFound, match="no action instance"):
        services.actions.report(caller, "0" * 40, RUNNING)


def test_an_outcome_and_an_end_come_together(services: Services, caller: Caller) -> None:
    for update in (done(ActionOutcome.UNDEFINED), m.ActionInstanceUpdate(status=ActionStatus.RUNNING, outcome=ActionOutcome.SUCCESS)):
        with pytest.raises(InvalidRequest, match="has an outcome"):
            services.actions.report(caller, "0" * 40, update)
