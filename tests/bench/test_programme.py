"""The comparison with peers runs, whatever is installed, and what it left behind can be drawn. No time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FIELDS = {"row", "ours", "unit", "best_peer", "peer_value", "ratio", "limit", "limit_ratio", "mark", "met"}


@pytest.mark.slow
def test_every_group_of_rows_can_be_measured_without_any_peer() -> None:
    done = subprocess.run(
        [sys.executable, HERE / "bench_peers.py", "--tiny", "--peers", ""], capture_output=True, text=True, timeout=280, check=True
    )
    assert "left out" not in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert all(row.keys() >= FIELDS for row in rows)
    assert len({row["row"] for row in rows}) == len(rows) > 25
    assert all(row["ours"] > 0 for row in rows)


def test_a_group_that_does_not_exist_is_named_with_those_that_do() -> None:
    done = subprocess.run([sys.executable, HERE / "bench_peers.py", "bulks"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "bulks" in done.stderr
    assert "bulk, writers" in done.stderr


def test_a_ratio_says_how_many_times_better_ours_is_whichever_way_is_better(tmp_path: Path) -> None:
    code = """
import rows
from pathlib import Path
rows.RESULTS = Path("results.json")
results = rows.Results(keep=True)
results.row("time", "ms", {"modelbox": 2.0, "slow": 20.0, "fast": 6.0, "limits": 1.0}, mark=rows.Mark(ratio=4))
results.row("rate", "points/s", {"modelbox": 8.0, "slow": 1.0, "fast": 2.0, "limits": 16.0}, lower=False, mark=rows.Mark(ratio=4))
results.save({"fast": "1.0"})
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(HERE)}, capture_output=True, check=True)
    kept = json.loads((tmp_path / "results.json").read_text())
    told = {row["row"]: (row["best_peer"], row["ratio"], row["limit_ratio"], row["met"]) for row in kept["rows"]}
    assert told == {"time": ("fast", 3.0, 0.5, False), "rate": ("fast", 4.0, 0.5, True)}
    assert kept["versions"]["fast"] == "1.0"
