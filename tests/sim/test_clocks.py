"""Clocks of hosts: they run fast or slow, are set ahead and back, and never go back as actors see them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime import System
from actorkube.sim import Drift, Skew, World, play
from actorkube.sim.clock import Clock
from protocols.errors import DeadlineExceeded
from protocols.message import Done
from tests.sim.messages import Counter, Monitor, Node, SimAdd, SimCount, SimSlow, counter_ref, monitor_of


def heartbeat(system: System) -> None:
    system.spawn(lambda: Node("monitor/monitor"), "node")


async def monitored(world: World, *nodes: str) -> Monitor:
    def boot(system: System) -> None:
        system.spawn(Monitor, "monitor")

    await world.boot("monitor", boot)
    for node in nodes:
        await world.boot(node, heartbeat)
    return monitor_of(world.system("monitor"))


async def counting(world: World) -> System:
    def boot(system: System) -> None:
        system.spawn(Counter, "counter")

    await world.boot("server", boot)
    return await world.boot("user")


@pytest.mark.parametrize(("rate", "beats"), [(2.0, 200), (1.0, 100), (0.5, 50)])
def test_timers_of_a_host_follow_its_clock(rate: float, beats: int) -> None:
    async def scenario(world: World) -> None:
        monitor = await monitored(world, "fast")
        world.drift("fast", rate)
        await world.sleep(100)

        assert len(monitor.heard["fast"]) == pytest.approx(beats, rel=0.15)

    World.run_sync(scenario)


def test_a_timer_that_runs_already_follows_its_clock_from_then_on() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        waiting = user.ask(counter_ref(user), SimSlow(10), timeout_s=60)
        await world.sleep(5)

        world.drift("server", 0.5)
        await waiting

        assert world.loop.now == pytest.approx(15, abs=0.1)

    World.run_sync(scenario)


def test_clocks_of_others_and_the_network_do_not_notice_a_drift() -> None:
    async def scenario(world: World) -> None:
        monitor = await monitored(world, "fast", "other")
        world.drift("fast", 3.0)
        before = world.system("other").now
        await world.sleep(50)

        assert world.system("other").now - before == 50.0
        assert len(monitor.heard["other"]) == pytest.approx(50, rel=0.15)

    World.run_sync(scenario)


def test_now_drifts_with_the_clock_and_is_set_right_by_healing() -> None:
    async def scenario(world: World) -> None:
        fast = await world.boot("fast")
        world.drift("fast", 1.5)
        await world.sleep(10)
        assert fast.now - world.now == pytest.approx(5)

        world.heal()
        await world.sleep(10)

        assert fast.now == pytest.approx(world.now)

    World.run_sync(scenario)


def test_a_wall_clock_that_is_set_ahead_jumps_and_one_that_is_set_back_stands_still() -> None:
    async def scenario(world: World) -> None:
        system = await world.boot("a")
        world.skew("a", 30.0)
        assert system.now - world.now == 30.0

        world.skew("a", 0.0)
        stands = system.now
        await world.sleep(20)
        assert system.now == stands
        await world.sleep(20)

        assert system.now == world.now

    World.run_sync(scenario)


def test_a_skew_does_not_hurry_timers() -> None:
    async def scenario(world: World) -> None:
        monitor = await monitored(world, "ahead")
        await play(world, [Skew(1.0, 100.0, "ahead", 3600.0)])

        assert len(monitor.heard["ahead"]) == pytest.approx(100, rel=0.15)

    World.run_sync(scenario)


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_a_time_to_live_is_by_the_clock_of_whoever_asks_even_from_outside(rate: float) -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        world.drift("user", rate)
        await world.sleep(100)
        began = world.loop.now

        assert await user.ask(counter_ref(user), SimAdd(1), timeout_s=5) == SimCount(1)
        with pytest.raises(DeadlineExceeded):
            await user.ask(counter_ref(user), SimSlow(100), timeout_s=5)

        assert world.loop.now - began == pytest.approx(5 / rate, abs=0.1)

    World.run_sync(scenario)


def test_an_actor_of_a_drifting_host_is_asked_by_its_own_scenario() -> None:
    async def scenario(world: World) -> None:
        await counting(world)
        world.drift("server", 0.5)
        await world.sleep(100)
        server = world.system("server")

        assert await server.ask(counter_ref(server), SimSlow(1), timeout_s=5) == Done()

    World.run_sync(scenario)


def test_a_clock_goes_on_through_a_crash() -> None:
    async def scenario(world: World) -> None:
        monitor = await monitored(world, "fast")
        world.loop.create_task(play(world, [Drift(0.0, 200.0, "fast", 2.0)]))
        world.crash("fast")
        await world.restart("fast")
        await asyncio.sleep(100)

        assert len(monitor.heard["fast"]) == pytest.approx(200, rel=0.15)

    World.run_sync(scenario)


steps = st.lists(
    st.tuples(st.sampled_from(["rate", "wall", "wait"]), st.floats(0.01, 100.0), st.floats(-100.0, 100.0)), max_size=12
)


@given(steps)
def test_both_clocks_only_go_forward_and_a_timer_is_due_exactly_when_its_time_is_shown(
    steps: list[tuple[str, float, float]],
) -> None:
    clock, now, shown, wall = Clock(), 0.0, 0.0, clock_start()
    for what, size, ahead_s in steps:
        if what == "rate":
            clock.set_rate(size, now)
        elif what == "wall":
            clock.set_wall(ahead_s, now)
        else:
            now += size

        assert clock.time(now) >= shown - 1e-6
        assert clock.wall(now) >= wall
        shown, wall = clock.time(now), clock.wall(now)
        due = clock.due(shown + size)
        assert clock.time(due) >= shown + size
        assert clock.time(due) == pytest.approx(shown + size)


def clock_start() -> float:
    return float("-inf")
