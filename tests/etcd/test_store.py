"""What the store promises, case by case."""

from __future__ import annotations

import contextlib

import pytest

from actors.etcd import lease_rules
from actors.etcd.commands import CheckpointLeases, Command, ExpireLeases
from actors.etcd.mvcc.leases import LeaseClock, Leases
from actors.etcd.mvcc.store import Store
from actors.etcd.mvcc.txn import SIZE_BYTES_MAX, validate
from actors.etcd.mvcc.watch import EVENTS_MAX, Watcher
from actors.etcd.upkeep import Compactor, Room
from protocols.errors import Answer
from protocols.etcd import (
    Compact,
    Compacted,
    Compare,
    CorruptCluster,
    DuplicateKey,
    EmptyKey,
    FutureRevision,
    InvalidCompare,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseNotFound,
    LeaseProvided,
    LeaseRevoke,
    NoSpace,
    Op,
    Range,
    TooLarge,
    TooManyOps,
    Txn,
    TxnResponse,
    ValueProvided,
    WatchKeys,
    WatchResponse,
)
from protocols.etcd_maintenance import Alarm, Alarms, DisarmAlarm, RaiseAlarm
from protocols.message import Done


def put(key: bytes, value: bytes = b"v", lease: int = 0) -> Txn:
    return Txn((), (Op("put", key, value, lease=lease),))


def delete(key: bytes, range_end: bytes = b"") -> Txn:
    return Txn((), (Op("delete", key, range_end=range_end),))


def store_with(*commands: Command) -> Store:
    store = Store()
    for command in commands:
        result = store.apply(command)
        assert not isinstance(result, Answer), result
    return store


def test_an_empty_store_is_at_revision_1() -> None:
    assert Store().range(Range(b"a")).revision == 1


def test_all_writes_of_a_transaction_have_one_revision() -> None:
    store = store_with(Txn((), (Op("put", b"a", b"1"), Op("put", b"b", b"2"), Op("delete", b"c"))))

    found = store.range(Range(b"a", b"z"))

    assert [kv.mod_revision for kv in found.kvs] == [2, 2]
    assert found.revision == 2


def test_a_transaction_that_changes_nothing_has_no_revision() -> None:
    store = store_with(delete(b"a"))

    assert store.revision == 1


def test_compare_and_swap_lets_one_of_two_writers_through() -> None:
    store = store_with(put(b"a"))
    swap = Txn((Compare(b"a", "mod", "=", 2),), (Op("put", b"a", b"mine"),), (Op("range", b"a"),))

    first, second = store.apply(swap), store.apply(swap)

    assert isinstance(first, TxnResponse) and first.succeeded
    assert isinstance(second, TxnResponse) and not second.succeeded
    assert second.responses[0].kvs[0].value == b"mine"


def test_a_key_is_created_only_once_when_that_is_asked_for() -> None:
    create = Txn((Compare(b"a", "version", "=", 0),), (Op("put", b"a", b"x"),))
    store = store_with(create)

    again = store.apply(create)

    assert isinstance(again, TxnResponse) and not again.succeeded


def test_a_page_of_a_past_revision_is_the_same_whatever_came_later() -> None:
    store = store_with(*(put(b"k%d" % n) for n in range(5)))
    page = Range(b"k", b"l", limit=2, revision=store.revision)
    before = store.range(page)

    store.apply(delete(b"k0"))
    store.apply(put(b"k00"))
    store.apply(put(b"k1", b"new"))

    after = store.range(page)
    assert (after.kvs, after.count, after.more) == (before.kvs, 5, True)


def test_a_key_that_was_deleted_and_came_back_is_there_once() -> None:
    store = store_with(put(b"a", b"old"), delete(b"a"), put(b"a", b"new"), put(b"b"))
    store.check()

    by_revision = [store.range(Range(b"a", b"b", revision=revision)).kvs for revision in (2, 3, 4)]

    assert [[kv.value for kv in kvs] for kvs in by_revision] == [[b"old"], [], [b"new"]]


def test_reads_before_the_compaction_and_after_the_newest_revision_are_refused() -> None:
    store = store_with(put(b"a"), put(b"a"), put(b"a"), Compact(3))

    with pytest.raises(Compacted) as refusal:
        store.range(Range(b"a", revision=2))
    assert refusal.value.details == {"compact_revision": 3}
    with pytest.raises(FutureRevision):
        store.range(Range(b"a", revision=5))
    assert store.range(Range(b"a", revision=3)).kvs[0].version == 2


