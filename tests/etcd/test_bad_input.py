"""Requests that make no sense, and clients that behave badly: each is told so in etcd's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.testing import WORLDS, World, run_in
from actors.etcd.actor import Etcd
from actors.etcd.mvcc.txn import SIZE_BYTES_MAX
from protocols.errors import BadRequest
from protocols.etcd import (
    Compact,
    Compacted,
    Compare,
    DuplicateKey,
    EmptyKey,
    EtcdAnswer,
    FutureRevision,
    InvalidCompare,
    KeyNotFound,
    LeaseExists,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseNotFound,
    LeaseProvided,
    LeaseRevoke,
    LeaseTooLong,
    Op,
    Range,
    TooLarge,
    TooManyOps,
    Txn,
    ValueProvided,
    WatchKeys,
)
from protocols.etcd_maintenance import HashKv
from protocols.message import Request
from tests.etcd.cluster import Client, boot, leader

pytestmark = pytest.mark.parametrize("kind", WORLDS)


def do(*ops: Op) -> Txn:
    return Txn((), ops)


REFUSALS: list[tuple[Request[object], type[EtcdAnswer], str]] = [
    (Range(b"a", revision=3), Compacted, "etcdserver: mvcc: required revision has been compacted"),
    (Range(b"a", revision=99), FutureRevision, "etcdserver: mvcc: required revision is a future revision"),
    (
        do(Op("put", b"b"), Op("range", range=Range(b"a", revision=3))),
        Compacted,
        "required revision has been compacted",
    ),
    (do(Op("put", b"b"), Op("range", range=Range(b"a", revision=99))), FutureRevision, "is a future revision"),
    (Compact(2), Compacted, "required revision has been compacted"),
    (Compact(99), FutureRevision, "is a future revision"),
    (HashKv(3), Compacted, "required revision has been compacted"),
    (Range(b""), EmptyKey, "etcdserver: key is not provided"),
    (do(Op("put", b"")), EmptyKey, "etcdserver: key is not provided"),
    (do(Op("put", b"a", b"x" * SIZE_BYTES_MAX)), TooLarge, "etcdserver: request is too large"),
    (do(*(Op("put", b"%d" % n) for n in range(129))), TooManyOps, "etcdserver: too many operations in txn request"),
    (do(Op("put", b"b"), Op("put", b"b")), DuplicateKey, "etcdserver: duplicate key given in txn request"),
    (do(Op("put", b"b", b"x", ignore_value=True)), ValueProvided, "etcdserver: value is provided"),
    (do(Op("put", b"b", lease=5, ignore_lease=True)), LeaseProvided, "etcdserver: lease is provided"),
    (do(Op("put", b"nothing", ignore_value=True)), KeyNotFound, "etcdserver: key not found"),
    (do(Op("put", b"b", lease=77)), LeaseNotFound, "etcdserver: requested lease not found"),
    (Txn((Compare(b"a", "mod", "=", b"2"),), ()), InvalidCompare, "etcdserver: invalid comparison in txn request"),
    (LeaseKeepAlive(77), LeaseNotFound, "etcdserver: requested lease not found"),
    (LeaseRevoke(77), LeaseNotFound, "etcdserver: requested lease not found"),
    (LeaseGrant(60, 5), LeaseExists, "etcdserver: lease already exists"),
    (LeaseGrant(9_000_000_001), LeaseTooLong, "etcdserver: too large lease TTL"),
]


def test_each_is_refused_with_etcds_words_and_nothing_has_happened(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        client = Client(await boot(world))
        for _ in range(5):
            await client.ask(do(Op("put", b"a", b"v")))
        await client.ask(Compact(5))
        await client.ask(LeaseGrant(60, 5))

        for request, refusal, text in REFUSALS:
            with pytest.raises(refusal) as said:
                await client.ask(request)
            assert type(said.value) is refusal and text in refusal.etcd_text, request

        after = await client.ask(Range(b"\0", b"\0"))
        assert (after.revision, [kv.key for kv in after.kvs]) == (6, [b"a"])

    run_in(kind, scenario, tmp_path)


def test_numbers_below_nothing_mean_nothing(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        await client.ask(do(Op("put", b"a", b"v")))
        ref = system.ref(f"{await leader(system, world)}/etcd")

        found = await client.ask(Range(b"a", limit=-1, revision=-7))
        hashes = [(await system.ask(ref, HashKv(revision))).hash for revision in (-3, 0)]
        with pytest.raises(BadRequest):
            await client.ask(LeaseGrant(-1))
        async with system.stream(ref, WatchKeys(b"a", start_revision=-1)) as stream:
            established = await anext(stream)

        assert found.count == len(found.kvs) == 1
        assert hashes[0] == hashes[1]
        assert (established.revision, established.events) == (2, ())

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_a_client_with_ten_thousand_watches_that_reads_none_of_them_holds_up_nobody(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        name = await leader(system, world)
        ref = system.ref(f"{name}/etcd")
        client = Client(system)
        bad = await world.boot("bad", listens=False)
        there = bad.ref(f"{name}/etcd")
        watches = [bad.stream(there, WatchKeys(b"a" if n % 2 else b"k%d" % n), window=1) for n in range(10_000)]
        actor = world.system(name).actor("etcd")
        assert isinstance(actor, Etcd)
        await world.until(lambda: actor._feeds.count == 10_000, within_s=60.0)

        async with system.stream(ref, WatchKeys(b"a", start_revision=1)) as stream:
            for number in range(20):
                await client.ask(do(Op("put", b"a", b"%d" % number)))
            values: list[bytes] = []
            while len(values) < 20:
                values += [event.kv.value for event in (await anext(stream)).events]

        assert values == [b"%d" % number for number in range(20)]
        assert not actor._feeds._ready
        for watch in watches:
            watch.close()
        await world.until(lambda: actor._feeds.count == 0, within_s=60.0)

    run_in(kind, scenario, tmp_path)
