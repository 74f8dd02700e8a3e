"""Probes are counted for the world that they are reached in, and do nothing elsewhere."""

from __future__ import annotations

import asyncio

from actorkube.runtime import Actor, System
from actorkube.runtime.probe import probe, reached
from actorkube.sim import World
from protocols.message import Done, Message
from tests.sim.messages import SimAdd, SimSlow


class Probed(Actor):
    def receive(self, message: Message) -> object:
        match message:
            case SimAdd(amount):
                probe("added")
                probe("added much", amount > 10)
                return Done()
            case SimSlow():
                return self.slow()
        raise AssertionError(message)

    async def slow(self) -> None:
        await asyncio.sleep(1)
        probe("slept")


def boot(system: System) -> None:
    system.spawn(Probed, "probed")


async def scenario(world: World) -> dict[str, int]:
    await world.boot("server", boot)
    user = await world.boot("user")
    for amount in (1, 2, 3):
        await user.ask(user.ref("server/probed"), SimAdd(amount))
    await user.ask(user.ref("server/probed"), SimSlow(1))
    world.sometimes("the server is up", world.is_up("server"))
    world.sometimes("the server is down", not world.is_up("server"))
    probe("by the scenario")
    return world.probes


def test_probes_of_actors_tasks_and_scenarios_are_counted_and_those_not_reached_are_known() -> None:
    assert World.run_sync(scenario) == {
        "added": 3,
        "added much": 0,
        "slept": 1,
        "the server is up": 1,
        "the server is down": 0,
        "by the scenario": 1,
    }


def test_each_world_counts_its_own() -> None:
    first = World.run_sync(scenario)

    World.run_sync(scenario)

    assert first["added"] == 3


def test_outside_of_a_simulation_nothing_is_counted() -> None:
    World.run_sync(scenario)

    probe("nobody counts")

    assert reached.get() is None
