"""The live chart as data, and its picture without a script."""

import json
from xml.etree import ElementTree as ET

from modelbox.entities.records import ExperimentRecord, Status
from modelbox.entities.times import EPOCH
from modelbox_widgets.live_spec import labels_of, live_spec, static_html, static_text
from modelbox_widgets.points import rows_of
from modelbox_widgets.testing import HOSTILE_NAMES, compiled, float_block, run_id_of


def record(number: int, name: str = "digits") -> ExperimentRecord:
    return ExperimentRecord(
        id=run_id_of(number), name=name, namespace="default", status=Status.FINISHED, created_at=EPOCH, updated_at=EPOCH, started_at=EPOCH
    )


def test_the_chart_has_a_source_that_a_page_can_add_rows_to() -> None:
    vega = compiled(live_spec([], runs=["a"]))
    assert vega["data"][0] == {"name": "points", "values": []}


def test_infinities_and_nan_leave_valid_json() -> None:
    rows = rows_of([float_block("r", "loss", [1.0, float("nan"), float("inf")])], {}, limit_points=10)
    json.dumps(live_spec(rows, runs=["r"]), allow_nan=False)


def test_one_run_needs_no_legend_and_many_would_hide_the_chart() -> None:
    layers = [live_spec([], runs=[str(i) for i in range(count)])["spec"]["layer"][0] for count in (1, 3, 30)]
    assert [layer["encoding"]["color"]["legend"] is None for layer in layers] == [True, False, True]


def test_runs_are_labelled_as_the_page_does_it() -> None:
    assert labels_of([record(0), record(1), record(2, "other")]) == {
        run_id_of(0): f"digits ({run_id_of(0)[:8]})",
        run_id_of(1): f"digits ({run_id_of(1)[:8]})",
        run_id_of(2): "other",
    }


def test_the_static_view_says_how_it_ended() -> None:
    labels = labels_of([record(0)])
    blocks = [float_block(run_id_of(0), "loss", [1.0, 0.5]), float_block(run_id_of(0), "acc", [0.1, float("nan")])]
    rows = rows_of(blocks, labels, limit_points=9)
    assert static_text(rows, [record(0)], labels) == "digits: finished, acc=not finite, loss=0.5"
    html = static_html(rows, [record(0)], labels)
    assert html.count("<svg") == 2
    assert "0.5 … 1" in html


def test_extreme_values_and_names_leave_a_well_formed_picture() -> None:
    name = " ".join(HOSTILE_NAMES)
    labels = {run_id_of(0): name}
    blocks = [float_block(run_id_of(0), name, [1.7e308, -1.7e308, 5e-324, 0.0]), float_block(run_id_of(0), "one", [1.0])]
    html = static_html(rows_of(blocks, labels, limit_points=10), [record(0, name)], labels)
    tree = ET.fromstring(f"<div>{html}</div>")  # noqa: S314 - our own text
    lines = [node.get("points") or "" for node in tree.iter("polyline")]
    assert len(lines) == 2
    assert "inf" not in "".join(lines)
    assert "nan" not in "".join(lines)
