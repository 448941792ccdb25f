"""The page for Prometheus, and what deploy/ makes of it: alerts and a dashboard, checked by Prometheus's own tools."""

import contextlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

import modelbox
from modelbox.cli.main import main
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox.testing.server_process import running_server
from modelbox_server.grpc.schema import message

__all__ = ["clean_modelbox_environment"]

DEPLOY = Path(__file__).parents[2] / "deploy"
HOSTILE = 'secret-name "} 1\nevil{x="y"} 2'
TOOLS = {"promtool": shutil.which("promtool") or "/usr/bin/promtool", "prometheus": shutil.which("prometheus") or "/usr/bin/prometheus"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a server that has done something."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        with served(folder) as (record, port):
            use(record)
            yield fetched(port)


@contextlib.contextmanager
def served(folder: Path, **settings: str) -> Iterator[tuple[dict[str, str], int]]:
    """Run a server; yield its runtime record and the port of its page."""
    port = free_port()
    config = folder / "box.toml"
    lines = {
        "listen_addr": "127.0.0.1:0",
        "prometheus_addr": f"127.0.0.1:{port}",
        "artifact_storage": "filesystem",
        "metadata_storage": "integrated",
        **settings,
    }
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    config.write_text(
        f"{text}[artifact_storage_filesystem]\nbase_dir = '{folder}/blobs'\n[metadata_storage_integrated]\npath = '{folder}/box.db'\n"
    )
    with running_server(config) as record:
        yield record, port


def use(record: dict[str, str]) -> None:
    """Call a server over HTTP and gRPC, rightly and wrongly, with a name that must not show on its page."""
    with modelbox.ModelBox(record["url"]) as box, box.start(HOSTILE.replace("\n", " "), namespace="secret-name") as run:
        for step in range(100):
            run.log(step=step, loss=0.5)
        run.flush()
        run.upload_artifact(__file__)
        with pytest.raises(modelbox.errors.NotFound):
            box.experiment("0" * 40)
    with grpc.insecure_channel(record["url"].removeprefix("http://")) as channel:
        listed = channel.unary_unary("/modelbox.ModelStore/ListExperiments", lambda m: m.SerializeToString(), lambda data: data)
        listed(message("ListExperimentsRequest")(namespace="secret-name"), timeout=20)
        get = channel.unary_unary("/modelbox.ModelStore/GetExperiment", lambda m: m.SerializeToString(), lambda data: data)
        unknown = message("GetExperimentRequest")(id="0" * 40)
        with pytest.raises(grpc.RpcError):
            get(unknown, timeout=20)


def fetched(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return str(answer.read().decode())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def families(page: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(page)}


def tool(name: str, *arguments: object, stdin: str | None = None, cwd: Path | None = None) -> str:
    """Run one of Prometheus's tools, which has to be content."""
    done = subprocess.run(
        [TOOLS[name], *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def samples(page: str, family: str, suffix: str) -> dict[tuple[str, ...], float]:
    """Return values by the values of their labels, in alphabetical order of the labels."""
    return {
        tuple(sample.labels[name] for name in sorted(sample.labels)): sample.value
        for sample in families(page)[family].samples
        if sample.name == family + suffix
    }


def test_the_page_is_clean_to_promtool(page: str) -> None:
    tool("promtool", "check", "metrics", stdin=page)


def test_the_page_counts_what_was_done(page: str) -> None:
    http_calls = samples(page, "modelbox_http_request_duration_seconds", "_count")
    assert http_calls["ok", "POST /api/v1/metrics"] >= 1
    assert http_calls["not_found", "GET /api/v1/experiments/{experiment_id}"] == 1
    assert samples(page, "modelbox_ingested_points", "_total") == {(): 100}
    handled = samples(page, "grpc_server_handled", "_total")
    assert handled["OK", "ListExperiments", "modelbox.ModelStore", "unary"] == 1
    assert handled["NotFound", "GetExperiment", "modelbox.ModelStore", "unary"] == 1
    assert samples(page, "grpc_server_handling_seconds", "_count")["ListExperiments", "modelbox.ModelStore", "unary"] == 1
    storage = samples(page, "modelbox_storage_operation_duration_seconds", "_count")
    done = {(store, operation) for backend, operation, outcome, store in storage if outcome == "ok"}
    assert {("metadata", "read"), ("metadata", "write"), ("metrics", "append"), ("artifacts", "write"), ("artifacts", "commit")} <= done
    received = samples(page, "modelbox_http_received_bytes", "_total")
    assert received["PUT /api/v1/objects/{object_id}/artifacts",] >= Path(__file__).stat().st_size
    assert families(page)["process_resident_memory_bytes"].samples[0].value > 1e7


def test_nothing_is_left_under_way(page: str) -> None:
    assert set(samples(page, "modelbox_requests_in_flight", "").values()) == {0}


def test_the_page_names_nothing_that_users_wrote(page: str) -> None:
    assert "secret-name" not in page
    assert "evil" not in page


def test_its_own_address_has_nothing_else_and_the_main_one_wants_the_token(tmp_path: Path, clean_modelbox_environment: object) -> None:
    with served(tmp_path) as (record, port):
        for path in ("/", "/api/v1/experiments", "/metrics/x", "//metrics"):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                fetched(port, path)
            with refusal.value as answer:
                assert answer.code == 404
        host, _, main_port = record["url"].removeprefix("http://").partition(":")
        for headers, status in (({"Origin": "http://x"}, 403), ({"Authorization": f"Bearer {record['token']}"}, 200)):
            with contextlib.closing(http.client.HTTPConnection(host, int(main_port), timeout=20)) as connection:
                connection.request("GET", "/metrics", headers=headers)
                assert connection.getresponse().status == status


def test_a_taken_address_is_a_mistake_only_when_somebody_chose_it(tmp_path: Path, clean_modelbox_environment: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = tmp_path / "chosen.toml"
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        chosen.write_text(
            f'listen_addr = "127.0.0.1:0"\nprometheus_addr = "{address}"\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path}/b"\n'
        )
        assert main(["server", "start", "--config-path", str(chosen)]) == 2


def test_log_lines_are_json_with_the_request_id_of_the_answer(tmp_path: Path, clean_modelbox_environment: object) -> None:
    with served(tmp_path, log_format="json", log_level="debug") as (record, _):
        host, _, port = record["url"].removeprefix("http://").partition(":")
        with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
            connection.request("GET", f"/api/v1/experiments/{'0' * 40}", headers={"Authorization": f"Bearer {record['token']}"})
            request_id = connection.getresponse().headers["X-Request-Id"]
    lines = [json.loads(line) for line in (tmp_path / "box.log").read_text().splitlines() if line.startswith("{")]
    mine = [line for line in lines if line.get("request_id") == request_id]
    assert [(line["route"], line["outcome"], line["user"] != "") for line in mine if "route" in line] == [
        ("GET /api/v1/experiments/{experiment_id}", "not_found", True)
    ]
    assert record["token"] not in (tmp_path / "box.log").read_text()


def test_the_alerts_and_the_configuration_are_right_to_promtool() -> None:
    assert "SUCCESS" in tool("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "cases.yml").write_text(ALERT_CASES.replace("ALERTS", str(DEPLOY / "prometheus" / "alerts.yml")))
    tool("promtool", "test", "rules", tmp_path / "cases.yml")


def test_alerts_and_dashboard_ask_for_families_that_are_there(page: str) -> None:
    there = {sample.name for family in families(page).values() for sample in family.samples} | set(families(page)) | {"up"}
    there |= {"modelbox_pool_connections", "modelbox_change_event_lag_seconds_bucket"}
    board = json.loads((DEPLOY / "grafana" / "modelbox.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += re.findall(r"expr: (?:\|\n)?(.+(?:\n {12}/.+)?)", (DEPLOY / "prometheus" / "alerts.yml").read_text())
    assert len(asked) > 20
    for expression in asked:
        names = set(re.findall(r"\b(?:modelbox|grpc|process)_\w+|\bup\b", expression.replace("grpc_method", "").replace("grpc_code", "")))
        assert names, expression
        assert names <= there, (expression, names - there)


def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    board = json.loads((DEPLOY / "grafana" / "modelbox.json").read_text())
    rules = [
        {
            "record": f"panel:{panel['id']}:{target['refId']}",
            "expr": target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*"),
        }
        for panel in board["panels"]
        for target in panel["targets"]
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))  # JSON is YAML
    tool("promtool", "check", "rules", tmp_path / "rules.yml")
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_prometheus_scrapes_a_server(tmp_path: Path, clean_modelbox_environment: object) -> None:
    with served(tmp_path) as (_, port):
        web = free_port()
        config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        (tmp_path / "prometheus.yml").write_text(config.replace("localhost:2112", f"127.0.0.1:{port}").replace("15s", "1s"))
        shutil.copy(DEPLOY / "prometheus" / "alerts.yml", tmp_path)
        process = subprocess.Popen(
            [
                TOOLS["prometheus"],
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{web}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until_s = time.monotonic() + 60
            found: list[Any] = []
            while not found and time.monotonic() < until_s:
                address = f"http://127.0.0.1:{web}/api/v1/query?query=modelbox_build_info"
                with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=10) as answer:
                    found = json.load(answer)["data"]["result"]
            time.sleep(0.1)
        finally:
            process.terminate()
            process.wait(30)
    assert [sample["value"][1] for sample in found] == ["1"]


ALERT_CASES = """
rule_files: [ALERTS]
evaluation_interval: 30s
tests:
  - interval: 30s
    input_series:
      - { series: 'up{job="modelbox",instance="a"}', values: "1 1 0x10" }
      - { series: 'modelbox_queue_depth{instance="a",queue="work"}', values: "0x5 80x30" }
      - { series: 'modelbox_pool_connections{instance="a",store="metadata",state="in_use"}', values: "5x40" }
      - { series: 'modelbox_pool_connections{instance="a",store="metadata",state="size"}', values: "5x40" }
      - { series: 'modelbox_pool_connections{instance="b",store="metadata",state="in_use"}', values: "4x40" }
      - { series: 'modelbox_pool_connections{instance="b",store="metadata",state="size"}', values: "5x40" }
      - { series: 'modelbox_http_request_duration_seconds_count{instance="a",route="r",outcome="ok"}', values: "0+100x40" }
      - { series: 'modelbox_http_request_duration_seconds_count{instance="a",route="r",outcome="storage_unavailable"}', values: "0+10x40" }
      - { series: 'modelbox_http_request_duration_seconds_count{instance="b",route="r",outcome="ok"}', values: "0+100x40" }
      - { series: 'modelbox_http_request_duration_seconds_count{instance="b",route="r",outcome="not_found"}', values: "0+100x40" }
    alert_rule_test:
      - { eval_time: 1m, alertname: ModelBoxDown, exp_alerts: [] }
      - eval_time: 3m
        alertname: ModelBoxDown
        exp_alerts:
          - exp_labels: { job: modelbox, instance: a, severity: page }
            exp_annotations:
              summary: "a does not answer"
              description: "Clients keep what they log in their journals and send it when the server is back. See its log, then /readyz."
      - { eval_time: 4m, alertname: ModelBoxBacklog, exp_alerts: [] }
      - eval_time: 12m
        alertname: ModelBoxBacklog
        exp_alerts:
          - exp_labels: { instance: a, queue: work, severity: ticket }
            exp_annotations:
              summary: "80 calls wait for a thread at a"
              description: "The storage is slower than what comes in: add an instance, or look at the storage."
      - eval_time: 12m
        alertname: ModelBoxPoolExhausted
        exp_alerts:
          - exp_labels: { instance: a, store: metadata, severity: ticket }
            exp_annotations:
              summary: "Every connection of metadata is in use at a"
              description: "Raise pool_size, add an instance, or look for slow statements in the database."
      - eval_time: 15m
        alertname: ModelBoxErrors
        exp_alerts:
          - exp_labels: { instance: a, severity: page }
            exp_annotations:
              summary: "a fails 9.091% of its requests"
              description: "The label outcome tells which errors; the log has a request id for each."
"""
