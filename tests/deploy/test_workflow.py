"""The workflow that tests every change and publishes what is tagged."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PATH = ROOT / ".github" / "workflows" / "ci.yml"
BIN = Path(sys.executable).parent
JOBS: dict[str, Any] = yaml.safe_load(PATH.read_text())["jobs"]


def run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_has_the_form_that_the_service_reads() -> None:
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", PATH)


def test_zizmor_finds_no_way_to_misuse_it() -> None:
    run(BIN / "zizmor", "--offline", "--quiet", PATH)


def test_actions_are_pinned_to_commits() -> None:
    used = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)] == []
    versions: dict[str, set[str]] = {}
    for action, version in re.findall(r"uses: (\S+) # (v[\d.]+)$", PATH.read_text(), re.MULTILINE):
        versions.setdefault(action.partition("@")[0], set()).add(f"{action} {version}")
    assert all(len(found) == 1 for found in versions.values()), "one version of each"


def test_each_job_may_do_what_it_is_for_and_nothing_else() -> None:
    may = {name: {scope for scope, right in job["permissions"].items() if right == "write"} for name, job in JOBS.items()}
    assert may == {"test": set(), "build": set(), "image": {"packages"}, "package-index": {"id-token"}, "release": {"contents"}}
    for name, rights in may.items():
        if rights:
            assert JOBS[name]["if"] == "startsWith(github.ref, 'refs/tags/v')", "only a tag publishes"
            assert {"test", "build"} <= set(JOBS[name]["needs"]), "and only what was tested"


def test_it_runs_tasks_of_the_makefile_and_builds_targets_of_the_dockerfile() -> None:
    text = PATH.read_text()
    tasks = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"run: make (\w+)", text)) == {"test", "build"} <= set(tasks)
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert set(re.findall(r"--target (\S+)", text)) == {"server", "jupyter"} <= set(stages)
