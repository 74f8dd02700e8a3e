"""Faults as data and by seed: what they find, how a finding shrinks, and that a plagued world recovers."""

from __future__ import annotations

import asyncio
import random
from typing import Literal

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from actorkube.runtime import System
from actorkube.sim import (
    Ambush,
    Crash,
    Drop,
    Fault,
    Outage,
    Rot,
    Swarm,
    World,
    nemesis,
    play,
)
from actorkube.sim.nemesis import KINDS, draw_fault
from actorkube.sim.strategies import schedules
from protocols.errors import AskError
from tests.sim.messages import Counter, SimAdd, counter_ref


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
