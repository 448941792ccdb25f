"""TLS on the one port: for HTTP and gRPC, with a certificate that can be renewed, and clear words where it does not fit."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

import modelbox
from modelbox.cli.main import main
from modelbox.client.address import ServerAddress
from modelbox.client.http import HttpTransport
from modelbox.client.trust import Trust
from modelbox.errors import ConfigError, InvalidRequest, ServerUnreachable
from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox.testing.server_process import running_server
from modelbox.wire import routes
from modelbox_server.grpc.front import PREFACE
from modelbox_server.grpc.schema import message
from modelbox_server.http.tls import server_context
from modelbox_server.testing.certificates import Certificate, make_certificate
from modelbox_server.testing.live_server import LiveServer, live_server

__all__ = ["clean_modelbox_environment"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[LiveServer]:
    with live_server(tls=certificate.files, trust_same_user=True, grpc_address=("127.0.0.1", 0)) as server:
        yield server


def context(certificate: Certificate, *protocols: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=certificate.certificate)
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def info(server: LiveServer, trust: Trust, host: str = "127.0.0.1") -> str:
    transport = HttpTransport(ServerAddress("https", host, server.port), server.token, trust=trust)
    try:
        return transport.call(routes.INFO).user
    finally:
        transport.close()


def list_models(port: int, certificate: Certificate) -> object:
    credentials = grpc.ssl_channel_credentials(certificate.certificate.read_bytes())
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        request = message("ListModelsRequest")(namespace="x").SerializeToString()
        return channel.unary_unary("/modelbox.ModelStore/ListModels")(request, timeout=30)


def test_http_and_grpc_answer_over_tls_on_one_port(server: LiveServer, certificate: Certificate) -> None:
    assert server.url.startswith("https://")
    assert info(server, Trust(str(certificate.certificate)))
    assert list_models(server.port, certificate) == b""
    assert server.grpc_port is not None
    assert list_models(server.grpc_port, certificate) == b""


@pytest.mark.parametrize(
    ("offered", "chosen"), [(("h2", "http/1.1"), "http/1.1"), (("h2",), "h2"), (("http/1.1",), "http/1.1"), (("other",), None), ((), None)]
)
def test_whoever_speaks_both_means_http(server: LiveServer, certificate: Certificate, offered: tuple[str, ...], chosen: str | None) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain,
        context(certificate, *offered).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.selected_alpn_protocol() == chosen
        if chosen == "h2":
            return
        connection.sendall(f"GET /livez HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_the_first_bytes_decide_within_tls_too(server: LiveServer, certificate: Certificate) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain,
        context(certificate).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        for byte in PREFACE:
            connection.sendall(bytes([byte]))
        connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert connection.recv(9)[3] == 4


def test_a_large_file_goes_there_and_back(server: LiveServer, certificate: Certificate, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "weights.bin").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELBOX_CA_FILE", str(certificate.certificate))
        box = modelbox.ModelBox(server.url, token=server.token)
        with box, box.start("over tls") as run:
            run.upload_artifact(tmp_path / "weights.bin")
            run.download_artifact("weights.bin", tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == content


def test_plain_http_to_a_tls_port_is_told_so(server: LiveServer) -> None:
    with pytest.raises(InvalidRequest, match="This port speaks TLS: write https://"):
        HttpTransport(ServerAddress("http", "127.0.0.1", server.port)).call(routes.INFO)


def test_tls_to_a_plain_port_is_told_so() -> None:
    with live_server() as plain, pytest.raises(ServerUnreachable, match="speaks no TLS: write http://"):
        info(plain, Trust())


def test_an_unknown_certificate_is_refused_with_what_to_do(server: LiveServer) -> None:
    with pytest.raises(ServerUnreachable, match=r"signed by nobody whom this machine trusts.* MODELBOX_CA_FILE"):
        info(server, Trust())


def test_a_certificate_for_other_names_is_refused(tmp_path: Path) -> None:
    other = make_certificate(tmp_path, alternatives=["DNS:box.example"])
    with live_server(tls=other.files) as server, pytest.raises(ServerUnreachable, match=r"is for other names than 127\.0\.0\.1"):
        info(server, Trust(str(other.certificate)))


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), ("nothing", "has no certificate in it")])
def test_a_ca_file_that_is_none_is_told(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=says):
        Trust(str(path)).context()


def test_programs_of_the_same_user_know_the_certificate_from_the_server(
    clean_modelbox_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path, alternatives=["DNS:box.example"])
    monkeypatch.chdir(tmp_path)
    with live_server(tls=other.files, runtime_folder=modelbox.settings.servers_folder()) as server:
        for address in (None, f"127.0.0.1:{server.port}", server.url):
            with modelbox.ModelBox(address) as box:
                assert box.where.address == server.url
                assert box.experiments() == []
        with pytest.raises(ServerUnreachable, match="its certificate is not the one"):
            info(server, Trust(certificate_sha256="0" * 64))


# --- the files ---------------------------------------------------------------------------------------------------------------------------


def broken(tmp_path: Path, what: str) -> tuple[Path, Path]:
    good, other = make_certificate(tmp_path, "good"), make_certificate(tmp_path, "other")
    match what:
        case "missing":
            return good.certificate, tmp_path / "none.key"
        case "folder":
            return tmp_path, good.key
        case "swapped":
            return good.key, good.certificate
        case "mismatched":
            return good.certificate, other.key
        case "encrypted":
            command = ["openssl", "ec", "-in", good.key, "-aes256", "-passout", "pass:hunter2", "-out", tmp_path / "locked.key"]
            subprocess.run(command, check=True, capture_output=True)
            return good.certificate, tmp_path / "locked.key"
        case _:
            good.certificate.write_text(good.certificate.read_text()[:200] + "\n-----END CERTIFICATE-----\n")
            return good.files


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("missing", r"tls_key: .*none.key cannot be read \(No such file or directory\)"),
        ("folder", r"tls_cert: .* cannot be read \(Is a directory\)"),
        ("swapped", r"tls_cert: .*good.key has no certificate in it"),
        ("mismatched", r"tls_key: .*other.key is not the key of the certificate .*good.crt"),
        ("encrypted", r"tls_key: .*locked.key is encrypted"),
        ("damaged", r"tls_cert, tls_key: .* are no certificate and private key in PEM"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_told(tmp_path: Path, what: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        server_context(*broken(tmp_path, what))


@pytest.mark.parametrize("command", [["check-config"], ["start", "--config-path"]])
def test_they_are_told_before_anything_starts(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate, key = broken(tmp_path, "mismatched")
    path = tmp_path / "box.toml"
    path.write_text(f'tls_cert = "{certificate}"\ntls_key = "{key}"\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n')
    assert main(["server", *command, str(path)]) == 2
    assert "is not the key of the certificate" in capsys.readouterr().err
    path.write_text(path.read_text().replace("tls_key", "# tls_key"))
    assert main(["server", *command, str(path)]) == 2
    assert "tls_key: missing, tls_cert needs it." in capsys.readouterr().err


def test_a_renewed_certificate_holds_after_a_hangup(clean_modelbox_environment: Path, tmp_path: Path) -> None:
    first, second = make_certificate(tmp_path, "first"), make_certificate(tmp_path, "second")
    used = Certificate(tmp_path / "used.crt", tmp_path / "used.key")
    path = tmp_path / "box.toml"
    text = f'listen_addr = "127.0.0.1:0"\ntls_cert = "{used.certificate}"\ntls_key = "{used.key}"\n'
    path.write_text(text + f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n')

    def use(made: Certificate) -> None:
        used.certificate.write_bytes(made.certificate.read_bytes())
        used.key.write_bytes(made.key.read_bytes())

    def answers(known: Certificate) -> bool:
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context(known))
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        except ssl.SSLCertVerificationError:
            return False
        finally:
            connection.close()

    use(first)
    with running_server(path) as record:
        pid, port = int(record["pid"]), int(record["url"].rpartition(":")[2])
        assert answers(first)
        used.key.write_bytes(second.key.read_bytes())  # half of a renewal
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: "was not read again: tls_key:" in (tmp_path / "box.log").read_text())
        assert answers(first)
        use(second)
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: answers(second))
        with modelbox.ModelBox(f"127.0.0.1:{port}") as box:  # by the runtime file, which has the new one
            assert box.experiments() == []
    assert "listens at https://127.0.0.1:" in (tmp_path / "box.log").read_text()


def wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)
