"""EventFeed without a browser: the newest first however many there are, what is new, and filters."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import traitlets

from modelbox.client.connection import ModelBox
from modelbox.errors import InvalidRequest, ServerUnreachable
from modelbox.testing import memory_connection
from modelbox.wire.messages import ChangesQuery
from modelbox_widgets import event_feed
from modelbox_widgets.event_feed import EventFeed, newest_changes
from modelbox_widgets.testing import HOSTILE_NAMES


@pytest.fixture
def box() -> Iterator[ModelBox]:
    with memory_connection() as connection:
        yield connection


@pytest.fixture
def feeds(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., EventFeed]]:
    """Make feeds that look often, and are closed at the end."""
    monkeypatch.setattr(event_feed, "_PAUSE_S", 0.02)
    monkeypatch.setattr(event_feed, "_LONGEST_PAUSE_S", 0.05)
    made: list[EventFeed] = []

    def make(*arguments: Any, **settings: Any) -> EventFeed:
        made.append(EventFeed(*arguments, connection=box, **settings))
        return made[-1]

    yield make
    for feed in made:
        feed.close()


def eventually(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until_s, "it never happened"
        time.sleep(0.01)


@pytest.mark.parametrize("limit", [1, 7, 200])
@pytest.mark.parametrize("runs", [0, 1, 5, 700])
def test_the_newest_are_found_however_long_the_log_is(box: ModelBox, runs: int, limit: int) -> None:
    for i in range(runs):
        box.new_experiment(f"run {i}", namespace="a" if i % 3 else "b")
    for namespace in (None, "a", "b", "nothing"):
        expected = box.changes(namespace=namespace)[-limit:]
        assert newest_changes(box.session, ChangesQuery(namespace=namespace, limit=1000), limit) == expected


def test_what_happens_appears_by_itself(box: ModelBox, feeds: Callable[..., EventFeed]) -> None:
    run = box.new_experiment("before", namespace="team/a")
    feed = feeds("team")
    assert [event["what"] for event in feed._events] == ["experiment before"]
    run.log_event("epoch ended", source="trainer", metadata={"epoch": 1})
    box.new_experiment("elsewhere", namespace="other")
    eventually(lambda: len(feed._events) == 2)
    assert {name: feed._events[-1][name] for name in ("kind", "what", "who", "where")} == {
        "kind": "event",
        "what": "epoch ended",
        "who": "trainer",
        "where": "team/a",
    }
    assert [change.object_type for change in feed.events] == ["experiment", "event"]


def test_of_one_object_only_what_hangs_on_it(box: ModelBox, feeds: Callable[..., EventFeed]) -> None:
    run, other = box.new_experiment("a"), box.new_experiment("b")
    feed = feeds(subject=run)
    other.log_event("not this")
    run.log_event("this")
    eventually(lambda: len(feed._events) == 2)
    assert [event["what"] for event in feed._events] == ["experiment a", "this"]


def test_a_paused_feed_waits_and_catches_up(box: ModelBox, feeds: Callable[..., EventFeed]) -> None:
    feed = feeds(following=False)
    box.new_experiment("a")
    time.sleep(0.2)
    assert feed._events == []
    feed.following = True
    eventually(lambda: feed._events)


def test_memory_is_bounded(box: ModelBox, feeds: Callable[..., EventFeed]) -> None:
    feed = feeds(limit=5)
    for i in range(20):
        box.new_experiment(f"run {i}")
    eventually(lambda: feed.events and feed._events[-1]["what"] == "experiment run 19")
    assert [event["what"] for event in feed._events] == [f"experiment run {i}" for i in range(15, 20)]
    with pytest.raises(InvalidRequest, match="1 to 1000"):
        feeds(limit=10**9)


def test_what_is_left_is_what_the_filters_show(box: ModelBox, feeds: Callable[..., EventFeed]) -> None:
    run = box.new_experiment("digits")
    run.log_event("epoch ended", source="trainer")
    run.update_metadata({"params.lr": 0.1})
    feed = feeds(kinds=["event"])
    assert "epoch ended" in feed.static_bundle()[0]["text/plain"]
    assert "params.lr" not in feed.static_bundle()[0]["text/html"]
    feed.set_state({"kinds": [], "contains": "PARAMS.LR"})
    assert "params.lr" in feed.static_bundle()[0]["text/html"]
    assert "epoch ended" not in feed.static_bundle()[0]["text/html"]
    with pytest.raises(traitlets.TraitError):
        feed.kinds = ["exploded"]
    with pytest.raises(InvalidRequest, match="Did you mean 'contains'"):
        feeds(contain="x")


def test_a_store_that_is_away_is_said_in_the_feed(box: ModelBox, feeds: Callable[..., EventFeed], monkeypatch: pytest.MonkeyPatch) -> None:
    feed = feeds()
    call = box.session.transport.call

    def away(*_arguments: object, **_more: object) -> None:
        raise ServerUnreachable("Nobody answers at http://127.0.0.1:9: start the server.")

    monkeypatch.setattr(box.session.transport, "call", away)
    eventually(lambda: "Nobody answers" in feed._trouble)
    monkeypatch.setattr(box.session.transport, "call", call)
    eventually(lambda: feed._trouble == "")


def test_hostile_names_are_text(box: ModelBox, feeds: Callable[..., EventFeed]) -> None:
    for name in HOSTILE_NAMES:
        box.new_experiment(name).log_event(name, source=name, metadata={name: name})
    html = feeds().static_bundle()[0]["text/html"]
    assert "<img" not in html
    assert "</script>" not in html
