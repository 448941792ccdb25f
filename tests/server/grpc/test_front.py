"""One port for HTTP/1.1 and gRPC: what a connection says first decides, however slowly it says it."""

import http.client
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from modelbox_server.grpc.front import PREFACE
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.live_server import LiveServer, live_server

Caller = Callable[..., Any]


def test_both_answer_on_one_port_at_once(rpc: Caller, server: LiveServer) -> None:
    made = rpc("CreateExperiment", name="one port", namespace="front").experiment_id
    found = ApiClient(server.url, server.headers).api("GET", f"/experiments/{made}")
    assert found.json["name"] == "one port"


def test_a_preface_that_comes_byte_by_byte_is_understood(server: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for byte in PREFACE:
            connection.sendall(bytes([byte]))
            time.sleep(0.002)
        connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # an empty SETTINGS frame
        assert connection.recv(9)[3] == 4  # the server's SETTINGS


def test_a_request_that_comes_byte_by_byte_is_understood(server: LiveServer) -> None:
    request = f"GET /livez HTTP/1.1\r\nHost: localhost:{server.port}\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for byte in request:
            connection.sendall(bytes([byte]))
            time.sleep(0.001)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_a_request_that_begins_like_the_preface_is_not_taken_for_it(server: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"PRI * HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(9) == b"HTTP/1.1 "


def test_a_caller_who_goes_away_or_says_nothing_holds_up_nobody(server: LiveServer) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for connection in silent[:25]:
        connection.close()
    answer = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    answer.request("GET", "/livez")
    assert answer.getresponse().status == 200
    answer.close()
    for connection in silent[25:]:
        connection.close()


def test_many_channels_at_once_get_all_they_asked_for(server: LiveServer, call_over: Callable[..., Caller]) -> None:
    ids: set[str] = set()

    def create(number: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
        with grpc.insecure_channel(f"127.0.0.1:{server.port}", options) as channel:
            call = call_over(channel)
            ids.update(call("CreateExperiment", name=f"{number}.{turn}", namespace="channels").experiment_id for turn in range(20))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ids) == 160


def test_a_stop_ends_watchers_with_a_sentence(call_over: Callable[..., Caller]) -> None:
    ended: list[grpc.RpcError] = []
    with live_server(trust_same_user=True) as server:
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        stream = call_over(channel)("WatchNamespace", namespace="x")

        def watch() -> None:
            try:
                list(stream)
            except grpc.RpcError as error:
                ended.append(error)

        watcher = threading.Thread(target=watch)
        watcher.start()
        call_over(channel)("ListExperiments")
    watcher.join(30)
    channel.close()
    assert [error.code().name for error in ended] == ["UNAVAILABLE"]
