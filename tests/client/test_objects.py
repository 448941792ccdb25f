"""Experiments, checkpoints, models, metadata and events, as the code of a user sees them."""

import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import modelbox
from modelbox.client import observers
from modelbox.client.connection import ModelBox
from modelbox.client.events import Event
from modelbox.client.experiment import Experiment
from modelbox.client.masking import MASK
from modelbox.client.notices import ModelBoxWarning
from modelbox.entities.records import Status
from modelbox.errors import Conflict, InvalidRequest, NotFound, ServerUnreachable, TagTaken, TooLarge
from modelbox.testing import FaultyTransport

NAMESPACE = "équipe/vision"


def test_the_ids_of_2022_stay(box: ModelBox) -> None:
    run = box.new_experiment("wav2vec", "owner", "langtech", "extern123", "PYTORCH")
    assert run.id == "e71a25a8d3d481463c281f083f5e2671ea2896bc"
    assert run.new_checkpoint(1, {"loss": 0.5}).id == "97f7fccf8d2d67aa78d7d58a86b5d938ddff9f38"
    model = box.new_model("asr_en", "owner", "langtech", "asr", "English", metadata={"x": "y"})
    assert model.id == "93b7cf0bec10ff6d500a9273bc34ab7eff02eeca"
    assert model.metadata() == {"x": "y"}
    version = model.new_model_version("1", "asr_en_july", "first", unique_tags=["test"])
    assert version.id == "0ae662556996e18f364a41b82cd1a4e043062687"
    assert (run.external_id, run.framework, run.owner) == ("extern123", "PYTORCH", "owner")


def test_new_experiment_continues_what_start_begins_anew(box: ModelBox) -> None:
    assert box.new_experiment("demo").id == box.new_experiment("demo").id
    assert box.start("demo").id != box.start("demo").id


def test_a_block_finishes_its_run(box: ModelBox) -> None:
    with box.start("demo", namespace=NAMESPACE) as run:
        assert run.status is Status.RUNNING
        assert modelbox.current() is run
    assert run.status is Status.FINISHED
    assert modelbox.current() is None
    assert run.refresh().record.finished_at is not None


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, Status.FAILED), (KeyboardInterrupt, Status.INTERRUPTED), (SystemExit, Status.FINISHED), (GeneratorExit, Status.FAILED)],
)
def test_an_exception_ends_the_run_and_passes_unchanged(box: ModelBox, error: type[BaseException], status: Status) -> None:
    raised = error()
    with pytest.raises(error) as caught, box.start("demo") as run:
        raise raised
    assert caught.value is raised
    assert box.experiment(run.id).status is status


def test_an_outage_at_the_end_does_not_hide_the_exception_of_training(box: ModelBox, caplog: pytest.LogCaptureFixture) -> None:
    faulty = FaultyTransport(box.session.transport)

    def train() -> None:
        with ModelBox.over(faulty, box.where).start("demo"):
            faulty.away = ServerUnreachable("No server answers.")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert "No server answers." in caplog.text


def test_closing_a_connection_ends_its_runs(tmp_path: Path) -> None:
    failed: list[Experiment] = []

    def fail() -> None:
        with ModelBox(tmp_path) as box:
            failed.append(box.start("fails"))
            raise ZeroDivisionError

    with ModelBox(tmp_path) as box:
        run = box.start("demo")
        run.log(loss=0.5)
    assert modelbox.current() is None
    with pytest.raises(ZeroDivisionError):
        fail()
    with ModelBox(tmp_path) as box:
        assert len(box.experiment(run.id).all_metrics()["loss"]) == 1
        assert box.experiment(run.id).status is Status.FINISHED
        assert box.experiment(failed[0].id).status is Status.FAILED


def test_finishing_twice_changes_nothing(box: ModelBox) -> None:
    run = box.start("demo")
    run.finish("failed")
    ended = run.record
    run.finish("failed")
    assert run.record == ended
    with pytest.raises(InvalidRequest, match="running, finished"):
        run.finish("done")


