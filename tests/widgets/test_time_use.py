"""What happened when, and where the time went."""

import math

import pandas as pd
import pytest

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest
from modelbox_widgets.testing import HOSTILE_NAMES, code_in, compiled, misplaced, run_id_of
from modelbox_widgets.time_use import MOMENT_COLUMNS, time_spent, timeline

BEGIN = pd.Timestamp("2026-01-01", tz="UTC")


def at(seconds: float) -> pd.Timestamp:
    return BEGIN + pd.Timedelta(seconds=seconds)


def frame(count: int = 1, *, seconds: float = 100, name: str = "digits") -> pd.DataFrame:
    ids = [run_id_of(i) for i in range(count)]
    return pd.DataFrame({"experiment_id": ids, "name": name, "started_at": BEGIN, "finished_at": [at(seconds)] * count})


def moments(*rows: tuple[str, str, float], run: int = 0) -> pd.DataFrame:
    return pd.DataFrame([(run_id_of(run), kind, name, "me", at(second)) for kind, name, second in rows], columns=list(MOMENT_COLUMNS))


def rows_of(chart: Json, field: str) -> list[dict[str, Json]]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows if field in row]


def test_a_phase_begins_with_an_event_and_numbers_do_not_make_another() -> None:
    happened = moments(("event", "epoch 1 began", 10), ("event", "epoch 2 began", 50), ("event", "evaluation", 90))
    spent = time_spent(frame(), happened)
    assert dict(zip(spent["phase"], spent["seconds"], strict=True)) == {
        "epoch # began": 80,
        "before the first event": 10,
        "evaluation": 10,
    }
    assert spent["phase"].iloc[0] == "epoch # began"
    assert spent["share"].sum() == pytest.approx(1)


def test_points_tell_the_phases_of_a_run_without_events() -> None:
    points = pd.DataFrame({"experiment_id": run_id_of(0), "key": "loss", "wall_time": [at(20), at(95)]})
    spent = time_spent(frame(), moments(("checkpoint", "epoch 1", 30)), points)
    assert dict(zip(spent["phase"], spent["seconds"], strict=True)) == {"logging metrics": 75, "setting up": 20, "finishing": 5}


def test_a_run_that_goes_on_lasts_until_what_is_known_of_it() -> None:
    running = frame().assign(finished_at=pd.Series([pd.NaT], dtype="datetime64[us, UTC]"))
    assert time_spent(running, moments(("event", "a", 5), ("checkpoint", "epoch 1", 40)))["seconds"].sum() == 40


def test_clocks_that_jump_make_no_negative_time() -> None:
    spent = time_spent(frame(), moments(("event", "before it began", -50), ("event", "after its end", 500)))
    assert (spent["seconds"] >= 0).all()
    assert spent["seconds"].sum() == 100


def test_events_checkpoints_and_totals_are_drawn() -> None:
    chart = timeline(frame(2), moments(("event", "load", 10), ("event", "train", 30), ("checkpoint", "epoch 1", 60)))
    assert [(row["kind"], row["at"]) for row in rows_of(chart, "kind")] == [("event", 10), ("event", 30), ("checkpoint", 60)]
    totals = {row["phase"]: row["share"] for row in rows_of(chart, "share")}
    assert totals == {"running": 0.5, "train": 0.35, "load": 0.1, "before the first event": 0.05}
    assert "2 events and 1 checkpoints" in chart.to_dict()["description"]


def test_a_checkpoint_that_the_store_heard_of_late_stands_at_the_end_of_its_run() -> None:
    (mark,) = rows_of(timeline(frame(), moments(("checkpoint", "epoch 1", 160))), "kind")
    assert mark["at"] == 100


def test_time_is_told_in_units_that_fit() -> None:
    spec = timeline(frame(seconds=4 * 3600), moments()).to_dict()
    assert spec["vconcat"][0]["layer"][0]["encoding"]["x"]["title"] == "hours since the run began"
    clock = timeline(frame(), moments(), x="clock").to_dict()["vconcat"][0]["layer"][0]["encoding"]["x"]
    assert clock["type"] == "temporal"


def test_a_flood_of_events_becomes_a_chart_of_a_readable_size() -> None:
    flood = moments(*[("event", f"batch {i}" if i % 2 else "sync", i / 100) for i in range(9000)])
    spec = timeline(frame(), flood).to_dict()
    assert sum(map(len, spec["datasets"].values())) < 12_000
    kinds = moments(*[("event", chr(97 + i % 26) * 3, i) for i in range(90)])
    phases = {row["phase"] for row in rows_of(timeline(frame(), kinds), "share")}
    assert len(phases) == 9
    assert "everything else" in phases


def test_two_hundred_runs_are_the_first_forty() -> None:
    chart = timeline(frame(200), moments())
    assert chart.to_dict()["title"]["text"] == "What happened in 40 runs; the first 40 of 200"


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        (frame().drop(columns="started_at"), "needs the column 'started_at'"),
        (frame().assign(started_at=pd.NaT), "has begun"),
        (frame(0), "at least one run"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(runs: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        timeline(runs, moments())


def test_a_run_that_took_no_time_is_drawn() -> None:
    assert not math.isnan(rows_of(timeline(frame(seconds=0), moments()), "share")[0]["share"])


def test_hostile_names_are_drawn_and_get_into_no_expression() -> None:
    mark = "kanarienvogel"
    for name in (" ".join(HOSTILE_NAMES[:-1]) + mark, HOSTILE_NAMES[-1] + mark):
        spec = timeline(frame(2, name=name), moments(("event", name, 10), ("checkpoint", name, 20))).to_dict()
        vega = compiled(spec)
        assert not [code for code in (*code_in(spec), *code_in(vega)) if mark in code]
        assert list(misplaced(vega, mark)) == []
