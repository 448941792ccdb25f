"""What all widgets share, in a real kernel: the output that outlives it, and questions of the page."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

import modelbox_widgets
from modelbox.errors import InvalidRequest
from modelbox_widgets.assembly import script_of, style_of
from modelbox_widgets.base import WIDGET, WIDGET_VIEW, NotebookWidget

STATIC = Path(modelbox_widgets.__file__).parent / "static"

PROBE = """
from modelbox.errors import InvalidRequest
from modelbox_widgets.base import NotebookWidget
import traitlets

class Probe(NotebookWidget):
    _esm = "export default { render({ el }) { el.textContent = 'alive' } }"
    size = traitlets.Int(1).tag(sync=True)

    def static_bundle(self):
        return {"text/plain": f"size {self.size}", "text/html": f"<p>saved {self.size}</p>"}, {}

    def answer(self, question, content):
        if question == "double":
            return {"result": 2 * content["of"]}, [b"more"]
        if question == "fail":
            raise ZeroDivisionError
        return super().answer(question, content)

probe = Probe()
"""

Message = dict[str, Any]


class Probe(NotebookWidget):
    """The least there can be."""


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager: KernelManager
    manager, client = start_new_kernel()
    run(client, PROBE)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(kernel: BlockingKernelClient, code: str, *, allow_stdin: bool = True) -> list[Message]:
    """Execute `code` and return what the kernel published meanwhile."""
    return until_idle(kernel, kernel.execute(code, allow_stdin=allow_stdin))


def until_idle(kernel: BlockingKernelClient, sent: str) -> list[Message]:
    messages: list[Message] = []
    while True:
        message = kernel.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != sent:
            continue
        messages.append(message)
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return messages


def displayed(messages: list[Message], kind: str = "display_data") -> Message:
    return next(message["content"] for message in messages if message["msg_type"] == kind)


def ask(kernel: BlockingKernelClient, content: object) -> tuple[list[Message], list[Message]]:
    """Send what a page may send to the probe; return what it was sent, and everything that was published."""
    shown = displayed(run(kernel, "probe"))
    data = {"method": "custom", "content": content}
    message = kernel.session.msg("comm_msg", {"comm_id": shown["data"][WIDGET]["model_id"], "data": data})
    kernel.shell_channel.send(message)
    messages = until_idle(kernel, message["header"]["msg_id"])
    return [m for m in messages if m["msg_type"] == "comm_msg" and m["content"]["data"]["method"] == "custom"], messages


def question(name: str, **content: object) -> Message:
    return {"type": "ask", "number": "page-1", "question": name, "content": content}


def test_an_output_holds_live_view_and_static_state(kernel: BlockingKernelClient) -> None:
    data = displayed(run(kernel, "probe"))["data"]
    assert data["text/plain"] == "size 1"
    assert data["text/html"] == "<p>saved 1</p>"
    assert data[WIDGET] == {"model_id": data[WIDGET_VIEW]["model_id"]}


def test_where_nobody_can_operate_it_there_is_only_the_static_state(kernel: BlockingKernelClient) -> None:
    """nbconvert would show the live view, from scripts of another host, in place of the table."""
    data = displayed(run(kernel, "probe", allow_stdin=False))["data"]
    assert WIDGET_VIEW not in data
    assert data["text/html"] == "<p>saved 1</p>"


def test_the_static_state_of_what_is_shown_can_be_brought_up_to_date(kernel: BlockingKernelClient) -> None:
    first = displayed(run(kernel, "other = Probe(); other"))
    later = displayed(run(kernel, "other.size = 5; other.update_output()"), "update_display_data")
    assert later["data"]["text/html"] == "<p>saved 5</p>"
    assert later["transient"] == first["transient"]
    assert "display_id" in first["transient"]


def test_a_question_gets_its_answer_with_binary_data(kernel: BlockingKernelClient) -> None:
    (reply,), _ = ask(kernel, question("double", of=4))
    assert reply["content"]["data"]["content"] == {"type": "answer", "number": "page-1", "content": {"result": 8}}
    assert [bytes(buffer) for buffer in reply["buffers"]] == [b"more"]


def test_a_question_that_cannot_be_answered_gets_a_sentence(kernel: BlockingKernelClient) -> None:
    (reply,), _ = ask(kernel, question("</script>"))
    assert reply["content"]["data"]["content"]["error"] == "A Probe cannot answer '</script>'."


def test_a_fault_of_ours_leaves_no_page_waiting(kernel: BlockingKernelClient) -> None:
    (reply,), messages = ask(kernel, question("fail"))
    assert reply["content"]["data"]["content"]["error"].startswith("The kernel could not answer")
    assert "ZeroDivisionError" in str(messages)


def test_any_widget_can_be_saved_as_a_page(kernel: BlockingKernelClient) -> None:
    (reply,), _ = ask(kernel, question("page"))
    page = reply["content"]["data"]["content"]["content"]["html"]
    assert page.startswith("<!doctype html>")
    assert "<p>saved 1</p>" in page


@pytest.mark.parametrize("content", [None, [1], "x", {"type": "ask"}, {"type": "ask", "number": 1, "question": "double", "content": {}}])
def test_messages_that_nobody_knows_are_ignored(kernel: BlockingKernelClient, content: object) -> None:
    replies, messages = ask(kernel, content)
    assert replies == []
    assert not [message for message in messages if message["msg_type"] == "error"]


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match=r"Probe has no setting 'layuot'\. Did you mean 'layout'\?"):
        Probe(layuot={})


WIDGETS = [
    value
    for name in modelbox_widgets.__all__
    if isinstance(value := getattr(modelbox_widgets, name), type) and issubclass(value, NotebookWidget)
]


@pytest.mark.parametrize("widget", WIDGETS)
def test_no_two_parts_of_a_widget_have_a_top_level_name_in_common(widget: type[NotebookWidget]) -> None:
    """They become one module, in which a name declared twice is a syntax error."""
    names = Counter(
        name
        for part in widget.parts
        for name in re.findall(
            r"^(?:export )?(?:const|let|class|function|async function) ([\w$]+)", (STATIC / f"{part}.js").read_text(), re.MULTILINE
        )
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_parts_become_one_module_without_imports_and_comments() -> None:
    script = script_of(["dom", "kernel", "menu"])
    lines = script.splitlines()
    assert not [line for line in lines if line.startswith(("import ", "export ", "//", "*"))]
    assert "function exportMenu(" in script
    assert len(script) < 10_000
    assert ".modelbox-widget" in style_of(["dom", "kernel"])
