"""A replica set as its clients see it, in every world: one process, real sockets, simulation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actorkube.runtime import System
from actorkube.testing import WORLDS, World, run_in
from actors.etcd.actor import Etcd, EtcdConfig
from protocols.errors import Answer, BadRequest
from protocols.etcd import (
    Compact,
    Compacted,
    EmptyKey,
    FutureRevision,
    LeaseExists,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseNotFound,
    LeaseRevoke,
    NotLeader,
    Op,
    Range,
    Txn,
    WatchKeys,
    WatchResponse,
)
from protocols.message import Request
from tests.etcd.cluster import (
    MEMBERS,
    QUICK,
    Client,
    History,
    NoAnswer,
    boot,
    converged,
    events_of,
    leader,
    status,
    watch,
)

pytestmark = pytest.mark.parametrize("kind", WORLDS)


def put(key: bytes, value: bytes = b"v", lease: int = 0) -> Txn:
    return Txn((), (Op("put", key, value, lease=lease),))


def test_a_fresh_replica_set_has_a_leader_at_once(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        client = await boot(world, EtcdConfig())
        began = client.now

        name = await leader(client, world)

        answer = await status(client, name)
        assert answer is not None and answer.leader == f"{name}/etcd"
        assert kind != "sim" or client.now - began < 0.25  # real time is at the mercy of what else runs here

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_writes_go_on_when_the_leader_is_killed_and_none_that_was_acknowledged_is_lost(
    kind: str, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        history = History()
        client = await boot(world)
        first = await leader(client, world)
        clients = [Client(client, history, f"c{number}") for number in range(4)]
        writers = [asyncio.ensure_future(write_on(each)) for each in clients]
        await world.until(lambda: len(history.answers) > 40)

        world.crash(first)
        before = len(history.answers)
        await world.until(lambda: len(history.answers) > before + 40)
        await world.restart(first)
        stop.set()
        await asyncio.gather(*writers)

        await world.until(lambda: converged(client))
        revision = await converged(client)
        assert revision is not None
        for member in MEMBERS:
            history.check(await events_of(client, member, revision))

    async def write_on(client: Client) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            await client.put(b"key %d" % (count % 3))
            await client.get(b"key 1")

    stop = asyncio.Event()
    run_in(kind, scenario, tmp_path)


async def takes_writes(system: System) -> bool:
    try:
        return (await Client(system).ask(put(b"b"), within_s=2.0)).succeeded
    except (NoAnswer, TimeoutError):
        return False


def test_a_leader_that_is_back_at_once_leads_at_once(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        slow = EtcdConfig(election_s=(30.0, 60.0))
        system = await boot(world, slow)
        await Client(system).ask(put(b"a"))
        name = await leader(system, world)

        world.crash(name)
        await world.restart(name)

        await world.until(lambda: takes_writes(system), within_s=10.0)

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_a_leader_that_dies_is_replaced_before_its_silence_is_waited_out(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        patient = EtcdConfig(election_s=(30.0, 60.0))
        system = await boot(world, patient)
        await Client(system).ask(put(b"a"))
        dead = await leader(system, world)

        world.crash(dead)

        await world.until(lambda: takes_writes(system), within_s=10.0)

    run_in(kind, scenario, tmp_path)


def test_a_replica_set_that_was_stopped_continues_where_it_was(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        for number in range(5):
            await client.ask(put(b"a", b"%d" % number))

        for member in MEMBERS:
            await world.stop(member)
        for member in MEMBERS:
            await world.restart(member)

        found = await client.ask(Range(b"a"))
        assert (found.revision, found.kvs[0].value, found.kvs[0].version) == (6, b"4", 5)

    run_in(kind, scenario, tmp_path)


async def write_until_compacted(client: Client, world: World, members: tuple[str, ...]) -> None:
    """Write until each of these members has a snapshot and has forgotten entries that it stands for."""
    for number in range(2_000):
        await client.ask(put(b"key %d" % (number % 20), b"%d" % number))
        actors = [world.system(member).actor("etcd") for member in members]
        if all(isinstance(actor, Etcd) and actor._raft.log.base.index > 10 for actor in actors):
            return
    raise AssertionError("no snapshot was written")


def test_a_member_that_was_away_while_the_log_was_compacted_is_sent_a_snapshot(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        leading = await leader(system, world)
        away, stays = [member for member in MEMBERS if member != leading]
        await client.ask(LeaseGrant(60, 7))
        await client.ask(put(b"leased", lease=7))
        world.crash(away)

        await write_until_compacted(client, world, (leading, stays))
        await world.restart(away)
        await world.until(lambda: converged(system))

        revision = await converged(system)
        assert revision is not None
        assert await events_of(system, away, revision) == await events_of(system, leading, revision)
        actor = world.system(away).actor("etcd")
        assert isinstance(actor, Etcd) and actor._raft.snapshot.mark.index > 10
        actor._store.check()

    run_in(kind, scenario, tmp_path)


def test_the_log_on_disk_stays_short_and_a_start_from_a_snapshot_is_a_start_like_any_other(
    kind: str, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        await write_until_compacted(client, world, MEMBERS)
        revision = (await client.ask(put(b"last"))).revision
        files = {member: actor_files(world, member) for member in MEMBERS}

        for member in MEMBERS:
            world.crash(member)
        for member in MEMBERS:
            await world.restart(member)

        found = await client.ask(Range(b"last"))
        assert (found.revision, found.kvs[0].mod_revision) == (revision, revision)
        for names in files.values():
            assert [name for name in names if name.endswith(".snap")], names
            assert "00000001.wal" not in names and len(names) < 12, names
        for member in MEMBERS:
            assert await events_of(system, member, revision) == await events_of(system, MEMBERS[0], revision)

    run_in(kind, scenario, tmp_path)


def actor_files(world: World, member: str) -> list[str]:
    return world.system(member).actor("etcd").ctx.disk.list()


def test_who_does_not_lead_says_who_does_and_reads_only_what_it_has(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        name = await leader(system, world)
        await Client(system).ask(put(b"a"))
        other = system.ref(f"{next(member for member in MEMBERS if member != name)}/etcd")

        for request in (put(b"a"), Range(b"a"), LeaseGrant(5), LeaseKeepAlive(1), Compact(1)):
            with pytest.raises(NotLeader) as refusal:
                await system.ask(other, request)
            assert refusal.value.details == {"leader": f"{name}/etcd"}

        async def read_there() -> bool:
            return (await system.ask(other, Range(b"a", serializable=True))).count == 1

        await world.until(read_there)

    run_in(kind, scenario, tmp_path)


def test_a_watch_sees_every_change_once_wherever_it_continues(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        for number in range(10):
            await client.ask(put(b"a", b"%d" % number))

        seen = []
        for member, start, end in (("etcd-0", 2, 5), ("etcd-1", 6, 9), ("etcd-2", 10, 11)):
            seen += [event.kv.value async for event in watch(system, member, start, end)]

        assert seen == [b"%d" % number for number in range(10)]

    run_in(kind, scenario, tmp_path)


def test_a_watcher_that_does_not_read_holds_up_nobody(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        ref = system.ref(f"{await leader(system, world)}/etcd")
        async with (
            system.stream(ref, WatchKeys(b"a", b"", 1), window=2) as slow,
            system.stream(ref, WatchKeys(b"a", b"", 1), window=2) as quick,
        ):
            for number in range(20):
                await client.ask(put(b"a", b"%d" % number))

            assert await values(quick, 20) == await values(slow, 20)

    async def values(stream: object, count: int) -> list[bytes]:
        found: list[bytes] = []
        while len(found) < count:
            response: WatchResponse = await anext(stream)  # type: ignore[call-overload]
            found += [event.kv.value for event in response.events]
        return found

    run_in(kind, scenario, tmp_path)


def test_a_watch_that_starts_before_the_compaction_is_told_where_to_start(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        for _ in range(5):
            await client.ask(put(b"a"))
        await client.ask(Compact(4))
        ref = system.ref(f"{await leader(system, world)}/etcd")

        with pytest.raises(Compacted) as refusal:
            async with system.stream(ref, WatchKeys(b"a", b"", 3)) as stream:
                await anext(stream)

        assert refusal.value.details == {"compact_revision": 4}
        with pytest.raises(Compacted):
            await client.ask(Range(b"a", revision=3))
        with pytest.raises(FutureRevision):
            await client.ask(Range(b"a", revision=99))

    run_in(kind, scenario, tmp_path)


def test_history_is_compacted_by_itself(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, EtcdConfig(housekeeping_s=0.02, revisions_kept=10))
        client = Client(system)
        for _ in range(40):
            await client.ask(put(b"a"))

        async def is_compacted() -> bool:
            try:
                await client.ask(Range(b"a", revision=2))
            except Compacted:
                return True
            return False

        await world.until(is_compacted)
        assert (await client.ask(Range(b"a", revision=35))).kvs[0].version == 34

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_a_lease_takes_its_keys_along_unless_it_is_kept_alive(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        kept = (await client.ask(LeaseGrant(1))).lease
        dropped = (await client.ask(LeaseGrant(1))).lease
        await client.ask(put(b"kept", lease=kept))
        await client.ask(put(b"dropped", lease=dropped))

        async def only_one_is_left() -> bool:
            await client.ask(LeaseKeepAlive(kept))
            return (await client.ask(Range(b"dropped"))).count == 0

        await world.until(only_one_is_left)
        assert (await client.ask(Range(b"kept"))).count == 1
        with pytest.raises(LeaseNotFound):
            await client.ask(LeaseKeepAlive(dropped))
        await client.ask(LeaseRevoke(kept))
        await world.until(lambda: converged(system))

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_a_lease_survives_the_leader(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        lease = (await client.ask(LeaseGrant(6, 77))).lease
        await client.ask(put(b"a", lease=lease))

        world.crash(await leader(system, world))

        async def is_gone() -> bool:
            return (await client.ask(Range(b"a"))).count == 0

        assert not await is_gone()
        await world.until(is_gone)

    run_in(kind, scenario, tmp_path)


def test_requests_that_make_no_sense_are_refused_one_by_one(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        client = Client(await boot(world))
        await client.ask(LeaseGrant(60, 5))
        cases: list[tuple[Request[object], type[Answer]]] = [
            (put(b"a", lease=99), LeaseNotFound),
            (LeaseGrant(60, 5), LeaseExists),
            (LeaseGrant(0), BadRequest),
            (LeaseRevoke(6), LeaseNotFound),
            (put(b""), EmptyKey),
            (Compact(99), FutureRevision),
        ]

        for request, refusal in cases:
            with pytest.raises(refusal):
                await client.ask(request)

        assert (await client.ask(Range(b"a"))).revision == 1

    run_in(kind, scenario, tmp_path)


def test_a_cluster_of_one_member_works_alone(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        client = Client(await boot(world, QUICK, MEMBERS[:1]))

        await client.ask(put(b"a"))

        assert (await client.ask(Range(b"a"))).count == 1

    run_in(kind, scenario, tmp_path)
