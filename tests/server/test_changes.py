"""The audit log: everything that happened, in order, with who did it."""

import pytest

from modelbox.errors import InvalidQuery
from modelbox.wire.messages import (
    ArtifactUploadQuery,
    ChangesQuery,
    EventCreate,
    ExperimentCreate,
    MetadataDelete,
    MetadataDocument,
    ModelCreate,
    ModelUpdate,
    TrackArtifacts,
    TrackedFile,
)
from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import NAMESPACE
from modelbox_server.wiring import Services


def test_every_mutation_is_logged_once_in_order(services: Services) -> None:
    caller = Caller("bob", "http", "127.0.0.1")
    experiment = services.experiments.create(caller, ExperimentCreate(name="e", namespace=NAMESPACE)).item.id
    services.metadata.update(caller, experiment, MetadataDocument(metadata={"a": 1}))
    services.metadata.delete(caller, experiment, MetadataDelete(key="a"))
    services.events.log(caller, experiment, EventCreate(name="n", source="s"))
    services.artifacts.track(caller, experiment, TrackArtifacts(files=[TrackedFile(name="t", uri="s3://b/t")]))
    with services.artifacts.begin_upload(caller, experiment, ArtifactUploadQuery(name="u")) as upload:
        upload.write(b"bytes")
        uploaded = upload.commit()
    list(services.artifacts.open(caller, uploaded.id).chunks)
    services.artifacts.delete(caller, uploaded.id)
    services.experiments.delete(caller, experiment)
    events = services.changes.list(caller, ChangesQuery()).items
    assert [(event.kind, event.object_type) for event in events] == [
        ("created", "experiment"),
        ("updated", "experiment"),
        ("updated", "experiment"),
        ("created", "event"),
        ("created", "artifact"),
        ("uploaded", "artifact"),
        ("downloaded", "artifact"),
        ("destroyed", "artifact"),
        ("destroyed", "artifact"),
        ("destroyed", "experiment"),
    ]
    assert {(event.actor, event.face, event.address, event.namespace) for event in events} == {("bob", "http", "127.0.0.1", NAMESPACE)}
    assert [event.seq for event in events] == sorted({event.seq for event in events})


def test_a_reader_goes_on_after_what_it_saw(services: Services, caller: Caller) -> None:
    model = services.models.create(caller, ModelCreate(name="m")).item.id
    for i in range(6):
        services.models.update(caller, model, ModelUpdate(task=f"t{i}"))
    everything = services.changes.list(caller, ChangesQuery()).items
    first = services.changes.list(caller, ChangesQuery(limit=4)).items
    rest = services.changes.list(caller, ChangesQuery(after=first[-1].seq)).items
    assert first + rest == everything
    assert services.changes.list(caller, ChangesQuery(after=everything[-1].seq)).items == []


def test_namespaces_and_objects_filter(services: Services, caller: Caller) -> None:
    one = services.models.create(caller, ModelCreate(name="m", namespace=NAMESPACE)).item.id
    two = services.models.create(caller, ModelCreate(name="m", namespace="other")).item.id
    event = services.events.log(caller, one, EventCreate(name="n", source="s"))
    assert [e.object_id for e in services.changes.list(caller, ChangesQuery(namespace="équipe")).items] == [one, event.id]
    assert [e.object_id for e in services.changes.list(caller, ChangesQuery(object_id=one)).items] == [one, event.id]
    assert [e.object_id for e in services.changes.list(caller, ChangesQuery(object_id=one, limit=1)).items] == [one]
    assert [e.object_id for e in services.changes.list(caller, ChangesQuery(object_id=two, namespace=NAMESPACE)).items] == []


def test_a_position_beyond_64_bits_is_refused(services: Services, caller: Caller) -> None:
    with pytest.raises(InvalidQuery, match="64 bits"):
        services.changes.list(caller, ChangesQuery(after=2**63))


def test_a_failed_call_leaves_no_trace(services: Services, caller: Caller) -> None:
    model = services.models.create(caller, ModelCreate(name="m")).item.id
    with pytest.raises(Exception, match="surrogate"):
        services.models.update(caller, model, ModelUpdate(task="fine", description="\ud800"))
    assert len(services.changes.list(caller, ChangesQuery()).items) == 1
