"""A nemesis draws fault after fault from the world's seed, and heals everything in the end.

Swarm mode: each seed enables only some kinds of faults, and draws how bad the network and the disks are, because a run
that has everything rarely gets far into one thing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from actorkube.sim.conditions import Conditions, Constant, Delay, Exponential, LongTail, Uniform
from actorkube.sim.disk import DiskConditions
from actorkube.sim.faults import (
    VICTIMS,
    Ambush,
    BadReads,
    Clog,
    Crash,
    Drift,
    Fault,
    FullDisk,
    LossyLink,
    Outage,
    Partition,
    Pause,
    Rot,
    Skew,
    SlowDisk,
    SlowLink,
)
from actorkube.sim.tasks import SimHandle
from actorkube.sim.world import World

# All that a system must survive; `Rot` is for those that may refuse.
KINDS: tuple[type[Fault], ...] = (
    *(Crash, Outage, Pause, Partition, Clog, LossyLink, SlowLink),
    *(FullDisk, SlowDisk, BadReads, Drift, Skew),
)
DELAYS: tuple[Delay, ...] = (
    Constant(0.0005),
    Uniform(0.0003, 0.0007),
    Uniform(0.001, 0.05),
    Exponential(0.0002, 0.002),
    LongTail(0.002),
)
RATES = (0.9, 0.99, 1.01, 1.1)
SKEWS_S = (-30.0, -2.0, 2.0, 30.0)


@dataclass(frozen=True)
class Swarm:
    """How a run is plagued: which kinds of faults, how often, how long, and what network and disks are like."""

    kinds: tuple[type[Fault], ...] = KINDS
    every_s: float = 4.0  # on average
    for_s: float = 3.0
    network: Conditions = field(default_factory=Conditions)
    disk: DiskConditions = field(default_factory=DiskConditions)

    @classmethod
    def draw(cls, chance: random.Random, kinds: Sequence[type[Fault]] = KINDS) -> Swarm:
        def maybe(most: float) -> float:
            return chance.choice((0.0, 0.0, chance.random() * most))

        return cls(
            kinds=tuple(kind for kind in kinds if chance.random() < 0.5),
            every_s=chance.uniform(0.5, 8.0),
            for_s=chance.choice((0.3, 2.0, 8.0, 15.0)),
            network=Conditions(
                delay=chance.choice(DELAYS),
                stall=maybe(0.02),
                loss=maybe(0.01),
                lost=chance.choice(("breaks", "retransmitted")),
                duplication=maybe(0.2),
                overtaking=maybe(0.01),
                detect_s=chance.choice(((0.01, 0.2), (0.1, 3.0), (1.0, 10.0))),
            ),
            disk=DiskConditions(
                sync_s=chance.choice(((0.0005, 0.002), (0.01, 0.1), (0.1, 0.5))),
                stall=maybe(0.1),
                sync_error=maybe(0.01),
            ),
        )


async def nemesis(
    world: World,
    victims: Sequence[str],
    for_s: float,
    swarm: Swarm | None = None,
    *,
    messages: Sequence[str] = (),
    favourite: Callable[[], str | None] = lambda: None,
) -> None:
    """Plague the victims for so long, then heal everything and start whoever is down.

    `messages`, which only the victims send each other, may be what they are ambushed at. `favourite` names a victim
    worth hitting just now, such as a leader: every second fault is for it.
    """
    chance = world.chance("nemesis")
    swarm = swarm or Swarm.draw(chance)
    world.network.set_conditions(swarm.network)
    for name in victims:
        world.hosts[name].drive.conditions = swarm.disk
    ends: list[SimHandle] = []
    end = world.loop.now + for_s
    while (now := world.loop.now) < end:
        await asyncio.sleep(min(chance.expovariate(1 / swarm.every_s), end - now))
        if swarm.kinds and world.loop.now < end:
            kind = Ambush if messages and chance.random() < 0.3 else chance.choice(swarm.kinds)
            host = (favourite() if chance.random() < 0.5 else None) or chance.choice(victims)
            fault = draw_fault(chance, kind, host, victims, swarm.for_s, messages)
            fault.begin(world)
            ends.append(world.loop.later(fault.for_s, fault.end, world, context=world.network.outside))
    for handle in ends:
        handle.cancel()
    await world.recover()


def draw_fault(
    chance: random.Random,
    kind: type[Fault],
    host: str,
    victims: Sequence[str],
    for_s: float,
    messages: Sequence[str] = (),
) -> Fault:
    """A fault of that kind that hits `host`."""
    duration = chance.uniform(0.1, 2 * for_s)
    if kind is Ambush:
        message, victim = chance.choice(messages), chance.choice(VICTIMS)
        return Ambush(0, duration, message, victim, chance.randrange(10), chance.choice((0.0, 0.001, 0.02)))
    if kind is Partition:
        alone = chance.random() < 0.5
        one = tuple(name for name in victims if name == host or not (alone or chance.random() < 0.5))
        other = tuple(name for name in victims if name not in one)
        return Partition(0, duration, one, other, both_ways=chance.random() < 0.7)
    if kind is Outage:
        return Outage(0, duration, tuple(victims))
    if issubclass(kind, Clog | LossyLink | SlowLink):
        size = chance.choice({Clog: (0.05, 0.5, 3.0), LossyLink: (0.01, 0.1, 0.5), SlowLink: (1e4, 1e6)}[kind])
        return kind(0, duration, host, chance.choice(victims), size)
    if issubclass(kind, Drift | Skew | SlowDisk):
        return kind(0, duration, host, chance.choice({Drift: RATES, Skew: SKEWS_S, SlowDisk: (0.05, 0.5, 2.0)}[kind]))
    if issubclass(kind, Crash | Pause | FullDisk | BadReads | Rot):
        return kind(0, duration, host)
    raise ValueError(f"{kind.__name__} is not drawn by chance")
