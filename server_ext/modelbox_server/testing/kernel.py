"""A kernel of a running Jupyter server, driven over its REST API and WebSocket as a page does it."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import websocket

from modelbox.entities.records import Json
from modelbox_server.testing.jupyter_process import JupyterProcess

__all__ = ["CellFailed", "ServerKernel", "server_kernel"]

_TIMEOUT_S = 120.0


class CellFailed(AssertionError):
    """A cell raised an exception."""


class ServerKernel:
    """A kernel that a Jupyter server started.

    Parameters
    ----------
    server
        The server.
    kernel_id
        Id of the kernel.
    socket
        Its channels.
    """

    def __init__(self, server: JupyterProcess, kernel_id: str, socket: websocket.WebSocket) -> None:
        self._server = server
        self._socket = socket
        self.kernel_id = kernel_id

    def send(self, code: str) -> str:
        """Ask the kernel to execute `code`, and return the id of the request without waiting."""
        content: Json = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        return self._request("execute_request", content)

    def complete(self, code: str) -> list[str]:
        """Return what the kernel offers for the end of `code` when somebody presses Tab there."""
        request_id = self._request("complete_request", {"code": code, "cursor_pos": len(code)})
        for message in self.messages():
            if message["msg_type"] == "complete_reply" and message["parent_header"].get("msg_id") == request_id:
                content = message["content"]
                return [code[: content["cursor_start"]] + match for match in content["matches"]]
        raise AssertionError(f"The kernel offered nothing for {code!r} within {_TIMEOUT_S:.0f} s.")

    def _request(self, kind: str, content: Json) -> str:
        request_id = uuid.uuid4().hex
        header = {"msg_id": request_id, "msg_type": kind, "username": "", "session": self.kernel_id, "version": "5.3"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}
        self._socket.send(json.dumps(message))
        return request_id

    def messages(self, timeout_s: float = _TIMEOUT_S) -> Iterator[Json]:
        """Yield what comes from the kernel until nothing has come for `timeout_s`."""
        self._socket.settimeout(timeout_s)
        while True:
            try:
                frame = self._socket.recv()
            except websocket.WebSocketTimeoutException:
                return
            if isinstance(frame, str) and frame:
                yield json.loads(frame)

    def run(self, code: str) -> list[Json]:
        """Execute `code` and return its outputs as a notebook would hold them, those that were updated in their last form.

        Raises
        ------
        CellFailed
            The code raised an exception.
        """
        request_id = self.send(code)
        outputs: list[Json] = []
        by_display: dict[str, Json] = {}
        for message in self.messages():
            kind, content = message["msg_type"], message["content"]
            display_id = content.get("transient", {}).get("display_id") if isinstance(content, dict) else None
            if kind == "update_display_data" and display_id in by_display:
                by_display[display_id].update(data=content["data"], metadata=content["metadata"])
            if message["parent_header"].get("msg_id") != request_id:
                continue
            if kind in {"display_data", "execute_result", "stream"}:
                outputs.append({"output_type": kind, **content})
                if display_id:
                    by_display[display_id] = outputs[-1]
            elif kind == "error":
                raise CellFailed(f"{code}\n\n{content['ename']}: {content['evalue']}\n" + "\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return outputs
        raise CellFailed(f"Nothing came from the kernel for {_TIMEOUT_S:.0f} s while it ran:\n{code}")

    def interrupt(self) -> None:
        """Let the server interrupt the kernel, as the button of a page does."""
        _request(self._server, "POST", f"api/kernels/{self.kernel_id}/interrupt")

    def kill(self) -> None:
        """Let the server end the kernel."""
        _request(self._server, "DELETE", f"api/kernels/{self.kernel_id}")


@contextmanager
def server_kernel(server: JupyterProcess) -> Iterator[ServerKernel]:
    """Start a Python kernel of `server`, and end it when the block is left."""
    kernel_id = _request(server, "POST", "api/kernels", {"name": "python3"})["id"]
    address = f"{server.jupyter_url.replace('http', 'ws', 1)}/api/kernels/{kernel_id}/channels"
    socket = websocket.create_connection(address, header=server.headers, timeout=_TIMEOUT_S)
    kernel = ServerKernel(server, kernel_id, socket)
    try:
        yield kernel
    finally:
        socket.close()
        living = {known["id"] for known in _request(server, "GET", "api/kernels")}
        if kernel_id in living:
            kernel.kill()


def _request(server: JupyterProcess, method: str, path: str, body: Json = None) -> Json:
    data = None if body is None else json.dumps(body).encode()
    headers = {**server.headers, "Content-Type": "application/json"}
    begin_s = time.monotonic()
    with urlopen(Request(f"{server.jupyter_url}/{path}", data, headers, method=method), timeout=_TIMEOUT_S) as answer:  # noqa: S310 - our own server
        content = answer.read()
    assert time.monotonic() - begin_s < _TIMEOUT_S
    return json.loads(content) if content else None
