"""One server does the work at a time, whatever their clocks say."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from modelbox.errors import StorageUnavailable
from modelbox_server.service.leases import Lease
from modelbox_server.storage.interfaces import MetadataTransaction
from modelbox_server.storage.metadata.memory import MemoryMetadataStore


class Clock:
    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def lease(store: MemoryMetadataStore, holder: str, clock: Clock) -> Lease:
    return Lease(store, "work", holder, term_s=10, monotonic_s=clock)


def test_the_first_holds_it_and_another_follows_after_a_term_of_silence() -> None:
    store, here, there = MemoryMetadataStore(), Clock(), Clock(1e6)  # clocks that have nothing to do with each other
    one, other = lease(store, "one", here), lease(store, "other", there)
    assert one.acquire()
    assert not other.acquire()
    for _ in range(5):
        here.now_s += 4
        there.now_s += 4
        assert one.acquire()
        assert not other.acquire()
    # One falls silent.
    here.now_s += 10.1
    there.now_s += 10.1
    assert not one.is_held
    assert not other.acquire()
    there.now_s += 2.5
    assert other.acquire()
    assert not one.acquire()


def test_released_it_is_free_at_once() -> None:
    store, clock = MemoryMetadataStore(), Clock()
    one, other = lease(store, "one", clock), lease(store, "other", clock)
    assert one.acquire()
    one.release()
    assert not one.is_held
    assert other.acquire()
    one.release()  # not its own any more
    assert other.acquire()


def test_while_the_store_is_away_it_is_held_to_the_end_of_its_term() -> None:
    class Away(MemoryMetadataStore):
        is_away = False

        @contextmanager
        def write(self, *alone: str) -> Iterator[MetadataTransaction]:
            if self.is_away:
                raise StorageUnavailable("away")
            with super().write(*alone) as tx:
                yield tx

    store, clock = Away(), Clock()
    one = lease(store, "one", clock)
    assert one.acquire()
    store.is_away = True
    clock.now_s = 9
    assert one.acquire()
    clock.now_s = 11
    assert not one.acquire()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 8), st.booleans()), max_size=30),
    st.lists(st.floats(0.9, 1.1), min_size=3, max_size=3),
)
def test_never_two_at_once_even_when_clocks_run_differently(steps: list[tuple[int, float, bool]], rates: list[float]) -> None:
    """Servers stall, come back and let go, in any order."""
    store, clocks = MemoryMetadataStore(), [Clock(1000.0 * i) for i in range(3)]
    holders = [Lease(store, "work", str(i), term_s=10, monotonic_s=clock) for i, clock in enumerate(clocks)]
    for who, pause_s, lets_go in steps:
        for clock, rate in zip(clocks, rates, strict=True):
            clock.now_s += pause_s * rate
        assert sum(holder.is_held for holder in holders) <= 1
        if lets_go:
            holders[who].release()
        else:
            holders[who].acquire()
        assert sum(holder.is_held for holder in holders) <= 1


def test_threads_that_all_want_it_at_once_get_it_one_at_a_time() -> None:
    store = MemoryMetadataStore()
    holders = [Lease(store, "work", str(i)) for i in range(8)]
    barrier = threading.Barrier(8)
    got: list[bool] = []

    def run(one: Lease) -> None:
        barrier.wait()
        got.append(one.acquire())

    threads = [threading.Thread(target=run, args=(one,)) for one in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]
    assert sum(one.is_held for one in holders) == 1
