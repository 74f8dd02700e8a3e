"""A snapshot is the store as it was at one moment, whatever the store does meanwhile; damage to it is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.etcd.commands import Command
from actors.etcd.mvcc.dump import Dump
from actors.etcd.mvcc.store import Store
from actors.etcd.raft.types import Mark
from actors.etcd.snapshot import CorruptSnapshot, decode_snapshot, encode_snapshot
from protocols.errors import Answer
from protocols.etcd import Compact, LeaseGrant, Op, Range, Txn
from tests.effort import examples
from tests.etcd.test_mvcc import at, commands, result_of

MARK = Mark(7, 3)
histories = st.lists(commands, min_size=3, max_size=20)


def play(store: Store, history: list[Command]) -> None:
    for command in history:
        store.apply(at(store.revision, command))


def all_of(store: Store) -> list[object]:
    """Everything that a client could be told: each revision's keys, each event, each lease with its keys."""
    answers: list[object] = []
    for revision in range(store.revision + 2):
        try:
            answers.append(store.range(Range(b"\0", b"\0", revision=revision)))
        except Answer as refusal:
            answers.append(type(refusal).__name__)
    answers += [store.revision, store.compacted, store.events.first, *store.events.all()]
    return [
        *answers,
        sorted((lease.lease, lease.ttl_s, lease.left_s, sorted(lease.keys)) for lease in store.leases.all()),
    ]


def snapshot_of(store: Store) -> bytes:
    dump = Dump(store)
    data = b"".join(encode_snapshot(MARK, dump))
    dump.close()
    return data


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(histories, histories)
def test_what_comes_out_of_a_snapshot_is_what_went_in_and_goes_on_like_it(
    history: list[Command], after: list[Command]
) -> None:
    store = Store()
    play(store, history)

    mark, other, _ = decode_snapshot(snapshot_of(store))

    other.check()
    assert (mark, all_of(other)) == (MARK, all_of(store))
    for relative in [*after, LeaseGrant(5, 0)]:
        command = at(store.revision, relative)
        assert result_of(other, command) == result_of(store, command)


@pytest.mark.parametrize("deletes", [True, False])
def test_keys_that_are_deleted_written_anew_or_on_a_lease_are_so_after_a_start(deletes: bool) -> None:
    store = Store()
    store.apply(LeaseGrant(60, 9))
    for op in [
        Op("put", b"kept", b"1"),
        Op("put", b"deleted", b"1"),
        Op("put", b"leased", b"1", lease=9),
        Op("put", b"anew", b"1"),
        Op("delete", b"deleted"),
        Op("delete", b"anew"),
        Op("put", b"anew", b"2"),
        Op("put", b"anew", b"3"),
    ]:
        if deletes or op.kind == "put":
            store.apply(Txn((), (op,)))

    other = decode_snapshot(snapshot_of(store)).store

    other.check()
    assert all_of(other) == all_of(store)
    assert other.range(Range(b"\0", b"\0")).count == 4 - deletes


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(histories, st.lists(histories, max_size=4), st.booleans())
def test_a_snapshot_shows_one_moment_while_the_store_goes_on(
    history: list[Command], meanwhile: list[list[Command]], compacts: bool
) -> None:
    store = Store()
    play(store, history)
    before = all_of(store)

    dump = Dump(store)
    pieces = encode_snapshot(MARK, dump)
    data = next(pieces)
    for more in meanwhile:
        play(store, more)
        if compacts:
            store.apply(Compact(store.revision))
        data += next(pieces, b"")
    data += b"".join(pieces)
    dump.close()

    assert all_of(decode_snapshot(data).store) == before
    store.check()


def test_what_was_not_forgotten_while_a_snapshot_was_written_is_forgotten_afterwards() -> None:
    store = Store()
    for number in range(10):
        store.apply(Txn((), (Op("put", b"a", b"%d" % number),)))

    dump = Dump(store)
    store.apply(Compact(store.revision))
    store.scrub(100)
    held = store.is_scrubbed
    dump.close()
    store.scrub(100)

    assert not held and store.is_scrubbed
    assert not store.keyspace._past


def test_many_keys_and_large_ones_are_cut_into_pieces_that_are_each_quick() -> None:
    store = Store()
    for number in range(2_000):
        store.apply(Txn((), (Op("put", b"%06d" % number, b"x" * (5_000 if number < 300 else 10)),)))

    dump = Dump(store)
    pieces = list(encode_snapshot(MARK, dump))

    assert max(len(piece) for piece in pieces) < 3 << 20
    assert len(pieces) > 10
    everything = Range(b"\0", b"\0", limit=1_000)
    assert decode_snapshot(b"".join(pieces)).store.range(everything) == store.range(everything)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_anywhere_is_refused(data: st.DataObject) -> None:
    store = Store()
    play(store, [LeaseGrant(9, 3), *(Txn((), (Op("put", b"%d" % n, b"v", lease=3),)) for n in range(5)), Compact(-2)])
    whole = snapshot_of(store)
    if data.draw(st.booleans()):
        broken = bytearray(whole)
        broken[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        broken = bytearray(whole[: data.draw(st.integers(0, len(whole) - 1))])

    with pytest.raises(CorruptSnapshot):
        decode_snapshot(bytes(broken))


def test_a_snapshot_that_lacks_a_whole_record_is_refused() -> None:
    store = Store()
    store.apply(Txn((), (Op("put", b"a", b"v"),)))
    dump = Dump(store)
    header, _, *rest = encode_snapshot(MARK, dump)

    with pytest.raises(CorruptSnapshot, match="lacks records"):
        decode_snapshot(b"".join([header, *rest]))


def test_what_a_compaction_made_superfluous_is_not_in_a_snapshot_although_it_is_there_still() -> None:
    store = Store()
    for number in range(5):
        store.apply(Txn((), (Op("put", b"a", b"%d" % number),)))
    store.apply(Compact(store.revision))

    other = decode_snapshot(snapshot_of(store)).store

    assert not store.is_scrubbed and store.keyspace._past
    assert not other.keyspace._past
