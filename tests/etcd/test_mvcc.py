"""The store against a slow model: every result, every range at every revision, every watch from every revision."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.etcd.commands import Command, ExpireLeases, decode_commands, encode_commands
from actors.etcd.mvcc.span import Span
from actors.etcd.mvcc.store import Store
from actors.etcd.mvcc.txn import validate
from actors.etcd.mvcc.watch import Watcher
from protocols.errors import Answer
from protocols.etcd import Compact, Compare, Event, LeaseGrant, LeaseGranted, LeaseRevoke, Op, Range, Txn
from protocols.message import Done
from tests.etcd.mvcc_model import Model

keys = st.sampled_from([b"a", b"a/1", b"a/2", b"b", b"c"])
ends = st.sampled_from([b"", b"\0", b"a/9", b"b", b"c", b"d"])
values = st.sampled_from([b"", b"x", b"yy"])
leases = st.sampled_from([0, 0, 1, 2, 7])
small = st.integers(0, 6)

puts = st.builds(Op, st.just("put"), keys, values, lease=leases)
deletes = st.builds(Op, st.just("delete"), keys, range_end=ends)
ranges = st.builds(Op, st.just("range"), keys, range_end=ends, limit=st.sampled_from([0, 1, 2]))
operators = st.sampled_from(["=", "!=", ">", "<"])
compares = st.one_of(
    st.builds(Compare, keys, st.sampled_from(["version", "create", "mod", "lease"]), operators, small),
    st.builds(Compare, keys, st.just("value"), operators, values),
)


def is_valid(txn: Txn) -> bool:
    try:
        validate(txn)
    except Answer:
        return False
    return True


ops = st.lists(st.one_of(puts, puts, deletes, ranges), max_size=3).map(tuple)
txns = st.builds(Txn, st.lists(compares, max_size=2).map(tuple), ops, ops).filter(is_valid)
commands: st.SearchStrategy[Command] = st.one_of(
    puts.map(lambda op: Txn((), (op,))),
    deletes.map(lambda op: Txn((), (op,))),
    txns,
    st.builds(LeaseGrant, st.just(10), leases),
    st.builds(LeaseRevoke, leases),
    st.builds(ExpireLeases, st.lists(leases, max_size=2).map(tuple)),
    st.builds(Compact, st.integers(-5, 1)),  # relative to the newest revision, see `at`
)
requests = st.builds(
    Range,
    keys,
    ends,
    limit=st.sampled_from([0, 0, 1, 2]),
    revision=st.integers(0, 14),
    keys_only=st.booleans(),
    count_only=st.booleans(),
)


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


@settings(max_examples=120, deadline=None)
@given(st.lists(commands, min_size=5, max_size=25), st.lists(requests, min_size=3, max_size=6))
def test_results_and_ranges_are_those_of_the_model(history: list[Command], asked: list[Range]) -> None:
    store, model = Store(), Model()
    for relative in history:
        command = at(model.revision, relative)
        assert result_of(store, command) == model.apply(command)
        store.check()

        assert store.revision == model.revision
        everything = [Range(b"a", b"\0", revision=revision) for revision in range(model.revision + 2)]
        for request in (*asked, *everything):
            assert range_of(store, request) == model.range(request)


@settings(max_examples=80, deadline=None)
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
        watcher = Watcher(Span.of(key, end), start, store.events, prev_kv=True)

        assert watcher.established(store.events).revision <= store.revision
        assert drain(watcher, store) == model.events_from(start, key, end)


@settings(max_examples=60, deadline=None)
@given(st.lists(commands, min_size=5, max_size=25), st.data())
def test_a_slow_watcher_gets_the_same_as_a_quick_one_or_is_told_that_it_lost_something(
    history: list[Command], data: st.DataObject
) -> None:
    store, model = Store(), Model()
    watcher = Watcher(Span.of(b"a", b"b"), 0, store.events, prev_kv=True)
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


@given(st.lists(commands, max_size=10))
@settings(max_examples=50, deadline=None)
def test_commands_travel_unchanged(history: list[Command]) -> None:
    assert decode_commands(encode_commands(history)) == history


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