def test_a_compaction_at_0_forgets_nothing_and_is_one_all_the_same() -> None:
    store = Store()

    said = [type(store.apply(Compact(revision))) for revision in (-1, 0, 0, 1)]

    assert said == [Compacted, Done, Compacted, Done]


@pytest.mark.parametrize(
    ("revision", "refusal"), [(-1, Compacted), (2, Compacted), (3, None), (0, None), (99, FutureRevision)]
)
def test_a_transaction_is_refused_for_a_revision_that_the_branch_it_takes_asks_for(
    revision: int, refusal: type[Answer] | None
) -> None:
    store = store_with(put(b"a"), put(b"a"), put(b"a"), Compact(3))
    asks = (Op("range", range=Range(b"a", revision=revision)),)
    reads, never = Txn((), asks), Txn((Compare(b"a", "version", "=", 99),), asks)

    store.check_answer(reads)
    written = store.apply(Txn((), (Op("put", b"b"), *asks)))
    with pytest.raises(refusal) if refusal else contextlib.nullcontext():
        store.read(reads)

    assert isinstance(written, refusal or TxnResponse)
    assert not store.read(never).succeeded and not isinstance(store.apply(never), Answer)


def test_compaction_keeps_the_event_at_its_own_revision() -> None:
    store = store_with(put(b"a"), delete(b"a"), put(b"b"), Compact(3))
    watcher = Watcher(WatchKeys(b"a", b"\0", 3), store.events)

    response = watcher.take(store.events)

    assert response is not None
    assert [(event.type, event.kv.key) for event in response.events] == [("delete", b"a"), ("put", b"b")]


def test_compaction_forgets_what_was_superseded() -> None:
    store = store_with(*(put(b"a") for _ in range(100)), put(b"b"), delete(b"b"), Compact(103))

    store.scrub(1_000)
    store.check()

    assert len(store.keyspace._past) == 0


# -- leases -----------------------------------------------------------------------------------------------------------


def test_revoking_a_lease_deletes_its_keys_in_one_revision() -> None:
    store = store_with(LeaseGrant(10, 7), put(b"a", lease=7), put(b"b", lease=7), put(b"c"), LeaseRevoke(7))

    assert [kv.key for kv in store.range(Range(b"a", b"z")).kvs] == [b"c"]
    assert store.revision == 5


def test_a_key_that_was_put_without_the_lease_outlives_it() -> None:
    store = store_with(LeaseGrant(10, 7), put(b"a", lease=7), put(b"a"), LeaseRevoke(7))

    assert store.range(Range(b"a")).count == 1


def test_a_key_that_was_deleted_does_not_come_back_under_its_old_lease() -> None:
    store = store_with(LeaseGrant(60, 7), put(b"a", b"1", lease=7), delete(b"a"), put(b"a", b"2"), LeaseRevoke(7))

    assert [kv.value for kv in store.range(Range(b"a")).kvs] == [b"2"]


def test_a_key_that_was_deleted_begins_again_with_version_1() -> None:
    store = store_with(put(b"a"), put(b"a"), delete(b"a"), put(b"a"))

    assert [(kv.version, kv.create_revision) for kv in store.range(Range(b"a")).kvs] == [(1, 5)]


def test_what_is_read_at_the_revision_of_a_compaction_is_kept() -> None:
    store = store_with(put(b"a", b"1"), put(b"b"), put(b"a", b"2"), Compact(3))

    store.scrub(100)

    assert [kv.value for kv in store.range(Range(b"a", revision=3)).kvs] == [b"1"]


def test_a_put_with_an_unknown_lease_does_nothing_at_all() -> None:
    store = Store()

    result = store.apply(Txn((), (Op("put", b"a", b"x"), Op("put", b"b", b"x", lease=9))))

    assert isinstance(result, LeaseNotFound)
    assert store.revision == 1


def test_a_lease_expires_when_it_was_not_kept_alive() -> None:
    leases, clock = leases_of(5), LeaseClock()
    clock.start(leases.all(), now=0.0)

    assert clock.take_expired(4.9) == ()
    assert clock.take_expired(5.0) == (5,)
    assert clock.take_expired(99.0) == ()


