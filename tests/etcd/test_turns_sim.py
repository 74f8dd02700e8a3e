"""Locks and elections while the replica set is plagued: who has a turn is the oldest in the line when that is said, and
nobody who has gone stays in it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any, cast

import pytest

from actorkube.runtime import Actor, System
from actorkube.sim import World
from actorkube.sim.nemesis import nemesis
from actors.etcd.actor import EtcdConfig
from actors.etcd.grpc.access import Access
from actors.etcd.grpc.calls import Call, Connection, Method
from actors.etcd.grpc.election import Elections
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.lock import Locks
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused
from actors.etcd.grpc.turns import LEASE_S, Turns, end_of, first_of
from protocols.errors import Answer
from protocols.etcd import LeaseGrant, LeaseRevoke, Range
from tests.effort import seeds
from tests.etcd.cluster import MEMBERS, Client, NoAnswer, boot

CONFIG = EtcdConfig(revisions_kept=1_000_000, segment_bytes_max=4_000, snapshot_log_bytes=6_000, entries_kept=10)
NAME = b"n"
PREFIX = NAME + b"/"


class Doorway(Actor):
    """What the door serves, without its sockets; the member that it stands before is on the other side of a network."""

    def __init__(self, member: str) -> None:
        self._member = member

    async def on_start(self) -> None:
        replica = Replica(self.ctx, f"{self._member}/etcd")
        turns = Turns(self.ctx, replica, Access(self.ctx, replica), self.ctx.background)
        header = Header(1, 1, replica)
        self.locks = Locks(turns, header)
        self.elections = Elections(turns, header, {})


async def doorways(world: World) -> tuple[System, list[Doorway]]:
    system = await boot(world, CONFIG)
    for member in MEMBERS:
        system.spawn(lambda member=member: Doorway(member), f"door-{member}")
    await asyncio.sleep(0.1)
    return system, [cast(Doorway, system.actor(f"door-{member}")) for member in MEMBERS]


def call(limit_s: float | None = None) -> Call:
    return Call(cast(Any, None), 1, cast(Any, None), limit_s, has_leader=False)


class Heard:
    """A connection (calls.Connection) that is read at once: what an observer was sent."""

    def __init__(self) -> None:
        self.call = Call(
            cast(Connection, self), 1, Method(message("v3electionpb.LeaderRequest")), None, has_leader=False
        )
        self.said: list[Any] = []

    def send(self, _: int, sent: bytes) -> None:
        self.said.append(message("v3electionpb.LeaderResponse").FromString(sent).kv)

    def room(self, _: int) -> None:
        return None

    async def observe(self, doors: list[Doorway]) -> None:
        """Always the latest; at another member when the stream ends."""
        for turn in range(10_000):
            with contextlib.suppress(Refused):
                self.call.came(asked("v3electionpb.Leader", name=NAME))
                await doors[turn % len(doors)].elections.observe(self.call)

    def check(self) -> None:
        """Leaders follow one another as they came into the line, and nobody unsays anything."""
        moments = [(kv.create_revision, kv.mod_revision) for kv in self.said]
        assert moments == sorted(moments)


def asked(name: str, /, **fields: Any) -> Any:
    return message(f"{name}Request")(**fields)


class Users:
    """They come, wait or lose patience, check that the turn is theirs, and go, or leave it to their lease."""

    def __init__(self, system: System, doors: list[Doorway], chance: random.Random) -> None:
        self.turns = self.left = 0
        self._client = Client(system)
        self._doors = doors
        self._chance = chance

    async def use(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            door = self._chance.choice(self._doors)
            with contextlib.suppress(Refused, Answer, TimeoutError, NoAnswer):
                if self._chance.random() < 0.5:
                    await self._lock(door)
                else:
                    await self._campaign(door)
            await asyncio.sleep(self._chance.random() * 0.2)

    async def _lock(self, door: Doorway) -> None:
        lease = (await self._client.ask(LeaseGrant(5))).lease if self._chance.random() < 0.5 else 0
        held = await self._patiently(door.locks.lock(asked("v3lockpb.Lock", name=NAME, lease=lease), self._call()))
        if held is None:
            return
        await self._check(held.key, held.header.revision)
        if self._chance.random() < 0.9:
            await door.locks.unlock(asked("v3lockpb.Unlock", key=held.key), call())

    async def _campaign(self, door: Doorway) -> None:
        won = await self._patiently(
            door.elections.campaign(asked("v3electionpb.Campaign", name=NAME, value=b"v"), self._call())
        )
        if won is None:
            return
        said = await door.elections.proclaim(asked("v3electionpb.Proclaim", leader=won.leader, value=b"w"), call())
        await self._check(won.leader.key, said.header.revision)
        if self._chance.random() < 0.9:
            await door.elections.resign(asked("v3electionpb.Resign", leader=won.leader), call())

    def _call(self) -> Call:
        return call(self._chance.choice((None, 2.0, 30.0)))

    async def _patiently(self, turn: Any) -> Any:
        """None: it went away before it had an answer."""
        task = asyncio.ensure_future(turn)
        if self._chance.random() < 0.3:
            await asyncio.wait([task], timeout=self._chance.random() * 3)
            if task.cancel():
                await asyncio.wait([task])
                self.left += 1
                return None
        return await task

    async def _check(self, key: bytes, revision: int) -> None:
        """Whose turn it was at that revision is the same for ever."""
        [first] = (await self._client.ask(Range(PREFIX, end_of(PREFIX), 1, revision, sort_by="create"))).kvs
        assert first.key == key, f"{key!r} has the turn at revision {revision}, but {first.key!r} is before it"
        self.turns += 1


async def plagued(world: World) -> tuple[int, int]:
    system, doors = await doorways(world)
    users = Users(system, doors, world.chance("users"))
    stop = asyncio.Event()
    heard = Heard()
    observing = asyncio.ensure_future(heard.observe(doors))
    using = [asyncio.ensure_future(users.use(stop)) for _ in range(5)]

    await nemesis(world, MEMBERS, for_s=20.0)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*using), 4 * LEASE_S)

    async def nobody_is_left() -> bool:
        with contextlib.suppress(TimeoutError):
            return not (await Client(system).ask(first_of(PREFIX))).kvs
        return False

    async def one_leads() -> bool:
        with contextlib.suppress(Refused):  # a disk that was full is not that at once
            await doors[0].elections.campaign(asked("v3electionpb.Campaign", name=NAME, value=b"last"), call())
            return True
        return False

    await world.until(nobody_is_left, within_s=4 * LEASE_S)
    await world.until(one_leads, within_s=4 * LEASE_S)
    await world.until(lambda: heard.said[-1].value == b"last", within_s=LEASE_S)
    observing.cancel()
    heard.check()
    return users.turns, users.left


@pytest.mark.slow
def test_a_turn_is_that_of_the_oldest_in_the_line_whatever_breaks() -> None:
    counts = [World.run_sync(plagued, seed) for seed in seeds(20)]

    assert sum(turns for turns, _ in counts) > 5 * len(counts), f"too little happened to prove anything: {counts}"


def test_a_caller_that_goes_away_leaves_the_line_also_before_it_knows_its_place() -> None:
    """Its key is made, though it is not there any more to be told."""

    async def scenario(world: World) -> None:
        system, doors = await doorways(world)
        client, door = Client(system), doors[0]
        await client.ask(first_of(PREFIX))
        for hops in range(30):
            task = asyncio.ensure_future(door.locks.lock(asked("v3lockpb.Lock", name=NAME), call()))
            await asyncio.sleep(hops * 0.001)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(1.0)
            if task.cancelled():
                assert not (await client.ask(first_of(PREFIX))).kvs
            else:
                await door.locks.unlock(asked("v3lockpb.Unlock", key=task.result().key), call())

    World.run_sync(scenario, 1)


def test_who_has_lost_its_lease_while_it_waited_has_no_turn() -> None:
    async def scenario(world: World) -> None:
        system, doors = await doorways(world)
        client, door = Client(system), doors[1]
        lease = (await client.ask(LeaseGrant(600))).lease
        held = await door.locks.lock(asked("v3lockpb.Lock", name=NAME), call())
        waits = asyncio.ensure_future(door.locks.lock(asked("v3lockpb.Lock", name=NAME, lease=lease), call()))
        await asyncio.sleep(1.0)

        await client.ask(LeaseRevoke(lease))
        await door.locks.unlock(asked("v3lockpb.Unlock", key=held.key), call())

        with pytest.raises(Refused) as refused:
            await waits
        assert (refused.value.code, refused.value.text) == (Code.UNKNOWN, "mutex: session is expired")

    World.run_sync(scenario, 1)


def test_who_waits_no_longer_than_a_time_has_left_the_line_when_it_is_told() -> None:
    async def scenario(world: World) -> None:
        system, doors = await doorways(world)
        held = await doors[0].locks.lock(asked("v3lockpb.Lock", name=NAME), call())

        with pytest.raises(Refused) as refused:
            await doors[1].locks.lock(asked("v3lockpb.Lock", name=NAME), call(3.0))
        left = await Client(system).ask(Range(PREFIX, end_of(PREFIX)))

        assert refused.value.code is Code.DEADLINE_EXCEEDED
        assert [kv.key for kv in left.kvs] == [held.key]

    World.run_sync(scenario, 1)


def test_who_waits_goes_on_when_the_member_that_is_watched_comes_back() -> None:
    async def scenario(world: World) -> None:
        system, doors = await doorways(world)
        held = await doors[0].locks.lock(asked("v3lockpb.Lock", name=NAME), call())
        waits = asyncio.ensure_future(doors[1].locks.lock(asked("v3lockpb.Lock", name=NAME), call()))
        await asyncio.sleep(1.0)

        world.crash(MEMBERS[1])
        await asyncio.sleep(1.0)
        await world.restart(MEMBERS[1])
        assert not waits.done()
        await doors[0].locks.unlock(asked("v3lockpb.Unlock", key=held.key), call())
        second = await asyncio.wait_for(waits, 20.0)

        assert [kv.key for kv in (await Client(system).ask(Range(PREFIX, end_of(PREFIX)))).kvs] == [second.key]

    World.run_sync(scenario, 1)


def test_what_happened_between_the_look_and_the_watch_is_not_missed() -> None:
    async def scenario(world: World) -> None:
        _, doors = await doorways(world)
        for hops in range(60):
            held = await doors[0].locks.lock(asked("v3lockpb.Lock", name=NAME), call())
            waits = asyncio.ensure_future(doors[1].locks.lock(asked("v3lockpb.Lock", name=NAME), call()))
            await asyncio.sleep(hops * 0.0002)
            await doors[0].locks.unlock(asked("v3lockpb.Unlock", key=held.key), call())
            second = await asyncio.wait_for(waits, 5.0)
            await doors[1].locks.unlock(asked("v3lockpb.Unlock", key=second.key), call())

    World.run_sync(scenario, 1)
