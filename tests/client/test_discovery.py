"""Which store is found, from which of the six places, and what is never believed."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import modelbox
from modelbox import settings
from modelbox.client import shared
from modelbox.client.discovery import find_store, open_store
from modelbox.client.http import HttpTransport
from modelbox.errors import ConfigError


class _Server(BaseHTTPRequestHandler):
    """Says that it lives; notes what it was sent."""

    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        good = self.path.endswith("/livez") and not self.path.startswith("/plain")
        body = b'{"status":"ok"}' if good else b"<html>"
        self.send_response(200 if good else 404)
        self.send_header("Content-Type", "application/json" if good else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    _Server.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def home(clean_modelbox_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (clean_modelbox_environment / "work").mkdir()
    monkeypatch.chdir(clean_modelbox_environment / "work")
    return clean_modelbox_environment


def _private(path: Path, content: object, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    path.chmod(mode)
    return path


def test_without_anything_it_is_the_local_store(home: Path) -> None:
    found = find_store()
    assert found.where.kind == "local"
    assert found.where.address == str(home / ".local/share/modelbox") == str(settings.data_folder())


def test_the_folder_of_the_local_store_can_be_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_DATA_DIR", str(home / "elsewhere"))
    assert find_store().where.address == str(home / "elsewhere")
    monkeypatch.delenv("MODELBOX_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "xdg"))
    assert find_store().where.address == str(home / "xdg/modelbox")


def test_the_argument_wins_over_everything(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_API_ADDR", "other:1")
    monkeypatch.setenv("MODELBOX_JUPYTER_URL", url)
    assert find_store("host:8085").where.address == "http://host:8085"
    assert find_store(home / "runs").where.kind == "local"


def test_the_environment_wins_over_jupyter(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_API_ADDR", "host:8085")
    monkeypatch.setenv("MODELBOX_API_TOKEN", "from-env")
    monkeypatch.setenv("MODELBOX_JUPYTER_URL", url)
    found = find_store()
    assert (found.where.kind, found.where.address, found.token) == ("server", "http://host:8085", "from-env")
    assert "MODELBOX_API_ADDR" in found.where.reason
    assert find_store(token="mine").token == "mine"


def test_a_named_server_that_is_away_is_never_replaced_by_another_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_API_ADDR", "127.0.0.1:9")
    with pytest.raises(modelbox.ModelBoxError, match=r"127\.0\.0\.1:9"):
        modelbox.ModelBox().experiments()


def test_the_store_that_a_hub_names_wins_over_what_is_only_found(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_HUB_URL", "https://hub.example/services/modelbox/")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-the-hub")
    monkeypatch.setenv("JUPYTERHUB_USER", "alice")
    monkeypatch.setenv("MODELBOX_JUPYTER_URL", url)
    found = find_store()
    assert (found.where.kind, found.where.address, found.token) == ("hub", "https://hub.example/services/modelbox", "of-the-hub")
    assert "(shared ModelBox of hub.example, as alice): MODELBOX_HUB_URL is set." in str(found.where)
    assert "of-the-hub" not in repr(found)
    assert find_store("shared").where.kind == "hub"
    assert find_store("shared", "mine").token == "mine"
    assert find_store("local").where.address == str(settings.data_folder())
    monkeypatch.setenv("MODELBOX_API_TOKEN", "made-for-a-script")
    assert find_store().token == "made-for-a-script"
    monkeypatch.setenv("MODELBOX_API_ADDR", "local")
    assert find_store().where.kind == "local"
    monkeypatch.setenv("MODELBOX_API_ADDR", "host:8085")
    assert find_store().where.address == "http://host:8085"


def test_what_is_wrong_with_the_store_of_a_hub_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no JupyterHub names a shared ModelBox here"):
        find_store("shared")
    monkeypatch.setenv("MODELBOX_HUB_URL", "/a/folder")
    with pytest.raises(ConfigError, match="MODELBOX_HUB_URL is '/a/folder': it is the URL of a server"):
        find_store()


def test_jupyter_is_found_by_what_its_extension_left_in_the_environment(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_JUPYTER_URL", f"{url}/user/a b/modelbox")
    monkeypatch.setenv("MODELBOX_JUPYTER_TOKEN", "kernel-token")
    found = find_store()
    assert (found.where.kind, found.where.address, found.token) == ("jupyter", f"{url}/user/a%20b/modelbox", "kernel-token")
    assert _Server.seen == [("/user/a%20b/modelbox/livez", None)]


def test_a_jupyter_that_is_gone_is_passed_over_and_said_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_JUPYTER_URL", "http://127.0.0.1:9/modelbox")
    found = find_store()
    assert found.where.kind == "local"
    assert "does not answer" in found.where.detail
    assert found.where.detail in str(found.where)


def test_jupyter_is_found_by_its_runtime_file(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    _private(home / ".local/share/jupyter/runtime/jpserver-4711.json", {"url": f"{url}/lab%20x/", "token": "t", "port": 1})
    found = find_store()
    assert (found.where.kind, found.where.address, found.token) == ("jupyter", f"{url}/lab%20x/modelbox", "t")


def test_a_jupyter_without_the_extension_is_passed_over(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    _private(home / ".local/share/jupyter/runtime/jpserver-4711.json", {"url": f"{url}/plain/", "token": "t"})
    found = find_store()
    assert found.where.kind == "local"
    assert "extension" in found.where.detail


def test_jupyter_on_a_unix_socket_is_passed_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    _private(home / ".local/share/jupyter/runtime/jpserver-4711.json", {"url": "http+unix://%2Ftmp%2Fx/", "token": "t"})
    assert find_store().where.kind == "local"


def test_the_runtime_folder_is_that_of_jupyter_itself(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_core.paths import jupyter_runtime_dir

    assert str(settings.jupyter_runtime_folder()) == jupyter_runtime_dir()
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "jd"))
    assert str(settings.jupyter_runtime_folder()) == jupyter_runtime_dir()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(home / "jr"))
    assert str(settings.jupyter_runtime_folder()) == jupyter_runtime_dir()


def test_a_configuration_file_names_a_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = settings.config_folder() / settings.CLIENT_CONFIG
    path.parent.mkdir(parents=True)
    path.write_text('server_addr = "far:1"\n')
    monkeypatch.setenv("MODELBOX_API_TOKEN", "from-env")
    found = find_store()
    assert (found.where.address, found.token) == ("http://far:1", "from-env")
    assert str(path) in found.where.reason
    (Path.cwd() / settings.CLIENT_CONFIG).write_text('\ufeffserver_addr = ":8085"\n', encoding="utf-8")
    assert find_store().where.address == "http://localhost:8085"


def test_a_configuration_file_of_the_current_folder_does_not_get_the_token_of_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBOX_API_TOKEN", "from-env")
    (Path.cwd() / settings.CLIENT_CONFIG).write_text('server_addr = "evil.example:80"\n')
    assert find_store().token is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"server_addr = ", ["not TOML"]),
        (b"\xff\xfe\x00s", ["UTF-8"]),
        (b"server_adr = 'x:1'", ["server_adr", "Did you mean 'server_addr'?", "missing"]),
        (b"server_addr = 8085\nport = 1", ["server_addr: expected text", "port: unknown key"]),
        (b"server_addr = 'x:y'", ["no address", "server_addr in"]),
        (b"x = '" + b"y" * (1 << 20) + b"'", ["larger than"]),
    ],
)
def test_mistakes_in_the_configuration_are_all_named(home: Path, content: bytes, words: list[str]) -> None:
    path = Path.cwd() / settings.CLIENT_CONFIG
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        find_store()
    for word in [*words, str(path)]:
        assert word in caught.value.detail


def test_a_configuration_that_is_a_folder_is_an_error(home: Path) -> None:
    (Path.cwd() / settings.CLIENT_CONFIG).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        find_store()


def test_a_standalone_server_of_this_user_is_found(home: Path, url: str) -> None:
    _private(settings.servers_folder() / "8085.json", {"url": url, "token": "t", "pid": 1})
    found = find_store()
    assert (found.where.kind, found.where.address, found.token) == ("server", url, "t")


def test_the_token_of_a_server_of_this_user_is_found_by_its_port(home: Path, url: str) -> None:
    port = url.rpartition(":")[2]
    _private(settings.servers_folder() / f"{port}.json", {"url": url, "token": "t", "pid": 1})
    assert find_store(f"localhost:{port}").token == "t"
    assert find_store(f"elsewhere.example:{port}").token is None


@pytest.mark.parametrize("mode", [0o644, 0o620])
def test_a_runtime_file_that_others_could_have_written_or_read_is_not_believed(home: Path, url: str, mode: int) -> None:
    _private(settings.servers_folder() / "8085.json", {"url": url, "token": "t"}, mode)
    assert find_store().where.kind == "local"


def test_a_runtime_file_that_is_a_link_or_no_json_is_not_believed(home: Path, url: str) -> None:
    real = _private(home / "real.json", {"url": url, "token": "t"})
    settings.servers_folder().mkdir(parents=True)
    (settings.servers_folder() / "8085.json").symlink_to(real)
    (settings.servers_folder() / "8086.json").write_text("{")
    os.mkfifo(settings.servers_folder() / "8087.json", 0o600)
    assert find_store().where.kind == "local"


def test_no_token_shows_in_what_is_printed(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_JUPYTER_URL", url)
    monkeypatch.setenv("MODELBOX_JUPYTER_TOKEN", "hunter2")
    found = find_store()
    transport = open_store(found)
    assert isinstance(transport, HttpTransport)
    assert found.token == "hunter2"
    assert "hunter2" not in f"{found!r} {found.where} {found.where!r} {transport!r}"


def test_the_functions_of_the_package_share_one_connection(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_default", None)
    with modelbox.connect(home / "runs") as box:
        assert shared.default_connection() is box
        assert modelbox.where().address == str(home / "runs")
        with modelbox.start("demo") as run:
            modelbox.log(loss=0.5)
        assert modelbox.experiment(run.id).all_metrics()["loss"][0].value == 0.5
        assert list(modelbox.experiments()["name"]) == ["demo"]
        assert modelbox.new_experiment("x").id == modelbox.new_experiment("x").id
        assert modelbox.model(modelbox.new_model("m").id).name == "m"
        assert list(modelbox.models()["name"]) == ["m"]
        assert len(modelbox.metrics(run.id)) == 1
    monkeypatch.setattr(shared, "_default", None)