def test_a_lease_that_is_kept_alive_lives_its_whole_time_again() -> None:
    leases, clock = leases_of(5), LeaseClock()
    clock.start(leases.all(), now=0.0)
    lease = leases.get(5)
    assert lease is not None

    kept = clock.renew(lease, 4.0)

    assert kept
    assert clock.take_expired(8.9) == ()
    assert clock.take_expired(9.0) == (5,)


def test_a_lease_that_was_proposed_to_expire_is_not_kept_alive_any_more() -> None:
    leases, clock = leases_of(5), LeaseClock()
    clock.start(leases.all(), now=0.0)
    clock.take_expired(5.0)
    lease = leases.get(5)
    assert lease is not None

    assert clock.renew(lease, 5.1) is False


def leases_of(*numbers: int) -> Leases:
    leases = Leases()
    for number in numbers:
        leases.grant(number, ttl_s=number)
    return leases


# -- watches ----------------------------------------------------------------------------------------------------------


def test_a_watch_hands_over_whole_revisions_in_portions() -> None:
    store = store_with(*(put(b"a") for _ in range(EVENTS_MAX + 10)))
    watcher = Watcher(WatchKeys(b"a", b"", 1), store.events)

    first, second, third = (watcher.take(store.events) for _ in range(3))

    assert first is not None and second is not None and third is None
    assert (len(first.events), len(second.events)) == (EVENTS_MAX, 10)
    assert first.revision == first.events[-1].kv.mod_revision


def test_progress_is_told_once_and_only_when_nothing_is_outstanding() -> None:
    store = store_with(put(b"b"))
    watcher = Watcher(WatchKeys(b"a", b"", 1), store.events)
    watcher.established(store.events)

    behind = watcher.progress(store.events)
    watcher.take(store.events)

    assert behind is None
    assert watcher.progress(store.events) == WatchResponse(2)
    assert watcher.progress(store.events) is None


def test_a_watcher_that_compaction_overtook_knows_it() -> None:
    store = store_with(put(b"a"), put(b"a"), put(b"a"))
    behind = Watcher(WatchKeys(b"a", b"", 2), store.events)
    just = Watcher(WatchKeys(b"a", b"", 3), store.events)

    store.apply(Compact(3))

    assert behind.lost(store.compacted)
    assert not just.lost(store.compacted)


def test_a_watch_from_a_revision_to_come_sees_nothing_older() -> None:
    store = store_with(put(b"a"))
    watcher = Watcher(WatchKeys(b"a", b"", 4), store.events)

    established = watcher.established(store.events)
    store.apply(put(b"a"))
    early = watcher.take(store.events)
    store.apply(put(b"a"))
    response = watcher.take(store.events)

    assert established.revision == 2
    assert early is None
    assert response is not None and [event.kv.mod_revision for event in response.events] == [4]


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_one_answer_is_asked_for_in_pages() -> None:
    store = store_with(*(put(b"k%d" % n, b"x" * 1_000_000) for n in range(8)))

    with pytest.raises(TooLarge, match="ask for fewer"):
        store.range(Range(b"k", b"l"))
    with pytest.raises(TooLarge):
        store.check_answer(Txn((), (Op("delete", b"k", range_end=b"l", prev_kv=True),)))
    with pytest.raises(TooLarge):
        store.check_answer(Txn((), (Op("put", b"a"), Op("range", b"k", range_end=b"l"))))

    assert len(store.range(Range(b"k", b"l", limit=5)).kvs) == 5
    assert store.range(Range(b"k", b"l", keys_only=True)).count == 8
    store.check_answer(delete(b"k", b"l"))


# -- refusals ---------------------------------------------------------------------------------------------------------


def nested(outer: Op, inner: Op) -> Txn:
    return Txn((), (outer, Op("txn", txn=Txn((), (inner,)))))


def deep(levels: int) -> Txn:
    return Txn((), (Op("txn", txn=deep(levels - 1)),) if levels > 1 else ())


