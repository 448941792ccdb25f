"""Run the whole suite as two processes at once: ``python tests/tools/halves.py``.

Much of it waits: for browsers, kernels, environments and servers to start. One half has most of that, the other most of what computes, and
each is an ordinary run of pytest. What the second prints is shown when both have ended.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAITING = ("browser", "notebook", "hub", "packaging", "deploy", "bench", "docs", "sdk2022")


def main() -> int:
    """Return 0 when both halves passed."""
    folders = sorted(path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.rglob("test_*.py")))
    missing = set(WAITING) - set(folders)
    if missing:
        raise SystemExit(f"There are no tests in {', '.join(sorted(missing))}: correct the list in {Path(__file__).name}.")
    halves = [[f"tests/{name}" for name in folders if (name in WAITING) is waits] for waits in (True, False)]
    began_s = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as kept:
        # Each remembers its failures in a folder of its own.
        second = subprocess.Popen([*pytest_command("second"), *halves[1]], cwd=ROOT, stdout=kept, stderr=subprocess.STDOUT)
        try:
            first = subprocess.run([*pytest_command("first"), *halves[0]], cwd=ROOT, check=False)
            codes = [first.returncode, second.wait()]
        finally:
            second.terminate()
            second.wait()
        kept.seek(0)
        sys.stdout.write(kept.read())
    sys.stdout.write(f"\nBoth halves ended after {time.monotonic() - began_s:.0f} s, with {codes[0]} and {codes[1]}.\n")
    return max(codes)


def pytest_command(half: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{half}"]


if __name__ == "__main__":
    sys.exit(main())
