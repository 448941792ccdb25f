"""In a user's server, kernels, the panel and scripts use the shared ModelBox as that user, and nobody configures anything."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

import modelbox
from modelbox.entities.records import Json
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.hub import RunningHub
from modelbox_server.testing.jupyter_process import JupyterProcess
from modelbox_server.testing.kernel import ServerKernel, server_kernel

LOG = """
import modelbox
with modelbox.start({name!r}) as run:
    for step in range(20):
        run.log(loss=1 / (step + 1), step=step)
print(run.id)
"""

REFUSED = """
import modelbox
with modelbox.ModelBox(strict=True) as box:
    try:
        box.start("x")
    except modelbox.ModelBoxError as error:
        print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def servers(hub: RunningHub) -> dict[str, JupyterProcess]:
    users = ("alice", "bob", "rita")
    with ThreadPoolExecutor() as pool:
        return dict(zip(users, pool.map(hub.start_server, users), strict=True))


@pytest.fixture(scope="module")
def kernels(servers: dict[str, JupyterProcess]) -> Iterator[dict[str, ServerKernel]]:
    with ExitStack() as opened:
        yield {user: opened.enter_context(server_kernel(server)) for user, server in servers.items()}


def said(outputs: list[Json]) -> str:
    """Return what a cell printed, and what it ended with."""
    shown = [output["data"].get("text/plain", "") for output in outputs if output["output_type"] == "execute_result"]
    return "".join([*(output["text"] for output in outputs if output["output_type"] == "stream"), *shown])


def test_a_kernel_logs_to_the_shared_store_without_configuration(hub: RunningHub, kernels: dict[str, ServerKernel]) -> None:
    kernels["alice"].run("%load_ext modelbox")
    run_id = said(kernels["alice"].run(LOG.format(name="of alice's kernel"))).strip().splitlines()[-1]
    status = said(kernels["alice"].run("%modelbox status"))
    assert f"shared ModelBox of {hub.url.removeprefix('http://')}, as alice" in status
    kernels["bob"].run(LOG.format(name="of bob's kernel"))
    with modelbox.ModelBox(hub.modelbox_url, token=hub.make_token("alice")[0]) as alice:
        run = alice.experiment(run_id)
        assert (run.record.namespace, run.record.owner) == ("~alice", "alice")
        assert len(run.all_metrics()["loss"]) == 20
    names = said(kernels["alice"].run("print([run.name for run in modelbox.ModelBox().experiments()])"))
    assert "of alice's kernel" in names
    assert "of bob's kernel" not in names


def test_a_reader_cannot_log_and_training_goes_on(kernels: dict[str, ServerKernel]) -> None:
    assert "PermissionDenied" in said(kernels["rita"].run(REFUSED))
    assert "done" in said(kernels["rita"].run(f"{LOG.format(name='x')}\nprint('done')"))


def test_a_scripts_environment_holds_no_secret_but_the_users_own(kernels: dict[str, ServerKernel], hub: RunningHub) -> None:
    told = said(kernels["alice"].run("import os; print(sorted(name for name in os.environ if name.startswith('MODELBOX')))"))
    assert told.strip() == "['MODELBOX_HUB_URL']"
    outputs = kernels["alice"].run("%modelbox status\nmodelbox.where()\nmodelbox.ModelBox()")
    token = said(kernels["alice"].run("print(os.environ['JUPYTERHUB_API_TOKEN'])")).strip()
    assert token not in json.dumps(outputs)
    assert token not in hub.log


def test_the_users_server_passes_calls_on_as_the_user(servers: dict[str, JupyterProcess]) -> None:
    client = ApiClient(servers["alice"].url, servers["alice"].headers)
    assert client.api("GET", "/access").json["user"] == "alice"
    assert client.request("GET", "/livez").json == {"status": "ok"}
    assert ApiClient(servers["alice"].url).api("GET", "/info").status == 403
    assert ApiClient(servers["alice"].url, servers["bob"].headers).api("GET", "/info").status == 403
    assert client.request("GET", "/api/v1/nothing").status == 404
    for path in ("/%2e%2e/%2e%2e/hub/api/user", "/../../hub/api/user", "/%252e%252e/hub/api/user"):
        assert client.request("GET", path).status in {302, 404}


def test_files_pass_through_in_pieces(servers: dict[str, JupyterProcess], tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(bytes(range(256)) * 80_000)  # 20 MB
    with modelbox.ModelBox(servers["bob"].url, token=servers["bob"].token) as box, box.start("with a file") as run:
        run.upload_artifact(file)
        copy = tmp_path / "copy"
        run.download_artifact("weights.bin", copy)
    assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(file.read_bytes()).digest()


def test_a_refused_upload_says_why_before_all_of_it_was_read(servers: dict[str, JupyterProcess]) -> None:
    client = ApiClient(servers["bob"].url, servers["bob"].headers)
    answer = client.request("PUT", f"/api/v1/objects/{'0' * 40}/artifacts?name=x", body=b"x" * 3_000_000)
    assert (answer.status, answer.json["code"]) == (404, "not_found")
