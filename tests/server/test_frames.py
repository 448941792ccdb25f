"""Frames: a table of runs in one answer, the same as what many single requests would say."""

import math

from modelbox.entities.ids import random_id
from modelbox.wire.messages import ExperimentCreate, ExperimentsQuery
from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import METRIC, NAMESPACE, float_block, text_block
from modelbox_server.wiring import Services


def test_columns_belong_to_their_rows(services: Services, caller: Caller) -> None:
    ids = [
        services.experiments.create(
            caller, ExperimentCreate(name="run", id=random_id(), namespace=NAMESPACE, metadata={"params.lr": i / 10, "tags.é": True})
        ).item.id
        for i in range(4)
    ]
    for i, object_id in enumerate(ids[:3]):
        services.metrics.append(caller, [float_block(object_id, [float(i), math.nan, math.inf]), text_block(object_id, ["x"], key="note")])
    frame = services.frames.experiments(caller, ExperimentsQuery(namespace="équipe"))
    assert frame.experiments == services.experiments.list(caller, ExperimentsQuery(namespace="équipe")).items
    for row, record in enumerate(frame.experiments):
        index = ids.index(record.id)
        document = {frame.metadata.key[i]: frame.metadata.value[i] for i, of_row in enumerate(frame.metadata.row) if of_row == row}
        assert document == {"params.lr": index / 10, "tags.é": True}
        found = {frame.metrics.key[i]: i for i, of_row in enumerate(frame.metrics.row) if of_row == row}
        assert set(found) == ({METRIC, "note"} if index < 3 else set())
        if found:
            at = found[METRIC]
            assert (frame.metrics.count[at], frame.metrics.last_step[at], frame.metrics.last[at]) == (3, 2, math.inf)
            assert (frame.metrics.min[at], frame.metrics.max[at], frame.metrics.mean[at]) == (float(index), math.inf, math.inf)
            assert frame.metrics.last[found["note"]] == "x"


def test_a_frame_has_the_pages_of_the_list(services: Services, caller: Caller) -> None:
    for i in range(5):
        services.experiments.create(caller, ExperimentCreate(name=f"e{i}", metadata={"i": i}))
    first = services.frames.experiments(caller, ExperimentsQuery(limit=3))
    rest = services.frames.experiments(caller, ExperimentsQuery(limit=3, page_token=first.next_page_token))
    assert sorted(first.metadata.value + rest.metadata.value) == list(range(5))
    assert rest.next_page_token is None
    assert services.experiments.list(caller, ExperimentsQuery(page_token=first.next_page_token)).items == rest.experiments


def test_long_metadata_comes_along_only_when_asked_for(services: Services, caller: Caller) -> None:
    long = {"environment.packages": {"numpy": "2.4"}, "git.diff": "+lr = 0.1"}
    services.experiments.create(caller, ExperimentCreate(name="run", metadata={**long, "git.commit": "abc"}))
    table = services.frames.experiments(caller, ExperimentsQuery())
    assert dict(zip(table.metadata.key, table.metadata.value, strict=True)) == {"git.commit": "abc"}
    table = services.frames.experiments(caller, ExperimentsQuery(), long=True)
    assert dict(zip(table.metadata.key, table.metadata.value, strict=True)) == {**long, "git.commit": "abc"}


def test_no_experiments_are_an_empty_frame(services: Services, caller: Caller) -> None:
    frame = services.frames.experiments(caller, ExperimentsQuery())
    assert (frame.experiments, frame.metadata.row, frame.metrics.row) == ([], [], [])
