"""Faults as data and by seed: what they find, how a finding shrinks, and that a plagued world recovers."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Literal

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from actorkube.runtime import Actor, System
from actorkube.sim import (
    Ambush,
    Crash,
    Drift,
    Drop,
    Fault,
    Outage,
    Partition,
    Pause,
    Rot,
    Skew,
    Swarm,
    World,
    nemesis,
    play,
)
from actorkube.sim.nemesis import KINDS, draw_fault
from actorkube.sim.strategies import schedules
from protocols.errors import AskError
from protocols.message import Message, Request
from tests.sim.messages import Counter, SimAdd, SimCount, counter_ref


async def add_once(user: System, request_id: str) -> None:
    """Retries until it is answered: right only when the other side knows a request again."""
    while True:
        try:
            await user.ask(counter_ref(user), SimAdd(1, request_id), timeout_s=1)
            return
        except AskError:
            await asyncio.sleep(0.1)


def counts_right(faults: list[Fault], *, dedup: bool, seed: int = 0) -> bool:
    async def scenario(world: World) -> bool:
        await world.boot("server", lambda system: void(system.spawn(lambda: Counter(dedup=dedup), "counter")))
        user = await world.boot("user")
        playing = world.loop.create_task(play(world, faults))
        for number in range(10):
            await add_once(user, f"request {number}")
        await playing
        counter = world.system("server").actor("counter")
        assert isinstance(counter, Counter)
        return counter.value == 10

    return World.run_sync(scenario, seed)


def void(_: object) -> None:
    return


lossy = schedules(["server", "user"], for_s=2, lasting_s=2, disks=False, messages=["SimCount", "SimAdd"]).map(
    lambda faults: [
        fault for fault in faults if not isinstance(fault, Crash | Outage | Ambush)
    ]  # a crash forgets: another bug
)


def test_a_retry_without_dedup_is_found_and_shrunk_to_one_lost_answer() -> None:
    found = find(
        lossy,
        lambda faults: not counts_right(faults, dedup=False),
        settings=settings(max_examples=2000, database=None, derandomize=True, phases=[Phase.generate, Phase.shrink]),
    )

    assert found == [Drop(at_s=0.0, for_s=0.0, message="SimCount", times=1)]


@settings(max_examples=40, deadline=None)
@given(lossy, st.integers(0, 99))
def test_a_retry_with_dedup_counts_right_whatever_happens(faults: list[Fault], seed: int) -> None:
    assert counts_right(faults, dedup=True, seed=seed)


@pytest.mark.parametrize("seed", range(12))
def test_a_plagued_world_recovers(seed: int) -> None:
    async def scenario(world: World) -> None:
        names = ["server", "other", "third"]
        for name in names:
            await world.boot(name, lambda system: void(system.spawn(Counter, "counter")))
        await nemesis(world, names, 60)

        assert 60 <= world.loop.time() < 61
        assert all(world.is_up(name) for name in names)
        user = await world.boot("user")
        for name in names:
            await user.ask(user.ref(f"{name}/counter"), SimAdd(1))

    World.run_sync(scenario, seed)


@pytest.mark.parametrize(("victim", "other"), [("src", "server"), ("dst", "user")])
def test_an_ambush_crashes_whoever_sends_or_is_sent_the_message(victim: Literal["src", "dst"], other: str) -> None:
    async def scenario(world: World) -> None:
        await world.boot("server", lambda system: void(system.spawn(Counter, "counter")))
        user = await world.boot("user")
        Ambush(0, 2.0, "SimAdd", victim, skip=1, after_s=0.0).begin(world)
        await user.ask(counter_ref(user), SimAdd(1))
        assert world.is_up("server")
        user.ask(counter_ref(user), SimAdd(1))
        await world.sleep(1)

        assert [name for name in ("server", "user") if world.is_up(name)] == [other]
        await world.sleep(2)
        assert world.is_up("server")
        assert world.is_up("user")

    World.run_sync(scenario)


def test_a_swarm_enables_some_kinds_of_faults_and_not_always_the_same() -> None:
    swarms = [Swarm.draw(random.Random(seed)) for seed in range(50)]

    assert {len(swarm.kinds) for swarm in swarms} >= {3, 4, 5, 6}
    assert {kind for swarm in swarms for kind in swarm.kinds} == set(KINDS)
    assert any(swarm.network.loss for swarm in swarms)
    assert any(not swarm.network.loss for swarm in swarms)


@pytest.mark.parametrize("kind", [*KINDS, Rot])
def test_each_kind_of_fault_is_drawn_begun_and_ended(kind: type[Fault]) -> None:
    async def scenario(world: World) -> None:
        names = ["a", "b"]
        for name in names:
            await world.boot(name)
        fault = draw_fault(world.chance("test"), kind, "a", names, 2.0)
        await play(world, [fault])
        await world.sleep(1)
        assert all(world.is_up(name) for name in names)

    World.run_sync(scenario)
    assert "Fault" in kind.__mro__[1].__name__


# -- planted bugs, and the smallest schedules that show them ----------------------------------------------------------


def smallest(bad: Callable[[list[Fault]], bool], hosts: Sequence[str]) -> list[Fault]:
    """What a search over every kind of fault finds, after it has shrunk."""
    search = settings(max_examples=1500, database=None, derandomize=True, phases=[Phase.generate, Phase.shrink])
    return find(schedules(hosts, for_s=3, lasting_s=4, faults_max=5), bad, settings=search)


class Forgetful(Counter):
    """Planted: it answers before what it was told is durable."""

    async def on_start(self) -> None:
        if "journal" in self.ctx.disk.list():
            self.value = len(self.ctx.disk.read("journal"))

    def receive(self, message: Message) -> object:
        answer = super().receive(message)
        self.ctx.disk.append("journal", b"x" * (self.value - len(self.written())))
        return answer

    def written(self) -> bytes:
        return self.ctx.disk.read("journal") if "journal" in self.ctx.disk.list() else b""


def forgets(faults: list[Fault]) -> bool:
    async def scenario(world: World) -> bool:
        await world.boot("server", lambda system: void(system.spawn(Forgetful, "counter")))
        user = await world.boot("user")
        playing = world.loop.create_task(play(world, faults))
        acknowledged = 0
        for _ in range(8):
            with contextlib.suppress(AskError):
                await user.ask(counter_ref(user), SimAdd(1), timeout_s=1)
                acknowledged += 1
            await world.sleep(1)
        await playing
        await world.recover()
        await world.sleep(5)
        found = await user.ask(counter_ref(user), SimAdd(0))
        return found.value < acknowledged

    return World.run_sync(scenario)


def test_an_answer_before_the_sync_is_shown_by_one_crash() -> None:
    found = smallest(forgets, ["server"])

    assert [type(fault) for fault in found] == [Crash]


class Grant(Request[SimCount]):
    """Asks for a lease of so many seconds; answered with 1 when it is had."""

    holder: str
    for_s: float


class Landlord(Actor):
    def __init__(self) -> None:
        self.holder = ""
        self.until = 0.0

    def receive(self, message: Message) -> object:
        assert isinstance(message, Grant)
        if self.holder not in ("", message.holder) and self.ctx.now < self.until:
            return SimCount(0)
        self.holder, self.until = message.holder, self.ctx.now + message.for_s
        return SimCount(1)


class Tenant(Actor):
    """Planted: it believes in its lease until its own clock says that it is over, without a margin."""

    def __init__(self) -> None:
        self.until = 0.0

    async def on_start(self) -> None:
        self.ctx.background(self.renew(), "renew")

    async def renew(self) -> None:
        while True:
            asked = self.ctx.now
            with contextlib.suppress(AskError):
                mine = Grant(self.ctx.self_ref.address.system, 2.0)
                if (await self.ctx.ask(self.ctx.ref("landlord/landlord"), mine, timeout_s=1)).value:
                    self.until = asked + 2.0
            await self.ctx.sleep(0.5)

    def holds(self) -> bool:
        return self.ctx.now < self.until


def has_two_holders(faults: list[Fault]) -> bool:
    faults = [fault for fault in faults if not isinstance(fault, Crash | Outage)]  # a crash forgets: another bug
    tenants = ("a", "b")
    seen: list[float] = []

    async def scenario(world: World) -> None:
        await world.boot("landlord", lambda system: void(system.spawn(Landlord, "landlord")))
        for name in tenants:
            await world.boot(name, lambda system: void(system.spawn(Tenant, "tenant")))

        def count() -> None:
            up = [world.system(name).actor("tenant") for name in tenants if world.is_up(name)]
            if sum(isinstance(tenant, Tenant) and tenant.holds() for tenant in up) > 1:
                seen.append(world.loop.now)

        world.always("count", count)
        await play(world, faults)
        await world.recover()
        await world.sleep(2)

    World.run_sync(scenario, check_steps=4)
    return bool(seen)


@pytest.mark.slow
def test_a_lease_without_a_margin_is_shown_by_one_clock() -> None:
    found = smallest(has_two_holders, ["a", "b", "landlord"])

    assert [type(fault) for fault in found] in ([Drift], [Skew])


def test_without_faults_of_clocks_the_same_lease_is_kept() -> None:
    faults = [Partition(1, 8, ("a",), ("b", "landlord")), Pause(12, 1, "a")]

    assert not has_two_holders(faults)
