"""Checkpoints: one per experiment and epoch."""

import math

import pytest

from modelbox.entities.ids import random_id
from modelbox.errors import InvalidName, NotFound
from modelbox.wire.messages import ChangesQuery, CheckpointCreate, ExperimentCreate, PageQuery
from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import METRIC, float_block
from modelbox_server.wiring import Services


@pytest.fixture
def experiment(services: Services, caller: Caller) -> str:
    return services.experiments.create(caller, ExperimentCreate(name="wav2vec", namespace="langtech")).item.id


def test_the_published_id_of_2022_comes_out(services: Services, caller: Caller, experiment: str) -> None:
    created = services.checkpoints.create(caller, experiment, CheckpointCreate(epoch=1))
    assert created.item.id == "97f7fccf8d2d67aa78d7d58a86b5d938ddff9f38"


def test_metrics_are_kept_exactly(services: Services, caller: Caller, experiment: str) -> None:
    request = CheckpointCreate(epoch=3, metrics={METRIC: "NaN", "b": "-Infinity", "c": -0.0, "d": 7})
    kept = services.checkpoints.get(caller, services.checkpoints.create(caller, experiment, request).item.id).metrics
    assert math.isnan(kept[METRIC])
    assert kept["b"] == -math.inf
    assert math.copysign(1, kept["c"]) == -1
    assert kept["d"] == 7.0


def test_the_same_epoch_is_the_same_checkpoint(services: Services, caller: Caller, experiment: str) -> None:
    first = services.checkpoints.create(caller, experiment, CheckpointCreate(epoch=1, metrics={"a": 1.0}))
    again = services.checkpoints.create(caller, experiment, CheckpointCreate(epoch=1, metrics={"a": 2.0}, metadata={"note": "x"}))
    assert (again.exists, again.item) == (True, first.item)
    assert services.metadata.get(caller, first.item.id).metadata == {"note": "x"}


def test_they_come_by_epoch_in_pages(services: Services, caller: Caller, experiment: str) -> None:
    for epoch in (10, 2, 2**63 - 1, 0):
        services.checkpoints.create(caller, experiment, CheckpointCreate(epoch=epoch))
    first = services.checkpoints.list(caller, experiment, PageQuery(limit=3))
    rest = services.checkpoints.list(caller, experiment, PageQuery(limit=3, page_token=first.next_page_token))
    assert [record.epoch for record in first.items + rest.items] == [0, 2, 10, 2**63 - 1]


def test_digits_that_run_together_do_not_mix_checkpoints(services: Services, caller: Caller, experiment: str) -> None:
    one, eleven = (services.checkpoints.create(caller, experiment, CheckpointCreate(epoch=epoch)).item for epoch in (1, 11))
    assert one.id != eleven.id


def test_an_experiment_must_be_there(services: Services, caller: Caller) -> None:
    with pytest.raises(NotFound):
        services.checkpoints.create(caller, random_id(), CheckpointCreate(epoch=1))
    with pytest.raises(NotFound):
        services.checkpoints.list(caller, random_id(), PageQuery())


def test_a_metric_has_a_proper_key(services: Services, caller: Caller, experiment: str) -> None:
    with pytest.raises(InvalidName):
        services.checkpoints.create(caller, experiment, CheckpointCreate(epoch=1, metrics={"": 1.0}))


def test_deleting_one_leaves_its_experiment(services: Services, caller: Caller, experiment: str) -> None:
    checkpoint = services.checkpoints.create(caller, experiment, CheckpointCreate(epoch=1, metrics={"a": math.nan})).item
    services.metrics.append(caller, [float_block(checkpoint.id)])
    assert services.checkpoints.delete(caller, checkpoint.id).deleted == 1
    with pytest.raises(NotFound):
        services.checkpoints.get(caller, checkpoint.id)
    assert services.experiments.get(caller, experiment).id == experiment
    kinds = [event.kind for event in services.changes.list(caller, ChangesQuery(object_id=checkpoint.id)).items]
    assert kinds == ["created", "destroyed"]
