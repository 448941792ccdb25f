"""The SDK of 2022, unmodified from the package index, against a server from the configuration file of ``init-config``.

One line in :data:`CONFIGURATIONS` is one more kind of server that everything here runs against.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from modelbox.cli.main import main
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox.testing.sdk2022 import run_script, sdk_python
from modelbox.testing.server_process import running_server
from modelbox_server.grpc import schema
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.testing.engines import mariadb_server, postgres_server
from modelbox_server.testing.s3_engine import s3_engine

__all__ = ["clean_modelbox_environment", "sdk_python"]

HERE = Path(__file__).parent

Settings = dict[str, Any]
"""What a configuration changes in the generated file: values, and tables of values."""


def integrated(folder: Path) -> AbstractContextManager[Settings]:
    return nullcontext(
        {
            "metadata_storage": "integrated",
            "metrics_storage": "integrated",
            "metrics_storage_integrated": {"path": f"{folder}/metrics.dat"},
        }
    )


@contextmanager
def postgres(_: Path) -> Iterator[Settings]:
    with postgres_server().database() as metadata, postgres_server().database() as metrics:
        yield {
            "metadata_storage": "postgres",
            "metadata_storage_postgres": reached(metadata),
            "metrics_storage": "timescaledb",
            "metrics_storage_timescaledb": reached(metrics),
        }


@contextmanager
def mariadb_and_s3(_: Path) -> Iterator[Settings]:
    with mariadb_server().database() as metadata, mariadb_server().database() as metrics, s3_engine() as s3, s3.bucket() as bucket:
        yield {
            "metadata_storage": "mysql",
            "metadata_storage_mysql": reached(metadata),
            "metrics_storage": "mysql",
            "metrics_storage_mysql": reached(metrics),
            "artifact_storage": "s3",
            "artifact_storage_s3": {
                name: getattr(bucket, name) for name in ("region", "bucket", "endpoint_url", "path_style", "access_key", "secret_key")
            },
        }


def reached(database: DatabaseSettings) -> Settings:
    return {name: getattr(database, name) for name in ("host", "port", "username", "password", "dbname")}


CONFIGURATIONS: dict[str, Callable[[Path], AbstractContextManager[Settings]]] = {
    "ephemeral": lambda folder: nullcontext({}),
    "integrated": integrated,
    "postgres and files": postgres,
    "mariadb and s3": mariadb_and_s3,
}


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with stubs that protoc made from our file."""
    folder = tmp_path_factory.mktemp("stubs")
    source = Path(schema.__file__).parent
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{source}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    subprocess.run([*command, "modelbox.proto"], check=True, timeout=60)
    return folder


@pytest.fixture(params=CONFIGURATIONS)
def server_addr(request: pytest.FixtureRequest, tmp_path: Path, clean_modelbox_environment: Path) -> Iterator[str]:
    """Run a server from the generated file, on free ports, in folders of the test, and with the stores of a configuration."""
    path = tmp_path / "modelbox_server.toml"
    assert main(["server", "init-config", "--path", str(path)]) == 0
    generated = tomllib.loads(path.read_text().replace("/tmp/", f"{tmp_path}/"))  # noqa: S108
    with CONFIGURATIONS[request.param](tmp_path) as settings:
        path.write_text(as_toml({**generated, "listen_addr": "127.0.0.1:0", "prometheus_addr": "127.0.0.1:0", **settings}))
        with running_server(path, "-config-path") as record:
            yield record["url"].removeprefix("http://")


def as_toml(settings: Settings) -> str:
    # Strings and numbers are written alike in JSON and TOML.
    plain = [f"{key} = {json.dumps(value)}" for key, value in settings.items() if not isinstance(value, dict)]
    tables = [
        "\n".join([f"[{key}]", *(f"{name} = {json.dumps(one)}" for name, one in value.items())])
        for key, value in settings.items()
        if isinstance(value, dict)
    ]
    return "\n".join([*plain, *tables, ""])


