"""What somebody who knows the ids, names and keys of others cannot do with them."""

import pytest
from tests.server.access.conftest import World
from tests.server.access.test_guarded import Things, held, tried

from modelbox.entities.ids import checkpoint_id, experiment_id, model_id, model_version_id, random_id
from modelbox.entities.records import ChangeEvent, EventRecord, Role
from modelbox.errors import AlreadyDone, Conflict, InvalidQuery, ModelBoxError, NotFound, PermissionDenied
from modelbox.wire import access as a
from modelbox.wire import messages as m
from modelbox_server.service.guarded import Records
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.testing.samples import float_block


def claim(world: World, object_id: str) -> None:
    """Let eve have an id, which clients may choose."""
    world.services.experiments.create(world.eve, m.ExperimentCreate(id=object_id, name="mine"))


def test_whoever_claims_the_ids_that_others_will_derive_keeps_nobody_from_anything(world: World) -> None:
    """Ids of checkpoints, models, versions and named experiments follow from what every reader knows."""
    s, alice = world.services, world.alice
    claim(world, experiment_id("next", "group/vision"))
    made = s.experiments.create(alice, m.ExperimentCreate(name="next", namespace="group/vision"))
    assert not made.exists
    assert s.experiments.create(alice, m.ExperimentCreate(name="next", namespace="group/vision")).item.id == made.item.id
    claim(world, checkpoint_id(made.item.id, 7))
    claim(world, model_id("best", "group/vision"))
    for _ in range(2):
        assert s.checkpoints.create(alice, made.item.id, m.CheckpointCreate(epoch=7)).item.epoch == 7
        model = s.models.create(alice, m.ModelCreate(name="best", namespace="group/vision")).item
        claim_once(world, model_version_id(model.id, "1", ""))
        assert s.versions.create(alice, model.id, m.ModelVersionCreate(version="1")).item.version == "1"
    assert len(s.checkpoints.list(alice, made.item.id, m.PageQuery()).items) == 1
    assert len(s.versions.list(alice, model.id, m.PageQuery()).items) == 1


def claim_once(world: World, object_id: str) -> None:
    if world.services.experiments.list(world.eve, m.ExperimentsQuery(ids=object_id)).items == []:
        claim(world, object_id)


def test_a_writer_cannot_make_foreign_things_their_own_to_delete_them(world: World) -> None:
    things = Things(world.services, world.operator, "group/vision")
    s, bob = world.services, world.bob
    for call in (
        lambda: s.models.update(bob, things.model, m.ModelUpdate(owner="bob")),
        lambda: s.experiments.update(bob, things.experiment, m.ExperimentUpdate(owner="bob")),
        lambda: s.models.delete(bob, things.model),
    ):
        assert tried(call) == "denied"
    assert s.models.update(bob, things.model, m.ModelUpdate(owner="root", task="x")).task == "x"


def test_a_limited_token_has_nothing_to_do_with_the_other_tokens_of_its_owner(world: World) -> None:
    s = world.services
    other = s.tokens.create(world.alice, a.TokenCreate(name="other"))
    for limits in ({"role": Role.WRITER}, {"namespaces": ["group/vision"]}):
        limited = held(world, s.tokens.create(world.alice, a.TokenCreate(name="ci", **limits)).token)
        for call in (lambda: s.tokens.list(limited, m.PageQuery()), lambda: s.tokens.revoke(limited, other.item.id)):  # noqa: B023
            with pytest.raises(PermissionDenied, match="may do less than its owner"):
                call()
    whole = held(world, other.token)
    assert s.tokens.revoke(whole, other.item.id).deleted == 1


def test_whoever_may_only_read_makes_no_agent_known(world: World) -> None:
    s = world.services
    reader = held(world, s.tokens.create(world.alice, a.TokenCreate(name="ci", role=Role.READER)).token)
    agent = s.agents.register(world.alice, m.AgentRegister(name="n", host_name="h")).item
    for call in (
        lambda: s.agents.register(reader, m.AgentRegister(name="x", host_name="h")),
        lambda: s.agents.heartbeat(reader, agent.id),
    ):
        assert tried(call) == "denied"