def test_parameters_tags_and_metadata_live_side_by_side(box: ModelBox) -> None:
    run = box.start("demo", params={"opt": {"lr": 0.1}, "layers": np.int64(3)}, tags=["baseline", "a b"], metadata={"git": {"sha": "abc"}})
    assert run.params == {"opt.lr": 0.1, "layers": 3}
    assert run.tags == ["a b", "baseline"]
    run.tag("best")
    run.untag("a b", "never there")
    assert run.tags == ["baseline", "best"]
    assert run.metadata()["git"] == {"sha": "abc"}
    assert box.start("one tag", tags="baseline").tags == ["baseline"]


def test_numbers_of_metadata_stay_what_they_are(box: ModelBox) -> None:
    run = box.start("demo")
    given = {"int": 12, "float": 12.0, "bool": True, "nan": math.nan, "inf": [math.inf, -math.inf], "odd": {"$float": "NaN"}, "none": None}
    run.update_metadata(given)
    run.update_metadata("foo/bar", 12)
    back = run.metadata()
    assert repr({key: back[key] for key in given}) == repr(given)
    assert back["foo/bar"] == 12
    assert type(back["foo/bar"]) is int


def test_metadata_takes_what_libraries_use_for_plain_data(box: ModelBox) -> None:
    run = box.start("demo")
    run.update_metadata({"np": np.float32(0.5), "array": np.arange(3), "path": Path("/x"), "when": datetime(2026, 1, 1, tzinfo=UTC)})
    assert run.metadata() == {"np": 0.5, "array": [0, 1, 2], "path": "/x", "when": "2026-01-01T00:00:00+00:00"}


@pytest.mark.parametrize("value", [object(), 10**30, b"x", {1: "a"}, np.zeros(2000)])
def test_metadata_that_is_no_json_is_refused(box: ModelBox, value: object) -> None:
    run = box.start("demo")
    with pytest.raises(InvalidRequest, match="key"):
        run.update_metadata("key", value)
    with pytest.raises(InvalidRequest):
        run.update_metadata({3: "x"})  # type: ignore[dict-item]
    assert run.metadata() == {}


def test_secrets_are_masked_unless_asked_for(box: ModelBox) -> None:
    with pytest.warns(ModelBoxWarning, match="'db.password'"):
        run = box.start("demo", params={"db": {"password": "hunter2"}})
    assert run.params == {"db.password": MASK}
    assert box.start("demo", params={"password": "hunter2"}, allow_secrets=True).params == {"password": "hunter2"}
    with pytest.warns(ModelBoxWarning, match="'hf_token'"):
        run.log_params({"hf_token": "x"})
    assert run.params["hf_token"] == MASK


def test_a_changed_parameter_is_a_warning_and_history(box: ModelBox) -> None:
    run = box.start("demo", params={"lr": 0.1})
    run.log_params({"lr": 0.1, "layers": 3})
    with pytest.warns(ModelBoxWarning, match="'lr'.*changes from 0.1 to 0.2"):
        run.log_params({"lr": 0.2})
    assert run.params == {"lr": 0.2, "layers": 3}
    payloads = [change.payload for change in box.changes(object_id=run.id)]
    assert payloads[-1]["old"]["metadata"] == {"params.lr": 0.1}


def test_a_million_tags_are_refused(box: ModelBox) -> None:
    with pytest.raises(TooLarge):
        box.start("demo", tags=[f"tag {i}" for i in range(20_000)])
    assert box.experiments() == []


def test_hostile_names_come_back_equal(box: ModelBox) -> None:
    for name in ("日本語", "😀" * 10, "x" * 505, "</script>", "a.b[0]'\"\\", "مرحبا", "$HOME {x} %s", "__class__"):
        run = box.start(name, namespace=NAMESPACE, params={name: name}, tags=[name])
        assert box.experiment(run.id).name == name
        assert run.params == {name: name}
        assert run.tags == [name]
    assert box.start("x" * 512).name == "x" * 512


