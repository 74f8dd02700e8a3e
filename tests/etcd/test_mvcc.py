"""The store against a slow model: every result, every range at every revision, every watch from every revision."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.etcd.commands import Command, ExpireLeases, decode_commands, encode_commands
from actors.etcd.mvcc import watch
from actors.etcd.mvcc.interest import Interest
from actors.etcd.mvcc.span import Span
from actors.etcd.mvcc.store import Store
from actors.etcd.mvcc.txn import validate
from actors.etcd.mvcc.watch import Watcher
from protocols.errors import Answer
from protocols.etcd import (
    Compact,
    Compare,
    Event,
    LeaseGrant,
    LeaseGranted,
    LeaseKeepAlive,
    LeaseRevoke,
    Op,
    Range,
    Txn,
    WatchKeys,
)
from protocols.message import Done
from tests.effort import examples
from tests.etcd.mvcc_model import Model

keys = st.sampled_from([b"a", b"a/1", b"a/2", b"b", b"c"])
ends = st.sampled_from([b"", b"\0", b"a/9", b"b", b"c", b"d"])
values = st.sampled_from([b"", b"x", b"yy"])
leases = st.sampled_from([0, 0, 1, 2, 7])
small = st.integers(0, 6)

flags = st.sampled_from([False, False, True])
bounds = st.sampled_from([0, 0, 0, 3, 5, 8])


def requests_at(revisions: st.SearchStrategy[int]) -> st.SearchStrategy[Range]:
    return st.builds(
        Range,
        keys,
        ends,
        limit=st.sampled_from([0, 0, 1, 2]),
        revision=revisions,
        keys_only=flags,
        count_only=flags,
        sort_by=st.sampled_from(["key", "key", "version", "create", "mod", "value"]),
        descending=flags,
        min_mod_revision=bounds,
        max_mod_revision=bounds,
        min_create_revision=bounds,
        max_create_revision=bounds,
        page_first=flags,
    )


puts = st.builds(Op, st.just("put"), keys, values, lease=leases, prev_kv=flags)
updates = st.builds(Op, st.just("put"), keys, ignore_value=st.just(True), lease=leases) | st.builds(
    Op, st.just("put"), keys, values, ignore_lease=st.just(True), prev_kv=flags
)
deletes = st.builds(Op, st.just("delete"), keys, range_end=ends, prev_kv=flags)
ranges = st.builds(Op, st.just("range"), keys, range_end=ends, limit=st.sampled_from([0, 1, 2])) | st.builds(
    Op, st.just("range"), range=requests_at(st.sampled_from([0, 0, 1, 2, 4]))
)
operators = st.sampled_from(["=", "!=", ">", "<"])
compares = st.one_of(
    st.builds(Compare, keys, st.sampled_from(["version", "create", "mod", "lease"]), operators, small, ends),
    st.builds(Compare, keys, st.just("value"), operators, values, ends),
)


def is_valid(txn: Txn) -> bool:
    try:
        validate(txn)
    except Answer:
        return False
    return True


flat_ops = st.lists(st.one_of(puts, puts, updates, deletes, ranges), max_size=3).map(tuple)
some_compares = st.lists(compares, max_size=2).map(tuple)


def txns_of(operations: st.SearchStrategy[tuple[Op, ...]]) -> st.SearchStrategy[Txn]:
    return st.builds(Txn, some_compares, operations, operations).filter(is_valid)


nested_ops = st.lists(st.one_of(puts, deletes, ranges, txns_of(flat_ops).map(lambda t: Op("txn", txn=t))), max_size=3)
txns = txns_of(flat_ops) | txns_of(nested_ops.map(tuple))
commands: st.SearchStrategy[Command] = st.one_of(
    puts.map(lambda op: Txn((), (op,))),
    updates.map(lambda op: Txn((), (op,))),
    deletes.map(lambda op: Txn((), (op,))),
    txns,
    st.builds(LeaseGrant, st.just(10), leases),
    st.builds(LeaseRevoke, leases),
    st.builds(LeaseKeepAlive, leases),
    st.builds(ExpireLeases, st.lists(leases, max_size=2).map(tuple)),
    st.builds(Compact, st.integers(-5, 1)),  # relative to the newest revision, see `at`
)
requests = requests_at(st.integers(0, 14))


def at(revision: int, command: Command) -> Command:
    return Compact(revision + command.revision) if isinstance(command, Compact) else command


def result_of(store: Store, command: Command) -> object:
    result = store.apply(command)
    if isinstance(result, LeaseGranted):
        return result.lease
    return type(result).__name__ if isinstance(result, Answer | Done) else result


def range_of(store: Store, request: Range) -> object:
    try:
        return store.range(request)
    except Answer as refusal:
        return type(refusal).__name__


@pytest.mark.slow
@settings(max_examples=examples(120), deadline=None)
@given(st.lists(commands, min_size=5, max_size=25), st.lists(requests, min_size=3, max_size=6))
def test_results_and_ranges_are_those_of_the_model(history: list[Command], asked: list[Range]) -> None:
    store, model = Store(), Model()
    for step, relative in enumerate(history):
        command = at(model.revision, relative)
        assert result_of(store, command) == model.apply(command)
        store.scrub(step % 3)
        store.check()

        assert store.revision == model.revision
        everything = [Range(b"a", b"\0", revision=revision) for revision in range(model.revision + 2)]
        for request in (*asked, *everything):
            assert range_of(store, request) == model.range(request)


@settings(max_examples=examples(80), deadline=None)
@given(st.lists(commands, min_size=5, max_size=25), st.lists(st.tuples(st.integers(0, 10), keys, ends), max_size=6))
def test_a_watch_from_any_revision_sees_every_event_once_and_in_order(
    history: list[Command], watched: list[tuple[int, bytes, bytes]]
) -> None:
    store, model = Store(), Model()
    for relative in history:
        command = at(model.revision, relative)
        store.apply(command)
        model.apply(command)

    for start, key, end in watched:
        start = max(start, store.compacted, 1)
        watcher = Watcher(WatchKeys(key, end, start, prev_kv=True), store.events)

        assert watcher.established(store.events).revision <= store.revision
        assert drain(watcher, store) == model.events_from(start, key, end)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(txns, min_size=3, max_size=12),
    st.builds(WatchKeys, keys, ends, st.just(1), prev_kv=flags, no_put=flags, no_delete=flags, fragment=st.booleans()),
)
def test_a_watch_hands_over_what_it_was_asked_for_and_says_where_a_revision_is_cut(
    history: list[Txn], request: WatchKeys
) -> None:
    store, model = Store(), Model()
    for txn in history:
        store.apply(txn)
        model.apply(txn)
    with patch.multiple(watch, BYTES_MAX=150, REVISION_BYTES_MAX=400):
        watcher = Watcher(request, store.events)

        responses = list(iter(lambda: watcher.take(store.events), None))

    unwanted = [kind for kind, no in (("put", request.no_put), ("delete", request.no_delete)) if no]
    events = [e for e in model.events_from(1, request.key, request.range_end) if e.type not in unwanted]
    wanted = events if request.prev_kv else [Event(event.type, event.kv) for event in events]
    assert [event for response in responses for event in response.events] == wanted
    for response, following in pairwise(responses):
        within_a_revision = response.events[-1].kv.mod_revision == following.events[0].kv.mod_revision
        assert response.fragment == within_a_revision
        assert response.revision == response.events[-1].kv.mod_revision - within_a_revision or not within_a_revision
    assert all(len(response.events) <= (4 if request.fragment else 9) for response in responses)


spans = st.builds(
    Span.of, st.sampled_from([b"a", b"a/", b"b", b"\xff", b"a\xff"]), st.sampled_from([b"", b"\0", b"a0", b"b", b"c"])
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(spans, max_size=12), st.data())
def test_whoever_watches_a_key_is_found_and_nobody_else(watched: list[Span], data: st.DataObject) -> None:
    interest: Interest[int] = Interest()
    for number, span in enumerate(watched):
        interest.add(span, number)
    gone = data.draw(st.sets(st.integers(0, len(watched) - 1))) if watched else set()
    for number in sorted(gone):
        interest.remove(watched[number], number)

    for key in (b"a", b"a/", b"a/1", b"a\xff", b"a\xff1", b"b", b"\xff", b"\xff\xff", b"zz"):
        expected = [n for n, span in enumerate(watched) if n not in gone and span.holds(key)]
        assert sorted(interest.find(key)) == expected


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(commands, min_size=5, max_size=25), st.data())
def test_a_slow_watcher_gets_the_same_as_a_quick_one_or_is_told_that_it_lost_something(
    history: list[Command], data: st.DataObject
) -> None:
    store, model = Store(), Model()
    watcher = Watcher(WatchKeys(b"a", b"b", prev_kv=True), store.events)
    got: list[Event] = []

    for relative in history:
        command = at(model.revision, relative)
        store.apply(command)
        model.apply(command)
        if watcher.lost(store.compacted):
            assert watcher.cursor < store.compacted
            break
        if data.draw(st.integers(0, 2)) == 0:
            got += drain(watcher, store)
            assert got == model.events_from(2, b"a", b"b")


@pytest.mark.slow
@given(st.lists(commands, max_size=10))
@settings(max_examples=50, deadline=None)
def test_commands_travel_unchanged(history: list[Command]) -> None:
    assert decode_commands(encode_commands(history)) == history


@pytest.mark.slow
@given(st.lists(commands, min_size=5, max_size=25))
@settings(max_examples=40, deadline=None)
def test_replicas_that_apply_the_same_commands_are_equal(history: list[Command]) -> None:
    one, other = Store(), Store()

    assert [result_of(one, c) for c in history] == [result_of(other, c) for c in history]
    assert range_of(one, Range(b"\0", b"\0")) == range_of(other, Range(b"\0", b"\0"))


def drain(watcher: Watcher, store: Store) -> list[Event]:
    events: list[Event] = []
    while (response := watcher.take(store.events)) is not None:
        assert response.revision < watcher.cursor
        events += response.events
    return events
