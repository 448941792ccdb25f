"""What all widgets of ModelBox share: a script of small files, questions that the page asks, and a picture that outlives the kernel.

A widget is a live view of a model in the kernel. When the kernel is gone, so is the model, and what remains is the output. So each output
carries a *static state* beside the live view: text, and HTML with a table and a picture. JupyterLab and Jupyter Notebook show it by our
extension, which puts the live view in its place while there is one; nbconvert, GitHub and everything else show it anyway.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, ClassVar, TypeAlias

import anywidget
from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, ModelBoxError, nearest, shortened
from modelbox_widgets.assembly import script_of, style_of
from modelbox_widgets.text import clipped

__all__ = ["WIDGET", "WIDGET_VIEW", "Answer", "Bundle", "NotebookWidget"]

WIDGET = "application/vnd.modelbox.widget+json"
"""Media type that our extension draws: ``{"model_id": …}``; it shows the static state until the kernel has that model."""

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
"""Media type of a live view, for everything that shows widgets but does not have our extension."""

Bundle: TypeAlias = dict[str, Json]
"""Contents of an output by media type."""

Answer: TypeAlias = tuple[dict[str, Json], Sequence[bytes]]
"""What a question of the page is answered with: JSON, and binary data beside it."""

_log = logging.getLogger(__name__)
_SHARED_PARTS = ("dom", "kernel", "menu")


class NotebookWidget(anywidget.AnyWidget):
    """A widget of ModelBox.

    A subclass names the files of its script (``class Table(NotebookWidget, parts=["grid", "table"])``: ``static/grid.js``,
    ``static/table.js``, and the ``.css`` of the same names), gives a static state, and answers what its script asks.

    Raises
    ------
    InvalidRequest
        A keyword is not one of its settings.
    """

    parts: ClassVar[tuple[str, ...]] = ()
    """The files of its script, in order."""

    def __init_subclass__(cls, *, parts: Sequence[str] = (), **options: Any) -> None:
        super().__init_subclass__(**options)
        if parts:
            cls.parts = (*_SHARED_PARTS, *parts)
            cls._esm = script_of(cls.parts)
            cls._css = style_of(cls.parts)

    def __init__(self, **traits: Any) -> None:
        for name in traits:
            if not self.has_trait(name):
                known = sorted(trait for trait in self.trait_names() if not trait.startswith("_"))
                guess = nearest(name, known) or f"It has: {', '.join(known)}."
                raise InvalidRequest(f"{type(self).__name__} has no setting {shortened(name)}. {guess}", field=name)
        self._display_id = f"modelbox-{os.urandom(8).hex()}"
        self._is_displayed = False
        super().__init__(**traits)
        self.on_msg(self._on_message)

    def static_bundle(self) -> tuple[Bundle, Bundle]:
        """Return the static state as a bundle and its metadata: at least ``text/plain``, and ``text/html`` with table and picture.

        The HTML must say everything without scripts and style sheets of others, and with its drawings removed: pages clean the HTML of
        notebooks that are not trusted. A picture belongs into an ``img`` element with its bytes inline, see
        :func:`modelbox_widgets.picture.picture_html`.
        """
        raise NotImplementedError

    def answer(self, question: str, content: Mapping[str, Json]) -> Answer:
        """Return the answer to a question of the page; whatever it sends is a stranger's, so look at every value before using it.

        Raises
        ------
        ModelBoxError
            Its sentence is shown in the page.
        """
        raise InvalidRequest(f"A {type(self).__name__} cannot answer {shortened(question)}.")

    def update_output(self) -> None:
        """Put the present static state into all outputs that show this widget, so that it is what remains."""
        if self._is_displayed:
            self._publish(update=True)

    def close(self) -> None:
        """Take the live view off the page; the present static state stays in its outputs."""
        # Without its model, and called by the garbage collector, a widget may lack any attribute.
        if getattr(self, "_is_displayed", False) and self.comm is not None:
            self.update_output()
        super().close()

    def __repr__(self) -> str:
        text: str = self.static_bundle()[0]["text/plain"]
        return text

    def _ipython_display_(self) -> None:
        # Only what is published with an identity can be updated later.
        self._is_displayed = True
        self._publish(update=False)

    def _repr_mimebundle_(self, **_options: Any) -> tuple[Bundle, Bundle]:
        """Return live view and static state as one bundle, for programs that collect outputs."""
        bundle, metadata = self.static_bundle()
        live: Bundle = {WIDGET: {"model_id": self.model_id}}
        if _is_attended():
            live[WIDGET_VIEW] = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {**live, **bundle}, metadata

    def _publish(self, *, update: bool) -> None:
        bundle, metadata = self._repr_mimebundle_()
        publish_display_data(bundle, metadata, transient={"display_id": self._display_id}, update=update)  # type: ignore[no-untyped-call]

    def _on_message(self, _widget: object, content: object, _buffers: Sequence[Any]) -> None:
        match content:
            case {"type": "ask", "number": str(number), "question": str(question), "content": dict(details)}:
                self._reply(number, question, details)
            case _:
                _log.warning("A %s got a message that it does not know and ignored it.", type(self).__name__)

    def _reply(self, number: str, question: str, details: dict[str, Json]) -> None:
        reply: dict[str, Json] = {"type": "answer", "number": number}
        buffers: Sequence[bytes] = ()
        try:
            reply["content"], buffers = self._page() if question == "page" else self.answer(question, details)
        except ModelBoxError as error:
            reply["error"] = error.detail
        except Exception:
            reply["error"] = "The kernel could not answer: its log says why."
            raise
        finally:
            self.send(reply, list(buffers))

    def _page(self) -> Answer:
        """Return the static state as a page of its own, for a file."""
        bundle, _ = self.static_bundle()
        title = escape(clipped(bundle["text/plain"].partition("\n")[0]))
        head = f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{title}</title>'
        return {"html": f"<!doctype html><html><head>{head}</head><body>{bundle['text/html']}</body></html>"}, ()


def _is_attended() -> bool:
    """Tell whether somebody may operate what is displayed now.

    Nobody types into a cell that nbclient, nbconvert or papermill executes. They keep the state of widgets, and a page made of it would
    show a live view, which needs scripts from elsewhere, in place of the static state.
    """
    get_parent = getattr(get_ipython(), "get_parent", None)  # only the shells of kernels have it
    parent = get_parent() if callable(get_parent) else None
    content = parent.get("content") if isinstance(parent, dict) else None
    return not isinstance(content, dict) or content.get("allow_stdin") is not False