@pytest.mark.parametrize(
    ("txn", "refusal"),
    [
        (put(b"a", b"x" * SIZE_BYTES_MAX), TooLarge),
        (put(b""), EmptyKey),
        (Txn((Compare(b"", "mod", "=", 1),), ()), EmptyKey),
        (Txn((), (Op("range", range=Range(b"")),)), EmptyKey),
        (Txn((), (Op("put", b"a"), Op("put", b"a"))), DuplicateKey),
        (Txn((), (Op("delete", b"a", range_end=b"c"), Op("put", b"b"))), DuplicateKey),
        (nested(Op("put", b"a"), Op("put", b"a")), DuplicateKey),
        (nested(Op("put", b"b"), Op("delete", b"a", range_end=b"c")), DuplicateKey),
        (Txn((), tuple(Op("put", b"%d" % n) for n in range(129))), TooManyOps),
        (Txn((Compare(b"a", "mod", "=", 1),) * 129, ()), TooManyOps),
        (deep(9), TooManyOps),
        (Txn((), (Op("txn", txn=Txn((), tuple(Op("put", b"%d" % n) for n in range(128)))),)), TooManyOps),
        (Txn((Compare(b"a", "value", "=", 1),), ()), InvalidCompare),
        (Txn((Compare(b"a", "mod", "=", b"1"),), ()), InvalidCompare),
        (Txn((), (Op("put", b"a", b"x", ignore_value=True),)), ValueProvided),
        (Txn((), (Op("put", b"a", lease=1, ignore_lease=True),)), LeaseProvided),
    ],
)
def test_a_transaction_that_makes_no_sense_is_refused(txn: Txn, refusal: type[Answer]) -> None:
    with pytest.raises(refusal):
        validate(txn)


# -- alarms -----------------------------------------------------------------------------------------------------------


def test_without_room_only_what_makes_room_is_taken_until_the_alarm_is_disarmed() -> None:
    store = store_with(put(b"a"), RaiseAlarm(Alarm("etcd-1", "NOSPACE")))

    refused = [
        store.apply(command) for command in (put(b"b"), LeaseGrant(10), nested(Op("delete", b"a"), Op("put", b"c")))
    ]
    taken = [store.apply(command) for command in (delete(b"a"), Compact(store.revision), DisarmAlarm(), put(b"b"))]

    assert all(isinstance(result, NoSpace) for result in refused)
    assert not any(isinstance(result, Answer) for result in taken)


def test_a_store_that_was_seen_to_be_corrupt_takes_nothing_until_that_alarm_is_disarmed() -> None:
    store = store_with(put(b"a"), LeaseGrant(10, 3), RaiseAlarm(Alarm("etcd-1", "CORRUPT")))

    refused = [store.apply(command) for command in (put(b"b"), delete(b"a"), LeaseRevoke(3), Compact(2))]
    others = store.apply(DisarmAlarm("etcd-2"))
    ended = store.apply(DisarmAlarm("etcd-1", "CORRUPT"))

    assert all(isinstance(result, CorruptCluster) for result in refused)
    assert (others, ended) == (Alarms(()), Alarms((Alarm("etcd-1", "CORRUPT"),)))
    assert isinstance(store.apply(put(b"b")), TxnResponse)


# -- leases over leader changes ---------------------------------------------------------------------------------------


def test_a_leader_of_the_past_revokes_no_lease() -> None:
    store = store_with(LeaseGrant(10, 3), put(b"a", lease=3))

    store.apply(ExpireLeases((3,), term=4), term=5)
    still_there = store.leases.get(3) is not None
    store.apply(ExpireLeases((3,), term=5), term=5)

    assert still_there and store.leases.get(3) is None


def test_a_new_leader_begins_where_the_last_checkpoint_was() -> None:
    store, old, new = store_with(LeaseGrant(600, 3)), LeaseClock(), LeaseClock()
    old.start(store.leases.all(), now=0.0)
    store.apply(CheckpointLeases(tuple(old.take_checkpoints(store.leases, 300.0, now=250.4)), term=1), term=1)

    new.start(store.leases.all(), now=1_000.0)

    assert new.take_expired(1_349.9) == ()
    assert new.take_expired(1_350.0) == (3,)


def test_a_keep_alive_of_a_lease_with_a_checkpoint_goes_through_the_log_and_undoes_it() -> None:
    store, clock = store_with(LeaseGrant(600, 3)), LeaseClock()
    clock.start(store.leases.all(), now=0.0)
    lease = store.leases.get(3)
    assert lease is not None

    before = clock.must_be_logged(lease)
    pairs = tuple(clock.take_checkpoints(store.leases, 300.0, now=100.0))
    proposed = clock.must_be_logged(lease)
    store.apply(CheckpointLeases(pairs))
    clock.checkpointed(pairs)
    applied = clock.must_be_logged(lease)
    store.apply(LeaseKeepAlive(3))

    assert (before, proposed, applied, clock.must_be_logged(lease)) == (False, True, True, False)
    assert lease.left_s == 0


