"""Take the pictures of the documentation anew: run the browser tests that show the product, and keep what they photographed.

A picture is therefore never of something that does not work.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "notebooks" / "pictures"
TESTS = ("test_page.py", "test_quickstart.py", "test_widget_outputs.py", "test_widgets_notebook.py")
PICTURES = ("compare", "compare-view", "live", "live-chart", "page-compare-dark", "panel", "registry", "run-table-dark")
MAX_BYTES = 300_000


def main() -> int:
    """Run the test, copy the pictures, and return the exit code for the shell."""
    with tempfile.TemporaryDirectory() as folder:
        tests = [str(ROOT / "tests" / "browser" / name) for name in TESTS]
        command = [sys.executable, "-m", "pytest", "-q", *tests]
        result = subprocess.run(command, cwd=ROOT, env={**os.environ, "MODELBOX_SCREENSHOTS": folder}, check=False)
        if result.returncode != 0:
            print("What is to be shown does not pass its tests, so there is nothing to photograph.", file=sys.stderr)
            return result.returncode
        TARGET.mkdir(exist_ok=True)
        for name in PICTURES:
            source = Path(folder) / f"{name}.png"
            size_bytes = source.stat().st_size
            if size_bytes > MAX_BYTES:
                print(f"{source.name} has {size_bytes} bytes: at most {MAX_BYTES} belong into a repository.", file=sys.stderr)
                return 1
            shutil.copy(source, TARGET)
            print(f"{(TARGET / source.name).relative_to(ROOT)}: {size_bytes} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
