"""A replica set under everything at once: python -m actorkube sim --scenario tests.etcd.soak:SCENARIO --seeds 1..10000

Clients write, swap, delete and read, now and in the past; watchers come, go and change replicas; leases are kept alive
and let go; history is compacted, and snapshots are written and sent, because all bounds are small; in every other seed
members are added, promoted, demoted, removed, and the leader is moved. The nemesis crashes
hosts (also at chosen messages), cuts links one way or both, loses and tears what was not synced, fills and slows disks,
and lets clocks run wrong. Raft's properties are checked all along, histories and watches in the end.
The cores alone, checked after every step, are `tests.etcd.soak:cores`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

from actorkube.runtime import System
from actorkube.sim import Swarm, World
from actorkube.sim.faults import Skew
from actorkube.sim.nemesis import nemesis
from actorkube.sim.scenarios import Scenario
from actors.etcd.actor import EtcdConfig
from protocols.errors import Answer
from protocols.etcd import Compact, Compare, Event, LeaseGrant, LeaseKeepAlive, LeaseRevoke, NoSpace, Op, Range, Txn
from protocols.etcd_members import MemberAdd, MemberDemote, MemberList, MemberPromote, MemberRemove, MoveLeader
from protocols.message import Request
from tests.etcd.cluster import (
    MEMBERS,
    Client,
    History,
    NoAnswer,
    boot,
    boot_joining,
    converged,
    events_of,
    value_at,
)
from tests.etcd.invariants import Invariants, living_member
from tests.etcd.raft_world import Weather
from tests.etcd.raft_world import World as RaftWorld
from tests.etcd.watching import Watching

KEYS = (b"a", b"b", b"c")
SPARE = ("etcd-3", "etcd-4")  # who may join, and may have to leave again; the others stay
ALL = (*MEMBERS, *SPARE)
CONFIG = EtcdConfig(
    revisions_kept=1_000_000,  # the scenario compacts, when all has been seen
    segment_bytes_max=4_000,
    snapshot_log_bytes=6_000,
    entries_kept=10,
    piece_bytes_max=3_000,
)
RAFT = ("AppendEntries", "Appended", "RequestVote", "Voted", "InstallSnapshot", "SnapshotReceived", "ConfirmLeader")


class Soak:
    """Who uses the replica set, and what they were told."""

    def __init__(self, world: World, system: System, invariants: Invariants) -> None:
        self.world = world
        self.system = system
        self.invariants = invariants
        self.history = History()
        self.past: list[tuple[bytes, int, bytes | None]] = []  # reads of the past: key, revision, value
        self.pairs: list[tuple[int, bytes, bytes]] = []  # two keys in one transaction: revision, values
        self.all = Watching(system, MEMBERS, world.chance("watch all"))
        self.watchers = [self._watcher(world.chance(f"watcher {number}"), number) for number in range(3)]
        self.lease_keys: list[bytes] = []
        self.changes = 0  # of members
        self.stop = asyncio.Event()
        self.users: list[asyncio.Task[None]] = []
        self.watching: list[asyncio.Task[None]] = []

    def _watcher(self, chance: random.Random, number: int) -> Watching:
        key, end = chance.choice([(b"a", b""), (b"a", b"c"), (b"b", b"\0"), (b"\0", b"\0"), (b"l", b"m")])
        start, prev_kv = chance.choice([1, 2, 15]), chance.random() < 0.5
        return Watching(self.system, MEMBERS, chance, key, end, start, prev_kv=prev_kv, restless_s=2.0 + number)

    def begin(self, *, reshape: bool) -> None:
        work = [self.use(f"c{number}") for number in range(3)]
        work += [self.lease(number) for number in range(1, 3)] + [self.compact()]
        work += [self.reshape()] if reshape else []
        self.users = [asyncio.ensure_future(each) for each in work]
        self.watching = [asyncio.ensure_future(each.watch()) for each in (self.all, *self.watchers)]

    async def users_stop(self) -> None:
        self.stop.set()
        await asyncio.gather(*self.users)

    async def end(self, revision: int) -> None:
        """All watchers have seen all there is, and hang up."""
        for watching in (self.all, *self.watchers):
            await self.world.until(lambda w=watching: w.following > revision, within_s=120.0)  # type: ignore[misc]
        for task in self.watching:
            task.cancel()
        await asyncio.gather(*self.watching, return_exceptions=True)

    # -- users ----------------------------------------------------------------------------------------------------

    async def use(self, name: str) -> None:
        """Writes, deletions and reads, one after the other."""
        client, chance = Client(self.system, self.history, name), self.world.chance(f"client {name}").random
        while not self.stop.is_set():
            key, dice = KEYS[int(chance() * len(KEYS))], chance()
            if dice < 0.3:
                await client.put(key)
            elif dice < 0.4:
                await client.delete(key)
            elif dice < 0.5:
                await self.put_two(client, f"{name}:two:{chance()}".encode())
            elif dice < 0.6:
                await self.read_past(client, key, chance())
            else:
                found = await client.get(key)
                if found is not None and dice < 0.8:
                    await client.put(key, (Compare(key, "mod", "=", found.kvs[0].mod_revision if found.kvs else 0),))
            await asyncio.sleep(chance() * 0.2)

    async def put_two(self, client: Client, value: bytes) -> None:
        one, other = value + b"/1", value + b"/2"
        try:
            response = await client.ask(Txn((), (Op("put", b"a", one), Op("put", b"b", other))))
        except (NoAnswer, TimeoutError, NoSpace):
            pass
        else:
            self.pairs.append((response.revision, one, other))
        self.history.maybe += [one, other]

    async def read_past(self, client: Client, key: bytes, where: float) -> None:
        revision = max(1, int(self.all.following * where))
        try:
            response = await client.ask(Range(key, revision=revision))
        except (NoAnswer, TimeoutError, Answer):
            return
        self.past.append((key, revision, response.kvs[0].value if response.kvs else None))

    async def lease(self, number: int) -> None:
        """Grants a lease with a key on it, keeps it alive for a while, then lets it run out or revokes it."""
        client, chance = Client(self.system), self.world.chance(f"lease {number}")
        while not self.stop.is_set():
            number, ttl_s = number + 100, chance.choice((2, 5))
            key = b"lease/%d" % number
            try:
                began = self.system.now
                await client.ask(LeaseGrant(ttl_s, number))
                put = await client.ask(Txn((), (Op("put", key, b"%d" % number, lease=number),)))
                self.history.maybe.append(b"%d" % number)
                self.lease_keys.append(key)
                self.invariants.promise(number, began, ttl_s, put.revision)
                for _ in range(chance.randrange(6)):
                    await asyncio.sleep(chance.uniform(0.2, 0.7) * ttl_s)
                    began = self.system.now
                    await client.ask(LeaseKeepAlive(number))
                    self.invariants.promise(number, began, ttl_s, put.revision)
                if chance.random() < 0.3:
                    self.invariants.promised.pop(number, None)
                    await client.ask(LeaseRevoke(number))
            except (NoAnswer, TimeoutError, Answer):
                self.history.maybe.append(b"%d" % number)
            await self.pause(chance.uniform(0, ttl_s))

    async def compact(self) -> None:
        """Only what was seen: the truth must stay whole."""
        client, chance = Client(self.system), self.world.chance("compact")
        often_s = chance.choice((1.0, 5.0, 100.0))
        while not self.stop.is_set():
            await self.pause(chance.uniform(0.1, 2) * often_s)
            try:
                await client.ask(Compact(max(1, self.all.following - chance.choice((1, 2, 20)))))
            except (NoAnswer, TimeoutError, Answer):
                continue

    async def reshape(self) -> None:
        """One wish about the members after the other; many are refused."""
        client, chance = Client(self.system, members=ALL), self.world.chance("reshape")
        while not self.stop.is_set():
            await self.pause(chance.uniform(0.2, 2.0))
            with contextlib.suppress(NoAnswer, TimeoutError, Answer):
                await client.ask(wish(chance), within_s=3.0)
                self.changes += 1

    async def pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)

    # -- in the end -----------------------------------------------------------------------------------------------

    def truth(self) -> list[Event]:
        return [event for told in self.all.told for item in told.items for event in item.events]

    def check(self) -> None:
        truth = self.truth()
        assert not self.all.compactions, "what was not seen yet has been compacted"
        self.history.check(truth)
        for watching in (self.all, *self.watchers):
            watching.check(truth)
        for key, revision, value in self.past:
            assert value_at(truth, key, revision) == value, f"{key!r} was not {value!r} at {revision}"
        for revision, one, other in self.pairs:
            assert [e.kv.value for e in truth if e.kv.mod_revision == revision] == [one, other], "half a transaction"
        for key in self.lease_keys:
            assert value_at(truth, key, 1 << 60) is None, f"{key!r} outlived its lease"


def wish(chance: random.Random) -> Request[Any]:
    spare, anybody, dice = chance.choice(SPARE), chance.choice(ALL), chance.random()
    if dice < 0.25:
        return MemberAdd(spare, f"{spare}/etcd")
    if dice < 0.6:
        return MemberPromote(anybody)
    if dice < 0.7:
        return MemberDemote(anybody)
    return MoveLeader() if dice < 0.8 else MemberRemove(spare)


async def replicas(world: World, for_s: float = 25.0) -> int:
    """Clients, watchers and leases of a replica set during faults: all they were told fits one history."""
    system = await boot(world, CONFIG)
    reshape = world.chance("shape").random() < 0.5
    hosts = ALL if reshape else MEMBERS
    for spare in hosts[len(MEMBERS) :]:
        await boot_joining(world, spare, CONFIG)
    invariants = Invariants(world, hosts)
    world.always("raft", invariants.check)
    soak = Soak(world, system, invariants)
    soak.begin(reshape=reshape)

    def leader() -> str | None:
        return next((name for name in hosts if (e := living_member(world, name)) and e._raft.leading_term), None)

    swarm = Swarm.draw(world.chance("swarm"))
    # A real process counts its time from its start: no wall clock that is set (or set right, in the end) makes its
    # leases older. Here it does.
    invariants.leases_until = world.now + (0 if Skew in swarm.kinds else for_s)
    await nemesis(world, hosts, for_s, swarm, messages=RAFT, favourite=leader)
    await soak.users_stop()

    members = [m.name for m in (await Client(system, members=hosts).ask(MemberList(), within_s=120.0)).members]
    await world.until(lambda: no_leases(world, members), within_s=120.0)
    await world.until(lambda: converged(system, members), within_s=120.0)
    revision = await converged(system, members)
    assert revision is not None
    await soak.end(revision)
    soak.check()
    truth = soak.truth()
    for member in members:
        kept = living_member(world, member)
        assert kept is not None
        told = await events_of(system, member, revision, max(1, kept._store.compacted))
        assert told == [Event(e.type, e.kv) for e in truth if e.kv.mod_revision >= kept._store.compacted]
    return len(soak.history.answers)


def no_leases(world: World, names: Sequence[str]) -> bool:
    """Somebody leads, and all leases have run out."""
    members = [living_member(world, name) for name in names]
    return all(etcd is not None and not list(etcd._store.leases.all()) for etcd in members)


async def cores(world: World, steps: int = 2000) -> None:
    """Raft's cores alone, without a replica around them, in weather that the seed draws: checked after every step."""
    chance = world.chance("weather")
    weather = Weather(
        lose=chance.choice((0.0, 0.05, 0.3)),
        duplicate=chance.choice((0.0, 0.2)),
        crash=chance.choice((0.0, 0.003, 0.02)),
        partition=chance.choice((0.0, 0.002, 0.01)),
        compact=chance.choice((0.0, 0.005, 0.02)),
        slow_disk=chance.choice((0.0, 0.5, 0.9)),
        haste_s=chance.choice((0.03, 0.06, 0.1)),
    )
    members = RaftWorld(chance.randrange(1 << 32), chance.choice((1, 2, 3, 3, 5)), weather)
    for _ in range(steps):
        members.step()
    members.heal()


SCENARIO = Scenario(replicas, world={"check_steps": 4})