def test_short_leases_have_no_checkpoints() -> None:
    store, clock = store_with(LeaseGrant(300, 3)), LeaseClock()
    clock.start(store.leases.all(), now=0.0)

    assert clock.take_checkpoints(store.leases, 300.0, now=100.0) == []


# -- compaction by itself ---------------------------------------------------------------------------------------------


def test_history_is_compacted_to_so_many_revisions_when_it_is_twice_as_long() -> None:
    compactor = Compactor(100, 0.0)

    assert compactor.due(200, 0, now=0.0) is None
    assert compactor.due(201, 0, now=0.0) == 101
    assert compactor.due(301, 101, now=0.0) is None


def test_history_is_compacted_by_age() -> None:
    compactor = Compactor(0, 60.0)

    due = [compactor.due(10 + second, 0, now=float(second)) for second in range(70)]

    assert due[:60] == [None] * 60
    assert due[60] == 10 and due[63] == 13


def test_what_a_transaction_does_is_the_same_however_far_its_replica_has_compacted() -> None:
    history = (put(b"a"), put(b"a"), put(b"a"), put(b"a"), Compact(4))
    quick, slow = store_with(*history), store_with(*history)
    quick.scrub(1_000)
    past = Op("range", range=Range(b"a", revision=3))

    both = [store.apply(Txn((), (past, Op("put", b"b", b"x")))) for store in (quick, slow)]

    assert quick.is_scrubbed and not slow.is_scrubbed
    assert repr(both[0]) == repr(both[1])
    assert quick.revision == slow.revision


def test_room_is_low_until_there_is_clearly_more() -> None:
    room = Room(least_bytes=100, quota_bytes=1_000)

    disk = [(room.look(free, 0), room.is_low)[1] for free in (150, 99, 150, 200, 150)]
    quota = [(room.look(1_000, used), room.is_low)[1] for used in (1_000, 1_001, 950, 900, 950)]

    assert disk == [False, True, True, False, False]
    assert quota == [False, True, True, False, False]


def test_a_lease_whose_revocation_was_refused_runs_out_later() -> None:
    store, clock = store_with(LeaseGrant(10, 3), RaiseAlarm(Alarm("etcd-1", "CORRUPT"))), LeaseClock()
    clock.start(store.leases.all(), now=0.0)
    expired = ExpireLeases(clock.take_expired(10.0))

    lease_rules.follow(clock, store.leases, expired, store.apply(expired), now=10.0)

    assert clock.take_expired(19.0) == ()
    assert clock.take_expired(20.0) == (3,)


# -- transactions within transactions ---------------------------------------------------------------------------------


def test_a_nested_comparison_looks_at_what_was_there_before_the_whole_transaction() -> None:
    store = store_with(put(b"a"))
    inner = Txn((Compare(b"a", "version", "=", 1),), (Op("range", b"a"),), (Op("put", b"b"),))

    result = store.apply(Txn((), (Op("put", b"a", b"new"), Op("txn", txn=inner))))

    assert isinstance(result, TxnResponse)
    nested_result = result.responses[1].txn
    assert nested_result is not None and nested_result.succeeded
    assert [kv.value for kv in nested_result.responses[0].kvs] == [b"new"]


def test_a_transaction_reads_the_past_as_it_was_before_its_own_writes() -> None:
    store = store_with(put(b"a", b"old"), put(b"gone"))
    now = store.revision
    past = Op("range", range=Range(b"a", b"z", revision=now))

    result = store.apply(
        Txn((), (Op("put", b"a", b"new"), Op("delete", b"gone"), past, Op("range", b"a", range_end=b"z")))
    )

    assert isinstance(result, TxnResponse)
    assert [(kv.key, kv.value) for kv in result.responses[2].kvs] == [(b"a", b"old"), (b"gone", b"v")]
    assert result.responses[2].count == 2
    assert [(kv.key, kv.value) for kv in result.responses[3].kvs] == [(b"a", b"new")]


