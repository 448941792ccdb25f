"""What happens in a store, as it happens: what was logged as events, and what was created, changed, deleted, sent and fetched."""

import contextvars
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
import traitlets

from modelbox.client.connection import ModelBox
from modelbox.client.notices import Notices
from modelbox.client.session import Session
from modelbox.client.shared import default_connection
from modelbox.client.tracked import TrackedObject
from modelbox.entities.ids import is_id
from modelbox.entities.records import ChangeEvent, ChangeKind, Json
from modelbox.errors import InvalidRequest, ModelBoxError, shortened
from modelbox.wire import routes
from modelbox.wire.messages import MAX_PAGE, ChangesQuery
from modelbox_widgets.base import Answer, Bundle, NotebookWidget
from modelbox_widgets.text import clipped, html_row, html_table, html_view, text_table, value_text

__all__ = ["EventFeed", "newest_changes"]

_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 8.0
_FIRST_OUTPUT_S, _LAST_OUTPUT_S = 4.0, 120.0
_STATIC_ROWS = 50
_HEAD = ("when", "what", "kind", "who", "details")

# What says nothing that is not said elsewhere in the row.
_DULL = frozenset(
    {"id", "name", "namespace", "created_at", "updated_at", "started_at", "wall_time", "parent_id", "model_id", "md5", "content", "source"}
)

_notices = Notices()


class EventFeed(NotebookWidget, parts=["lists", "event_feed"]):
    """Events and changes, newest first, live.

    Parameters
    ----------
    namespace
        Only what happens in this namespace or below it.
    subject
        Only what happens to this experiment, model … and to what hangs on it.
    connection
        Which store; that of `subject`, or the shared connection, when left out.
    kinds
        What to show, of ``created``, ``updated``, ``destroyed``, ``uploaded``, ``downloaded`` and ``event`` (what trainers log);
        everything when empty.
    contains
        Show only what has this text somewhere.
    following
        Go on looking for what is new.
    limit
        How many the feed remembers.

    Notes
    -----
    `kinds`, `contains` and `following` are traits that go both ways. The kernel looks for what is new every second, and less often while
    nothing happens, until :meth:`close`.

    Examples
    --------
    >>> feed = modelbox.event_feed("team/vision", kinds=["event"])  # doctest: +SKIP
    """

    kinds = traitlets.List(trait=traitlets.Enum([*map(str, ChangeKind), "event"])).tag(sync=True)
    contains = traitlets.Unicode("").tag(sync=True)
    following = traitlets.Bool(default_value=True).tag(sync=True)

    _events = traitlets.List(trait=traitlets.Dict()).tag(sync=True)
    _trouble = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        namespace: str | None = None,
        *,
        subject: TrackedObject | None = None,
        connection: ModelBox | None = None,
        limit: int = 200,
        **traits: Any,
    ) -> None:
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest(f"limit is {shortened(limit, 40)}: a feed remembers 1 to {MAX_PAGE} events.", field="limit")
        self._session = subject.session if subject else (connection or default_connection()).session
        self._query = ChangesQuery(namespace=namespace, object_id=subject.id if subject else None, limit=MAX_PAGE)
        self._changes = deque(newest_changes(self._session, self._query, limit), maxlen=limit)
        self._after = self._changes[-1].seq if self._changes else 0
        self._wake = threading.Event()
        super().__init__(_events=[_described(change) for change in self._changes], **traits)
        self.observe(lambda _change: self._wake.set(), "following")
        context = contextvars.copy_context()  # by which the display publisher knows the cell of an output
        threading.Thread(target=context.run, args=(self._follow,), name="modelbox-event-feed", daemon=True).start()

    @property
    def events(self) -> list[ChangeEvent]:
        """What the feed remembers, oldest first; filters of the page do not matter."""
        return list(self._changes)

    def refresh(self) -> bool:
        """Look for what is new now, and tell whether there was something."""
        fresh = _changes_after(self._session, self._query, self._after)
        if not fresh:
            return False
        self._after = fresh[-1].seq
        self._changes.extend(fresh)
        self._events = [_described(change) for change in self._changes]
        return True

    def answer(self, question: str, content: Mapping[str, Json]) -> Answer:
        """Look for what is new when the page asks."""
        if question == "refresh":
            self.refresh()
            return {}, ()
        return super().answer(question, content)

    def static_bundle(self) -> tuple[Bundle, Bundle]:
        """Return a table of what is shown, newest first."""
        shown = [event for event in reversed(self._events) if self._is_shown(event)]
        rows = [[event["at"][:19].replace("T", " "), event["what"], event["kind"], event["who"], event["details"]] for event in shown]
        caption = f"{len(rows)} events" + (f", the newest {_STATIC_ROWS} of them" if len(rows) > _STATIC_ROWS else "")
        table = html_table([(name, "") for name in _HEAD], [html_row([(cell, "") for cell in row]) for row in rows[:_STATIC_ROWS]])
        text = f"{caption}\n{text_table(_HEAD, rows[:_STATIC_ROWS])}" if rows else "no events"
        return {"text/plain": text, "text/html": html_view(f'<div class="modelbox-head">{caption}</div>', table if rows else "")}, {}

    def _is_shown(self, event: Mapping[str, str]) -> bool:
        wanted = self.contains.casefold()
        return (not self.kinds or event["kind"] in self.kinds) and any(wanted in text.casefold() for text in event.values())

    def _follow(self) -> None:
        pause_s, output_s = _PAUSE_S, _FIRST_OUTPUT_S
        output_at_s = time.monotonic()
        is_stale = False
        while self.comm is not None:
            self._wake.wait(pause_s)
            self._wake.clear()
            if not self.following or self.comm is None:
                pause_s = _LONGEST_PAUSE_S
                continue
            try:
                grew = self.refresh()
                self._trouble = ""
                is_stale |= grew
                pause_s = _PAUSE_S if grew else min(1.2 * pause_s, _LONGEST_PAUSE_S)
                if is_stale and time.monotonic() - output_at_s >= output_s:
                    self.update_output()
                    is_stale, output_at_s, output_s = False, time.monotonic(), min(2 * output_s, _LAST_OUTPUT_S)
            except ModelBoxError as error:
                pause_s, self._trouble = _LONGEST_PAUSE_S, error.detail
            except Exception as error:  # noqa: BLE001 - a feed that fails must not put a traceback into other output
                if self.comm is not None:  # the store may have gone together with the feed
                    _notices.log("event feed", f"ModelBox: an event feed stopped: {type(error).__name__}: {error}")
                return


