"""A replica set in the simulated world, plagued: nothing acknowledged is lost, and all answers fit one history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from actorkube.runtime import System
from actorkube.sim import World
from actorkube.sim.disk import DiskConditions
from actorkube.sim.nemesis import nemesis
from actors.etcd.actor import Etcd, EtcdConfig
from actors.etcd.storage import OWN_PART
from protocols.errors import Answer, AskError, DeadlineExceeded
from protocols.etcd import Compare, LeaseGrant, LeaseKeepAlive, NotLeader, Op, Range, Txn, WatchKeys
from tests.effort import seeds
from tests.etcd.cluster import MEMBERS, Client, History, NoAnswer, boot, converged, events_of, leader

KEYS = (b"a", b"b", b"c")
CONFIG = EtcdConfig(
    revisions_kept=1_000_000,
    segment_bytes_max=4_000,
    snapshot_log_bytes=6_000,
    entries_kept=10,
    piece_bytes_max=3_000,
)


def watch_invariants(world: World) -> None:
    """Never two leaders in a term, and the cores and stores are sound, at every look."""
    leaders: dict[int, str] = {}

    def check() -> None:
        for member in MEMBERS:
            if (etcd := living(world, member)) is None:
                continue
            etcd._raft.check()
            term = etcd._raft.leading_term
            assert not term or leaders.setdefault(term, member) == member, f"two leaders in term {term}"

    world.always("raft", check)


def living(world: World, member: str) -> Etcd | None:
    try:
        actor = world.system(member).actor("etcd")
    except KeyError:
        return None
    return actor if isinstance(actor, Etcd) and hasattr(actor, "_raft") else None


async def use(client: Client, chance: Callable[[], float], stop: asyncio.Event) -> None:
    """Writes, conditional writes and reads, one after the other, for as long as it takes."""
    while not stop.is_set():
        key = KEYS[int(chance() * len(KEYS))]
        dice = chance()
        if dice < 0.4:
            await client.put(key)
        else:
            found = await client.get(key)
            if found is not None and dice < 0.7:
                revision = found.kvs[0].mod_revision if found.kvs else 0
                await client.put(key, (Compare(key, "mod", "=", revision),))
        await asyncio.sleep(chance() * 0.2)


class Follower:
    """Watches everything from the beginning, and continues at another replica whenever a stream ends."""

    def __init__(self, system: System) -> None:
        self.events: list[tuple[int, bytes, bytes]] = []
        self._system = system
        self._next = 1

    async def follow(self) -> None:
        for turn in range(10_000):
            ref = self._system.ref(f"{MEMBERS[turn % len(MEMBERS)]}/etcd")
            try:
                async with self._system.stream(ref, WatchKeys(b"\0", b"\0", self._next), window=8) as stream:
                    async for response in stream:
                        self.events += [(e.kv.mod_revision, e.kv.key, e.kv.value) for e in response.events]
                        self._next = max(self._next, response.revision + 1)
            except (AskError, Answer):
                await asyncio.sleep(0.1)


async def plagued(world: World) -> History:
    history = History()
    system = await boot(world, CONFIG)
    watch_invariants(world)
    chance = world.chance("clients").random
    stop = asyncio.Event()
    users = [asyncio.ensure_future(use(Client(system, history, f"c{n}"), chance, stop)) for n in range(3)]
    follower = Follower(system)
    following = asyncio.ensure_future(follower.follow())

    await nemesis(world, MEMBERS, for_s=25.0)
    stop.set()
    await asyncio.gather(*users)

    await world.until(lambda: converged(system), within_s=60.0)
    revision = await converged(system)
    assert revision is not None
    for member in MEMBERS:
        history.check(await events_of(system, member, revision))
    await world.until(lambda: follower._next > revision, within_s=60.0)
    following.cancel()
    events = [(e.kv.mod_revision, e.kv.key, e.kv.value) for e in await events_of(system, MEMBERS[0], revision)]
    assert follower.events == events
    return history


@pytest.mark.slow
def test_every_answer_fits_one_history_whatever_breaks() -> None:
    answers = [len(World.run_sync(plagued, seed).answers) for seed in range(12)]

    assert sum(answers) > 1_000, f"too little happened to prove anything: {answers}"


def test_the_same_seed_gives_the_same_trace() -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, CONFIG)
        stop = asyncio.Event()
        user = asyncio.ensure_future(use(Client(system, name="c"), world.chance("clients").random, stop))
        await nemesis(world, MEMBERS, for_s=5.0)
        stop.set()
        await user

    World.check(scenario, seed=3)


def test_a_leader_that_was_cut_off_answers_no_read_from_the_past() -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, CONFIG)
        old = await leader(system, world)
        others = [member for member in MEMBERS if member != old]
        client = Client(system)
        await client.ask(Txn((), (Op("put", b"a", b"old"),)))
        world.partition({old}, set(others))

        with pytest.raises((DeadlineExceeded, NotLeader)):
            await system.ask(system.ref(f"{old}/etcd"), Range(b"a"), timeout_s=3.0)

        async def somebody_else_leads() -> bool:
            client.turn_to(others[0])
            return (await client.ask(Txn((), (Op("put", b"a", b"new"),)), within_s=20)).succeeded

        await world.until(somebody_else_leads)
        stale = await system.ask(system.ref(f"{old}/etcd"), Range(b"a", serializable=True))
        assert stale.kvs[0].value == b"old"

    World.run_sync(scenario, seed=1)


def test_a_leader_that_was_cut_off_keeps_no_lease_alive() -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, CONFIG)
        old = await leader(system, world)
        await Client(system).ask(LeaseGrant(3, 7))
        world.partition({old}, set(MEMBERS) - {old})

        with pytest.raises((DeadlineExceeded, NotLeader)):
            await system.ask(system.ref(f"{old}/etcd"), LeaseKeepAlive(7), timeout_s=3.0)

    World.run_sync(scenario, seed=1)


def test_a_write_whose_leader_was_cut_off_is_reported_as_unknown() -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, CONFIG)
        old = await leader(system, world)
        world.partition({old}, set(MEMBERS) - {old})
        client = Client(system)
        client.turn_to(old)

        with pytest.raises(NoAnswer):
            await client.ask(Txn((), (Op("put", b"a", b"x"),)))

    World.run_sync(scenario, seed=1)


def test_a_member_whose_disk_fails_starts_again_and_loses_nothing() -> None:
    async def scenario(world: World) -> None:
        history = History()
        system = await boot(world, CONFIG)
        name = await leader(system, world)
        world.hosts[name].drive.conditions = DiskConditions(sync_error=0.2)
        client = Client(system, history, "c")
        for _ in range(60):
            await client.put(b"a")
        world.hosts[name].drive.conditions = DiskConditions()

        await world.recover()
        await world.until(lambda: converged(system), within_s=60.0)
        revision = await converged(system)
        assert revision is not None
        history.check(await events_of(system, name, revision))
        assert len(history.answers) > 30

    World.run_sync(scenario, seed=2)


@pytest.mark.parametrize("seed", seeds(4))
def test_members_that_all_crash_while_they_write_snapshots_have_lost_nothing(seed: int) -> None:
    async def scenario(world: World) -> None:
        history = History()
        system = await boot(world, CONFIG)
        client = Client(system, history, "c")
        for _ in range(6):
            for member in MEMBERS:  # the last write of a snapshot takes long, and the crash comes while it does
                world.hosts[member].drive.conditions = DiskConditions(sync_s=(0.001, 0.3))
            chance = world.chance(f"crash {world.now}")
            stop = asyncio.Event()
            writing = asyncio.ensure_future(write_until(client, stop))
            await world.until(lambda: any(begun(world, member) for member in MEMBERS), within_s=60.0)
            await world.sleep(chance.random() * 0.3)
            for member in MEMBERS:
                world.crash(member)
            await world.recover()
            stop.set()
            await writing

        await world.until(lambda: client.put(b"a"))  # so somebody leads, with all that was acknowledged applied
        await world.until(lambda: converged(system), within_s=60.0)
        revision = await converged(system)
        assert revision is not None
        for member in MEMBERS:
            history.check(await events_of(system, member, revision))

    World.run_sync(scenario, seed)


async def write_until(client: Client, stop: asyncio.Event) -> None:
    while not stop.is_set():
        for key in KEYS:
            await client.put(key)


def begun(world: World, member: str) -> bool:
    """Whether the member is writing a snapshot that is not durable yet."""
    actor = living(world, member)
    return actor is not None and OWN_PART in actor.ctx.disk.list()


def test_a_watch_goes_on_where_it_was_when_its_replica_installs_a_snapshot() -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, CONFIG)
        client = Client(system)
        behind = MEMBERS[(MEMBERS.index(await leader(system, world)) + 1) % len(MEMBERS)]
        revision = (await client.ask(Txn((), (Op("put", b"a", b"seen"),)))).revision
        told: list[int] = []

        async def follow() -> None:
            watch = WatchKeys(b"a", start_revision=revision)
            async with system.stream(system.ref(f"{behind}/etcd"), watch, window=8) as stream:
                async for response in stream:
                    told.extend(event.kv.mod_revision for event in response.events)

        following = asyncio.ensure_future(follow())
        await world.until(lambda: told == [revision])
        world.partition({behind}, set(MEMBERS) - {behind})
        for _ in range(200):
            await client.ask(Txn((), (Op("put", b"a", b"x" * 100),)))

        world.heal()
        installed = living(world, behind)
        await world.until(lambda: converged(system))
        await world.until(lambda: len(told) == 201)

        assert installed is not None and installed._raft.log.base.index > 20, "it was sent entries, no snapshot"
        assert told == list(range(revision, revision + 201))
        following.cancel()

    World.run_sync(scenario, seed=1)