def test_relatives_find_each_other(box: ModelBox) -> None:
    parent = box.start("sweep")
    children = [box.start(f"trial {i}", parent=parent, group="seeds") for i in range(3)]
    assert {child.id for child in parent.children()} == {child.id for child in children}
    assert children[0].parent() == parent
    assert parent.parent() is None
    parent.delete()
    assert children[0].refresh().parent() is None
    with pytest.raises(NotFound):
        parent.refresh()


def test_filters_narrow_a_list(box: ModelBox) -> None:
    first = box.start("a", namespace="équipe/vision/deep", owner="ann", group="g")
    second = box.start("b", namespace="équipe")
    second.finish("failed")
    assert box.experiments("équipe/vision") == [first]
    assert box.experiments("équipe", status="failed") == [second]
    assert box.experiments(owner="ann", group="g", name="a") == [first]
    assert box.experiments(ids=[first.id, second.id]) == [second, first]
    assert box.experiments(limit=1) == [second]
    with pytest.raises(InvalidRequest, match="Did you mean 'owner'"):
        box.experiments(ownr="ann")
    with pytest.raises(InvalidRequest, match="running, finished"):
        box.experiments(status="done")


def test_fields_can_be_changed(box: ModelBox) -> None:
    run = box.start("demo", owner="ann")
    run.update(name="better", group="g")
    assert (run.name, run.group, run.owner) == ("better", "g", "ann")
    assert box.experiment(run.id).name == "better"


def test_checkpoints_carry_metrics_and_everything_else(box: ModelBox) -> None:
    run = box.start("demo")
    first = run.new_checkpoint(1)
    second = run.new_checkpoint(2, {"loss": np.float32(0.5), "nan": math.nan}, metadata={"best": True})
    assert [checkpoint.epoch for checkpoint in run.checkpoints()] == [1, 2]
    assert second.metrics["loss"] == 0.5
    assert math.isnan(run.checkpoints()[1].metrics["nan"])
    assert second.metadata() == {"best": True}
    second.log(bleu=31.5)
    assert second.all_metrics()["bleu"][0].value == 31.5
    assert run.all_metrics() == {}
    assert run.new_checkpoint(1) == first
    first.delete()
    assert len(run.checkpoints()) == 1
    with pytest.raises(TypeError, match="give a number"):
        run.new_checkpoint(3, {"note": "x"})


def test_versions_of_a_model_share_tags_uniquely(box: ModelBox, tmp_path: Path) -> None:
    run = box.start("demo")
    model = box.new_model("asr", namespace=NAMESPACE, task="speech")
    first = model.new_model_version("1", unique_tags=["production"], experiment=run)
    with pytest.raises(TagTaken, match="production"):
        model.new_model_version("2", unique_tags=["production"])
    second = model.new_model_version("2", unique_tags=["production"], move_tags=True, framework="torch")
    assert model.version("production") == second
    assert model.version("1") == first
    assert model.version("1").tags == ()
    assert first.experiment_id == run.id
    second.tag("best")
    assert set(second.tags) == {"production", "best"}
    with pytest.raises(NotFound, match="Did you mean 'production'"):
        model.version("prodution")
    assert model.model_versions() == model.versions() == [second, first]
    model.update(description="new")
    assert box.model(model.id).description == "new"
    assert box.models(NAMESPACE) == box.models(name="asr") == [model]
    model.delete()
    assert box.models() == []


