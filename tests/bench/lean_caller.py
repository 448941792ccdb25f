"""A caller of one unary gRPC method that costs next to nothing: ``lean_caller.py PORT METHOD TOKEN SECONDS CONNECTIONS < requests``.

gRPC's own client for Python takes as much of a core for a call as its server does, and on a machine of two cores one would measure the
caller. This one writes frames that are made beforehand, compares the ends of answers, and has one call under way on each connection.
It reads one request per connection from its standard input, in hex, and prints one JSON object: calls, latencies, and its CPU time.
"""

import json
import selectors
import socket
import struct
import sys
import time

DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
LARGE_WINDOW = 2**30


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header that the other end keeps: later requests name it by its number, as gRPC's clients do."""
    return b"\x40" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Connection:
    """One connection, with one call under way."""

    def __init__(self, port: int, headers: list[tuple[bytes, bytes]], request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, LARGE_WINDOW))
            + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGE_WINDOW))
        )
        self.first = b"".join(literal(name, value) for name, value in headers)
        self.later = bytes(0x80 | (61 + len(headers) - at) for at in range(len(headers)))
        self.message = b"\0" + struct.pack(">I", len(request)) + request
        self.stream = 1
        self.rest = b""
        self.begun_s = 0.0
        self.has_message = False

    def call(self) -> None:
        block = self.first if self.stream == 1 else self.later
        self.begun_s = time.perf_counter()
        self.socket.sendall(frame(HEADERS, END_HEADERS, self.stream, block) + frame(DATA, END_STREAM, self.stream, self.message))

    def is_answered(self) -> bool:
        """Read what is there; tell whether it has the end of the answer."""
        data = self.rest + self.socket.recv(65536)
        if not data:
            raise SystemExit("The server closed a connection.")
        ended = False
        at = 0
        while len(data) - at >= 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            ended |= self._ends_answer(data[at + 3], data[at + 4], data[at + 9 : end])
            at = end
        self.rest = data[at:]
        if ended:
            self.stream += 2
            self.has_message = False
        return ended

    def _ends_answer(self, kind: int, flags: int, payload: bytes) -> bool:
        if kind == HEADERS and flags & END_STREAM:
            if not self.has_message:
                raise SystemExit("A call was refused.")
            return True
        if kind == DATA:
            self.has_message = True
        elif kind == SETTINGS and not flags & ACK:
            self.socket.sendall(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            raise SystemExit("The server said goodbye.")
        return False


def main() -> None:
    port, method, token, seconds, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])
    headers = [
        (b":scheme", b"http"),
        (b":method", b"POST"),
        (b":authority", b"127.0.0.1:%d" % port),
        (b":path", method.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"lean-caller"),
        (b"authorization", b"Bearer " + token.encode()),
    ]
    selector = selectors.DefaultSelector()
    connections = [Connection(port, headers, bytes.fromhex(sys.stdin.readline())) for _ in range(count)]
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.call()
    times_us: list[float] = []
    begin_s, cpu_s = time.perf_counter(), time.process_time()
    end_s = begin_s + seconds
    while (now_s := time.perf_counter()) < end_s:
        for key, _ in selector.select(1.0):
            connection = key.data
            if connection.is_answered():
                times_us.append((time.perf_counter() - connection.begun_s) * 1e6)
                connection.call()
    wall_s = now_s - begin_s
    times_us.sort()
    answer = {
        "calls": len(times_us),
        "seconds": wall_s,
        "p50_us": times_us[len(times_us) // 2],
        "p99_us": times_us[len(times_us) * 99 // 100],
        "cpu_s": time.process_time() - cpu_s,
    }
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
