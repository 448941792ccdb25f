"""What the HTTP transport makes of servers that misbehave, go away, or are none of ours."""

import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import modelbox
from modelbox.client.address import ServerAddress, parse_address
from modelbox.client.connection import ModelBox
from modelbox.client.discovery import Where
from modelbox.client.http import HttpTransport, answers
from modelbox.client.sender import Pace, Sender
from modelbox.errors import (
    ChecksumMismatch,
    InvalidRequest,
    ModelBoxError,
    NotFound,
    PermissionDenied,
    ServerUnreachable,
    StorageError,
    StorageUnavailable,
    TooLarge,
    Unauthenticated,
)
from modelbox.wire import routes
from modelbox.wire.messages import ArtifactUploadQuery
from modelbox_server.testing.live_server import LiveServer, live_server
from modelbox_server.wiring import local_services

Script = Callable[[socket.socket, list[bytes]], None]


@contextmanager
def scripted(*script: Script) -> Iterator[tuple[ServerAddress, list[bytes]]]:
    """Serve one connection per script entry, each as that entry says; yield the address and the requests that came."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for handle in script:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    handle(connection, requests)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield ServerAddress("http", "127.0.0.1", listener.getsockname()[1]), requests
        thread.join(10)


def _request(connection: socket.socket, requests: list[bytes]) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    requests.append(data)


def answer(head: str, body: bytes = b"", *, times: int = 1) -> Script:
    """Answer `times` requests on one connection in the same way, then close it."""

    def handle(connection: socket.socket, requests: list[bytes]) -> None:
        for _ in range(times):
            _request(connection, requests)
            connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return handle


def hang_up(connection: socket.socket, requests: list[bytes]) -> None:
    """Take a request and close the connection."""
    _request(connection, requests)


INFO = b'{"version":"1","api":"v1","face":"http","metadata_storage":"a","metrics_storage":"b","artifact_storage":"c","user":"me"}'
OK = "200 OK\r\nContent-Type: application/json"


def test_a_connection_is_kept_and_used_again() -> None:
    with scripted(answer(OK, INFO, times=3)) as (address, requests):
        transport = HttpTransport(address, "token")
        for _ in range(3):
            assert transport.call(routes.INFO).user == "me"
        transport.close()
    assert len(requests) == 3


def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    with scripted(answer(OK, INFO), answer(OK, INFO)) as (address, requests):
        transport = HttpTransport(address)
        transport.call(routes.INFO)
        time.sleep(0.05)
        transport.call(routes.INFO)
        transport.close()
    assert len(requests) == 2


def test_a_broken_exchange_is_tried_once_more_and_not_again() -> None:
    with scripted(hang_up, answer(OK, INFO)) as (address, requests):
        transport = HttpTransport(address)
        assert transport.call(routes.INFO).user == "me"
        transport.close()
    assert len(requests) == 2
    with scripted(hang_up, hang_up) as (address, requests), pytest.raises(ServerUnreachable, match="try again"):
        HttpTransport(address).call(routes.INFO)
    assert len(requests) == 2


def test_an_answer_that_is_cut_short_is_an_error() -> None:
    def cut(connection: socket.socket, requests: list[bytes]) -> None:
        _request(connection, requests)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")

    with scripted(cut) as (address, _), pytest.raises(ServerUnreachable, match="before the answer was complete"):
        HttpTransport(address).call(routes.INFO)


def test_a_download_that_is_cut_short_is_an_error() -> None:
    def cut(connection: socket.socket, requests: list[bytes]) -> None:
        _request(connection, requests)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")

    with scripted(cut) as (address, _), pytest.raises(ServerUnreachable):
        list(HttpTransport(address, answer_timeout_s=0.5).download("0" * 40))


def test_a_download_goes_on_where_its_connection_broke() -> None:
    data = bytes(range(256)) * 20_000

    def cut(connection: socket.socket, requests: list[bytes]) -> None:
        _request(connection, requests)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:3_000_000])

    def rest(connection: socket.socket, requests: list[bytes]) -> None:
        _request(connection, requests)
        start = int(requests[-1].partition(b"Range: bytes=")[2].partition(b"-")[0])
        head = f"HTTP/1.1 206 Partial Content\r\nContent-Length: {len(data) - start}\r\n\r\n"
        connection.sendall(head.encode() + data[start:])

    with scripted(cut, rest) as (address, requests):
        assert b"".join(HttpTransport(address).download("0" * 40)) == data
    assert b"Range" not in requests[0]
    assert b"Range: bytes=3000000-\r\n" in requests[1]


def test_a_server_that_says_nothing_is_not_waited_for_forever() -> None:
    def silent(connection: socket.socket, requests: list[bytes]) -> None:
        _request(connection, requests)
        connection.recv(1)

    with scripted(silent) as (address, _), pytest.raises(ServerUnreachable, match="in time"):
        HttpTransport(address, answer_timeout_s=0.1).call(routes.INFO)


@pytest.mark.parametrize(
    ("head", "body", "error"),
    [
        ("404 Not Found\r\nContent-Type: text/html", b"<html>", NotFound),
        ("403 Forbidden", b"", PermissionDenied),
        ("401 Unauthorized", b"", Unauthenticated),
        ("413 Too Large", b"", TooLarge),
        ("502 Bad Gateway", b"nginx", StorageUnavailable),
        ("500 Oops", b"", StorageError),
        ("418 I'm a teapot", b"", InvalidRequest),
        (OK, b"<html>this is no JSON", InvalidRequest),
        (OK, b'{"version": 1', InvalidRequest),
    ],
)
def test_answers_of_something_else_become_clear_errors(head: str, body: bytes, error: type[ModelBoxError]) -> None:
    with scripted(answer(head, body)) as (address, _), pytest.raises(error) as caught:
        HttpTransport(address, "hunter2").call(routes.INFO)
    assert type(caught.value) is error
    assert "hunter2" not in caught.value.detail


def test_a_problem_document_becomes_the_error_it_was() -> None:
    body = b'{"status":409,"code":"tag_taken","title":"x","detail":"Version 1 has it.","field":"tags","request_id":"r"}'
    script = answer("409 Conflict\r\nContent-Type: application/problem+json", body)
    with scripted(script) as (address, _), pytest.raises(modelbox.ModelBoxError) as caught:
        HttpTransport(address).call(routes.INFO)
    assert (type(caught.value).__name__, caught.value.detail, caught.value.field) == ("TagTaken", "Version 1 has it.", "tags")


def test_the_wait_that_a_proxy_asks_for_is_known() -> None:
    with scripted(answer("503 Busy\r\nRetry-After: 7")) as (address, _), pytest.raises(StorageUnavailable) as caught:
        HttpTransport(address).call(routes.INFO)
    assert caught.value.retry_after_s == 7


def test_a_redirect_is_refused_and_the_token_goes_nowhere_else() -> None:
    with scripted(answer(OK, INFO)) as (other, stolen):
        script = answer(f"302 Found\r\nLocation: {other}/api/v1/info?token=x")
        with scripted(script) as (address, _), pytest.raises(ServerUnreachable, match="redirects to") as caught:
            HttpTransport(address, "hunter2").call(routes.INFO)
        assert str(other) in caught.value.detail
        assert "token=x" not in caught.value.detail
        assert stolen == []
        with socket.create_connection((other.host, other.port)) as connection:  # let the script end
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            connection.recv(10)


def test_a_login_page_asks_for_a_token() -> None:
    with scripted(answer("302 Found\r\nLocation: /user/a%20b/login?next=x")) as (address, _), pytest.raises(Unauthenticated, match="token"):
        HttpTransport(address).call(routes.INFO)


def test_proxy_variables_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with scripted(answer(OK, INFO)) as (address, _):
        assert HttpTransport(address).call(routes.INFO).user == "me"


def test_the_path_prefix_and_the_names_in_it_are_escaped_once() -> None:
    with scripted(answer("404 Nope")) as (address, requests):
        prefixed = parse_address(f"{address}/user/a b")
        assert isinstance(prefixed, ServerAddress)
        with pytest.raises(NotFound):
            HttpTransport(prefixed).call(routes.GET_EXPERIMENT, path={"experiment_id": "../x/é?"})
    assert requests[0].startswith(b"GET /user/a%20b/api/v1/experiments/..%2Fx%2F%C3%A9%3F HTTP/1.1\r\n")


@pytest.mark.parametrize(("address", "words"), [("127.0.0.1:9", "Connection refused"), ("no-such-host.invalid:80", "not known")])
def test_a_server_that_is_not_there_is_one_sentence(address: str, words: str) -> None:
    with pytest.raises(ServerUnreachable, match=words) as caught:
        ModelBox(address).experiments()
    assert address.partition(":")[0] in caught.value.detail


def test_tls_to_a_plain_server_is_one_sentence() -> None:
    def plain(connection: socket.socket, requests: list[bytes]) -> None:
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with scripted(plain) as (address, _), pytest.raises(ServerUnreachable, match="TLS"):
        HttpTransport(ServerAddress("https", address.host, address.port)).call(routes.INFO)


def test_a_token_with_line_breaks_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="token"):
        HttpTransport(ServerAddress("http", "host", 80), "a\r\nX-Evil: 1")


def test_an_upload_that_is_refused_early_says_why() -> None:
    body = b'{"status":413,"code":"too_large","title":"x","detail":"At most 1 GiB."}'

    def refuse(connection: socket.socket, requests: list[bytes]) -> None:
        _request(connection, requests)
        head = f"HTTP/1.1 413 Too Large\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass

    with scripted(refuse) as (address, _), pytest.raises(TooLarge, match="1 GiB"):
        HttpTransport(address).upload("0" * 40, ArtifactUploadQuery(name="x"), io.BytesIO(b"x" * 20_000_000))


def test_a_file_that_shrinks_while_it_is_sent_is_an_error() -> None:
    def swallow(connection: socket.socket, requests: list[bytes]) -> None:
        while connection.recv(1 << 20):
            pass

    with scripted(swallow) as (address, _), pytest.raises(ChecksumMismatch, match="early"):
        HttpTransport(address).upload("0" * 40, ArtifactUploadQuery(name="x", size_bytes=10), io.BytesIO(b"only"))


def test_what_answers_without_being_ours_is_no_modelbox() -> None:
    with scripted(answer("200 OK\r\nContent-Type: text/html", b"<html>")) as (address, _):
        assert not answers(address)
    assert not answers(ServerAddress("http", "127.0.0.1", 9))
    with live_server() as server:
        address = parse_address(server.url)
        assert isinstance(address, ServerAddress)
        assert answers(address)


def test_without_a_token_the_server_says_so() -> None:
    with live_server() as server, pytest.raises(Unauthenticated):
        ModelBox(server.url, token="wrong").experiments()


def test_a_forked_child_does_not_use_the_connections_of_its_parent() -> None:
    with live_server() as server:
        box = ModelBox(server.url, token=server.token)
        box.info()
        children = []
        for _ in range(4):
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    code = 0 if all(box.info().api == "v1" for _ in range(20)) else 1
                finally:
                    os._exit(code)
            children.append(pid)
        for _ in range(20):
            assert box.info().api == "v1"
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        box.close()


def test_a_server_that_dies_and_comes_back_has_every_point_once(tmp_path: Path) -> None:
    """Ten lives of a server; training goes on as if nothing was."""

    def serve(port: int) -> AbstractContextManager[LiveServer]:
        return live_server(lambda: local_services(tmp_path / "store"), port=port)

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pace = Pace(interval_s=0.01, first_pause_s=0.02, longest_pause_s=0.05)
    address = ServerAddress("http", "127.0.0.1", port)
    with serve(port) as server:
        sender = Sender(HttpTransport(address, server.token), pace=pace)
        run = ModelBox.over(HttpTransport(address, server.token), Where("server", server.url, "a test"), sender=sender).start("demo")
    step = 0
    for _ in range(5):
        with serve(port) as server:
            sender._transport = HttpTransport(address, server.token)  # every life has a token of its own
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                run.log(loss=0.5, step=step)
                step += 1
                time.sleep(0.001)
        for _ in range(50):
            run.log(loss=0.5, step=step)
            step += 1
        time.sleep(0.1)
    with serve(port) as server:
        sender._transport = HttpTransport(address, server.token)
        assert sender.close(20)
    with ModelBox(tmp_path / "store") as box:
        assert [point.step for point in box.experiment(run.id).all_metrics()["loss"]] == list(range(step))