def test_a_model_is_found_by_its_name(box: ModelBox) -> None:
    reader = box.new_model("digit-reader", namespace=NAMESPACE)
    assert box.model("digit-reader") == box.model("digit-reader", namespace=NAMESPACE) == box.model(reader.id) == reader
    assert box.model("digit-reader", namespace="équipe") == reader  # a namespace holds what is below it
    other = box.new_model("digit-reader", namespace="équipe")
    assert box.model("digit-reader", namespace="équipe") == other  # but what is exactly there comes first
    with pytest.raises(Conflict, match=r"2 models are called 'digit-reader'.*équipe, équipe/vision"):
        box.model("digit-reader")
    with pytest.raises(NotFound, match="Did you mean 'digit-reader'"):
        box.model("digit_reader")
    with pytest.raises(NotFound, match=r"in the namespace 'elsewhere' called 'digit-reader'\. There is: nothing yet"):
        box.model("digit-reader", namespace="elsewhere")
    with pytest.raises(NotFound):
        box.model("0" * 40)


def test_a_model_may_be_called_like_an_id(box: ModelBox) -> None:
    model = box.new_model("f" * 40, namespace=NAMESPACE)
    assert box.model("f" * 40, namespace=NAMESPACE) == model


def test_events_keep_their_time_and_metadata(box: ModelBox) -> None:
    run = box.start("demo")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    run.log_event(Event("downloaded", "trainer", moment, {"bytes": 10, "loss": math.nan}))
    run.log_event("epoch", wall_time=(moment + timedelta(seconds=1)).timestamp())
    run.log_event(Event("epoch", "trainer", moment + timedelta(seconds=2)))
    first, second, third = run.events()
    assert (first.name, first.source, first.wall_time, first.metadata["bytes"]) == ("downloaded", "trainer", moment, 10)
    assert math.isnan(first.metadata["loss"])
    assert first.wallclock_time == moment.timestamp()
    assert second.source
    assert run.events(since=moment + timedelta(seconds=2)) == [third]


def test_events_of_a_version_are_listed_there_only(box: ModelBox) -> None:
    run = box.start("demo")
    version = box.new_model("m").new_model_version("1")
    version.log_event("deployed", "ops")
    assert [event.name for event in version.events()] == ["deployed"]
    assert run.events() == []


def test_observers_hear_of_starts_and_ends(box: ModelBox) -> None:
    heard: list[tuple[str, str]] = []

    def started(run: Experiment) -> None:
        heard.append(("started", run.name))

    stops = [observers.subscribe("started", started), observers.subscribe("finished", lambda run: heard.append((run.status, run.name)))]
    with box.start("demo"):
        pass
    for stop in stops:
        stop()
        stop()
    box.start("unheard").finish()
    assert heard == [("started", "demo"), ("finished", "demo")]


def test_an_observer_that_fails_is_one_line_in_the_log(box: ModelBox, caplog: pytest.LogCaptureFixture) -> None:
    def fail(run: Experiment) -> None:
        raise ZeroDivisionError

    stop = observers.subscribe("started", fail)
    try:
        box.start("a")
        box.start("b")
    finally:
        stop()
    assert len([record for record in caplog.records if "observer" in record.getMessage()]) == 1


def test_changes_say_who_did_what(box: ModelBox) -> None:
    run = box.start("demo")
    run.update_metadata("a", 1)
    run.finish()
    changes = box.changes(object_id=run.id)
    assert [change.kind for change in changes] == ["created", "updated", "updated"]
    assert all(change.actor for change in changes)
    assert box.changes(object_id=run.id, after=changes[0].seq) == changes[1:]
    assert box.changes(limit=2) == changes[:2]


def test_objects_show_what_they_are(box: ModelBox) -> None:
    run = box.start("demo")
    model = box.new_model("m")
    shown = f"{run!r} {run.new_checkpoint(1)!r} {model!r} {model.new_model_version('1')!r} {box!r}"
    assert run.id in shown
    assert "epoch=1" in shown
    assert len({run, box.experiment(run.id)}) == 1


def test_a_forked_child_does_not_end_the_run_of_its_parent(box: ModelBox) -> None:
    with box.start("demo") as run:
        run.pid = os.getpid() + 1
    assert run.refresh().status is Status.RUNNING
