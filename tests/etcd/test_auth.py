"""Who may do what, beside a literal model: every key looked at one by one, every change beside a table of refusals."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.etcd.commands import as_user, decode_commands, encode_commands, requested
from actors.etcd.grpc.access import token, user_of
from actors.etcd.grpc.status import Refused
from actors.etcd.guarded import admitted
from actors.etcd.lease_rules import follow
from actors.etcd.mvcc.auth import Auth, Guarded, covered
from actors.etcd.mvcc.dump import Dump
from actors.etcd.mvcc.leases import LeaseClock
from actors.etcd.mvcc.span import Span
from actors.etcd.mvcc.store import Store, takes_room
from actors.etcd.raft.types import Mark
from actors.etcd.snapshot import decode_snapshot, encode_snapshot
from protocols.errors import Answer, BadRequest
from protocols.etcd import (
    Compact,
    Compare,
    LeaseGrant,
    LeaseRevoke,
    LeaseTimeToLive,
    Op,
    Range,
    Txn,
    TxnResponse,
    WatchKeys,
)
from protocols.etcd_auth import (
    AsUser,
    ChangeAuth,
    InvalidAuthManagement,
    Permission,
    PermissionDenied,
    PermissionKind,
    PermissionNotGranted,
    RoleEmpty,
    RoleExists,
    RoleNotFound,
    RoleNotGranted,
    RootRoleMissing,
    RootUserMissing,
    User,
    UserEmpty,
    UserExists,
    UserNotFound,
)
from protocols.message import Done

SECRET = b"s" * 32
ROOT_EXISTS = (ChangeAuth("add user", "root"), ChangeAuth("grant role", "root", "root"))
ENABLED = (*ROOT_EXISTS, ChangeAuth("enable", secret=SECRET))
BOB_READS_A = (
    ChangeAuth("add user", "bob", password="hash"),
    ChangeAuth("add role", role="reader"),
    ChangeAuth("grant role", "bob", "reader"),
    ChangeAuth("grant permission", role="reader", permission=Permission("READ", b"a")),
)


def store_with(*changes: ChangeAuth) -> Store:
    store = Store()
    for change in changes:
        assert store.apply(change) == Done(), change
    return store


def permitting(*permissions: Permission) -> Store:
    """Bob has one role for each."""
    store = store_with(*ENABLED, ChangeAuth("add user", "bob"))
    for number, permission in enumerate(permissions):
        role = f"role-{number}"
        store.apply(ChangeAuth("add role", role=role))
        store.apply(ChangeAuth("grant permission", role=role, permission=permission))
        store.apply(ChangeAuth("grant role", "bob", role))
    return store


def may(store: Store, request: Guarded, user: str = "bob") -> bool:
    return store.auth.refusal(user, request, store.leases) is None


# -- changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "change", "refusal"),
    [
        ((), ChangeAuth("enable"), RootUserMissing),
        (ROOT_EXISTS[:1], ChangeAuth("enable"), RootRoleMissing),
        ((), ChangeAuth("add user", ""), UserEmpty),
        (BOB_READS_A, ChangeAuth("add user", "bob"), UserExists),
        ((), ChangeAuth("delete user", "bob"), UserNotFound),
        ((), ChangeAuth("change password", "bob"), UserNotFound),
        ((), ChangeAuth("grant role", "bob", "reader"), UserNotFound),
        (BOB_READS_A, ChangeAuth("grant role", "bob", "writer"), RoleNotFound),
        (BOB_READS_A, ChangeAuth("revoke role", "bob", "writer"), RoleNotGranted),
        ((), ChangeAuth("add role", role=""), RoleEmpty),
        (BOB_READS_A, ChangeAuth("add role", role="reader"), RoleExists),
        ((), ChangeAuth("delete role", role="reader"), RoleNotFound),
        ((), ChangeAuth("grant permission", role="reader", permission=Permission("READ", b"a")), RoleNotFound),
        (BOB_READS_A, ChangeAuth("grant permission", role="reader"), InvalidAuthManagement),
        (
            BOB_READS_A,
            ChangeAuth("grant permission", role="reader", permission=Permission("READ", b"b", b"a")),
            InvalidAuthManagement,
        ),
        (
            BOB_READS_A,
            ChangeAuth("revoke permission", role="reader", permission=Permission("READ", b"a", b"b")),
            PermissionNotGranted,
        ),
        (
            BOB_READS_A,
            ChangeAuth("revoke permission", role="reader", permission=Permission("READ", b"b", b"a")),
            PermissionNotGranted,
        ),
        ((), ChangeAuth("revoke permission", role="reader", permission=Permission("READ", b"b", b"a")), RoleNotFound),
        (ENABLED, ChangeAuth("delete user", "root"), InvalidAuthManagement),
        (ENABLED, ChangeAuth("revoke role", "root", "root"), InvalidAuthManagement),
        (ENABLED, ChangeAuth("delete role", role="root"), InvalidAuthManagement),
    ],
)
def test_a_change_that_cannot_be_is_refused_in_etcds_words_and_changes_nothing(
    before: tuple[ChangeAuth, ...], change: ChangeAuth, refusal: type[Answer]
) -> None:
    store = store_with(*before)
    table = store.auth.table()

    result = store.apply(change)

    assert type(result) is refusal
    assert store.auth.table() == table


def test_every_change_is_counted_but_not_that_it_is_enabled() -> None:
    revisions = []
    auth = Auth()
    for change in (*ENABLED, ChangeAuth("disable")):
        auth.change(change)
        revisions.append((auth.revision, auth.enabled))

    assert revisions == [(2, False), (3, False), (3, True), (4, False)]


def test_a_role_that_is_deleted_is_taken_from_those_who_have_it() -> None:
    store = store_with(*ENABLED, *BOB_READS_A)

    store.apply(ChangeAuth("delete role", role="reader"))
    store.apply(ChangeAuth("add role", role="reader"))
    store.apply(ChangeAuth("grant permission", role="reader", permission=Permission("READ", b"a")))

    assert store.auth.user("bob") == User("bob", "hash")
    assert not may(store, Range(b"a"))


def test_a_permission_for_the_same_keys_takes_the_place_of_the_one_before() -> None:
    store = store_with(*ENABLED, *BOB_READS_A)

    store.apply(ChangeAuth("grant permission", role="reader", permission=Permission("WRITE", b"a")))

    assert (may(store, Range(b"a")), may(store, Txn((), (Op("put", b"a"),)))) == (False, True)


# -- what a user may --------------------------------------------------------------------------------------------------

KEYS = [bytes(letters) for size in (1, 2) for letters in itertools.product(b"abc", repeat=size)]
spans = st.builds(
    lambda one, other, open_end: Span(one, None if open_end else max(one, other) + b"\0"),
    *(st.sampled_from(KEYS), st.sampled_from(KEYS), st.booleans()),
)


@given(wanted=spans, permitted=st.lists(spans, max_size=5))
@example(wanted=Span(b"a", b"c"), permitted=[Span(b"a", b"b"), Span(b"b", b"c")])
@example(wanted=Span(b"a", b"c"), permitted=[Span(b"b", b"c"), Span(b"a", b"b")])
@example(wanted=Span(b"a", None), permitted=[Span(b"a", b"c")])
@example(wanted=Span(b"a", b"cc"), permitted=[Span(b"a", b"b"), Span(b"ba", b"cc")])
def test_keys_are_covered_exactly_when_each_of_them_is(wanted: Span, permitted: list[Span]) -> None:
    """Whether all keys are, is seen at those where something begins or ends, just behind them, and past the last."""
    edges = {wanted.low, *(edge for span in (wanted, *permitted) for edge in span if edge is not None)}
    probes = {*edges, *(edge + b"\0" for edge in edges), b"\xff" * 8}

    assert covered(wanted, permitted) == all(
        any(span.holds(key) for span in permitted) for key in probes if wanted.holds(key)
    )


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (Range(b"a"), [("READ", b"a")]),
        (WatchKeys(b"a"), [("READ", b"a")]),
        (Txn((), (Op("put", b"a", b"1"),)), [("WRITE", b"a")]),
        (Txn((), (Op("put", b"a", b"1", prev_kv=True),)), [("WRITE", b"a"), ("READ", b"a")]),
        (Txn((), (Op("delete", b"a"),)), [("WRITE", b"a")]),
        (Txn((), (Op("delete", b"a", prev_kv=True),)), [("WRITE", b"a"), ("READ", b"a")]),
        (Txn((), (Op("range", b"a"),)), [("READ", b"a")]),
        (Txn((), (Op("range", range=Range(b"a")),)), [("READ", b"a")]),
        (Txn((Compare(b"a", "version", "=", 0),), ()), [("READ", b"a")]),
        (Txn((), (), (Op("put", b"a", b"1"),)), [("WRITE", b"a")]),
        (Txn((), (Op("txn", txn=Txn((), (), (Op("put", b"a", b"1"),))),)), [("WRITE", b"a")]),
        (Txn((), (Op("txn", txn=Txn((Compare(b"a", "version", "=", 0),), ())),)), [("READ", b"a")]),
        (Txn((), (Op("put", b"a"), Op("put", b"b"))), [("WRITE", b"a"), ("WRITE", b"b")]),
        (Txn((), (Op("put", b"a", lease=1),)), [("WRITE", b"a"), ("WRITE", b"leased")]),
        (LeaseRevoke(1), [("WRITE", b"leased")]),
        (LeaseTimeToLive(1, True), [("READ", b"leased")]),
        (LeaseTimeToLive(1), []),
        (LeaseGrant(5), []),
        (Compact(1), []),
    ],
)
def test_a_request_is_permitted_with_just_what_it_needs_and_refused_without_any_of_it(
    request_: Guarded, needed: list[tuple[PermissionKind, bytes]]
) -> None:
    for left_out in (None, *range(len(needed))):
        granted: dict[bytes, set[PermissionKind]] = {}
        for number, (kind, key) in enumerate(needed):
            if number != left_out:
                granted.setdefault(key, set()).add(kind)
        both: set[PermissionKind] = {"READ", "WRITE"}
        store = permitting(
            *(Permission("READWRITE" if kinds == both else kinds.copy().pop(), key) for key, kinds in granted.items())
        )
        store.apply(LeaseGrant(60, 1))
        store.apply(Txn((), (Op("put", b"leased", lease=1),)))

        assert may(store, request_) == (left_out is None), (request_, left_out)
        assert may(store, request_, "root")


@pytest.mark.parametrize("everything", [Permission("READWRITE", b"\0", b"\0"), Permission("READWRITE", b"", b"\0")])
def test_who_may_read_and_write_everything_may_still_change_no_permissions(everything: Permission) -> None:
    store = permitting(everything)

    assert may(store, Range(b"a", b"\0"))
    assert type(store.auth.refusal("bob", ChangeAuth("add user", "eve"), store.leases)) is PermissionDenied


@pytest.mark.parametrize(("user", "refusal"), [("", UserEmpty), ("eve", PermissionDenied)])
def test_who_is_nobody_may_nothing_while_it_is_enabled_and_all_while_it_is_not(
    user: str, refusal: type[Answer]
) -> None:
    store = store_with(*ENABLED)

    refused = store.auth.refusal(user, Compact(1), store.leases)
    store.apply(ChangeAuth("disable"))

    assert type(refused) is refusal
    assert store.auth.refusal(user, Compact(1), store.leases) is None


# -- in the log, and in the store -------------------------------------------------------------------------------------


def test_what_a_user_may_not_does_not_happen_and_what_it_may_does() -> None:
    store = store_with(*ENABLED, *BOB_READS_A)
    store.apply(ChangeAuth("grant permission", role="reader", permission=Permission("WRITE", b"b")))

    refused = store.apply(as_user("bob", Txn((), (Op("put", b"a", b"1"),))))
    done = store.apply(as_user("bob", Txn((), (Op("put", b"b", b"1"),))))

    assert type(refused) is PermissionDenied
    assert isinstance(done, TxnResponse)
    assert [kv.key for kv in store.range(Range(b"\0", b"\0")).kvs] == [b"b"]


def test_what_is_revoked_between_the_question_and_the_log_counts() -> None:
    store = store_with(*ENABLED, *BOB_READS_A)
    asked = as_user("bob", Txn((), (Op("put", b"a", b"1"), Op("range", b"a"))))
    store.apply(ChangeAuth("grant permission", role="reader", permission=Permission("READWRITE", b"a")))
    admitted(asked, store)

    store.apply(ChangeAuth("revoke role", "bob", "reader"))

    assert type(store.apply(asked)) is PermissionDenied


def test_users_are_in_the_log_and_in_the_snapshot() -> None:
    store = store_with(*ENABLED, *BOB_READS_A)
    commands = [*ENABLED, *BOB_READS_A, as_user("bob", Range(b"a"))]

    dump = Dump(store)
    loaded = decode_snapshot(b"".join(encode_snapshot(Mark(7, 3), dump))).store
    dump.close()

    assert loaded.auth.table() == store.auth.table()
    assert decode_commands(encode_commands(commands)) == commands


def test_a_lease_whose_revocation_is_refused_is_not_kept_alive_by_it() -> None:
    store, clock = store_with(*ENABLED, *BOB_READS_A), LeaseClock()
    store.apply(LeaseGrant(10, 1))
    store.apply(Txn((), (Op("put", b"leased", lease=1),)))
    clock.start(store.leases.all(), 0.0)
    asked = as_user("bob", LeaseRevoke(1))

    follow(clock, store.leases, asked, store.apply(asked), 9.0)

    assert list(clock.take_expired(10.5)) == [1]


def test_a_users_puts_count_as_much_for_the_quota_as_anybodys() -> None:
    assert takes_room(as_user("bob", Txn((), (Op("put", b"a", b"1"),))))
    assert not takes_room(as_user("bob", Txn((), (Op("delete", b"a"),))))


@given(number=st.integers(0, 120), body=st.binary(max_size=40))
@example(number=1, body=b"\x93\x90\x90\x90")
@example(number=99, body=b"")
def test_a_request_in_somebodys_name_that_is_none_is_refused_before_it_enters_the_log(number: int, body: bytes) -> None:
    store = store_with(*ENABLED)
    try:
        admitted(AsUser("root", number, body), store)
    except Answer:
        return
    requested(AsUser("root", number, body))  # so it can be applied


def test_a_request_of_no_known_kind_is_a_bad_one() -> None:
    with pytest.raises(BadRequest):
        admitted(AsUser("root", 99, msgspec.msgpack.encode([])), Store())


# -- tokens -----------------------------------------------------------------------------------------------------------


def auth_of(password: str = "hash", secret: bytes = SECRET) -> Auth:
    auth = Auth()
    for change in (*ROOT_EXISTS, ChangeAuth("enable", secret=secret), *BOB_READS_A):
        auth.change(change)
    auth.change(ChangeAuth("change password", "bob", password=password))
    return auth


BOB = User("bob", "hash")
GOOD = token(BOB, SECRET, 100.0).encode()


def test_a_token_says_who_it_is_for_until_it_ends() -> None:
    assert user_of(GOOD, auth_of(), 99.0) == "bob"


@pytest.mark.parametrize(
    ("text", "auth", "now"),
    [
        (GOOD, auth_of(), 100.0),
        (GOOD, auth_of(password="another"), 1.0),
        (GOOD, auth_of(secret=b"t" * 32), 1.0),
        (token(User("eve", ""), SECRET, 100.0).encode(), auth_of(), 1.0),
        (GOOD.replace(b"bob".hex().encode(), b"root".hex().encode()), auth_of(), 1.0),
        (GOOD.replace(b".100.", b".200."), auth_of(), 1.0),
        (GOOD[:-1], auth_of(), 1.0),
        (GOOD.rpartition(b".")[0] + b".", auth_of(), 1.0),
        (b"..", auth_of(), 1.0),
    ],
)
def test_a_token_that_ended_or_was_made_otherwise_is_refused(text: bytes, auth: Auth, now: float) -> None:
    with pytest.raises(Refused, match="invalid auth token"):
        user_of(text, auth, now)


@given(text=st.binary(max_size=80))
@example(text=b"\xff.1.a")
@example(text=b"626f62.\xc2\xb2.a")
def test_any_bytes_for_a_token_are_refused(text: bytes) -> None:
    with pytest.raises(Refused, match="invalid auth token"):
        user_of(text, auth_of(), 1.0)
