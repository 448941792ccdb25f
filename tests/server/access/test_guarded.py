"""Nobody finds, or changes, anything in a namespace that they have no role in, whichever way they try."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server.access.conftest import World

from modelbox.entities import records
from modelbox.entities.ids import random_id
from modelbox.entities.records import ActionStatus, CheckpointRecord, EventRecord, ModelVersionRecord, Role
from modelbox.entities.times import now
from modelbox.errors import Conflict, ModelBoxError, NotFound, PermissionDenied
from modelbox.wire import access as a
from modelbox.wire import messages as m
from modelbox_server.service.context import Caller
from modelbox_server.service.guarded import GUARDED_KINDS
from modelbox_server.service.tickets import ReceiptClaims, TicketDesk
from modelbox_server.service.tokens import token_digest
from modelbox_server.service.transfers import TransfersService, Ways
from modelbox_server.storage.schema import TABLES
from modelbox_server.testing.samples import float_block
from modelbox_server.wiring import Services

INTERNAL = {records.GrantRecord, records.LimitRecord, records.TokenRecord, records.MemberRecord, records.LeaseRecord}
CALLS: dict[str, tuple[str, Callable[[Services, Caller, "Things"], object]]] = {
    "get experiment": ("read", lambda s, c, t: s.experiments.get(c, t.experiment)),
    "update experiment": ("write", lambda s, c, t: s.experiments.update(c, t.experiment, m.ExperimentUpdate(group="x"))),
    "delete experiment": ("admin", lambda s, c, t: s.experiments.delete(c, t.experiment)),
    "create experiment": ("write", lambda s, c, t: s.experiments.create(c, m.ExperimentCreate(name="new", namespace=t.namespace))),
    "get checkpoint": ("read", lambda s, c, t: s.checkpoints.get(c, t.checkpoint)),
    "list checkpoints": ("read", lambda s, c, t: s.checkpoints.list(c, t.experiment, m.PageQuery())),
    "create checkpoint": ("write", lambda s, c, t: s.checkpoints.create(c, t.experiment, m.CheckpointCreate(epoch=9))),
    "delete checkpoint": ("admin", lambda s, c, t: s.checkpoints.delete(c, t.checkpoint)),
    "get model": ("read", lambda s, c, t: s.models.get(c, t.model)),
    "create model": ("write", lambda s, c, t: s.models.create(c, m.ModelCreate(name="new", namespace=t.namespace))),
    "update model": ("write", lambda s, c, t: s.models.update(c, t.model, m.ModelUpdate(task="x"))),
    "delete model": ("admin", lambda s, c, t: s.models.delete(c, t.model)),
    "get version": ("read", lambda s, c, t: s.versions.get(c, t.version)),
    "list versions": ("read", lambda s, c, t: s.versions.list(c, t.model, m.PageQuery())),
    "create version": ("write", lambda s, c, t: s.versions.create(c, t.model, m.ModelVersionCreate(version="9"))),
    "update version": ("write", lambda s, c, t: s.versions.update(c, t.version, m.ModelVersionUpdate(description="x"))),
    "delete version": ("admin", lambda s, c, t: s.versions.delete(c, t.version)),
    "get metadata": ("read", lambda s, c, t: s.metadata.get(c, t.experiment)),
    "update metadata": ("write", lambda s, c, t: s.metadata.update(c, t.model, m.MetadataDocument(metadata={"x": 1}))),
    "delete metadata": ("write", lambda s, c, t: s.metadata.delete(c, t.experiment, m.MetadataDelete(key="params.k"))),
    "log event": ("write", lambda s, c, t: s.events.log(c, t.version, m.EventCreate(name="n", source="s"))),
    "list events": ("read", lambda s, c, t: s.events.list(c, t.experiment, m.EventsQuery())),
    "append metrics": ("write", lambda s, c, t: s.metrics.append(c, [float_block(t.experiment, [1.0])])),
    "read metrics": ("read", lambda s, c, t: s.metrics.read(c, m.MetricsQuery(objects=[t.experiment]))),
    "summarize metrics": ("read", lambda s, c, t: s.metrics.summaries(c, m.SummariesQuery(objects=[t.experiment]))),
    "upload": ("write", lambda s, c, t: upload(s, c, t.experiment)),
    "track": ("write", lambda s, c, t: s.artifacts.track(c, t.model, m.TrackArtifacts(files=[m.TrackedFile(name="f", uri="/f")]))),
    "list artifacts": ("read", lambda s, c, t: s.artifacts.list(c, t.experiment, m.ArtifactsQuery())),
    "get artifact": ("read", lambda s, c, t: s.artifacts.get(c, t.artifact, m.ArtifactQuery(md5=True))),
    "download": ("read", lambda s, c, t: b"".join(s.artifacts.open(c, t.artifact).chunks)),
    "begin upload": (
        "write",
        lambda s, c, t: transfers(s).begin_upload(c, t.experiment, m.ArtifactUploadQuery(name="w", size_bytes=5)),
    ),
    "finish upload": ("write", lambda s, c, t: transfers(s).finish_upload(c, t.experiment, finished(t))),
    "begin download": ("read", lambda s, c, t: transfers(s).begin_download(c, t.artifact)),
    "delete artifact": ("write", lambda s, c, t: s.artifacts.delete(c, t.artifact)),
    "create action": ("write", lambda s, c, t: s.actions.create(c, t.model, m.ActionCreate(name="new"))),
    "list actions": ("read", lambda s, c, t: s.actions.list(c, t.model, m.PageQuery())),
    "report action": ("write", lambda s, c, t: s.actions.report(c, t.instance, m.ActionInstanceUpdate(status=ActionStatus.RUNNING))),
}
LISTS: dict[str, Callable[[Services, Caller], list[Any]]] = {
    "experiments": lambda s, c: s.experiments.list(c, m.ExperimentsQuery()).items,
    "query by name": lambda s, c: s.experiments.list(c, m.ExperimentsQuery(q='name = "e"')).items,
    "query by metadata": lambda s, c: s.experiments.list(c, m.ExperimentsQuery(q='params.k = "v"')).items,
    "query by metric": lambda s, c: s.experiments.list(c, m.ExperimentsQuery(q="metrics.loss > 0")).items,
    "query without record": lambda s, c: s.experiments.list(c, m.ExperimentsQuery(q='params.k = "v" or not params.k = "v"')).items,
    "frame": lambda s, c: s.frames.experiments(c, m.ExperimentsQuery()).experiments,
    "models": lambda s, c: s.models.list(c, m.ModelsQuery()).items,
    "changes": lambda s, c: s.changes.list(c, m.ChangesQuery()).items,
    "all events": lambda s, c: s.hanging.find(c, EventRecord, m.OfObjectsQuery()).items,
    "all checkpoints": lambda s, c: s.hanging.find(c, CheckpointRecord, m.OfObjectsQuery()).items,
    "all versions": lambda s, c: s.hanging.find(c, ModelVersionRecord, m.OfObjectsQuery()).items,
    "all artifacts": lambda s, c: s.hanging.find(c, records.ArtifactRecord, m.OfObjectsQuery()).items,
    "namespaces": lambda s, c: s.namespaces.list(c, m.PageQuery()).items,
    "runnable": lambda s, c: s.actions.runnable(c, m.RunnableQuery()).items,
}


class Things:
    """One object of each kind in a namespace, and what hangs on them."""

    def __init__(self, services: Services, caller: Caller, namespace: str) -> None:
        self.namespace = namespace
        s, c = services, caller
        made = m.ExperimentCreate(name="e", namespace=namespace, metadata={"params.k": "v"})
        self.experiment = s.experiments.create(c, made).item.id
        self.checkpoint = s.checkpoints.create(c, self.experiment, m.CheckpointCreate(epoch=1)).item.id
        self.model = s.models.create(c, m.ModelCreate(name="m", namespace=namespace)).item.id
        self.version = s.versions.create(c, self.model, m.ModelVersionCreate(version="1")).item.id
        s.events.log(c, self.experiment, m.EventCreate(name="n", source="s"))
        s.metrics.append(c, [float_block(self.experiment, [1.0], key="loss")])
        self.artifact = upload(s, c, self.experiment)
        s.actions.create(c, self.model, m.ActionCreate(name="bench"))
        self.instance = s.actions.list(c, self.model, m.PageQuery()).items[0].instances[0].id


def upload(services: Services, caller: Caller, object_id: str) -> str:
    with services.artifacts.begin_upload(caller, object_id, m.ArtifactUploadQuery(name="w")) as writer:
        writer.write(b"bytes")
        return writer.commit().id


DESK = TicketDesk("k" * 32, now)


def transfers(services: Services) -> TransfersService:
    """As a server with a blob server has them."""
    return TransfersService(services.artifacts, Ways(DESK, 60.0, ("http://blob1:8085",)), now)


def finished(things: "Things") -> m.UploadFinish:
    """What a blob server says that has stored the bytes of :func:`upload`."""
    digest = hashlib.sha256(b"bytes").hexdigest()
    receipt = ReceiptClaims(
        upload_id="u", object_id=things.experiment, namespace=things.namespace, key=digest, sha256=digest, md5="", size_bytes=5
    )
    return m.UploadFinish(artifact=m.ArtifactUploadQuery(name="w"), receipt=DESK.write(receipt, 60.0))


def tried(call: Callable[[], object]) -> str:
    """Return what came of a call."""
    try:
        call()
    except NotFound:
        return "not found"
    except PermissionDenied:
        return "denied"
    return "done"


def test_every_kind_of_record_is_guarded_or_known_to_be_internal() -> None:
    assert set(TABLES) == GUARDED_KINDS | INTERNAL
    assert not GUARDED_KINDS & INTERNAL


@pytest.mark.parametrize("name", CALLS)
def test_what_a_stranger_a_reader_a_writer_and_an_admin_may_do(world: World, name: str) -> None:
    needs, call = CALLS[name]
    answers = []
    for role in (None, Role.READER, Role.WRITER, Role.ADMIN):
        things = Things(world.services, world.operator, f"team/{role}")
        if role is not None:
            world.services.grants.grant(world.operator, a.GrantRequest(namespace=things.namespace, principal="user:eve", role=role))
        eve = world.eve
        answers.append(tried(lambda: call(world.services, eve, things)))  # noqa: B023  (called at once)
    expected = {
        "read": ["not found", "done", "done", "done"],
        "write": ["not found", "denied", "done", "done"],
        "admin": ["not found", "denied", "denied", "done"],
    }
    assert answers == expected[needs]


@pytest.mark.parametrize("name", LISTS)
def test_lists_hold_what_may_be_read_and_nothing_else(world: World, name: str) -> None:
    Things(world.services, world.operator, "secret")
    ours = Things(world.services, world.operator, "group/vision/x")
    everything, seen = (LISTS[name](world.services, caller) for caller in (world.operator, world.alice))
    assert 0 < len(seen) < len(everything)
    assert "secret" not in repr(seen)
    assert LISTS[name](world.services, world.eve) == []
    del ours


def test_pages_of_what_hangs_on_objects_are_full(world: World) -> None:
    """What may not be read is left out before a page is cut, not after."""
    for i in range(3):
        for namespace in ("secret", "group/vision"):
            run = world.services.experiments.create(world.operator, m.ExperimentCreate(name=f"{namespace}{i}", namespace=namespace)).item.id
            for epoch in range(4):
                world.services.checkpoints.create(world.operator, run, m.CheckpointCreate(epoch=epoch))
    alice = world.alice
    seen: list[str] = []
    token = None
    sizes = []
    while True:
        page = world.services.hanging.find(alice, CheckpointRecord, m.OfObjectsQuery(limit=5, page_token=token))
        seen += [item.id for item in page.items]
        sizes.append(len(page.items))
        token = page.next_page_token
        if token is None:
            break
    assert (len(seen), len(set(seen)), sizes) == (12, 12, [5, 5, 2])


def test_a_person_has_a_private_place_of_their_own(world: World) -> None:
    made = world.services.experiments.create(world.alice, m.ExperimentCreate(name="mine", owner="somebody else")).item
    assert (made.namespace, made.owner) == ("~alice", "alice")
    assert [item.id for item in world.services.experiments.list(world.alice, m.ExperimentsQuery(namespace="default")).items] == [made.id]
    assert world.services.experiments.list(world.bob, m.ExperimentsQuery()).items == []
    assert tried(lambda: world.services.experiments.create(world.bob, m.ExperimentCreate(name="x", namespace="~alice/sub"))) == "not found"


def test_members_of_a_group_share_and_delete_only_what_is_theirs(world: World) -> None:
    theirs = world.services.experiments.create(world.alice, m.ExperimentCreate(name="t", namespace="group/vision")).item.id
    assert world.services.experiments.update(world.bob, theirs, m.ExperimentUpdate(group="g")).group == "g"
    assert tried(lambda: world.services.experiments.update(world.bob, theirs, m.ExperimentUpdate(owner="bob"))) == "denied"
    assert tried(lambda: world.services.experiments.delete(world.bob, theirs)) == "denied"
    assert tried(lambda: world.services.experiments.get(world.eve, theirs)) == "not found"
    assert tried(lambda: world.services.experiments.delete(world.alice, theirs)) == "done"


def test_public_is_read_by_everybody_and_written_by_whom_it_is_granted(world: World) -> None:
    public = world.services.experiments.create(world.operator, m.ExperimentCreate(name="p", namespace="public/papers")).item.id
    assert world.services.experiments.get(world.eve, public).name == "p"
    assert tried(lambda: world.services.experiments.update(world.eve, public, m.ExperimentUpdate(group="x"))) == "denied"
    world.services.grants.grant(world.operator, a.GrantRequest(namespace="public/papers", principal="everyone", role=Role.WRITER))
    assert tried(lambda: world.services.experiments.update(world.eve, public, m.ExperimentUpdate(group="x"))) == "done"


def test_an_id_that_is_taken_in_a_foreign_namespace_gives_nothing_away_but_that_it_is_taken(world: World) -> None:
    taken = random_id()
    world.services.experiments.create(world.operator, m.ExperimentCreate(id=taken, name="secret name", namespace="secret"))
    with pytest.raises(Conflict) as refusal:
        world.services.experiments.create(world.eve, m.ExperimentCreate(id=taken, name="mine"))
    assert "secret" not in refusal.value.detail


def test_a_parent_in_a_foreign_namespace_is_not_there(world: World) -> None:
    foreign = Things(world.services, world.operator, "secret")
    assert (
        tried(lambda: world.services.experiments.create(world.eve, m.ExperimentCreate(name="x", parent_id=foreign.experiment)))
        == "not found"
    )
    mine = world.services.experiments.create(world.eve, m.ExperimentCreate(name="x")).item.id
    assert (
        tried(lambda: world.services.experiments.update(world.eve, mine, m.ExperimentUpdate(parent_id=foreign.experiment))) == "not found"
    )


def test_an_experiment_whose_child_lies_elsewhere_can_be_deleted(world: World) -> None:
    """Its owner may not see the child, which forgets it all the same."""
    parent = world.services.experiments.create(world.alice, m.ExperimentCreate(name="p", namespace="group/vision")).item.id
    child = world.services.experiments.create(world.bob, m.ExperimentCreate(name="c", parent_id=parent)).item.id
    world.services.experiments.delete(world.alice, parent)
    assert world.services.experiments.get(world.bob, child).parent_id is None


def test_sql_is_for_whom_nothing_is_denied(world: World) -> None:
    assert world.services.sql.run(world.operator, m.SqlRequest(sql="select 1 as x")).columns[0].values == [1]
    with pytest.raises(PermissionDenied, match="SQL reads across all namespaces"):
        world.services.sql.run(world.alice, m.SqlRequest(sql="select 1"))


def test_a_download_by_a_reader_is_in_the_audit_log(world: World) -> None:
    things = Things(world.services, world.operator, "public")
    assert b"".join(world.services.artifacts.open(world.eve, things.artifact).chunks) == b"bytes"
    last = world.services.changes.list(world.operator, m.ChangesQuery()).items[-1]
    assert (last.kind, last.actor, last.address) == ("downloaded", "eve", "192.0.2.1")


# --- grants and tokens -------------------------------------------------------------------------------------------------------------------


def test_an_admin_of_a_namespace_grants_there_and_nowhere_else(world: World) -> None:
    grants = world.services.grants
    shared = grants.grant(world.alice, a.GrantRequest(namespace="~alice/shared", principal="user:bob", role=Role.READER))
    assert shared.granted_by == "alice"
    run = world.services.experiments.create(world.alice, m.ExperimentCreate(name="s", namespace="~alice/shared")).item.id
    assert world.services.experiments.get(world.bob, run).name == "s"
    assert (
        tried(lambda: grants.grant(world.alice, a.GrantRequest(namespace="group/vision", principal="user:eve", role=Role.READER)))
        == "denied"
    )
    assert (
        tried(lambda: grants.grant(world.alice, a.GrantRequest(namespace="~bob", principal="user:alice", role=Role.READER))) == "not found"
    )
    assert tried(lambda: grants.grant(world.alice, a.GrantRequest(namespace="/", principal="user:alice", role=Role.ADMIN))) != "done"
    assert grants.list(world.bob, a.GrantsQuery()).items == []
    assert grants.list(world.alice, a.GrantsQuery(namespace="default")).items == [shared]
    assert grants.revoke(world.alice, a.GrantRevoke(namespace="~alice/shared", principal="user:bob")).deleted == 1
    assert tried(lambda: world.services.experiments.get(world.bob, run)) == "not found"
    log = [(event.object_type, event.kind) for event in world.services.changes.list(world.alice, m.ChangesQuery()).items]
    assert [entry for entry in log if entry[0] == "grant"] == [("grant", "created"), ("grant", "destroyed")]


@pytest.mark.parametrize("principal", ["bob", "user:", "team:x", "", "everyone:x", "user: x"])
def test_a_principal_that_is_nobody_is_refused(world: World, principal: str) -> None:
    with pytest.raises(ModelBoxError) as refusal:
        world.services.grants.grant(world.operator, a.GrantRequest(namespace="x", principal=principal, role=Role.READER))
    assert refusal.value.http_status == 400


def test_all_namespaces_are_granted_only_when_that_is_said(world: World) -> None:
    with pytest.raises(ModelBoxError, match="is empty: name one, or / for all"):
        world.services.grants.grant(world.operator, a.GrantRequest(namespace="", principal="user:eve", role=Role.ADMIN))
    world.services.grants.grant(world.operator, a.GrantRequest(namespace="/", principal="user:eve", role=Role.ADMIN))
    assert world.eve.access.is_everything


def held(world: World, token: str) -> Caller:
    world.services.people.forget()
    return world.services.people.caller_by_token(token_digest(token), face="http")


def test_a_token_acts_as_its_owner_within_its_limits(world: World) -> None:
    whole = world.services.tokens.create(world.alice, a.TokenCreate(name="all"))
    caller = held(world, whole.token)
    assert (caller.name, caller.groups, caller.home, caller.token) == ("alice", ("vision",), "~alice", "all")
    assert caller.access.has(Role.WRITER, "group/vision")
    limited = held(
        world, world.services.tokens.create(world.alice, a.TokenCreate(name="ci", role=Role.READER, namespaces=["group/vision"])).token
    )
    assert limited.access.has(Role.READER, "group/vision/x")
    assert not limited.access.has(Role.WRITER, "group/vision")
    assert not limited.access.has(Role.READER, "~alice")
    assert whole.token not in repr(whole)
    assert whole.token not in repr(world.services.tokens.list(world.operator, m.PageQuery()))


def test_a_revoked_an_expired_and_an_unknown_token_open_nothing(world: World) -> None:
    made = world.services.tokens.create(world.alice, a.TokenCreate(name="ci"))
    assert held(world, made.token).name == "alice"
    assert world.services.tokens.list(world.alice, m.PageQuery()).items[0].last_used_at is not None
    assert tried(lambda: world.services.tokens.revoke(world.bob, made.item.id)) == "not found"
    assert world.services.tokens.revoke(world.alice, made.item.id).deleted == 1
    assert world.services.tokens.revoke(world.alice, made.item.id).deleted == 0
    soon = world.services.tokens.create(world.alice, a.TokenCreate(name="soon", expires_at=datetime.now(UTC) + timedelta(milliseconds=30)))
    until = datetime.now(UTC) + timedelta(milliseconds=40)
    while datetime.now(UTC) < until:
        pass
    for token, sentence in ((made.token, "was revoked"), (soon.token, "expired at"), ("mbx_x", "opens nothing here")):
        with pytest.raises(ModelBoxError, match=sentence):
            held(world, token)


def test_who_made_and_revoked_a_token_is_in_the_audit_log(world: World) -> None:
    made = world.services.tokens.create(world.operator, a.TokenCreate(name="ci", user="alice"))
    world.services.tokens.revoke(world.alice, made.item.id)
    log = world.services.changes.list(world.alice, m.ChangesQuery(object_id=made.item.id)).items
    assert [(event.kind, event.actor, event.object_type, event.namespace) for event in log] == [
        ("created", "root", "token", "~alice"), ("destroyed", "alice", "token", "~alice"),
    ]  # fmt: skip
    assert made.token not in repr(log)
    assert world.services.changes.list(world.eve, m.ChangesQuery(object_id=made.item.id)).items == []


def test_nobody_makes_tokens_for_others_nor_with_a_token(world: World) -> None:
    with pytest.raises(PermissionDenied):
        world.services.tokens.create(world.alice, a.TokenCreate(name="x", user="bob"))
    made = world.services.tokens.create(world.alice, a.TokenCreate(name="x"))
    with pytest.raises(PermissionDenied):
        world.services.tokens.create(held(world, made.token), a.TokenCreate(name="y"))
    robot = world.services.tokens.create(world.operator, a.TokenCreate(name="ci", user="robot", groups=["vision"]))
    assert held(world, robot.token).groups == ("vision",)


def test_a_name_with_a_slash_does_not_lead_into_the_place_of_another(world: World) -> None:
    names = ("alice/sub", "alice_sub", "alice%2Fsub")
    assert [world.caller(name).home for name in names] == ["~alice%2Fsub", "~alice_sub", "~alice%252Fsub"]