@pytest.fixture
def run_with_sdk(sdk_python: Path, server_addr: str, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Run a script of this folder against the server, and return what it printed."""
    return lambda script: run_script(sdk_python, HERE / script, server_addr, tmp_path)


def test_the_wire_keeps_every_promise_of_2022_over_stubs_of_our_own_file(server_addr: str, stubs: Path, tmp_path: Path) -> None:
    results = run_script(Path(sys.executable), HERE / "conformance.py", server_addr, stubs)
    assert len(results) > 40
    assert {name: result for name, result in results.items() if result != "ok"} == {}


def test_the_tutorials_of_2022_run_unchanged(run_with_sdk: Callable[[str], dict[str, Any]]) -> None:
    seen = run_with_sdk("tutorial.py")
    assert seen["experiment"] == seen["same experiment"] == "e71a25a8d3d481463c281f083f5e2671ea2896bc"
    known = [seen["experiment"], "wav2vec", "owner@email.com", "langtech", "extern123"]
    assert seen["experiments"] == [known]
    assert seen["fetched"] == known
    assert seen["elsewhere"] == 0
    assert seen["metadata"] == {"foo/bar": 12.0, "hyperparams": {"lr": 0.5, "layers": [1.0, 2.0], "name": "é"}}
    assert seen["checkpoints"] == [[seen["checkpoint"], 1]] == [["97f7fccf8d2d67aa78d7d58a86b5d938ddff9f38", 1]]
    assert seen["models"] == [[seen["model"], "asr_en", "asr"]] == [["93b7cf0bec10ff6d500a9273bc34ab7eff02eeca", "asr_en", "asr"]]
    assert seen["version"] == "0ae662556996e18f364a41b82cd1a4e043062687"
    assert seen["downloaded as uploaded"] is True
    assert seen["artifacts"] == [["3732697ec8c3808753130b69197b6289e88b4c96", "0019d23bef56a136a1891211d7007f6f", "test_artifact.txt"]]
    loss = seen["metrics"]["loss"]
    assert [(step, at_s) for step, at_s, _ in loss] == [(5, 12347), (10, 12345), (20, 12346)]
    assert [value for _, _, value in loss] == pytest.approx([2.6, 2.4, 2.5])
    assert seen["events"] == [["checkpoint_store_begin", "trainer", {"chk": 1.0}], ["checkpoint_store_finish", "trainer", {"chk": 1.0}]]
    assert seen["events of the version"] == ["inference"]


def test_every_method_of_the_sdk_that_works_at_all_does_what_it_says(run_with_sdk: Callable[[str], dict[str, Any]]) -> None:
    seen = run_with_sdk("every_method.py")
    assert seen["new_experiment"] == ["Experiment", "str", "Timestamp", "Timestamp"]
    assert seen["experiment"] == ["every method", "o@x.org", "sdk/2022", "job 7", "TENSORFLOW", True]
    assert seen["experiments"] == ["ListExperimentsResponse", [[True, "TENSORFLOW"]]]
    assert seen["parent and children"] == [None, None]
    assert seen["model"] is None
    assert seen["new_checkpoint"] == ["Checkpoint", "str", 7]
    assert seen["checkpoints"] == [[True, 7, True]]
    # An experiment and a model of one name in one namespace had one id in 2022, so that each showed what belonged to the other.
    assert seen["new_model"] == ["Model", "str", True, "asr"]
    assert seen["new_model_version"] == ["ModelVersion", "str", "1.0.0-rc.1", ["prod", "β"]]
    for name in ("experiment_", "checkpoint_", "model_", "version_"):
        of = seen[name]
        assert of.pop("tracked id")
        assert of == {
            "update_metadata": ["UpdateMetadataResponse", "Timestamp"],
            "metadata": {"plain": 12.0, "a/b": {"n": 12.0, "x": [1.5, None, True, "é"]}},
            "log_metrics": ["LogMetricsResponse", "int"],
            "all_metrics": {"acc": [[3, 100, 1.0]], "loss": [[1, 200, 0.25], [3, 100, 0.5]]},
            "log_event": ["LogEventResponse", True],
            "events": [["Event", "Timestamp", "epoch", "trainer", {"number": float(number)}] for number in range(2)],
            "track_artifacts": 1,
            "download_artifact": [True, True],
            "upload_artifact again": True,
            "download after the second upload": True,
            "artifacts": [[f"{name}.txt", True, "Unknown", True], [f"{name}.bin", True, "Unknown", True]],
        }, name
    assert seen["experiment_exists"] == [False, True]
    assert seen["get_experiment"] == "raw"
    assert seen["list_experiments"] == [True]
    assert seen["list_checkpoints"] == [[1, {}], [3, {"loss": 0.5, "acc": 0.75}]]
    assert seen["list_model_versions"] == [True, "1", "n", ["only"], 1]
    assert seen["list_models"] == [[True, "t", True]]
    assert seen["raw update_metadata"] == 1
    assert seen["list_metadata"] == {"k": [1.0, {"x": None}]}
    assert seen["get_all_metrics"] == [[1, 2, 0.5]]
    assert seen["raw track_artifacts"] == 1
    assert seen["list_artifacts"] == [[3, "p.png"], [4, "p.png"]]
    assert seen["files of list_models"] == [3, 4]
    assert seen["models"] == ["Image", "Text"]
    assert seen["raw download_artifact"] is True
    assert seen["refusals"] == {
        **dict.fromkeys(["experiment", "list_checkpoints", "list_metadata", "get_all_metrics", "log_metrics"], "NOT_FOUND"),
        **dict.fromkeys(["download_artifact", "upload_artifact"], "NOT_FOUND"),
        "wrong checksum": "DATA_LOSS",
    }