def newest_changes(session: Session, query: ChangesQuery, limit: int) -> list[ChangeEvent]:
    """Return the last `limit` change events that `query` finds, oldest first.

    A store lists changes from a sequence number on, so the end is looked for by halving: some forty short questions, however long the log.
    """

    def is_after(seq: int) -> bool:
        return bool(session.call(routes.LIST_CHANGES, query=msgspec.structs.replace(query, after=seq, limit=1)).items)

    begin, end = 0, 1
    while is_after(end):
        begin, end = end, 2 * end
    while end - begin > MAX_PAGE:
        middle = (begin + end) // 2
        begin, end = (middle, end) if is_after(middle) else (begin, middle)
    back = max(2 * limit, MAX_PAGE)
    while True:
        changes = _changes_after(session, query, max(0, end - back))
        if len(changes) >= limit or back >= end:
            return changes[-limit:]
        back *= 4


def _changes_after(session: Session, query: ChangesQuery, seq: int) -> list[ChangeEvent]:
    changes: list[ChangeEvent] = []
    while True:
        page = session.call(routes.LIST_CHANGES, query=msgspec.structs.replace(query, after=changes[-1].seq if changes else seq))
        changes += page.items
        if len(page.items) < query.limit:
            return changes


def _described(change: ChangeEvent) -> dict[str, str]:
    new, old = (part if isinstance(part := change.payload.get(name), dict) else {} for name in ("new", "old"))
    is_event = change.object_type == "event"
    named = (new.get("name"), old.get("name"), change.payload.get("name"), new.get("version"), old.get("version"))
    name = next((one for one in named if one), change.object_id[:8])
    details = {key: value for key, value in new.items() if key not in _DULL and value not in (None, "", [], {})}
    said = ", ".join(f"{key} {_said(value)}" for key, value in details.items())
    return {
        "seq": str(change.seq),
        "at": change.at.isoformat(),
        "kind": "event" if is_event else str(change.kind),
        "what": clipped(str(name) if is_event else f"{change.object_type.replace('_', ' ')} {name}", 200),
        "who": clipped(str(new.get("source") or change.actor) if is_event else change.actor, 80),
        "where": change.namespace,
        "id": change.object_id,
        "details": clipped(said, 300),
    }


def _said(value: Json) -> str:
    if isinstance(value, list):
        return " ".join(map(_said, value))
    return value[:8] if isinstance(value, str) and is_id(value) else value_text(value)
