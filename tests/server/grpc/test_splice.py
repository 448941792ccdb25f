"""Short calls are answered on the connection, all else by gRPC behind it, and no client can tell: by frames of our own, and by gRPC."""

import asyncio
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from modelbox.wire.messages import MetricsQuery
from modelbox_server.grpc.compression import HeaderDecoder
from modelbox_server.grpc.frames import ACK, END_HEADERS, END_STREAM, PADDED, PRIORITY, Kind, frame
from modelbox_server.grpc.peers import Peer
from modelbox_server.grpc.schema import message
from modelbox_server.grpc.short import LoggedPoints
from modelbox_server.grpc.splice import spliced
from modelbox_server.service.context import Caller
from modelbox_server.testing.live_server import LiveServer, live_server
from modelbox_server.wiring import local_services

Rpc = Callable[..., Any]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LOG = "LogMetrics"


class Encoder:
    """Writes blocks that refer to what was said before, as real clients do."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def encode(self, headers: list[tuple[str, str]]) -> bytes:
        block = bytearray()
        for pair in headers:
            if pair in self.said:
                block.append(0x80 | 62 + self.said.index(pair))
                continue
            block += b"\x40"
            for text in pair:
                block += bytes([len(text)]) if len(text) < 127 else bytes([127, len(text) - 127 & 127 | 128, len(text) - 127 >> 7])
                block += text.encode()
            self.said.insert(0, pair)
            while sum(len(name) + len(value) + 32 for name, value in self.said) > 4_096:
                self.said.pop()
        return bytes(block)


class Http2:
    """A client that writes its frames by itself, remembers headers as real ones do, and counts what it let the server send."""

    def __init__(self, port: int, *, grows_window: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.encoder, self.decoder = Encoder(), HeaderDecoder(65_536)
        self.stream = -1
        self.allowed_bytes = 65_535
        self.rest = b""
        self.answers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.goodbye: tuple[int, int] | None = None
        self.pongs: list[bytes] = []
        self.send(PREFACE + frame(Kind.SETTINGS, 0, 0))
        if grows_window:
            self.grow(1 << 20)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def grow(self, size: int) -> None:
        self.allowed_bytes += size
        self.send(frame(Kind.WINDOW_UPDATE, 0, 0, struct.pack(">I", size)))

    def headers(self, method: str, *more: tuple[str, str]) -> bytes:
        """Return a block for a new stream."""
        self.stream += 2
        fields = [(":method", "POST"), (":scheme", "http"), (":path", f"/modelbox.ModelStore/{method}"), (":authority", "x")]
        return self.encoder.encode([*fields, ("te", "trailers"), ("content-type", "application/grpc"), *more])

    def call(self, method: str, request: Any, *more: tuple[str, str]) -> int:
        self.send(frame(Kind.HEADERS, END_HEADERS, self.stream + 2, self.headers(method, *more)))
        self.send(frame(Kind.DATA, END_STREAM, self.stream, framed(request)))
        return self.stream

    def read_until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self._take(data)

    def _take(self, data: bytes) -> None:
        data = self.rest + data
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            size, kind, flags, stream = int.from_bytes(data[:3], "big"), data[3], data[4], int.from_bytes(data[5:9], "big")
            payload, data = data[9 : 9 + size], data[9 + size :]
            if kind == Kind.HEADERS:
                assert flags & END_HEADERS
                said = {name.decode(): value.decode() for name, value in self.decoder.decode(payload)}
                self.answers[stream] = self.answers.get(stream, {}) | said
            elif kind == Kind.DATA:
                self.allowed_bytes -= size
                assert self.allowed_bytes >= 0, "more than was allowed"
                self.bodies[stream] = self.bodies.get(stream, b"") + payload
            elif kind == Kind.SETTINGS and not flags & ACK:
                self.send(frame(Kind.SETTINGS, ACK, 0))
            elif kind == Kind.PING:
                if flags & ACK:
                    self.pongs.append(payload)
                else:
                    self.send(frame(Kind.PING, ACK, 0, payload))
            elif kind == Kind.GOAWAY:
                last, code = struct.unpack(">II", payload[:8])
                self.goodbye = (last, code)
            elif kind == Kind.RST_STREAM:
                self.answers.setdefault(stream, {})["grpc-status"] = "reset"
        self.rest = data

    def status(self, stream: int) -> str:
        self.read_until(lambda: "grpc-status" in self.answers.get(stream, {}))
        return self.answers[stream]["grpc-status"]


def framed(request: Any) -> bytes:
    data: bytes = request.SerializeToString()
    return b"\0" + struct.pack(">I", len(data)) + data


def point(experiment: str, key: str = "k", step: int = 0, **value: Any) -> Any:
    return message("LogMetricsRequest")(parent_id=experiment, key=key, value=message("MetricsValue")(step=step, **(value or {"f_val": 1})))


@pytest.fixture
def client(server: LiveServer) -> Iterator[Http2]:
    made = Http2(server.port)
    yield made
    made.socket.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each call that is answered on its connection."""
    taken: list[str] = []
    call = LoggedPoints.call

    def noted(self: LoggedPoints, path: str, *rest: Any) -> None:
        taken.append(path)
        call(self, path, *rest)

    monkeypatch.setattr(LoggedPoints, "call", noted)
    return taken


