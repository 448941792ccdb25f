"""Files of any size pass through a server that stays small."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MOST_MIB = 64


def test_a_large_file_makes_the_server_grow_by_less_than_64_mib_over_grpc_and_http() -> None:
    command = [sys.executable, HERE / "bench_transfers.py", "128"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    rows = {row["row"]: row for row in map(json.loads, done.stdout.splitlines())}
    served = [row for name, row in rows.items() if not name.startswith("bare")]
    assert len(served) == 5
    assert {row["row"]: row["server_rss_growth_mib"] for row in served if row["server_rss_growth_mib"] >= MOST_MIB} == {}
