"""Makes a virtual environment per tracker below ``.tmp/bench``: ``python environments.py [tracker ...]``, all when none is named."""

import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(__file__).resolve().parents[3] / ".tmp" / "bench"

# pandas where the tracker does not bring it along: rows end with a DataFrame.
PACKAGES = {
    "tensorboard": ["tensorboard", "pandas"],
    "tensorboardx": ["tensorboardX"],
    "trackio": ["trackio", "pandas"],
    "sacred": ["sacred", "pandas"],
    "mlflow": ["mlflow"],
    "dvclive": ["dvclive"],
    "wandb": ["wandb"],
    "aim": ["aim"],
}


def python_of(tracker: str) -> Path:
    """Return the interpreter of a tracker's environment; ours is the one that runs this."""
    return ENVIRONMENTS / tracker / "bin" / "python" if tracker in PACKAGES else Path(sys.executable)


def make(tracker: str) -> bool:
    """Install a tracker, and tell whether that went well."""
    print(f"Installing {' and '.join(PACKAGES[tracker])} into {ENVIRONMENTS / tracker}", flush=True)
    if not python_of(tracker).exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENTS / tracker], check=True)
    done = subprocess.run([python_of(tracker), "-m", "pip", "install", "--quiet", "--upgrade", *PACKAGES[tracker]])
    (ENVIRONMENTS / tracker / "ready").unlink(missing_ok=True)
    if done.returncode == 0:
        (ENVIRONMENTS / tracker / "ready").touch()
    return done.returncode == 0


def main() -> int:
    unknown = set(sys.argv[1:]) - PACKAGES.keys()
    if unknown:
        print(f"There is no tracker {', '.join(sorted(unknown))}: take some of {', '.join(PACKAGES)}.", file=sys.stderr)
        return 2
    missing = [tracker for tracker in sys.argv[1:] or PACKAGES if not make(tracker)]
    if missing:
        print(f"Not installed, and left out of the comparison: {', '.join(missing)}.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
