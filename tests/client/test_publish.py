"""What the local store has comes to another one whole, once, however often and however brokenly it is sent."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelbox
from modelbox.cli.main import main
from modelbox.client import sync as client
from modelbox.client.publish import PublishReport, publish
from modelbox.errors import InvalidRequest, ServerUnreachable
from modelbox_server.testing.live_server import LiveServer, live_server

NAN_STEPS = 3


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with live_server() as server:
        yield server


@pytest.fixture
def local(clean_modelbox_environment: Path) -> Iterator[modelbox.ModelBox]:
    """The local store, with all that can hang on an experiment or a model."""
    file = clean_modelbox_environment / "weights.bin"
    file.write_bytes(b"weights" * 1000)
    other = clean_modelbox_environment / "data.csv"
    other.write_text("a,b")
    with modelbox.ModelBox("local", strict=True, durability="memory", provenance=False, system_metrics=False) as box:
        with box.start("parent", namespace="team/équipe") as parent:
            parent.log(loss=1.0, step=0)
        with box.start("digits", params={"lr": 0.1}, parent=parent) as run:
            for step in range(20):
                run.log(loss=math.nan if step < NAN_STEPS else 1 / step, note=f"step {step}", step=step)
            run.upload_artifact(file)
            run.track_artifacts([other])
            run.log_event("evaluated", "trainer", metadata={"score": 3})
            run.new_checkpoint(4, metrics={"loss": 0.25}).upload_artifact(file)
        model = box.new_model("asr", task="speech", description="hears")
        model.new_model_version("1", unique_tags=["prod"], experiment=run, metadata={"wer": 4.2})
        yield box


def box_of(server: LiveServer) -> modelbox.ModelBox:
    return modelbox.ModelBox(server.url, token=server.token, strict=True, durability="memory")


def test_everything_arrives_with_its_ids(local: modelbox.ModelBox, server: LiveServer) -> None:
    with box_of(server) as there:
        report = publish(local.session, there.session)
        assert report == PublishReport(experiments=2, models=1, versions=1, checkpoints=1, events=1, files=3, points=41)
        for mine in local.experiments():
            theirs = there.experiment(mine.id)
            assert {**theirs.metadata()} == {**mine.metadata()}
            assert repr(theirs.all_metrics()) == repr(mine.all_metrics())
            fields = ("name", "status", "parent_id", "group", "started_at", "finished_at")
            assert [getattr(theirs.record, name) for name in fields] == [getattr(mine.record, name) for name in fields]
            assert [event.id for event in theirs.events()] == [event.id for event in mine.events()]
            assert {one.record.name: one.record.sha256 for one in theirs.artifacts} == {
                one.record.name: one.record.sha256 for one in mine.artifacts
            }
        (version,) = there.model("asr").model_versions()
        assert (version.record.tags, version.metadata()["wer"]) == (("prod",), 4.2)
        assert version.record.experiment_id in {run.id for run in local.experiments()}


def test_a_second_time_nothing_is_sent(local: modelbox.ModelBox, server: LiveServer) -> None:
    with box_of(server) as there:
        publish(local.session, there.session)
        before = len(there.changes())
        assert publish(local.session, there.session) == PublishReport()
        assert len(there.changes()) == before


def test_what_was_added_since_is_sent(local: modelbox.ModelBox, server: LiveServer) -> None:
    (run,) = local.experiments(name="digits")
    with box_of(server) as there:
        publish(local.session, there.session)
        run.log(loss=9.0, step=-5)
        run.log(loss=math.nan, step=0)
        local.flush()
        assert publish(local.session, there.session) == PublishReport(points=2)
        assert len(there.experiment(run.id).all_metrics()["loss"]) == 22


def test_what_broke_off_goes_on(local: modelbox.ModelBox, server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call to the other store fails once, before or after it had its effect."""
    with box_of(server) as there:
        transport = there.session.transport
        calls = breaks_at = 0
        whole = {name: getattr(transport, name) for name in ("call", "append_metrics", "upload")}

        def breaking(name: str):
            def call(*args: object, **keywords: object) -> object:
                nonlocal calls
                calls += 1
                if calls == breaks_at:
                    if calls % 2:
                        whole[name](*args, **keywords)
                    raise ServerUnreachable("The connection broke.")
                return whole[name](*args, **keywords)

            return call

        for name in whole:
            monkeypatch.setattr(transport, name, breaking(name))
        is_broken = True
        while is_broken:
            calls, breaks_at = 0, breaks_at + 1
            try:
                publish(local.session, there.session)
            except ServerUnreachable:
                continue
            is_broken = False
        assert breaks_at > 20
        breaks_at = 0
        assert publish(local.session, there.session) == PublishReport()
        for mine in local.experiments():
            assert repr(there.experiment(mine.id).all_metrics()) == repr(mine.all_metrics())
            assert len(there.experiment(mine.id).artifacts) == len(mine.artifacts)


def test_a_query_says_which(local: modelbox.ModelBox, server: LiveServer) -> None:
    with box_of(server) as there:
        assert publish(local.session, there.session, query="params.lr > 0").experiments == 1
        (digits,) = there.experiments()
        assert (digits.name, digits.record.parent_id) == ("digits", None)
        publish(local.session, there.session)
        assert digits.refresh().record.parent_id == local.experiments(name="parent")[0].id


def test_what_one_may_not_write_to_goes_below_ones_home(local: modelbox.ModelBox, server: LiveServer) -> None:
    with box_of(server) as operator:
        token = operator.people.new_token("script", user="alice").token
    with modelbox.ModelBox(server.url, token=token, durability="memory") as alice:
        publish(local.session, alice.session)
        assert {run.name: run.record.namespace for run in alice.experiments()} == {"digits": "~alice", "parent": "~alice/team/équipe"}
        assert publish(local.session, alice.session) == PublishReport()


def test_the_function_the_command_and_their_mistakes(
    local: modelbox.ModelBox, server: LiveServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELBOX_HUB_URL", server.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", server.token)
    assert client.sync("local", to="shared", query="params.lr > 0").experiments == 1
    assert main(["sync", "local", "--to", "shared"]) == 0
    assert capsys.readouterr().out == "1 experiment, 1 model, 1 version, 1 point sent\n"
    assert main(["sync", "local", "--to", "shared"]) == 0
    assert capsys.readouterr().out == "nothing to send\n"
    assert main(["sync", "--query", "params.lr > 0"]) == 2
    assert "--query is for 'modelbox sync local'" in capsys.readouterr().err
    assert str(client.sync("local", to="shared")) == "nothing to send"
    with pytest.raises(InvalidRequest, match="leads from the local store to itself"):
        client.sync("local", to="local")
    with pytest.raises(InvalidRequest, match="A query is for"):
        client.sync("somewhere", query="x")  # type: ignore[call-overload]
    monkeypatch.delenv("MODELBOX_HUB_URL")
    with pytest.raises(modelbox.ModelBoxError, match="no JupyterHub names a shared ModelBox here"):
        client.sync("local", to="shared")
