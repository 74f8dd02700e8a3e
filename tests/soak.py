"""What `./dev soak` runs: a cluster under acts of a user and faults, all drawn from the seed (`actorkube sim` sweeps).

A seed that fails is a bug report: it is printed with the command that repeats it, and belongs into tests/worlds as a
regression test.
"""

from __future__ import annotations

import random

from actorkube.sim import Swarm, World
from tests.worlds.test_convergence import NAMES, Act, settle


async def convergence(world: World) -> None:
    """A user's acts and faults side by side; healed, the cluster reaches what was asked for, and stops writing."""
    await settle(world, acts_of(world.chance("acts")), Swarm.draw(world.chance("swarm")))


def acts_of(chance: random.Random) -> list[Act]:
    kinds = ("deploy", "deploy", "scale", "scale", "version", "delete", "note")
    pauses = (0.0, 0.5, 5.0)
    return [
        Act(chance.choice(kinds), chance.choice(NAMES), chance.randint(0, 5), chance.choice(pauses))  # type: ignore[arg-type]
        for _ in range(chance.randint(1, 10))
    ]
