"""Training scripts outside Jupyter and a notebook share one store: without a server to start, without an error, without a lost point."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox_server.testing.jupyter_process import JupyterProcess, jupyter_environment, jupyter_process
from modelbox_server.testing.kernel import ServerKernel, server_kernel

SCRIPTS = 8
STEPS = 250

TRAIN = """
    import sys, modelbox
    with modelbox.start(f"script {sys.argv[1]}", params={"seed": int(sys.argv[1])}) as run:
        for step in range(int(sys.argv[2])):
            run.log(loss=1 / (step + 1), step=step)
    print(modelbox.where().kind)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JupyterProcess]:
    with jupyter_process(tmp_path / "jupyter") as process:
        yield process


@pytest.fixture
def kernel(server: JupyterProcess) -> Iterator[ServerKernel]:
    with server_kernel(server) as kernel:
        yield kernel


def printed(kernel: ServerKernel, expression: str) -> object:
    outputs = kernel.run(f"import json; print(json.dumps({expression}))")
    assert {output.get("name") for output in outputs} == {"stdout"}, outputs
    return json.loads("".join(output["text"] for output in outputs))


def start_script(server: JupyterProcess, script: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start a script as in a terminal of the same user, which knows nothing of the Jupyter server."""
    command = [sys.executable, str(script), *arguments]
    environment = jupyter_environment(server.folder)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_eight_scripts_log_at_once_while_a_notebook_lists_them(server: JupyterProcess, kernel: ServerKernel, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(TRAIN))
    kernel.run("import modelbox\nwith modelbox.start('notebook') as run: run.log(loss=0.5)")

    scripts = [start_script(server, script, str(number), str(STEPS)) for number in range(SCRIPTS)]
    listings = 0
    while any(process.poll() is None for process in scripts):
        listed = printed(kernel, "len(modelbox.experiments())")
        assert isinstance(listed, int)
        assert 1 <= listed <= SCRIPTS + 1
        listings += 1
    ended = [(*process.communicate(), process.returncode) for process in scripts]
    assert ended == [("local\n", "", 0)] * SCRIPTS
    assert listings > 1

    points = printed(kernel, "modelbox.metrics(modelbox.experiments(), keys=['loss']).groupby('experiment_id').size().tolist()")
    assert sorted(points) == [1, *[STEPS] * SCRIPTS]  # type: ignore[call-overload]
    statuses = printed(kernel, "modelbox.experiments().set_index('name').status.to_dict()")
    assert statuses == {"notebook": "finished", **{f"script {number}": "finished" for number in range(SCRIPTS)}}


def test_a_script_sees_what_a_notebook_logged(server: JupyterProcess, kernel: ServerKernel, tmp_path: Path) -> None:
    kernel.run("import modelbox\nwith modelbox.start('from the notebook') as run: run.log(loss=0.25)")
    script = tmp_path / "look.py"
    script.write_text(
        "import modelbox\nprint([(run.name, run.all_metrics()['loss'][0].value) for run in modelbox.connect().experiments()])"
    )
    out, err = start_script(server, script).communicate(timeout=60)
    assert (out, err) == ("[('from the notebook', 0.25)]\n", "")