def test_the_key_of_a_foreign_call_tells_nothing_of_it(world: World) -> None:
    """Whether the key is known or not: what comes first is whether the object is there for the caller."""
    from dataclasses import replace

    key = random_id()
    things = Things(world.services, world.operator, "secret")
    s = world.services
    s.metadata.update(replace(world.operator, operation=key), things.experiment, m.MetadataDocument(metadata={"a": 1}))
    eve = replace(world.eve, operation=key)
    with pytest.raises(NotFound):
        s.metadata.update(eve, things.experiment, m.MetadataDocument(metadata={"a": 2}))
    with pytest.raises(AlreadyDone) as refusal:
        s.experiments.create(eve, m.ExperimentCreate(name="x"))
    assert things.experiment not in refusal.value.detail


def test_points_for_ones_own_and_foreign_things_together_are_all_refused(world: World) -> None:
    s, foreign = world.services, Things(world.services, world.operator, "secret").experiment
    own = s.experiments.create(world.eve, m.ExperimentCreate(name="own")).item.id
    for blocks in ([float_block(own, [1.0]), float_block(foreign, [1.0])], [float_block(foreign, [1.0]), float_block(own, [1.0])]):
        with pytest.raises(NotFound) as refusal:
            s.metrics.append(world.eve, blocks, BatchKey("eve", 1, b"d"))
        with pytest.raises(NotFound) as unknown:
            s.metrics.append(world.eve, [float_block(random_id(), [1.0])])
        assert own not in refusal.value.detail
        assert refusal.value.detail.split(foreign)[1] == unknown.value.detail[-len(refusal.value.detail.split(foreign)[1]) :]
    assert s.metrics.summaries(world.eve, m.SummariesQuery(objects=[own])).series == []


def test_a_page_token_of_somebody_else_opens_no_page_of_theirs(world: World) -> None:
    s = world.services
    for i in range(3):
        Things(s, world.operator, f"secret/{i}")
    token = s.experiments.list(world.operator, m.ExperimentsQuery(limit=1)).next_page_token
    try:
        page = s.experiments.list(world.eve, m.ExperimentsQuery(limit=1, page_token=token))
    except InvalidQuery:
        return
    assert page.items == []


def test_a_creation_in_a_journal_attaches_to_nothing_foreign(world: World) -> None:
    """Journals bring ids that clients made, also after a while and by another process."""
    things = Things(world.services, world.operator, "secret")
    s, eve = world.services, world.eve
    event = s.hanging.find(world.operator, EventRecord, m.OfObjectsQuery(objects=things.experiment)).items[0]
    own = s.experiments.create(eve, m.ExperimentCreate(name="own")).item.id
    for call in (
        lambda: s.experiments.create(eve, m.ExperimentCreate(id=things.experiment, name="e")),
        lambda: s.experiments.create(eve, m.ExperimentCreate(id=things.model, name="e")),
        lambda: s.events.log(eve, own, m.EventCreate(id=event.id, name="n", source="s")),
    ):
        with pytest.raises(Conflict) as refusal:
            call()
        assert "secret" not in refusal.value.detail
    assert tried(lambda: s.events.log(eve, things.experiment, m.EventCreate(id=random_id(), name="n", source="s"))) == "not found"
    assert s.experiments.get(world.operator, things.experiment).namespace == "secret"


def test_a_record_that_hangs_elsewhere_cannot_be_taken_over(world: World) -> None:
    """The guard looks at what is replaced, not only at what replaces it."""
    import msgspec

    things = Things(world.services, world.operator, "secret")
    own = world.services.experiments.create(world.eve, m.ExperimentCreate(name="own")).item.id
    event = world.services.hanging.find(world.operator, EventRecord, m.OfObjectsQuery(objects=things.experiment)).items[0]
    with pytest.raises(ModelBoxError) as refusal, Records(world.services.stores.metadata).write(world.eve) as tx:
        tx.put([msgspec.structs.replace(event, parent_id=own)])
    assert isinstance(refusal.value, NotFound)


def test_changes_of_a_namespace_that_was_shared_for_a_while_are_not_shown_afterwards(world: World) -> None:
    s = world.services
    Things(s, world.operator, "lent")
    s.grants.grant(world.operator, a.GrantRequest(namespace="lent", principal="user:eve", role=Role.READER))
    seen = s.changes.list(world.eve, m.ChangesQuery(namespace="lent")).items
    assert any(isinstance(event, ChangeEvent) for event in seen)
    s.grants.revoke(world.operator, a.GrantRevoke(namespace="lent", principal="user:eve"))
    assert s.changes.list(world.eve, m.ChangesQuery(namespace="lent", after=seen[-1].seq - 1)).items == []
