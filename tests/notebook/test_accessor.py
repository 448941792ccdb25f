"""df.modelbox."""

import pandas as pd
import pytest

import modelbox
from modelbox import frames
from modelbox.client.connection import ModelBox
from modelbox.errors import InvalidRequest, ServerUnreachable


@pytest.fixture
def runs(box: ModelBox) -> pd.DataFrame:
    for seed in range(4):
        with box.start("digits", params={"lr": 0.1 * (seed // 2), "seed": seed}) as run:
            for step in range(10):
                run.log({"val/loss @1": 1 / (step + 1 + seed), "accuracy": step / 10 + seed / 100}, step=step)
    return modelbox.experiments()


def test_a_frame_of_runs_has_the_accessor_and_others_say_what_is_missing(runs: pd.DataFrame) -> None:
    assert hasattr(runs, "modelbox")
    other = pd.DataFrame({"experimentid": [1]})
    assert not hasattr(other, "modelbox")
    with pytest.raises(AttributeError, match=r"no column 'experiment_id'.*Did you mean 'experimentid'"):
        other.modelbox  # noqa: B018 - asking is the test


def test_it_survives_what_people_do_to_frames(runs: pd.DataFrame) -> None:
    changed = runs[runs["params.lr"] > 0].sort_values("params.seed").head(2).assign(note="x")
    assert len(changed.modelbox.diff()) == 2


def test_diff_has_only_what_differs(runs: pd.DataFrame) -> None:
    assert list(runs.modelbox.diff().columns) == ["params.lr", "params.seed"]


def test_diff_compares_packages_and_uncommitted_changes(box: ModelBox) -> None:
    for version in ("2.3", "2.4"):
        packages = {"numpy": version, "pandas": "3.1"}
        box.start("digits", metadata={"environment.packages": packages, "git.diff": f"+{version}", "git.commit": "abc"})
    runs = modelbox.experiments()
    assert not {"environment.packages", "git.diff"} & set(runs.columns)
    differing = runs.modelbox.diff()
    assert set(differing.columns) == {"environment.packages.numpy", "git.diff"}
    assert sorted(differing["environment.packages.numpy"]) == ["2.3", "2.4"]


def test_diff_does_without_a_store(runs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(frame: pd.DataFrame) -> pd.DataFrame:
        raise ServerUnreachable("The server is away.")

    monkeypatch.setattr(frames, "with_long_metadata", away)
    assert list(runs.modelbox.diff().columns) == ["params.lr", "params.seed"]


def test_compare_reads_the_points_of_these_runs(runs: pd.DataFrame) -> None:
    comparison = runs.modelbox.compare()
    assert comparison.metrics == ["accuracy", "val/loss @1"]
    assert comparison.chart is not None
    assert runs.modelbox.compare(["val/loss @1"]).metrics == ["val/loss @1"]


def test_curves_are_an_altair_chart(runs: pd.DataFrame) -> None:
    chart = runs.modelbox.curves("val/loss @1", group="params.lr", band="ci", x="time")
    rows = [row for rows in chart.to_dict()["datasets"].values() for row in rows]
    assert {row["group"] for row in rows} == {"lr = 0", "lr = 0.1"}


def test_best_knows_which_way_is_better(runs: pd.DataFrame) -> None:
    assert runs.modelbox.best("accuracy")["params.seed"] == 3
    assert runs.modelbox.best("accuracy", "min")["params.seed"] == 0
    assert runs.modelbox.best("val/loss @1", by="reached")["params.seed"] == 3


def test_each_question_about_runs_has_a_method(runs: pd.DataFrame) -> None:
    assert runs.modelbox.parallel().to_dict()["title"]["text"] == "4 runs, coloured by accuracy"
    assert "accuracy by lr" in runs.modelbox.scatter("lr", "accuracy", colour="seed").to_dict()["title"]["text"]
    assert "beaten by no other" in runs.modelbox.pareto("val/loss @1", "accuracy").to_dict()["title"]["text"]
    assert "depends on" in runs.modelbox.importance("accuracy").to_dict()["title"]["text"]
    assert runs.modelbox.stats("accuracy", by="lr")["n"].tolist() == [2, 2]


def test_a_leaderboard_is_a_frame_of_runs_again(runs: pd.DataFrame) -> None:
    board = runs.modelbox.leaderboard("accuracy", top=3)
    assert board.index.tolist() == [1, 2, 3]
    assert board["params.seed"].tolist() == [3, 2, 1]
    assert board["behind"].tolist() == pytest.approx([0, 0.01, 0.02])
    assert len(board.modelbox.diff()) == 3


def test_smoothing_reads_every_point_and_keeps_the_values_as_logged_behind(box: ModelBox) -> None:
    with box.start("long") as run:
        for step in range(3000):
            run.log(loss=float(step % 2), epoch=step // 100, step=step)
    runs = modelbox.experiments()
    chart = runs.modelbox.curves("loss", x="epoch", smooth=0.99)
    smooth, raw = (rows for rows in chart.to_dict()["datasets"].values())
    assert smooth[150]["x"] == 1.5
    late = [row["value"] for row in smooth if row["x"] > 10]
    assert 0.45 < min(late) < max(late) < 0.55
    assert {row["value"] for row in raw} == {0.0, 1.0}


def test_metrics_are_every_point(runs: pd.DataFrame) -> None:
    points = runs.modelbox.metrics("accuracy")
    assert len(points) == 40
    assert list(points.columns) == ["experiment_id", "key", "step", "wall_time", "value"]
    assert len(runs.modelbox.metrics()) == 80


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_runs_are_a_sentence(runs: pd.DataFrame, rows: int) -> None:
    with pytest.raises(InvalidRequest, match="at least 2 runs"):
        runs.head(rows).modelbox.compare()


def test_making_the_accessor_costs_nothing_on_a_wide_frame() -> None:
    wide = pd.DataFrame({"experiment_id": ["a"], **{f"params.{i}": [i] for i in range(5000)}})
    assert wide.modelbox._frame is wide


def test_a_timeline_shows_events_and_checkpoints_from_the_store(runs: pd.DataFrame, box: ModelBox) -> None:
    first = box.experiment(runs["experiment_id"].iloc[0])
    first.log_event("data loaded", source="trainer")
    first.new_checkpoint(epoch=3)
    spec = runs.modelbox.timeline().to_dict()
    kinds = [row["kind"] for rows in spec["datasets"].values() for row in rows if "kind" in row]
    assert kinds == ["event", "checkpoint"]
    phases = {row["phase"] for rows in spec["datasets"].values() for row in rows if "share" in row}
    assert "logging metrics" in phases


def test_refreshing_keeps_the_order_and_leaves_out_what_is_gone(runs: pd.DataFrame, box: ModelBox) -> None:
    backwards = runs.iloc[::-1]
    box.experiment(runs["experiment_id"].iloc[1]).delete()
    fresh = backwards.modelbox.refresh()
    assert fresh["experiment_id"].tolist() == [i for i in backwards["experiment_id"] if i != runs["experiment_id"].iloc[1]]
    assert fresh["params.seed"].dtype == "int64"
    assert len(runs.head(0).modelbox.refresh()) == 0


def test_tags_are_added_to_the_runs_of_the_frame_only(runs: pd.DataFrame) -> None:
    tagged = runs.head(2).modelbox.tag("baseline", "=cmd()")
    assert tagged["tags.baseline"].tolist() == [True, True]
    assert modelbox.experiments("tags.baseline")["experiment_id"].tolist() == runs["experiment_id"].head(2).tolist()
    with pytest.raises(InvalidRequest, match="name of a tag"):
        runs.modelbox.tag()


def test_deleting_takes_the_runs_of_the_frame_and_counts_them(runs: pd.DataFrame) -> None:
    assert runs.head(3).modelbox.delete() == 3
    assert len(modelbox.experiments()) == 1
    assert runs.modelbox.delete() == 1
