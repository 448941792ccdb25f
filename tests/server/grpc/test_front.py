"""One port for HTTP/1.1 and gRPC: what a connection says first decides, however slowly it says it."""

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from modelbox.errors import ConfigError
from modelbox_server.grpc.front import PREFACE
from modelbox_server.standalone import StandaloneServer
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.live_server import LiveServer, live_server
from modelbox_server.wiring import ephemeral_services

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


def test_a_port_of_its_own_speaks_grpc_and_nothing_else(call_over: Callable[..., Caller]) -> None:
    with live_server(trust_same_user=True, grpc_address=("127.0.0.1", 0)) as server:
        made = []
        for port in (server.port, server.grpc_port):
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                made.append(call_over(channel)("CreateExperiment", name="either").experiment_id)
        assert made[0] == made[1]
        with socket.create_connection(("127.0.0.1", server.grpc_port or 0), timeout=30) as connection:
            connection.sendall(f"GET /livez HTTP/1.1\r\nHost: localhost:{server.grpc_port}\r\n\r\n".encode())
            assert b"speaks gRPC alone" in connection.makefile("rb").read()


def test_a_port_that_is_taken_leaves_the_other_one_free() -> None:
    with live_server() as server:
        second = StandaloneServer(ephemeral_services, port=0, grpc_address=("127.0.0.1", server.port))
        with pytest.raises(ConfigError, match=r"cannot be listened on \(another program does\): choose another"):
            asyncio.run(second.start())
        socket.create_server(("127.0.0.1", second.port)).close()


def test_callers_over_grpc_are_told_apart_by_their_address(call_over: Callable[..., Caller]) -> None:
    def guess(address: str) -> str:
        with grpc.insecure_channel(f"{address}:{server.port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                call_over(channel, metadata=[("authorization", "Bearer wrong")])("ListExperiments")
            return str(caught.value.code().name)

    with live_server() as server:
        assert [guess("127.0.0.1") for _ in range(21)] == ["UNAUTHENTICATED"] * 20 + ["RESOURCE_EXHAUSTED"]
        wrong = ApiClient(server.url, {"Authorization": "Bearer wrong"}).api("GET", "/info")
        assert (wrong.status, 0 < int(wrong.headers["retry-after"]) <= 60) == (429, True)
        assert ApiClient(server.url, server.headers).api("GET", "/info").status == 200


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
