"""Scenarios for the tests of sweeps: one that always passes, one that some seeds fail, one that cannot be repeated."""

from __future__ import annotations

import os

from actorkube.runtime import System
from actorkube.runtime.probe import probe
from actorkube.sim import World
from actorkube.sim.scenarios import Scenario
from tests.sim.messages import Counter, SimAdd, SimCount, counter_ref


def boot(system: System) -> None:
    system.spawn(Counter, "counter")


async def good(world: World, amount: int = 1) -> None:
    """Adds, and finds what was added."""
    await world.boot("server", boot)
    user = await world.boot("user")
    probe("asked")
    world.sometimes("seed divisible by 3", world.seed % 3 == 0)  # type: ignore[operator]
    world.sometimes("never", False)
    assert await user.ask(counter_ref(user), SimAdd(amount)) == SimCount(amount)


async def bad(world: World, divisor: int = 3) -> None:
    await good(world)
    assert int(world.seed) % divisor, f"{world.seed} is divisible by {divisor}"


async def unsteady(world: World) -> None:
    """Reads what differs from process to process."""
    await world.boot("server", boot)
    world.clog("server", "server", float(hash("x") % 1000))


async def dies(world: World) -> None:
    os._exit(9)


strict = Scenario(good, must_reach=("never",))
