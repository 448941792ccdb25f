"""``modelbox server``: a configuration is written, checked and served."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

import modelbox
from modelbox.cli.main import main
from modelbox.settings import servers_folder
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox.testing.server_process import running_server
from modelbox_server.config.table import SETTINGS
from modelbox_server.private_files import write_private

__all__ = ["clean_modelbox_environment"]


@pytest.fixture(autouse=True)
def _own_home(clean_modelbox_environment: object) -> None:
    """Use the clean environment everywhere."""


def test_init_config_writes_a_private_file_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "box.toml"
    assert main(["server", "init-config", "--path", str(path)]) == 0
    assert capsys.readouterr().out == f"config written to path: {path}\n"
    assert tomllib.loads(path.read_text())["listen_addr"] == ":8085"
    assert path.stat().st_mode & 0o777 == 0o600


def test_init_config_replaces_nothing_unless_it_is_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "box.toml"
    path.write_text("mine = 1")
    assert main(["server", "init-config", "--path", str(path)]) == 6
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "mine = 1"
    assert main(["server", "init-config", "--path", str(path), "--force"]) == 0
    assert "listen_addr" in path.read_text()


def test_init_config_that_fails_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "init-config", "--path", str(tmp_path / "none" / "box.toml")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_check_config_shows_what_holds_and_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "box.toml"
    main(["server", "init-config", "--path", str(path)])
    capsys.readouterr()
    assert main(["server", "check-config", str(path)]) == 0
    out = capsys.readouterr().out
    assert 'metadata_storage = "ephemeral"' in out
    assert "foo" not in out


@pytest.mark.parametrize("command", [["check-config"], ["start", "-config-path"], ["start", "--config-path"]])
def test_mistakes_are_told_all_at_once(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "box.toml"
    path.write_text('listen_addr = 5\nmetadata_storage = "sqlite"\n[artifact_storage_filesystem]\nbase_dir = "/x"\n')
    assert main(["server", *command, str(path)]) == 2
    err = capsys.readouterr().err
    assert "listen_addr: expected a text, got 5." in err
    assert "metadata_storage: got 'sqlite'." in err


def test_a_storage_that_this_version_lacks_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelbox_server.storage.registry.store_names", lambda role: ["ephemeral", "inmemory", "filesystem"])
    path = tmp_path / "box.toml"
    main(["server", "init-config", "--path", str(path)])
    path.write_text(path.read_text().replace('"filesystem"', '"s3"', 1))
    assert main(["server", "start", "--config-path", str(path)]) == 2
    assert "artifact_storage: 's3' is not in this version, it has ephemeral, inmemory, filesystem." in capsys.readouterr().err


def test_a_folder_that_somebody_else_could_have_laid_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "blobs").symlink_to(tmp_path / "elsewhere")
    path = tmp_path / "box.toml"
    path.write_text(f'listen_addr = "127.0.0.1:0"\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n')
    assert main(["server", "start", "--config-path", str(path)]) == 1
    assert "is a link or belongs to another user" in capsys.readouterr().err


def test_a_token_that_others_could_have_written_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    path = servers_folder() / "9.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"url": "http://127.0.0.1:9", "token": "theirs"}')
    path.chmod(0o644)
    assert main(["server", "token", "--port", "9"]) == 2
    told = capsys.readouterr()
    assert "others may read it" in told.err
    assert "theirs" not in told.out + told.err


def test_the_token_of_a_server_that_was_killed_is_not_told(clean_modelbox_environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    write_private(servers_folder() / "8085.json", json.dumps({"url": "http://127.0.0.1:8085", "token": "t", "pid": ended.pid}))
    assert main(["server", "token"]) == 5
    assert capsys.readouterr().err == "modelbox: No server of yours runs on port 8085: start one, or say --port.\n"


def test_token_without_a_server_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "token", "--port", "9"]) == 5
    assert "No server of yours runs on port 9" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-config-path", "--config-path"])
def test_a_server_starts_from_the_file_of_init_config_and_needs_no_set_up(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "box.toml"
    main(["server", "init-config", "--path", str(path)])
    capsys.readouterr()
    blobs = tmp_path / "blobs"
    path.write_text(path.read_text().replace('":8085"', '"127.0.0.1:0"').replace("/tmp/modelboxblobs", str(blobs)))  # noqa: S108
    with running_server(path, flag) as record:
        port = record["url"].rpartition(":")[2]
        assert main(["server", "token", "--port", port]) == 0
        assert main(["server", "token", "--port", port, "--url"]) == 0
        assert capsys.readouterr().out.split() == [record["token"], f"{record['url']}/#token={record['token']}"]
        with modelbox.ModelBox(f"127.0.0.1:{port}") as box, box.start("demo") as run:
            run.log(loss=0.5)
            (tmp_path / "model.bin").write_bytes(b"weights")
            run.upload_artifact(tmp_path / "model.bin")
        assert box.where.kind == "server"
    log = (tmp_path / "box.log").read_text()
    assert "ModelBox listens at http://127.0.0.1:" in log
    assert record["token"] not in log
    assert blobs.stat().st_mode & 0o777 == 0o700


def test_what_is_integrated_is_there_after_a_restart_and_what_is_ephemeral_is_not(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    lines = ['listen_addr = "127.0.0.1:0"', 'metadata_storage = "integrated"', 'metrics_storage = "integrated"', "[auth]", 'mode = "none"']
    lines += [
        f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"',
        f'[metadata_storage_integrated]\npath = "{tmp_path}/m.db"',
    ]
    path.write_text("\n".join([*lines, f'[metrics_storage_integrated]\npath = "{tmp_path}/p.db"']))
    with running_server(path) as record, modelbox.ModelBox(record["url"]) as box, box.start("kept") as run:
        run.log(loss=0.5)
    with running_server(path) as record, modelbox.ModelBox(record["url"]) as box:
        (again,) = box.experiments()
        assert (again.name, again.id) == ("kept", run.id)
        assert again.all_metrics()["loss"][0].value == 0.5
    path.write_text(path.read_text().replace('metadata_storage = "integrated"', 'metadata_storage = "ephemeral"'))
    with running_server(path) as record, modelbox.ModelBox(record["url"]) as box:
        assert box.experiments() == []


def test_a_hangup_reads_the_file_again_and_a_mistake_in_it_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    text = (
        f'listen_addr = "127.0.0.1:0"\nallowed_hosts = ["old.example"]\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n'
    )
    path.write_text(text)
    with running_server(path) as record:
        pid, port = int(record["pid"]), int(record["url"].rpartition(":")[2])
        assert status_for_host(port, "old.example", record["token"]) == 200
        path.write_text(text.replace("old.example", "new.example").replace(":0", ":1"))
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: status_for_host(port, "new.example", record["token"]) == 200)
        assert status_for_host(port, "old.example", record["token"]) == 421
        path.write_text("allowed_hosts = 3")
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: "was not read again" in (tmp_path / "box.log").read_text())
        assert status_for_host(port, "new.example", record["token"]) == 200
    assert "These take effect at the next start: listen_addr." in (tmp_path / "box.log").read_text()


def test_the_token_of_a_port_outlives_the_server_and_is_known_to_nobody_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = tmp_path / "box.toml"
    path.write_text(f'listen_addr = "127.0.0.1:{port}"\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n')
    tokens = []
    for _ in range(2):
        with running_server(path) as record:
            tokens.append(record["token"])
    assert tokens[0] == tokens[1] == (servers_folder() / f"{port}.token").read_text().strip()
    assert tokens[0] not in (tmp_path / "box.log").read_text()


def test_holders_of_additional_tokens_come_and_go_with_a_hangup(tmp_path: Path) -> None:
    holders, path = tmp_path / "holders", tmp_path / "box.toml"
    holders.write_text(f"ana: {hashlib.sha256(b'first').hexdigest()}\n")
    path.write_text(f'listen_addr = "127.0.0.1:0"\n[auth]\nadditional_tokens = "{holders}"\ntrust_same_user_loopback = false\n')
    with path.open("a") as file:
        file.write(f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n')
    with running_server(path) as record:
        port = int(record["url"].rpartition(":")[2])
        with modelbox.ModelBox(record["url"], token="first") as box, box.start("of ana") as run:
            assert run.refresh().owner == "ana"
        holders.write_text(f"ana: {hashlib.sha256(b'second').hexdigest()}\n")
        os.kill(int(record["pid"]), signal.SIGHUP)
        wait_for(lambda: status_for_host(port, "localhost", "second") == 200)
        assert status_for_host(port, "localhost", "first") == 401


def test_no_secret_shows_in_logs_errors_or_the_list_of_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret_settings = [setting for setting in SETTINGS if setting.secret]
    canaries = {setting.path: f"canary-{number}-{os.urandom(8).hex()}" for number, setting in enumerate(secret_settings)}
    sections: dict[str, list[str]] = {"artifact_storage_filesystem": [f'base_dir = "{tmp_path / "blobs"}"']}
    for setting in secret_settings:
        assert setting.section, "a secret stands in a section"
        sections.setdefault(setting.section, []).append(f'{setting.name} = "{canaries[setting.path]}"')
    path = tmp_path / "box.toml"
    path.touch(0o600)
    lines = ['listen_addr = "127.0.0.1:0"', 'prometheus_addr = "127.0.0.1:0"', 'log_level = "debug"']
    path.write_text("\n".join([*lines, *(f"[{name}]\n" + "\n".join(keys) for name, keys in sections.items())]) + "\n")
    assert main(["server", "check-config", str(path)]) == 0
    path.chmod(0o644)
    assert main(["server", "check-config", str(path)]) == 2
    assert main(["server", "show-config", str(path)]) == 0
    path.chmod(0o600)
    shown = [*capsys.readouterr()]
    with running_server(path) as record:
        pid, port = int(record["pid"]), int(record["url"].rpartition(":")[2])
        token = canaries["auth.token"]
        assert status_for_host(port, "localhost", token) == 200
        assert status_for_host(port, "evil.example", token) == 421
        for target in ("/api/v1/nothing", "/api/v1/info?token=x", "/metrics", "/api/v1/openapi.json"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", target, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            shown += [answer.read().decode(), str(answer.headers)]
            connection.close()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary("/modelbox.ModelStore/GetExperiment")(
                    b"\xff", metadata=[("authorization", f"Bearer {token}")], timeout=20
                )
            shown.append(str(caught.value))
        shown.append(Path(f"/proc/{pid}/cmdline").read_text())
        path.write_text(path.read_text().replace("log_level", "log_levle"))
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: "was not read again" in (tmp_path / "box.log").read_text())
    shown.append((tmp_path / "box.log").read_text())
    assert "log_levle" in shown[-1]
    assert not [path for path, canary in canaries.items() if canary in "\n".join(shown)]


@pytest.mark.parametrize(("address", "is_warned_of"), [("127.0.0.1:0", False), (":0", True)])
def test_what_other_machines_can_read_on_the_way_is_warned_of(address: str, is_warned_of: bool, tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    path.write_text(f'listen_addr = "{address}"\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n')
    with running_server(path):
        pass
    warning = "Other machines can reach it, and what they send is not encrypted: set tls_cert and tls_key"
    assert (warning in (tmp_path / "box.log").read_text()) is is_warned_of


def test_ctrl_c_ends_a_server_as_shells_expect(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    path.write_text(f'listen_addr = "127.0.0.1:0"\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n')
    command = [sys.executable, "-m", "modelbox.cli.main", "server", "start", "--config-path", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "ModelBox listens" in next(line for line in process.stderr if "listens" in line)
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 130


def test_the_password_of_the_sample_is_warned_of_at_start(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    main(["server", "init-config", "--path", str(path)])
    path.write_text(path.read_text().replace('":8085"', '"127.0.0.1:0"').replace("/tmp/modelboxblobs", str(tmp_path / "blobs")))  # noqa: S108
    with running_server(path):
        pass
    assert "choose another for metadata_storage_postgres.password, " in (tmp_path / "box.log").read_text()


def status_for_host(port: int, host: str, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/api/v1/info", headers={"Host": host, "Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)
