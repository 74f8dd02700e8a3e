"""Every call of etcd's API with what lies at its edges: our store answers what a real etcd answers, field by field.

What is left out here, a real etcd of 3.4 does not survive (a sort target without a name, an alarm of no kind, a
permission that is not given), or newer ones have changed: there ours says what those say (who may look after a member
and is nobody, permissions for keys that end before they begin, the hash at the revision of a compaction).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.etcd.calls import (
    ME,
    Call,
    Pair,
    Script,
    both,
    call,
    compare,
    delete,
    get,
    part,
    permission,
    put,
    txn,
    within,
)
from tests.etcd.grpc_client import request
from tests.etcd.real_etcd import needs_etcd

pytestmark = [pytest.mark.cluster, needs_etcd]

ALL = {"key": b"a", "range_end": b"\0"}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with both(tmp_path) as found:
        yield found


def some_keys() -> list[Call]:
    """a twice, c twice; orders of keys, values, versions and revisions differ."""
    pairs = ["a9", "b1", "c5", "c6", "a3", "d", "e2", "\xff7", "z8"]
    return [call("KV/Put", key=pair[0].encode("latin-1"), value=pair[1:].encode()) for pair in pairs]


async def test_ranges(pair: Pair) -> None:
    bounds = ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision")
    more = (
        {},
        {"limit": 1},
        {"count_only": True},
        {"limit": 2, "sort_order": 2, "sort_target": 3},
        {"keys_only": True},
    )
    keys = [b"", b"\0", b"a", b"c", b"nope"]
    ways = [{"keys_only": True}, {"count_only": True}, {"count_only": True, "limit": 2}, {"serializable": True}]

    differ = await pair.differ(
        [
            *some_keys(),
            *[call("KV/Range", key=key, range_end=end) for key, end in product(keys, [b"", b"\0", b"a", b"b", b"c"])],
            *[
                call("KV/Range", **ALL, sort_order=order, sort_target=target, limit=limit)
                for order, target, limit in product(range(3), range(5), (0, 2))
            ],
            *[call("KV/Range", **ALL, **way) for way in ways],
            *[call("KV/Range", **ALL, limit=limit) for limit in (-5, 1, 6, 7, 8)],
            *[call("KV/Range", **ALL, revision=revision) for revision in (-1, 1, 3, 99)],
            call("KV/Range", **ALL, revision=99, serializable=True),
            call("KV/Range", **ALL, revision=4, limit=1),
            *[
                call("KV/Range", **ALL, **{bound: value}, **extra)
                for bound, value, extra in product(bounds, (-3, 1, 2, 5, 8, 99), more)
            ],
            call("KV/Range", **ALL, min_mod_revision=6, max_mod_revision=4),
        ]
    )

    assert not differ


async def test_puts_and_deletions(pair: Pair) -> None:
    puts = [
        {},
        {"value": b"x"},
        {"key": b"a", "value": b"v", "ignore_value": True},
        {"key": b"no", "ignore_value": True},
        {"key": b"a", "ignore_value": True, "prev_kv": True},
        {"key": b"a", "value": b"q", "ignore_lease": True, "lease": 5},
        {"key": b"no", "value": b"q", "ignore_lease": True},
        {"key": b"a", "value": b"q", "ignore_lease": True},
        {"key": b"a", "ignore_lease": True, "ignore_value": True},
        {"key": b"no", "ignore_lease": True, "ignore_value": True},
        {"key": b"a", "value": b"1", "lease": 77},
        {"key": b"a", "value": b"1", "lease": -1},
        {"key": b"new", "value": b"1", "prev_kv": True},
        {"key": b"new", "value": b"2", "prev_kv": True},
        {"key": b"long" * 500},
        {"key": b"large", "value": b"x" * 1_600_000},
        {"key": b"large", "value": b"x" * 1_500_000},
    ]
    deletions = [
        {},
        {"range_end": b"\0"},
        {"key": b"nope"},
        {"key": b"c", "range_end": b"b"},
        {"key": b"c", "range_end": b"c"},
        {"key": b"new", "prev_kv": True},
        {"key": b"large"},
        {"key": b"a", "range_end": b"c", "prev_kv": True},
        {"key": b"l", "range_end": b"\0"},
    ]

    differ = await pair.differ(
        [
            *some_keys(),
            *[call("KV/Put", **fields) for fields in puts],
            *[call("KV/DeleteRange", **fields) for fields in deletions],
            call("KV/Range", **ALL),
        ]
    )

    assert not differ


async def test_comparisons(pair: Pair) -> None:
    fields = ("version", "create_revision", "mod_revision", "value", "lease")
    values = [(target, value) for target in (0, 1, 2, 4) for value in (0, 1, 2, 10)]
    values += [(3, value) for value in (b"", b"1", b"9")]
    spans = [{"key": b"a"}, {"key": b"missing"}, ALL, {"key": b"x", "range_end": b"y"}]

    differ = await pair.differ(
        [
            *some_keys(),
            *[
                txn([compare(result=result, target=target, **{fields[target]: value}, **span)], [get(key=b"a")])
                for result, (target, value), span in product(range(4), values, spans)
            ],
            txn([compare(target=0, key=b"a", value=b"1")]),
            txn([compare(target=3, key=b"a", version=1)]),
            txn([compare(target=3, key=b"a")]),
            txn([compare(target=0, key=b"missing")]),
            txn([compare(target=0, version=1)]),
            txn([compare(target=0, version=1, range_end=b"\0")]),
            txn([compare(key=b"a")]),
        ]
    )

    assert not differ


async def test_transactions(pair: Pair) -> None:
    never = compare(target=0, key=b"a", version=99)
    many = [put(key=b"m%d" % number, value=b"1") for number in range(129)]
    other = [put(key=b"o%d" % number, value=b"1") for number in range(129)]
    twice = put(key=b"twice", value=b"1")
    gone = delete(key=b"twice")

    differ = await pair.differ(
        [
            *some_keys(),
            txn(),
            *[txn(success=[op]) for op in (part("RequestOp"), put(), get(), delete())],
            *[txn(failure=[op]) for op in (part("RequestOp"), put())],
            *[
                txn(success=[put(key=b"a", **fields)])
                for fields in ({"value": b"v", "ignore_value": True}, {"lease": 9})
            ],
            txn(success=[put(key=b"a", lease=5, ignore_lease=True)]),
            txn(success=[put(key=b"q", ignore_value=True)]),
            txn(failure=[put(key=b"q", ignore_value=True)]),
            txn(success=[put(key=b"p"), put(key=b"q", ignore_value=True)]),
            txn([never], failure=[put(key=b"p"), put(key=b"q", lease=88)]),
            txn(
                success=[put(key=b"a", value=b"n"), get(key=b"a"), put(key=b"b"), delete(key=b"c"), get(**ALL, limit=2)]
            ),
            *[txn(success=list(ops)) for ops in product((twice, gone), repeat=2)],
            txn(success=[delete(key=b"t", range_end=b"u"), twice]),
            txn(success=[within(success=[twice]), twice]),
            txn(success=[within(success=[twice], failure=[twice])]),
            txn(success=[within(success=[twice]), within(success=[twice])]),
            txn(success=[within(success=[twice]), gone]),
            txn(success=[gone, within(success=[twice])]),
            txn(
                success=[
                    put(key=b"n1"),
                    within(
                        [compare(target=0, key=b"n1", version=1)], [get(key=b"n1"), put(key=b"n2")], [put(key=b"n3")]
                    ),
                    get(key=b"n", range_end=b"o"),
                ]
            ),
            txn([never], failure=[within([never], [], [within(success=[get(key=b"a")])])]),
            txn(success=many[:128]),
            txn(success=many),
            txn(success=[within(success=many[:127])]),
            txn(success=[within(success=many[:128])]),
            txn(success=[within(success=many[:126]), within(success=other[:126])]),
            txn(success=[within(success=many[:127]), within(success=other[:1])]),
            txn([compare(target=0, key=b"a")] * 128, [get(key=b"a")] * 128, [get(key=b"a")] * 128),
            txn([compare(target=0, key=b"a")] * 129),
            txn(success=[put(key=b"large", value=b"x" * 1_600_000)]),
            call("KV/Range", **ALL),
        ]
    )

    assert not differ


async def test_compactions_and_the_past(pair: Pair) -> None:
    never = compare(target=0, key=b"a", version=99)
    past = (-1, 1, 4, 5, 6, 99)

    differ = await pair.differ(
        [
            *[call("Maintenance/HashKV", revision=revision) for revision in (0, 1, 2)],
            *[call("KV/Compact", revision=revision) for revision in (-1, 0, 0, -1, 2, 1, 1)],
            *some_keys(),
            txn(success=[get(key=b"a", revision=-1)]),
            *[call("KV/Compact", revision=revision) for revision in (3, 2, 3, 0, -1, 99)],
            call("KV/Compact", revision=5, physical=True),
            *[call("KV/Range", key=b"a", revision=revision) for revision in past],
            *[call("KV/Range", key=b"a", revision=revision, count_only=True) for revision in past],
            *[call("KV/Range", key=b"c", range_end=b"a", revision=revision) for revision in past],
            *[txn(success=[get(key=b"a", revision=revision)]) for revision in past],
            *[txn([never], [get(key=b"a", revision=revision)], [put(key=b"b")]) for revision in past],
            *[txn(success=[put(key=b"a"), get(key=b"a", revision=revision)]) for revision in past],
            *[call("Maintenance/HashKV", revision=revision) for revision in (-1, 0, 4, 6, 99)],
            call("KV/Range", **ALL),
        ]
    )

    assert not differ


async def test_leases(pair: Pair) -> None:
    granted = [(300, 5), (300, 5), (1, 6), (0, 7), (-1, 7), (9_000_000_000, 8), (9_000_000_001, 9), (60, 10), (600, -3)]
    numbers = (5, -3, 77, 0, -1, 6)

    differ = await pair.differ(
        [
            call("Lease/LeaseLeases"),
            *[call("Lease/LeaseGrant", TTL=ttl, ID=number) for ttl, number in granted],
            call("Lease/LeaseGrant", TTL=3_600, ID=(1 << 63) - 1),
            call("Lease/LeaseLeases"),
            call("KV/Put", key=b"l/a", lease=5),
            call("KV/Put", key=b"l/b", lease=-3),
            *[call("Lease/LeaseTimeToLive", ID=number, keys=True) for number in (77, 0)],
            call("KV/Range", key=b"l/", range_end=b"l0"),
            call("KV/Put", key=b"l/a", lease=10),
            call("KV/Put", key=b"l/a", ignore_lease=True),
            call("KV/Put", key=b"l/a"),
            *[call("Lease/LeaseRevoke", ID=number) for number in numbers],
            call("Lease/LeaseRevoke", ID=5),
            call("KV/Range", key=b"l/", range_end=b"l0"),
            call("Lease/LeaseLeases"),
        ]
    )

    assert not differ


def watch(**creation: Any) -> Any:
    return request("Watch", create_request=creation)


def cancel(number: int) -> Any:
    return request("Watch", cancel_request={"watch_id": number})


PROGRESS = request("Watch", progress_request={})
NOBODY, NOTHING = 0, 0
REFUSED_WATCHES: Script = [
    *[(watch(key=b"b", range_end=end), 1) for end in (b"a", b"b")],
    (watch(key=b"b", watch_id=-5), 1),
    *[(watch(key=b"c", watch_id=7), 1) for _ in range(2)],
    *[
        (watch(**span), 1)
        for span in ({}, {"range_end": b"\0"}, {"key": b"\0", "range_end": b"\0"}, {"range_end": b"b"})
    ],
    (call("KV/Put", key=b"c"), 3),
    (cancel(99), NOTHING),
    (cancel(7), 1),
    (cancel(7), NOTHING),
    (cancel(0), 1),
    (call("KV/Put", key=b"c"), 2),
    (watch(key=b"c"), 1),
    (watch(key=b"c", watch_id=7), 1),
    (call("KV/Put", key=b"c"), 4),
]
PAST_WATCHES: Script = [
    *[(call("KV/Put", key=b"a", value=value), NOBODY) for value in (b"1", b"2")],
    (call("KV/DeleteRange", key=b"a"), NOBODY),
    (call("KV/Put", key=b"b"), NOBODY),
    (watch(key=b"a", start_revision=1), 2),
    (watch(key=b"a", start_revision=2, prev_kv=True), 2),
    (watch(key=b"a", range_end=b"\0", start_revision=3), 2),
    (watch(key=b"a", start_revision=99), 1),
    (watch(key=b"a", start_revision=7), 1),
    (call("KV/Put", key=b"a", value=b"3"), 3),
    (call("KV/Put", key=b"a", value=b"4"), 4),
    (PROGRESS, 1),
    (call("KV/Compact", revision=5), NOTHING),
    (watch(key=b"a", start_revision=5), 2),
    (call("KV/Put", key=b"a", value=b"5"), 5),
]
FILTERED_WATCHES: Script = [
    *[(watch(key=b"a", watch_id=number, filters=filters), 1) for number, filters in enumerate(([0], [1], [0, 1]), 1)],
    (watch(key=b"a", watch_id=4, prev_kv=True), 1),
    (watch(key=b"a", watch_id=5, filters=[7]), 1),
    *[(call("KV/Put", key=b"a", value=value), 3) for value in (b"1", b"2")],
    (call("KV/DeleteRange", key=b"a"), 3),
    (txn(success=[put(key=b"a", value=b"3"), put(key=b"b")]), 3),
    (txn(success=[delete(key=b"a", range_end=b"z")]), 3),
    (call("KV/DeleteRange", key=b"a"), NOTHING),
    (PROGRESS, 1),
]
MANY_WATCHES: Script = [
    (PROGRESS, 1),
    *[(watch(key=key, range_end=end), 1) for key, end in ((b"a", b"c"), (b"b", b"\0"), (b"a", b""))],
    (watch(key=b"zz", start_revision=50), 1),
    (txn(success=[put(key=b"b"), put(key=b"a"), put(key=b"c")]), 3),
    (cancel(0), 1),
    (call("KV/Put", key=b"b"), 1),
    (watch(key=b"b", progress_notify=True), 1),
    (call("Lease/LeaseGrant", TTL=60, ID=5), NOTHING),
    (txn(success=[put(key=b"b2", lease=5), put(key=b"b1", lease=5, value=b"v")]), 1),
    (call("Lease/LeaseRevoke", ID=5), 1),
    *[(PROGRESS, 1) for _ in range(2)],
]


@pytest.mark.parametrize("script", [REFUSED_WATCHES, PAST_WATCHES, FILTERED_WATCHES, MANY_WATCHES])
async def test_watches(pair: Pair, script: Script) -> None:
    differ = await pair.watches_differ(script)

    assert not differ


async def test_alarms_and_what_they_refuse(pair: Pair) -> None:
    raising, ending, no_space, corrupt = 1, 2, 1, 2
    listed = call("Maintenance/Alarm")
    writes = [
        call("KV/Put", key=b"k"),
        call("KV/DeleteRange", key=b"nope"),
        txn(success=[put(key=b"k")]),
        txn(success=[get(key=b"k")], failure=[put(key=b"k")]),
        txn(success=[get(key=b"k")]),
        txn(success=[delete(key=b"nope")]),
        call("Lease/LeaseGrant", TTL=60, ID=500),
        call("Lease/LeaseRevoke", ID=77),
        call("KV/Range", key=b"k"),
        call("Lease/LeaseLeases"),
    ]

    differ = await pair.differ(
        [
            *some_keys(),
            *[call("Maintenance/Alarm", memberID=number, alarm=kind) for number in (0, 9, ME) for kind in (0, 1, 2)],
            call("Maintenance/Alarm", action=ending),
            *[call("Maintenance/Alarm", action=ending, memberID=number, alarm=1) for number in (9, ME)],
            call("Maintenance/Alarm", action=raising, memberID=ME, alarm=no_space),
            *[call("Maintenance/Alarm", memberID=number, alarm=kind) for number in (0, 9, ME) for kind in (0, 1, 2)],
            *writes,
            call("KV/Compact", revision=3),
            call("Maintenance/Alarm", action=raising, memberID=ME, alarm=corrupt),
            *[call("Maintenance/Alarm", alarm=kind) for kind in (no_space, corrupt)],
            *writes,
            call("KV/Compact", revision=4),
            *[
                call("Maintenance/Alarm", action=ending, memberID=ME, alarm=kind)
                for kind in (corrupt, corrupt, no_space)
            ],
            listed,
            *writes,
        ]
    )

    assert not differ


async def test_members_and_who_leads(pair: Pair) -> None:
    urls = [[], ["zz"], ["http://x"], ["ftp://x:1"]]

    differ = await pair.differ(
        [
            *[call(f"Cluster/Member{verb}", ID=ID) for verb in ("Remove", "Promote", "Update") for ID in (0, 7)],
            *[call("Cluster/MemberUpdate", ID=7, peerURLs=given) for given in urls],
            *[call("Cluster/MemberAdd", peerURLs=given) for given in urls],
            *[call("Maintenance/MoveLeader", targetID=target) for target in (0, 7)],
            call("Maintenance/Defragment"),
        ]
    )

    assert not differ


ROOT = ("root", "its password")
USER = ("u", "pw")


def users_and_roles() -> list[Call]:
    read, write, read_write = 0, 1, 2
    permissions = [
        permission(read, b"k"),
        permission(write, b"k"),
        permission(read_write, b"k", b"m"),
        permission(read, b"from", b"\0"),
        permission(read, b"\0", b"\0"),
        permission(write, b"b"),
        permission(read_write, b"a", b"b"),
    ]
    revoked = [(b"k", b""), (b"k", b""), (b"from", b"\0"), (b"zz", b""), (b"z", b"y"), (b"\0", b"\0"), (b"", b"")]
    return [
        *[call(f"Auth/{path}") for path in ("AuthEnable", "AuthDisable", "Authenticate", "UserList", "RoleList")],
        *[call("Auth/UserAdd", name=name, password="pw") for name in ("", "u", "u", "other")],
        call("Auth/UserAdd", name="bare", options={"no_password": True}),
        *[call("Auth/UserChangePassword", name=name, password="pw") for name in ("", "u", "zz")],
        *[call("Auth/UserGet", name=name) for name in ("", "u", "zz", "bare")],
        *[call("Auth/UserDelete", name=name) for name in ("", "zz", "other")],
        *[call("Auth/RoleAdd", name=name) for name in ("", "r", "r", "z9", "a1")],
        *[call("Auth/RoleGet", role=name) for name in ("", "r", "root", "zz")],
        *[call("Auth/RoleDelete", role=name) for name in ("", "zz")],
        call("Auth/RoleGrantPermission", name="zz", perm=permissions[0]),
        *[call("Auth/RoleGrantPermission", name="r", perm=one) for one in permissions],
        call("Auth/RoleGet", role="r"),
        *[call("Auth/RoleRevokePermission", role=role, key=b"k") for role in ("", "zz")],
        *[call("Auth/RoleRevokePermission", role="r", key=key, range_end=end) for key, end in revoked[:4]],
        call("Auth/RoleGet", role="r"),
        *[call("Auth/UserGrantRole", user=user, role="r") for user in ("", "zz", "u", "u")],
        *[call("Auth/UserGrantRole", user="u", role=role) for role in ("", "zz", "root", "a1", "z9")],
        call("Auth/UserGet", name="u"),
        *[call("Auth/UserRevokeRole", name=name, role="r") for name in ("", "zz")],
        *[call("Auth/UserRevokeRole", name="u", role=role) for role in ("", "zz", "root", "root", "z9")],
        call("Auth/RoleDelete", role="a1"),
        *[call("Auth/UserGet", name="u"), call("Auth/UserList"), call("Auth/RoleList")],
        *[call("Auth/UserAdd", name="root", password=ROOT[1]), call("Auth/AuthEnable")],
        *[call("Auth/RoleAdd", name="root"), call("Auth/UserGrantRole", user="root", role="root")],
    ]


async def test_users_and_roles(pair: Pair) -> None:
    differ = await pair.differ(users_and_roles())

    assert not differ


async def test_what_users_may(pair: Pair) -> None:
    """`u` may read and write k to m, and nothing else but what it has asked for itself."""
    keys = [(b"k", b""), (b"kk", b"l"), (b"k", b"m"), (b"k", b"n"), (b"k", b"\0"), (b"m", b""), (b"a", b"b")]
    nested = within(success=[put(key=b"k1"), get(key=b"z")])
    changes = [
        *[call(f"Auth/{path}") for path in ("AuthEnable", "AuthDisable", "UserList", "RoleList")],
        *[call(f"Auth/{path}", name="zz") for path in ("UserAdd", "UserGet", "UserDelete", "RoleAdd")],
        *[call("Auth/UserGet", name="u"), call("Auth/RoleGet", role="r"), call("Auth/RoleGet", role="root")],
        *[call("Auth/UserChangePassword", name="u", password="pw"), call("Auth/UserGrantRole", user="u", role="root")],
        call("Auth/RoleGrantPermission", name="r", perm=permission(2, b"a")),
    ]
    asked = [
        *[call("KV/Range", key=key, range_end=end) for key, end in keys],
        *[call("KV/DeleteRange", key=key, range_end=end) for key, end in keys],
        *[call("KV/Put", key=key) for key in (b"", b"k", b"k2", b"lzz", b"m", b"z")],
        call("KV/Put", key=b"w", prev_kv=True),
        txn([compare(target=0, key=b"z")], [get(key=b"k")]),
        txn(success=[get(key=b"k"), put(key=b"k3")]),
        txn(success=[get(key=b"k")], failure=[put(key=b"z")]),
        txn(success=[nested]),
        txn(success=[delete(key=b"k", range_end=b"z")]),
        txn(success=[put(key=b"k", prev_kv=True)]),
        call("Lease/LeaseGrant", TTL=60, ID=600),
        call("KV/Put", key=b"k", lease=600),
        call("Lease/LeaseTimeToLive", ID=600, keys=True),
        call("Lease/LeaseRevoke", ID=600),
        call("Lease/LeaseRevoke", ID=601),
        call("KV/Compact", revision=1),
        *[call("Cluster/MemberRemove", ID=7), call("Cluster/MemberPromote", ID=7)],
        *[call("Auth/Authenticate", name=name, password="wrong") for name in ("", "u", "zz")],
    ]
    enabled = await pair.differ([*users_and_roles(), call("Auth/AuthEnable"), call("Auth/AuthEnable")])

    differ = {
        **await pair.differ([*asked, *changes], USER),
        **await pair.differ(
            [
                call("Lease/LeaseGrant", TTL=60, ID=601),
                call("KV/Put", key=b"z", lease=601),
                call("Auth/RoleDelete", role="root"),
                call("Auth/UserDelete", name="root"),
                call("Auth/UserRevokeRole", name="root", role="root"),
            ],
            ROOT,
        ),
        **await pair.differ(
            [call("Lease/LeaseRevoke", ID=601), call("Lease/LeaseTimeToLive", ID=601, keys=True)], USER
        ),
        **await pair.differ([*asked[:14], *changes[2:-4]]),
        **await pair.differ([call("Auth/AuthDisable")], ROOT),
        **await pair.differ([call("KV/Range", key=b"a", range_end=b"\0")]),
    }

    assert not enabled and not differ
