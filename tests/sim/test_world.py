"""Hosts that boot, crash, pause and return; checks that must hold; and what a world does not let pass."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from actorkube.runtime import Actor, DiskFull, Supervision, System
from actorkube.sim import DiskConditions, World
from actorkube.sim.errors import ActorCrashed, InvariantBroken, NotConverged, Unhandled
from protocols.errors import NotSent, Unknown
from protocols.message import Done, Message, Request
from tests.sim.messages import Counter, Monitor, Node, SimAdd, SimBeat, SimCount, SimSlow, monitor_of


class SimAppend(Request[Done]):
    line: bytes
    sync: bool


class SimRaise(Message):
    pass


class Journal(Actor):
    """Writes lines to its disk; raises when it is told to."""

    concurrency = 10

    def __init__(self, ends: list[str]) -> None:
        self.ends = ends

    async def on_start(self) -> None:
        self.random = self.ctx.random.random()

    def receive(self, message: Message) -> object:
        match message:
            case SimAppend(line, sync):
                return self.append(line, sync)
            case SimSlow(delay_s):
                return self.slow(delay_s)
        raise RuntimeError("planted")

    async def append(self, line: bytes, sync: bool) -> None:
        self.ctx.disk.append("journal", line)
        if sync:
            await self.ctx.disk.sync("journal")

    async def slow(self, delay_s: float) -> None:
        try:
            await self.ctx.sleep(delay_s)
        finally:
            self.ends.append("finally")

    async def on_stop(self) -> None:
        self.ends.append("on_stop")


async def journaling(world: World, ends: list[str], *, allow: bool = True) -> System:
    def boot(system: System) -> None:
        system.spawn(lambda: Journal(ends), "journal")

    await world.boot("server", boot)
    return await world.boot("user")


def journal_of(world: World) -> Journal:
    journal = world.system("server").actor("journal")
    assert isinstance(journal, Journal)
    return journal


def test_a_crash_runs_nothing_and_a_restart_boots_again_on_the_same_disk() -> None:
    ends: list[str] = []

    async def scenario(world: World) -> None:
        user = await journaling(world, ends)
        ref = user.ref("server/journal")
        await user.ask(ref, SimAppend(b"one.", sync=True))
        waiting = user.ask(ref, SimSlow(100), timeout_s=100)
        await world.sleep(1)
        before = journal_of(world).random

        world.crash("server")
        with pytest.raises(Unknown):
            await waiting
        assert not world.is_up("server")
        await world.restart("server")
        await world.sleep(0.01)

        assert journal_of(world).ctx.disk.read("journal") == b"one."
        assert journal_of(world).random != before, "a new life has chance of its own, or ids repeat"
        assert ends == []

    World.run_sync(scenario)


def test_what_was_not_synced_may_be_gone_after_a_crash() -> None:
    async def scenario(world: World) -> bytes:
        user = await journaling(world, [])
        await user.ask(user.ref("server/journal"), SimAppend(b"one.", sync=True))
        await user.ask(user.ref("server/journal"), SimAppend(b"two.", sync=False))
        world.crash("server")
        await world.restart("server")
        return journal_of(world).ctx.disk.read("journal")

    found = {World.run_sync(scenario, seed) for seed in range(30)}

    assert {b"one.", b"one.two."} <= found
    assert all(content.startswith(b"one.") for content in found)


def test_a_planned_stop_runs_on_stop_and_keeps_what_was_written() -> None:
    ends: list[str] = []

    async def scenario(world: World) -> None:
        user = await journaling(world, ends)
        await user.ask(user.ref("server/journal"), SimAppend(b"one.", sync=False))

        await world.stop("server")
        assert ends == ["on_stop"]
        await world.sleep(0.01)
        with pytest.raises(NotSent):
            await user.ask(user.ref("server/journal"), SimAppend(b"x", sync=False), timeout_s=10)
        await world.restart("server")

        assert journal_of(world).ctx.disk.read("journal") == b"one."

    World.run_sync(scenario)


def test_a_crash_during_a_planned_stop_ends_the_stop() -> None:
    class Lingers(Journal):
        async def on_stop(self) -> None:
            await self.ctx.sleep(60)

    async def scenario(world: World) -> None:
        await world.boot("server", lambda system: void(system.spawn(lambda: Lingers([]), "journal")))
        stopping = world.loop.create_task(world.stop("server"))
        await world.sleep(1)

        world.crash("server")
        await stopping

        assert world.loop.time() < 2

    World.run_sync(scenario)


def void(_: object) -> None:
    return


def test_an_ask_through_a_system_that_crashes_ends_as_unknown() -> None:
    async def scenario(world: World) -> None:
        await journaling(world, [])
        server = world.system("server")
        waiting = server.ask(server.ref("server/journal"), SimSlow(100), timeout_s=100)
        await world.sleep(1)

        world.crash("server")

        with pytest.raises(Unknown, match="crashed"):
            await waiting

    World.run_sync(scenario)


def test_a_pause_delays_everything_and_loses_nothing_when_it_is_short() -> None:
    async def scenario(world: World) -> None:
        await world.boot("monitor", lambda system: void(system.spawn(Monitor, "monitor")))
        await world.boot("node", lambda system: void(system.spawn(lambda: Node("monitor/monitor"), "node")))
        await world.sleep(10.5)
        monitor = monitor_of(world.system("monitor"))
        before = list(monitor.heard["node"])

        world.pause("monitor")
        await world.sleep(5)
        assert monitor.heard["node"] == before
        world.resume("monitor")
        await world.sleep(1)

        assert len(monitor.heard["node"]) >= len(before) + 4
        assert monitor.heard["node"] == list(range(1, len(monitor.heard["node"]) + 1))

    World.run_sync(scenario)


def test_peers_give_up_on_a_host_that_is_paused_for_long() -> None:
    async def scenario(world: World) -> None:
        user = await journaling(world, [])
        waiting = user.ask(user.ref("server/journal"), SimSlow(60), timeout_s=100)
        await world.sleep(1)

        world.pause("server")
        with pytest.raises(Unknown):
            await waiting

        assert 10 < world.loop.time() < 15

    World.run_sync(scenario)


def test_an_invariant_that_breaks_ends_the_run_and_names_itself_and_the_seed() -> None:
    async def scenario(world: World) -> None:
        await world.boot("monitor", lambda system: void(system.spawn(Monitor, "monitor")))
        await world.boot("node", lambda system: void(system.spawn(lambda: Node("monitor/monitor"), "node")))
        monitor = monitor_of(world.system("monitor"))
        world.always("fewer than five heartbeats", lambda: len(monitor.heard.get("node", [])) < 5)
        await world.sleep(100)

    world = World(17)
    with contextlib.closing(world), pytest.raises(InvariantBroken, match="fewer than five") as caught:
        world.run(scenario)

    assert 4 < world.loop.time() < 10, "found when it happened, not at the end"
    note = caught.value.__notes__[0]
    assert "seed 17" in note
    assert "SimBeat" in note


def test_until_waits_for_what_comes_true_and_gives_up_on_what_does_not() -> None:
    async def scenario(world: World) -> None:
        await world.until(lambda: world.loop.time() > 7, within_s=10)
        assert world.loop.time() < 8
        with pytest.raises(NotConverged, match="test_world"):
            await world.until(lambda: False, within_s=5)

    World.run_sync(scenario)


def test_what_comes_true_but_does_not_stay_so_has_not_converged() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(NotConverged, match="did not stay"):
            await world.converges(lambda: 3 < world.loop.time() < 5)

    World.run_sync(scenario)


def test_an_actor_that_crashes_unexpectedly_ends_the_run() -> None:
    async def scenario(world: World) -> None:
        user = await journaling(world, [])
        user.tell(user.ref("server/journal"), SimRaise())
        await world.sleep(1)

    with pytest.raises(ActorCrashed, match=r"server/journal crashed.*planted"):
        World.run_sync(scenario)


def test_a_supervisor_that_gives_up_takes_the_host_with_it_which_returns() -> None:
    async def scenario(world: World) -> None:
        few = Supervision(intensity=2)
        await world.boot("server", lambda system: void(system.spawn(lambda: Journal([]), "journal", few)))
        user = await world.boot("user")

        for _ in range(3):
            user.tell(user.ref("server/journal"), SimRaise())
            await world.sleep(0.5)
        assert not world.is_up("server")
        await world.sleep(2)

        assert world.is_up("server")
        assert world.hosts["server"].lives == 2

    World.run_sync(scenario, expected=(RuntimeError,))


def test_a_life_that_gives_up_does_not_take_the_next_one_with_it() -> None:
    async def scenario(world: World) -> None:
        server = await world.boot("server")
        assert server.failed is not None
        server.failed.set_result("planted")
        world.crash("server")
        world.start("server")
        await world.sleep(0.5)

        assert world.is_up("server")
        assert world.hosts["server"].lives == 2

    World.run_sync(scenario)


def test_an_actor_may_crash_on_a_full_disk() -> None:
    async def scenario(world: World) -> None:
        user = await journaling(world, [])
        world.fill_disk("server")
        with pytest.raises(Unknown, match="crashed"):
            await user.ask(user.ref("server/journal"), SimAppend(b"one.", sync=True))
        world.heal()

        assert await user.ask(user.ref("server/journal"), SimAppend(b"two.", sync=True)) == Done()

    World.run_sync(scenario)


def test_an_exception_that_nobody_handles_ends_the_run() -> None:
    async def scenario(world: World) -> None:
        world.loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(Unhandled, match="ZeroDivisionError"):
        World.run_sync(scenario)


def test_a_boot_that_fails_is_raised_at_first_and_tried_again_later() -> None:
    attempts: list[float] = []

    async def scenario(world: World) -> None:
        async def boot(system: System) -> None:
            attempts.append(world.loop.time())
            if len(attempts) < 3:
                raise DiskFull("planted")

        with pytest.raises(DiskFull):
            await world.boot("server", boot)
        await world.sleep(5)

        assert attempts == [0.0, 1.0, 2.0]
        assert world.is_up("server")

    World.run_sync(scenario)


def test_recover_starts_hosts_that_need_each_other_to_boot() -> None:
    async def scenario(world: World) -> None:
        async def needs(system: System, other: str) -> None:
            system.spawn(Counter, "counter")
            while True:
                try:
                    return void(await system.ask(system.ref(f"{other}/counter"), SimAdd(0), timeout_s=1))
                except (NotSent, Unknown):
                    await asyncio.sleep(0.1)

        await asyncio.gather(
            world.boot("a", lambda system: needs(system, "b")), world.boot("b", lambda system: needs(system, "a"))
        )
        world.crash("a")
        world.crash("b")
        await world.recover()

        assert world.is_up("a")
        assert world.is_up("b")

    World.run_sync(scenario)


def test_a_generator_of_a_crashed_host_is_not_closed_behind_its_back() -> None:
    ends: list[str] = []

    class Streams(Counter):
        async def numbers(self, most: int) -> AsyncIterator[SimCount]:
            try:
                for value in range(most):
                    yield SimCount(value)
            finally:
                ends.append("finally")

    async def scenario(world: World) -> None:
        from tests.sim.messages import SimNumbers

        await world.boot("server", lambda system: void(system.spawn(Streams, "counter")))
        user = await world.boot("user")
        stream = user.stream(user.ref("server/counter"), SimNumbers(1000), window=2)
        await anext(stream)

        world.crash("server")
        await world.sleep(10)

        assert ends == []

    World.run_sync(scenario, disk=DiskConditions())


def test_a_told_message_from_outside_runs_in_the_host_and_dies_with_it() -> None:
    async def scenario(world: World) -> None:
        server = await world.boot("server", lambda system: void(system.spawn(lambda: Node("server/monitor"), "node")))
        server.spawn(Monitor, "monitor")  # from the scenario, not from boot
        server.tell(server.ref("server/monitor"), SimBeat("me", 1))
        await world.sleep(10)
        monitor = monitor_of(server)
        assert monitor.heard["me"] == [1]
        count = len(monitor.heard["server"])
        assert count

        world.crash("server")
        await world.sleep(10)

        assert len(monitor.heard["server"]) == count

    World.run_sync(scenario)
