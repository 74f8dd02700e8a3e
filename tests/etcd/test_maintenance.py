"""Looking after a replica set, in every world: hashes, the check of replicas, alarms, quotas, copies, status."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from actorkube.runtime import System
from actorkube.testing import WORLDS, World, run_in
from actors.etcd.actor import Etcd, EtcdConfig
from actors.etcd.snapshot import decode_snapshot
from protocols.etcd import (
    Compact,
    CorruptCluster,
    FutureRevision,
    KeyValue,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseList,
    LeaseNumbers,
    LeaseTimeToLive,
    LeaseTooLong,
    NoSpace,
    Op,
    Range,
    TooBusy,
    Txn,
)
from protocols.etcd_maintenance import Alarm, CopyStore, DisarmAlarm, HashKv, KvHash, ListAlarms
from tests.etcd.cluster import MEMBERS, QUICK, Client, NoAnswer, boot, converged, leader, status

pytestmark = pytest.mark.parametrize("kind", WORLDS)


def put(key: bytes, value: bytes = b"v", lease: int = 0) -> Txn:
    return Txn((), (Op("put", key, value, lease=lease),))


def delete(key: bytes, range_end: bytes = b"") -> Txn:
    return Txn((), (Op("delete", key, range_end=range_end),))


async def hash_of(system: System, member: str, revision: int = 0) -> KvHash:
    return await system.ask(system.ref(f"{member}/etcd"), HashKv(revision))


def store_of(world: World, member: str) -> Etcd:
    actor = world.system(member).actor("etcd")
    assert isinstance(actor, Etcd)
    return actor


def test_the_hash_of_a_revision_is_the_same_on_all_replicas_whatever_each_still_keeps(
    kind: str, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        for number in range(30):
            await client.ask(put(b"key %d" % (number % 7), b"%d" % number))
        await client.ask(delete(b"key 3"))
        await world.until(lambda: converged(system))
        before = [await hash_of(system, member, 20) for member in MEMBERS]

        store_of(world, MEMBERS[0])._store.keyspace.hold()  # one of them drops nothing
        await client.ask(Compact(20))
        await world.until(lambda: converged(system))
        after = [await hash_of(system, member, 20) for member in MEMBERS]
        newest = [await hash_of(system, member) for member in MEMBERS]

        assert len({found.hash for found in before + after}) == 1
        assert len({(found.hash, found.hash_revision) for found in newest}) == 1
        assert newest[0].hash != before[0].hash
        with pytest.raises(FutureRevision):
            await hash_of(system, MEMBERS[0], 1_000)

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_replica_whose_memory_differs_is_found_and_named(kind: str, tmp_path: Path, which: str) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, replace(QUICK, check_first_s=0.1, check_every_s=0.1))
        client = Client(system)
        await client.ask(put(b"a", b"right"))
        await world.until(lambda: converged(system))
        leading = await leader(system, world)
        broken = leading if which == "leader" else next(member for member in MEMBERS if member != leading)

        live = store_of(world, broken)._store.keyspace._live
        found = live[b"a"]
        live[b"a"] = KeyValue(b"a", b"wrong", found.create_revision, found.mod_revision, found.version)

        async def is_named() -> bool:
            return bool((await client.ask(ListAlarms())).alarms)

        await world.until(is_named)
        assert (await client.ask(ListAlarms())).alarms == (Alarm(broken, "CORRUPT"),)
        with pytest.raises(CorruptCluster):
            await client.ask(put(b"b"))
        said = await status(system, leading)
        assert said is not None and said.errors == (f"{broken}: CORRUPT",)

    run_in(kind, scenario, tmp_path)


def test_replicas_that_agree_raise_no_alarm(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, replace(QUICK, check_first_s=0.02, check_every_s=0.02))
        client = Client(system)
        for number in range(60):
            with contextlib.suppress(NoAnswer):  # a leader that is late is followed by another
                await client.ask(put(b"key %d" % (number % 5), b"%d" % number))

        assert (await client.ask(ListAlarms())).alarms == ()

    run_in(kind, scenario, tmp_path)


async def is_raised(client: Client) -> bool:
    return bool((await client.ask(ListAlarms())).alarms)


def test_beyond_the_quota_only_what_makes_room_is_written(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, EtcdConfig(quota_bytes=20_000))
        client = Client(system)
        with pytest.raises(NoSpace):
            for number in range(100):
                await client.ask(put(b"%d" % number, b"x" * 1_000))

        with pytest.raises(NoSpace):
            await client.ask(LeaseGrant(60))
        await world.until(lambda: is_raised(client))
        alarms = (await client.ask(ListAlarms())).alarms
        ended = await client.ask(DisarmAlarm())
        with pytest.raises(NoSpace):
            await client.ask(put(b"still"))
        revision = (await client.ask(delete(b"\0", b"\0"))).revision
        await client.ask(Compact(revision, physical=True))

        async def is_over() -> bool:
            return not (await client.ask(ListAlarms())).alarms

        await world.until(is_over)
        kinds = {alarm.kind for alarm in alarms}  # of each member that has led meanwhile
        assert kinds == {"NOSPACE"} and ended.alarms == alarms
        await client.ask(put(b"again"))
        assert (await client.ask(Range(b"again"))).count == 1

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_a_copy_is_the_state_of_one_moment_and_can_be_read(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        await client.ask(LeaseGrant(600, 5))
        for number in range(20):
            await client.ask(put(b"key %d" % number, b"x" * 200_000, lease=5 if number == 3 else 0))
        ref = system.ref(f"{await leader(system, world)}/etcd")

        data, whole = b"", False
        async with system.stream(ref, CopyStore(), window=2) as pieces:
            async for piece in pieces:
                data += piece.data
                whole = piece.last
                await client.ask(put(b"meanwhile"))

        copy = decode_snapshot(data).store
        assert whole and copy.revision == 21
        assert copy.range(Range(b"key", b"kez", keys_only=True)).count == 20
        assert [lease.lease for lease in copy.leases.all()] == [5]

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_the_time_that_a_lease_has_left_is_told_and_survives_the_leader(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, replace(QUICK, lease_checkpoint_s=0.1))
        client = Client(system)
        await client.ask(LeaseGrant(1_000, 7))
        await client.ask(put(b"a", lease=7))
        fresh = await client.ask(LeaseTimeToLive(7, keys=True))
        first = await leader(system, world)

        def used_up() -> bool:  # as if it had been granted long ago
            clock = store_of(world, first)._lease_clock
            clock._deadlines[7] = min(clock._deadlines[7], world.system(first).now + 400)
            return all(store_of(world, member)._store.leases.get(7).left_s for member in MEMBERS)  # type: ignore[union-attr]

        await world.until(used_up)
        world.crash(first)
        await world.until(lambda: client.put(b"b"))
        left = await client.ask(LeaseTimeToLive(7))
        kept = await client.ask(LeaseKeepAlive(7))
        renewed = await client.ask(LeaseTimeToLive(7))

        assert (fresh.ttl_s, fresh.keys) == (1_000, (b"a",))
        assert fresh.left_s == 999  # whole seconds that it has for sure
        assert 300 < left.left_s <= 401
        assert (kept.ttl_s, renewed.left_s) == (1_000, 999)
        assert await client.ask(LeaseList()) == LeaseNumbers((7,))
        assert (await client.ask(LeaseTimeToLive(8))).left_s == -1
        with pytest.raises(LeaseTooLong):
            await client.ask(LeaseGrant(9_000_000_001))

    run_in(kind, scenario, tmp_path)


def test_status_says_how_much_there_is(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        await Client(system).ask(put(b"a", b"x" * 1_000))

        said = await status(system, await leader(system, world))

        assert said is not None
        assert said.db_bytes > 1_000 and said.in_use_bytes > 1_000
        assert said.last_index >= said.commit_index >= said.applied_index > 0
        assert said.errors == () and not said.learner and said.version

    run_in(kind, scenario, tmp_path)


def test_four_hashes_at_a_time_are_enough(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        for number in range(5):
            await client.ask(put(b"%d" % number))
        ref = system.ref(f"{await leader(system, world)}/etcd")
        streams = [system.stream(ref, CopyStore(), window=1) for _ in range(4)]  # whose readers take nothing

        async def is_refused() -> bool:
            try:
                await system.ask(ref, HashKv())
            except TooBusy:
                return True
            return False

        await world.until(is_refused)
        for stream in streams:
            stream.close()

        async def is_answered() -> bool:
            return not await is_refused()

        await world.until(is_answered)

    run_in(kind, scenario, tmp_path)
