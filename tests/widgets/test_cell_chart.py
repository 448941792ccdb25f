"""The widget and its comm, in a real kernel."""

import struct
from collections.abc import Iterator

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from modelbox.entities.records import Json

MAKE = """
from modelbox_widgets.cell_chart import CellChart
from modelbox_widgets.testing import float_block
chart = CellChart({"run-1": "wörk <b>"})
"""

BLOCK = "float_block('run-1', 'loss', [1.0, float('inf')], first_step=i)"
LISTEN = "import logging; notes = []; logging.getLogger('modelbox_widgets.cell_chart').addFilter(lambda r: notes.append(r) or False)"


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager: KernelManager
    manager, client = start_new_kernel()
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(kernel: BlockingKernelClient, code: str) -> list[Json]:
    """Execute `code` and return what the kernel published meanwhile."""
    sent = kernel.execute(code)
    messages = []
    while True:
        message = kernel.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != sent:
            continue
        assert message["msg_type"] != "error", message["content"]
        messages.append(message)
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return messages


def send(kernel: BlockingKernelClient, comm_id: str, content: Json, buffers: list[bytes] | None = None) -> None:
    data = {"method": "custom", "content": content}
    message = kernel.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
    kernel.session.send(kernel.shell_channel.socket, message, buffers=buffers)


def opened(messages: list[Json]) -> Json:
    return next(m for m in messages if m["msg_type"] == "comm_open" and "_snapshot" in m["content"]["data"]["state"])


def custom(messages: list[Json]) -> list[Json]:
    return [m for m in messages if m["msg_type"] == "comm_msg" and m["content"]["data"]["method"] == "custom"]


def snapshots(messages: list[Json]) -> list[Json]:
    updates = [m["content"]["data"] for m in messages if m["msg_type"] == "comm_msg" and m["content"]["data"]["method"] == "update"]
    return [update["state"]["_snapshot"] for update in updates if "_snapshot" in update["state"]]


def floats(buffer: memoryview) -> list[float]:
    data = bytes(buffer)
    return list(struct.unpack(f"{len(data) // 8}d", data))


def test_points_travel_as_numbered_increments_in_binary(kernel: BlockingKernelClient) -> None:
    state = opened(run(kernel, MAKE))["content"]["data"]["state"]
    assert state["_runs"] == [{"id": "run-1", "label": "wörk <b>", "colour": "#2f7ed8"}]
    assert len(state["_esm"]) < 20_000
    assert "http://" not in state["_esm"].replace("http://www.w3.org", "")
    first, second = custom(
        run(kernel, "for i in (0, 2):\n    chart.extend([float_block('run-1', 'loss', [1.0, float('inf')], first_step=i)])")
    )
    assert first["content"]["data"]["content"] == {"type": "points", "number": 1, "series": [{"run": "run-1", "key": "loss"}]}
    assert second["content"]["data"]["content"]["number"] == 2
    assert [floats(buffer) for buffer in second["buffers"]] == [[2.0, 3.0], [1.0, float("inf")]]


def test_a_page_that_missed_something_gets_everything(kernel: BlockingKernelClient) -> None:
    comm_id = opened(run(kernel, MAKE + "chart.extend([float_block('run-1', 'loss', [3.0, 4.0])])"))["content"]["comm_id"]
    send(kernel, comm_id, {"type": "resync"})
    snapshot = next(found for message in iter(lambda: kernel.get_iopub_msg(timeout=60), None) for found in snapshots([message]))
    assert snapshot["number"] == 1
    assert snapshot["series"][0]["key"] == "loss"


@pytest.mark.parametrize("content", [{"type": "evil"}, {"type": "resync", "more": 1}, "x" * 1_000_000, None, [1, 2]])
def test_messages_that_nobody_knows_are_ignored_and_noted(kernel: BlockingKernelClient, content: Json) -> None:
    comm_id = opened(run(kernel, MAKE))["content"]["comm_id"]
    run(
        kernel, "import logging; notes = []; logging.getLogger('modelbox_widgets.cell_chart').addFilter(lambda r: notes.append(r) or False)"
    )
    send(kernel, comm_id, content)
    messages = run(kernel, "print(len(notes), notes[0].getMessage()[:60])")
    printed = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    assert printed.startswith("1 A live chart got a message that it does not know")


def test_a_long_run_is_thinned_and_sent_whole(kernel: BlockingKernelClient) -> None:
    messages = run(kernel, MAKE + "chart.extend([float_block('run-1', 'loss', [0.0] * 5000 + [9.0] + [0.0] * 5000)])")
    assert custom(messages) == []
    (state,) = [update for update in snapshots(messages) if update["number"] == 1]
    assert [series["key"] for series in state["series"]] == ["loss"]
    kept = run(kernel, "print(len(chart._series['run-1', 'loss'][1]), chart._series['run-1', 'loss'][1].max())")
    assert "9.0" in "".join(m["content"]["text"] for m in kept if m["msg_type"] == "stream")
