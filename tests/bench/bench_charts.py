"""What a notebook waits for when it draws; prints one JSON line per row.

``python tests/bench/bench_charts.py``. A million points are 200 runs of 5000; beside the time stands how large the specification is. The
live bundle is what a running cell publishes now and then, without the picture that its end adds.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import modelbox
from modelbox.entities.records import ExperimentRecord
from modelbox.entities.times import EPOCH
from modelbox_server.testing.bench import best_s, print_row
from modelbox_widgets.testing import float_block, run_id_of

RUNS, STEPS = 200, 5000


def a_million_points() -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [run_id_of(number) for number in range(RUNS)]
    rates = np.resize([0.1, 0.01, 0.001, 0.0001], RUNS)
    last = np.random.default_rng(0).random(RUNS)
    runs = pd.DataFrame({"experiment_id": ids, "name": "digits", "params.lr": rates, "params.seed": range(RUNS), "metrics.loss": last})
    points = pd.DataFrame({"experiment_id": np.repeat(ids, STEPS), "key": "loss", "step": np.tile(np.arange(STEPS), RUNS)})
    return runs, points.assign(value=np.random.default_rng(1).random(RUNS * STEPS), wall_time=pd.Timestamp("2026-01-01", tz="UTC"))


def import_s(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return min(float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(3))


def from_the_store() -> None:
    """Print what 200 runs of a local store take from the question to the picture."""
    with tempfile.TemporaryDirectory() as folder, modelbox.connect(folder, system_metrics=False, provenance=False) as box:
        for number in range(RUNS):
            params = {"lr": 10.0 ** -(number % 4), "width": 16 << number % 3, "seed": number // 12}
            with box.start("digits", params=params) as run:
                for step in range(200):
                    loss = 1 / (step + 1 + number % 7)
                    run.log({"train/loss": loss, "val/loss": loss * 1.1, "accuracy": 1 - loss, "lr": 0.1, "grad": loss / 2}, step=step)
        box.flush()
        runs = modelbox.experiments()
        print_row("compare() of 200 runs, 5 metrics", seconds=best_s(lambda: runs.modelbox.compare(), runs=3))
        seconds = best_s(lambda: runs.modelbox.compare()._repr_mimebundle_(), runs=3)
        print_row("compare() of 200 runs, drawn: spec, table and picture", seconds=seconds)
        for name in ("importance", "leaderboard", "stats"):
            print_row(f"{name}() of 200 runs", seconds=best_s(lambda name=name: getattr(runs.modelbox, name)("accuracy"), runs=3))
        path = Path(folder) / "report.html"
        seconds = best_s(lambda: modelbox.report(path, runs), runs=2)
        print_row("report of 200 runs", seconds=seconds, bytes=path.stat().st_size)


def main() -> None:
    for module in ("modelbox.notebook.extension", "modelbox_widgets.charts", "modelbox_widgets.cell_chart"):
        print_row(f"import {module}", seconds=import_s(module))

    from modelbox.notebook.live_bundle import live_bundle
    from modelbox_widgets.charts import curves
    from modelbox_widgets.comparison import Comparison
    from modelbox_widgets.picture import png_of
    from modelbox_widgets.points import rows_within

    runs, points = a_million_points()
    for name, group in (("curves of a million points, 200 runs", None), ("bands of a million points, 4 groups", "params.lr")):
        spec = curves(points, runs, metric="loss", group=group).to_dict()
        seconds = best_s(lambda group=group: curves(points, runs, metric="loss", group=group).to_dict(), runs=2)
        print_row(name, seconds=seconds, spec_bytes=len(json.dumps(spec)))
    seconds = best_s(lambda: Comparison(runs, points).chart, runs=2)
    print_row("comparison of a million points, 200 runs", seconds=seconds, html_bytes=len(Comparison(runs, points)._repr_html_()))

    blocks = [
        float_block(run_id_of(run), key, [1 / (i + 1) for i in range(1000)]) for run in range(10) for key in ("loss", "accuracy", "lr")
    ]
    records = [
        ExperimentRecord(id=run_id_of(run), name=f"run {run}", namespace="default", created_at=EPOCH, updated_at=EPOCH, started_at=EPOCH)
        for run in range(10)
    ]
    labels = {record.id: record.name for record in records}

    def publish() -> object:
        return live_bundle(rows_within(blocks, labels), records, labels, final=False, follow=True, widget=None)

    bundle, _ = live_bundle(rows_within(blocks, labels), records, labels, final=False, follow=True, widget=None)
    print_row("live bundle of 10 runs, 3 metrics", seconds=best_s(publish), bytes=len(json.dumps(bundle)))

    spec = bundle["application/vnd.vegalite.v6+json"]
    begin_s = time.perf_counter()
    png = png_of(spec)
    print_row("first picture", seconds=time.perf_counter() - begin_s, bytes=len(png or b""))
    print_row("later pictures", seconds=best_s(lambda: png_of(spec), runs=3))
    from_the_store()


if __name__ == "__main__":
    main()