@pytest.fixture
def run(rpc: Rpc) -> str:
    return str(rpc("CreateExperiment", name=os.urandom(8).hex()).experiment_id)


def steps(rpc: Rpc, run: str) -> list[int]:
    return sorted(value.step for one in rpc("GetMetrics", parent_id=run).metrics for value in one.values)


def test_short_calls_and_others_share_a_connection_and_what_it_remembers(client: Http2, rpc: Rpc, run: str, short: list[str]) -> None:
    get = message("GetExperimentRequest")(id=run)
    streams = []
    for step in range(50):
        # What headers refer to changes again and again, by calls of both sorts.
        streams.append(client.call(LOG, point(run, step=step), ("x-step", str(step // 3))))
        streams.append(client.call("GetExperiment", get, ("x-get", str(step // 5))))
    assert {client.status(stream) for stream in streams} == {"0"}
    assert {client.bodies[stream] for stream in streams[::2]} == {b"\0\0\0\0\0"}
    got = message("GetExperimentResponse").FromString(client.bodies[streams[-1]][5:])
    assert got.experiment.id == run
    assert len(short) == 50
    assert steps(rpc, run) == list(range(50))


def test_a_request_may_come_byte_by_byte(client: Http2, rpc: Rpc, run: str, short: list[str]) -> None:
    block = client.headers(LOG)
    for byte in frame(Kind.HEADERS, END_HEADERS, 1, block) + frame(Kind.DATA, END_STREAM, 1, framed(point(run, step=7))):
        client.send(bytes([byte]))
    assert client.status(1) == "0"
    assert len(short) == 1
    assert steps(rpc, run) == [7]


@pytest.mark.parametrize("how", ["two frames", "an empty frame at the end", "large"])
def test_a_request_that_does_not_come_whole_in_a_frame_goes_to_grpc(client: Http2, rpc: Rpc, run: str, short: list[str], how: str) -> None:
    data = framed(point(run, step=3))
    client.send(frame(Kind.HEADERS, END_HEADERS, 1, client.headers(LOG)))
    match how:
        case "two frames":
            client.send(frame(Kind.DATA, 0, 1, data[:9]) + frame(Kind.DATA, END_STREAM, 1, data[9:]))
        case "an empty frame at the end":
            client.send(frame(Kind.DATA, 0, 1, data) + frame(Kind.DATA, END_STREAM, 1))
        case _:
            data = framed(point(run, step=3, b_tensor=bytes(40_000)))
            parts = [data[at : at + 16_384] for at in range(0, len(data), 16_384)]
            for at, part in enumerate(parts):
                client.send(frame(Kind.DATA, END_STREAM if at == len(parts) - 1 else 0, 1, part))
    assert client.status(1) == "0"
    assert short == []
    assert steps(rpc, run) == [3]
    assert client.status(client.call(LOG, point(run, step=4))) == "0"
    assert len(short) == 1


def test_headers_may_be_continued_and_padded(client: Http2, rpc: Rpc, run: str, short: list[str]) -> None:
    for method, request in ((LOG, point(run)), ("GetExperiment", message("GetExperimentRequest")(id=run))):
        block = client.headers(method, ("x-long", "y" * 3_000))
        parts = [block[:10], block[10:20], block[20:]]
        client.send(frame(Kind.HEADERS, 0, client.stream, parts[0]) + frame(Kind.CONTINUATION, 0, client.stream, parts[1]))
        client.send(frame(Kind.CONTINUATION, END_HEADERS, client.stream, parts[2]))
        client.send(frame(Kind.DATA, END_STREAM, client.stream, framed(request)))
        assert client.status(client.stream) == "0"
    padded = b"\x03" + b"\0\0\0\0\x10" + client.headers(LOG) + b"\0\0\0"
    client.send(frame(Kind.HEADERS, END_HEADERS | PADDED | PRIORITY, client.stream, padded))
    client.send(frame(Kind.DATA, END_STREAM, client.stream, framed(point(run))))
    assert client.status(client.stream) == "0"
    assert len(short) == 2


def test_pings_are_answered_however_many_there_are(client: Http2, run: str) -> None:
    sent = [struct.pack(">Q", number) for number in range(200)]
    for payload in sent:
        client.send(frame(Kind.PING, 0, 0, payload))
    client.read_until(lambda: len(client.pongs) == len(sent))
    assert client.pongs == sent
    assert client.status(client.call(LOG, point(run))) == "0"
    assert client.goodbye is None


def test_a_client_is_never_sent_more_than_it_allowed(server: LiveServer, rpc: Rpc, run: str, short: list[str]) -> None:
    frames = message("UploadFileRequest")
    head = message("FileMetadata")(parent_id=run, path="w.bin")
    file_id = rpc("UploadFile", [frames(metadata=head), frames(chunks=os.urandom(200_000))]).file_id
    client = Http2(server.port, grows_window=False)
    client.grow(23)  # four answers of five bytes
    download = client.call("DownloadFile", message("DownloadFileRequest")(file_id=file_id))
    client.read_until(lambda: len(client.bodies.get(download, b"")) > 60_000)
    streams = [client.call(LOG, point(run, step=step)) for step in range(20)]
    for stream in streams[:4]:
        assert client.status(stream) == "0"
    assert len(short) == 4

    def is_over() -> bool:
        return all("grpc-status" in client.answers.get(stream, {}) for stream in [download, *streams])

    while not is_over():
        client.grow(30_000)
        client.send(frame(Kind.WINDOW_UPDATE, 0, download, struct.pack(">I", 30_000)))
        client.read_until(lambda: client.allowed_bytes < 20_000 or is_over())
    assert {client.status(stream) for stream in streams} == {"0"}
    assert steps(rpc, run) == list(range(20))
    client.socket.close()


def test_a_stream_that_was_reset_or_is_over_harms_nobody(client: Http2, run: str) -> None:
    for _ in range(5):
        stream = client.call(LOG, point(run))
        client.send(frame(Kind.RST_STREAM, 0, stream, struct.pack(">I", 8)))
        done = client.call(LOG, point(run))
        assert client.status(done) == "0"
        client.send(frame(Kind.WINDOW_UPDATE, 0, done, struct.pack(">I", 100)))
        client.send(frame(Kind.RST_STREAM, 0, done, struct.pack(">I", 8)))
        client.send(frame(Kind.PRIORITY, 0, done, b"\0\0\0\0\x10"))
        client.send(frame(Kind.HEADERS, END_HEADERS, client.stream + 2, client.headers(LOG)))
        client.send(frame(Kind.RST_STREAM, 0, client.stream, struct.pack(">I", 8)))  # before its request
    assert client.status(client.call("GetExperiment", message("GetExperimentRequest")(id=run))) == "0"
    assert client.goodbye is None


@pytest.mark.parametrize(
    "sent",
    [
        frame(Kind.HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
        frame(Kind.HEADERS, END_HEADERS, 1, b"\xbe"),
        frame(Kind.HEADERS, END_HEADERS | PADDED, 1, b"\xff"),
        frame(Kind.CONTINUATION, END_HEADERS, 1, b"\x82"),
        frame(Kind.HEADERS, 0, 1, b"\x82") + frame(Kind.PING, 0, 0, bytes(8)),
        frame(Kind.HEADERS, 0, 1, b"\x82") + frame(Kind.CONTINUATION, 0, 1, bytes(16_000)) * 5,
        b"\xff\xff\xff" + bytes([Kind.DATA, 0]) + struct.pack(">I", 1) + b"x",
    ],
    ids=["no integer", "nothing remembered", "padding", "no beginning", "interrupted", "endless", "too large"],
)
def test_who_does_not_speak_http2_is_told_goodbye(client: Http2, server: LiveServer, sent: bytes) -> None:
    client.send(sent)
    client.read_until(lambda: client.goodbye is not None)
    assert client.goodbye == (0, 1)  # a protocol error
    again = Http2(server.port)
    assert again.status(again.call("GetExperiment", message("GetExperimentRequest")(id="x"))) == "5"
    again.socket.close()


def test_a_refusal_has_status_and_sentence_in_any_script(channel: grpc.Channel, call_over: Callable[..., Rpc], rpc: Rpc, run: str) -> None:
    for call, fields, code, words in (
        (rpc, {"parent_id": "né%é", "key": "k", "value": {"f_val": 1.0}}, grpc.StatusCode.NOT_FOUND, "né%é"),
        (rpc, {"parent_id": run, "key": " ", "value": {"f_val": 1.0}}, grpc.StatusCode.INVALID_ARGUMENT, "is empty"),
        (rpc, {"parent_id": run, "key": "k"}, grpc.StatusCode.INVALID_ARGUMENT, "has no value"),
        (call_over(channel, metadata=[("cookie", "a")]), {"parent_id": run}, grpc.StatusCode.UNAUTHENTICATED, "needs a token"),
        (call_over(channel, metadata=[("authorization", "Bearer x")]), {}, grpc.StatusCode.UNAUTHENTICATED, "not valid"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call(LOG, **fields)
        assert refused.value.code() is code
        assert words in str(refused.value.details())
    assert steps(rpc, run) == []


def test_many_threads_log_while_files_pass_on_one_channel(channel: grpc.Channel, call_over: Callable[..., Rpc], rpc: Rpc, run: str) -> None:
    content = os.urandom(3_000_000)
    frames = message("UploadFileRequest")

    def pass_file(number: int) -> bool:
        sent = [frames(metadata=message("FileMetadata")(parent_id=run, path=f"{number}", checksum=""))]
        sent += [frames(chunks=content[at : at + 100_000]) for at in range(0, len(content), 100_000)]
        file_id = rpc("UploadFile", sent).file_id
        _, *rest = rpc("DownloadFile", file_id=file_id)
        return b"".join(one.chunks for one in rest) == content

    def log(thread: int) -> None:
        for step in range(thread * 200, thread * 200 + 200):
            rpc(LOG, parent_id=run, key=f"k{step % 5}", value={"step": step, "f_val": step})

    with ThreadPoolExecutor(10) as pool:
        files = [pool.submit(pass_file, number) for number in range(4)]
        list(pool.map(log, range(6)))
        assert all(file.result() for file in files)
    assert steps(rpc, run) == list(range(1200))


def test_what_was_answered_before_a_server_stopped_is_stored_once(tmp_path: Path, call_over: Callable[..., Rpc]) -> None:
    answered: list[int] = []
    codes: set[str] = set()
    with live_server(partial(local_services, tmp_path), trust_same_user=True) as server:
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        call = call_over(channel, timeout=20)
        run = call("CreateExperiment", name="stopped").experiment_id

        def log(thread: int) -> None:
            for step in range(thread, 100_000, 4):
                try:
                    call(LOG, parent_id=run, key="k", value={"step": step, "f_val": step})
                except grpc.RpcError as error:
                    codes.add(error.code().name)
                    return
                answered.append(step)

        threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while len(answered) < 100:
            threads[0].join(0.01)
    for thread in threads:
        thread.join(30)
    channel.close()
    services = local_services(tmp_path)
    (block,) = services.metrics.read(Caller("x", "embedded"), MetricsQuery(objects=[run]))
    services.close()
    stored = [int(step) for step in memoryview(block.steps)]  # type: ignore[arg-type]
    assert len(stored) == len(set(stored))
    assert set(answered) <= set(stored)
    assert codes == {"UNAVAILABLE"}


# --- what comes and goes beside short calls ----------------------------------------------------------------------------------------------


class NoCalls:
    """Answers nothing by itself."""

    def takes(self, path: str) -> bool:
        return False

    def call(self, *_: object) -> None:
        raise AssertionError("nothing was taken")


Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def through_a_splice(speak: Speak) -> None:
    """Let a caller and a service speak, and see that the splice ends by itself."""

    async def run() -> None:
        (caller, ours), (theirs, service) = socket.socketpair(), socket.socketpair()
        for one in (caller, ours, theirs, service):
            one.setblocking(False)
        passing = asyncio.create_task(spliced(ours, theirs, PREFACE, NoCalls(), Peer()))
        outside, inside = await asyncio.open_connection(sock=caller), await asyncio.open_connection(sock=service)
        assert await inside[0].readexactly(len(PREFACE)) == PREFACE
        await speak(*outside, *inside)
        await asyncio.wait_for(passing, 60)
        for writer in (outside[1], inside[1]):
            writer.close()
            with suppress(ConnectionError):  # who did not read all is reset
                await writer.wait_closed()

    asyncio.run(run())


def test_everything_arrives_both_ways_before_the_end_does() -> None:
    pieces = [frame(Kind.DATA, 0, 1, os.urandom(16_384)) for _ in range(300)]
    up, down = b"".join(pieces), b"".join(reversed(pieces))

    async def speak(
        a_reader: asyncio.StreamReader, a_writer: asyncio.StreamWriter, b_reader: asyncio.StreamReader, b_writer: asyncio.StreamWriter
    ) -> None:
        a_writer.write(up)
        b_writer.write(down)
        assert await b_reader.readexactly(len(up)) == up
        b_writer.close()
        assert await a_reader.read() == down

    through_a_splice(speak)


def test_who_does_not_read_is_waited_for() -> None:
    async def speak(
        a_reader: asyncio.StreamReader, a_writer: asyncio.StreamWriter, b_reader: asyncio.StreamReader, b_writer: asyncio.StreamWriter
    ) -> None:
        sent = 0
        with suppress(TimeoutError):
            while sent < 100_000_000:
                b_writer.write(frame(Kind.DATA, 0, 1, bytes(16_384)) * 6)
                await asyncio.wait_for(b_writer.drain(), 0.5)
                sent += 100_000
        assert 0 < sent < 20_000_000  # buffers of the kernel and a few of ours, not memory without bounds
        a_writer.close()

    through_a_splice(speak)