@pytest.mark.parametrize(
    ("compare", "succeeds"),
    [
        (Compare(b"k", "version", "=", 1, b"l"), False),
        (Compare(b"k", "version", ">", 0, b"l"), True),
        (Compare(b"k", "mod", ">", 2, b"l"), False),
        (Compare(b"k1", "version", "=", 2, b"k2"), True),
        (Compare(b"x", "version", "=", 0, b"y"), True),
        (Compare(b"x", "value", "!=", b"anything", b"y"), False),
        (Compare(b"x", "value", "=", b""), False),
        (Compare(b"k0", "lease", "=", 0, b"\0"), True),
    ],
)
def test_a_comparison_of_a_range_holds_when_it_holds_for_every_key(compare: Compare, succeeds: bool) -> None:
    store = store_with(put(b"k0"), put(b"k1"), put(b"k1"), put(b"k2"))

    result = store.apply(Txn((compare,), (Op("put", b"done"),)))

    assert isinstance(result, TxnResponse) and result.succeeded is succeeds


def test_bounds_sieve_then_it_is_sorted_then_the_limit_cuts() -> None:
    store = store_with(put(b"a", b"3"), put(b"b", b"1"), put(b"c", b"2"), put(b"a", b"0"), put(b"d", b"4"))

    def keys(**how: object) -> list[bytes]:
        return [kv.key for kv in store.range(Range(b"a", b"z", **how)).kvs]  # type: ignore[arg-type]

    assert keys(sort_by="value") == [b"a", b"b", b"c", b"d"]
    assert keys(sort_by="value", descending=True, limit=2) == [b"d", b"c"]
    assert keys(sort_by="mod", limit=2) == [b"b", b"c"]
    assert keys(sort_by="version", descending=True, limit=1) == [b"a"]
    assert keys(sort_by="create", descending=True, limit=1) == [b"d"]
    assert keys(descending=True, limit=2) == [b"d", b"c"]
    assert keys(sort_by="version", limit=2, page_first=True) == [b"b", b"c"]
    assert keys(sort_by="value", descending=True, limit=2, page_first=True) == [b"c", b"b"]
    assert keys(sort_by="value", descending=True, limit=1, page_first=True, max_create_revision=9) == [b"d"]
    assert keys(min_mod_revision=4, max_mod_revision=5) == [b"a", b"c"]
    assert keys(min_create_revision=3, sort_by="value", descending=True, limit=1) == [b"d"]
    page = store.range(Range(b"a", b"z", limit=1, max_mod_revision=4))
    assert (page.count, page.more) == (4, True)


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_what_a_compaction_makes_superfluous_goes_in_slices_and_all_of_it_goes(step: int) -> None:
    keys = [b"%d" % number for number in range(10)]
    store = store_with(*(put(key) for key in keys), *(put(key) for key in keys), *(delete(key) for key in keys[:3]))
    store.apply(Compact(store.revision))
    slices = 0

    while not store.is_scrubbed:
        store.scrub(step)
        slices += 1

    assert slices >= 20 // step
    store.check()
    assert not store.keyspace._past and len(store.keyspace) == 7


def test_a_large_revision_is_cut_where_that_is_wanted_and_nothing_is_lost_at_the_cut() -> None:
    store = store_with(Txn((), tuple(Op("put", b"%03d" % n, b"x" * 11_000) for n in range(128))))
    whole = Watcher(WatchKeys(b"0", b"2", 1), store.events)
    cut = Watcher(WatchKeys(b"0", b"2", 1, fragment=True), store.events)

    one, first, second = whole.take(store.events), cut.take(store.events), cut.take(store.events)

    assert one is not None and first is not None and second is not None
    assert (one.revision, one.fragment, len(one.events)) == (2, False, 128)
    assert (first.revision, first.fragment) == (1, True)
    assert (second.revision, second.fragment) == (2, False)
    assert first.events + second.events == one.events
    assert cut.take(store.events) is None


def test_a_lease_is_said_to_live_for_the_seconds_that_it_has_for_sure() -> None:
    store, clock = Store(), LeaseClock()
    store.apply(LeaseGrant(10, 7))
    clock.start(store.leases.all(), now=100.0)

    assert [clock.left_s(7, now) for now in (100.0, 100.5, 109.9, 120.0)] == [10, 9, 0, 0]
    assert clock.left_s(8, 100.0) is None
