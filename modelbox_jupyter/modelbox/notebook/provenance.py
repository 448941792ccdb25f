"""What a result depends on beside its parameters: the state of the git work tree and the packages that are loaded."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from modelbox.entities.records import Json

__all__ = ["git_state", "loaded_packages", "provenance"]

_GIT_TIMEOUT_S = 2.0


def provenance(folder: Path) -> dict[str, Json]:
    """Return metadata that says what code of `folder` ran on; without a git work tree the git keys are left out."""
    return {
        "python": platform.python_version(),
        "packages": loaded_packages(),
        **{f"git.{key}": value for key, value in git_state(folder).items()},
    }


def loaded_packages() -> dict[str, str]:
    """Return the version of each imported package that tells one, by name.

    Looks only at what is in memory, so it takes well under a millisecond; distributions that are installed but not loaded had no effect.
    """
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        # The dict, not getattr: some packages import themselves whole when a missing attribute is asked for.
        version = getattr(module, "__dict__", {}).get("__version__")
        if "." not in name and isinstance(version, str) and name not in sys.stdlib_module_names and not name.startswith("_"):
            found[name] = version
    return dict(sorted(found.items()))


def git_state(folder: Path) -> dict[str, Json]:
    """Return ``commit``, ``branch`` and ``dirty`` of the work tree around `folder`; empty where there is none, or git takes too long."""
    git = shutil.which("git")
    if git is None:
        return {}
    command = [git, "-C", str(folder), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False)  # noqa: S603 - fixed words and a folder
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.returncode != 0:
        return {}
    lines = done.stdout.decode(errors="replace").splitlines()
    heads = dict(line.removeprefix("# ").split(" ", 1) for line in lines if line.startswith("# branch.") and " " in line[2:])
    return {
        "commit": heads.get("branch.oid", ""),
        "branch": heads.get("branch.head", ""),
        "dirty": any(not line.startswith("#") for line in lines),
    }
