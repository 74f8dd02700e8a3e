"""Watches on their way out, however many there are: each gets what concerns it, and costs nothing meanwhile."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import Outlet
from actors.etcd.feeds import Feeds
from actors.etcd.mvcc.store import Store
from actors.etcd.mvcc.watch import Watcher
from protocols.errors import Answer
from protocols.etcd import Compact, Compacted, EmptyKey, Event, Op, Txn, WatchKeys, WatchResponse
from tests.effort import examples
from tests.etcd.mvcc_model import within
from tests.etcd.test_mvcc import at, commands, ends, keys


class Reader:
    """Stands where an outlet would: takes items while it has credit."""

    def __init__(self, request: WatchKeys, credit: int) -> None:
        self.request = request
        self.credit = credit
        self.closed = False
        self.error: Answer | None = None
        self.items: list[WatchResponse] = []
        self.on_ready = self.on_closed = lambda: None

    def send(self, item: WatchResponse) -> None:
        assert self.credit > 0, "sent without credit"
        self.credit -= 1
        self.items.append(item)

    def end(self, error: Answer) -> None:
        self.error, self.closed = error, True
        self.on_closed()

    def grant(self, credit: int) -> None:
        self.credit += credit
        if self.credit == credit and not self.closed:
            self.on_ready()

    @property
    def outlet(self) -> Outlet:
        return cast(Outlet, self)

    @property
    def events(self) -> list[Event]:
        return [event for item in self.items for event in item.events]


def put(key: bytes, value: bytes = b"v") -> Txn:
    return Txn((), (Op("put", key, value),))


def opened(feeds: Feeds, request: WatchKeys, credit: int = 1_000) -> Reader:
    reader = Reader(request, credit)
    feeds.open(request, reader.outlet)
    return reader


steps = st.one_of(
    commands,
    st.builds(WatchKeys, keys, ends, st.integers(0, 8), prev_kv=st.just(True)),
    st.tuples(st.integers(0, 5), st.integers(1, 3)),
    st.just("turn"),
    st.just("progress"),
)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(st.lists(steps, min_size=10, max_size=50))
def test_every_reader_gets_all_that_concerns_it_in_order_or_is_told_that_it_lost_something(
    history: list[object],
) -> None:
    store = Store()
    feeds = Feeds(store, lambda: None)
    readers: list[tuple[Reader, int]] = []
    happened: list[Event] = []
    for step in history:
        match step:
            case WatchKeys():
                try:
                    readers.append((opened(feeds, step, credit=2), step.start_revision or store.revision + 1))
                except Compacted:
                    assert step.start_revision < store.compacted
            case (int() as number, int() as credit):
                if number < len(readers):
                    readers[number][0].grant(credit)
            case "turn":
                feeds.pump()
            case "progress":
                feeds.pump()
                feeds.tell_progress()
            case _:
                before = store.revision
                store.apply(at(store.revision, step))  # type: ignore[arg-type]
                happened += [e for n in range(before + 1, store.revision + 1) for e in store.events.at(n)]
    for reader, _ in readers:
        reader.grant(1_000)
    feeds.pump()

    for reader, start in readers:
        request = reader.request
        wanted = [
            event
            for event in happened
            if event.kv.mod_revision >= start and within(event.kv.key, request.key, request.range_end)
        ]
        assert reader.events == wanted[: len(reader.events)]
        if reader.error is None:
            assert reader.events == wanted
            assert reader.items[0].events == ()
        else:
            assert isinstance(reader.error, Compacted)
        told = [item.revision for item in reader.items]
        assert told == sorted(told)
        for item, revision in zip(reader.items, told, strict=True):
            assert all(event.kv.mod_revision <= revision for event in item.events)


@pytest.mark.slow
def test_ten_thousand_watches_of_other_keys_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    feeds = Feeds(store, lambda: None)
    for number in range(5_000):
        opened(feeds, WatchKeys(b"other/%d" % number))
        opened(feeds, WatchKeys(b"others/%d/" % number, b"others/%d0" % number))
    reader = opened(feeds, WatchKeys(b"mine/", b"mine0"))
    looks = 0
    take = Watcher.take

    def counted(watcher: Watcher, log: object) -> WatchResponse | None:
        nonlocal looks
        looks += 1
        return take(watcher, log)  # type: ignore[arg-type]

    monkeypatch.setattr(Watcher, "take", counted)
    for number in range(10):
        store.apply(put(b"mine/%d" % number))
        feeds.pump()

    assert len(reader.events) == 10
    assert looks <= 20


def test_readers_without_credit_are_not_looked_at_again_before_they_have_some() -> None:
    store = Store()
    feeds = Feeds(store, lambda: None)
    stopped = [opened(feeds, WatchKeys(b"a"), credit=1) for _ in range(100)]
    reader = opened(feeds, WatchKeys(b"a"))

    for number in range(20):
        store.apply(put(b"a", b"%d" % number))
        feeds.pump()
    waiting = len(feeds._ready)
    stopped[0].grant(100)
    feeds.pump()

    assert waiting == 0
    assert len(reader.events) == len(stopped[0].events) == 20
    assert all(not one.events for one in stopped[1:])


def test_a_watch_ends_when_compaction_takes_what_its_reader_has_not_taken() -> None:
    store = Store()
    feeds = Feeds(store, lambda: None)
    stopped = opened(feeds, WatchKeys(b"a"), credit=1)
    reader = opened(feeds, WatchKeys(b"a"))
    for _ in range(3):
        store.apply(put(b"a"))
    feeds.pump()

    store.apply(Compact(4))
    feeds.pump()

    assert isinstance(stopped.error, Compacted) and stopped.error.details == {"compact_revision": 4}
    assert reader.error is None
    assert feeds.count == 1


def test_progress_is_told_in_portions_and_nobody_is_forgotten() -> None:
    store = Store()
    feeds = Feeds(store, lambda: None)
    readers = [opened(feeds, WatchKeys(b"other")) for _ in range(1_200)]
    quiet = opened(feeds, WatchKeys(b"other", progress_notify=False))
    store.apply(put(b"a"))
    feeds.pump()

    portions = []
    for _ in range(3):
        feeds.tell_progress()
        portions.append(sum(len(reader.items) == 2 for reader in readers))

    assert portions == [500, 1_000, 1_200]
    assert len(quiet.items) == 1


def test_a_watch_of_no_key_is_refused() -> None:
    with pytest.raises(EmptyKey):
        opened(Feeds(Store(), lambda: None), WatchKeys(b""))


def test_a_watch_whose_events_were_compacted_before_anybody_looked_is_told_that_it_lost_them() -> None:
    store = Store()
    feeds = Feeds(store, lambda: None)
    reader = opened(feeds, WatchKeys(b"a"))
    for _ in range(3):
        store.apply(put(b"a"))

    store.apply(Compact(4))
    feeds.pump()

    assert isinstance(reader.error, Compacted)
    assert reader.events == []
