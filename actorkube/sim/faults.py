"""Faults as data: what happens to whom, when, for how long. So a schedule prints, replays and shrinks.

Two sources: a list (written down, or drawn by hypothesis: actorkube/sim/strategies.py) played by `play`; or `nemesis`,
which draws fault after fault from the world's seed. Swarm mode: each seed enables only some kinds of faults, and draws
how bad the network and the disks are, because a run that has everything rarely gets far into one thing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from actorkube.sim.disk import DiskConditions
from actorkube.sim.network import Conditions
from actorkube.sim.world import World


@dataclass(frozen=True)
class Fault:
    """Begins at `at_s` and lasts `for_s`. Beginning twice or ending what is over is harmless."""

    at_s: float
    for_s: float

    def begin(self, world: World) -> None:
        raise NotImplementedError

    def end(self, world: World) -> None:
        """Nothing, where the beginning was all."""


@dataclass(frozen=True)
class Crash(Fault):
    host: str

    def begin(self, world: World) -> None:
        world.crash(self.host)

    def end(self, world: World) -> None:
        world.start(self.host)


@dataclass(frozen=True)
class Pause(Fault):
    host: str

    def begin(self, world: World) -> None:
        world.pause(self.host)

    def end(self, world: World) -> None:
        world.resume(self.host)


@dataclass(frozen=True)
class Partition(Fault):
    one: tuple[str, ...]
    other: tuple[str, ...]
    both_ways: bool = True

    def begin(self, world: World) -> None:
        world.partition(self.one, self.other, both_ways=self.both_ways)

    def end(self, world: World) -> None:
        world.reunite(self.one, self.other, both_ways=self.both_ways)


@dataclass(frozen=True)
class Clog(Fault):
    src: str
    dst: str
    delay_s: float

    def begin(self, world: World) -> None:
        world.clog(self.src, self.dst, self.delay_s)

    def end(self, world: World) -> None:
        world.clog(self.src, self.dst, 0.0)


@dataclass(frozen=True)
class Drop(Fault):
    """From `at_s` on, the first so many messages of that name are lost."""

    message: str
    times: int = 1

    def begin(self, world: World) -> None:
        world.drop(self.message, times=self.times)


@dataclass(frozen=True)
class FullDisk(Fault):
    host: str

    def begin(self, world: World) -> None:
        world.fill_disk(self.host)

    def end(self, world: World) -> None:
        world.fill_disk(self.host, full=False)


KINDS: tuple[type[Fault], ...] = (Crash, Pause, Partition, Clog, FullDisk)


async def play(world: World, faults: Sequence[Fault]) -> None:
    """Play a schedule, from now to the end of its last fault. Does not heal what it was not told to end."""
    events = [(fault.at_s, fault.begin) for fault in faults]
    events += [(fault.at_s + fault.for_s, fault.end) for fault in faults]
    began = world.loop.time()
    for at, event in sorted(events, key=lambda entry: entry[0]):
        await asyncio.sleep(max(0.0, began + at - world.loop.time()))
        event(world)


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
                delay_s=chance.choice((0.0001, 0.001, 0.02)),
                jitter_s=chance.choice((0.0001, 0.005, 0.05)),
                stall=maybe(0.02),
                loss=maybe(0.01),
                duplication=maybe(0.2),
                overtaking=maybe(0.01),
                detect_s=chance.choice(((0.01, 0.2), (0.1, 3.0), (1.0, 10.0))),
            ),
            disk=dataclasses.replace(DiskConditions(), stall=maybe(0.1), sync_error=maybe(0.01)),
        )


async def nemesis(world: World, victims: Sequence[str], for_s: float, swarm: Swarm | None = None) -> None:
    """Plague the victims for so long, then heal everything and start whoever is down. One fault of a host at a time."""
    chance = world.chance("nemesis")
    swarm = swarm or Swarm.draw(chance)
    world.network.set_conditions(swarm.network)
    for name in victims:
        world.hosts[name].drive.conditions = swarm.disk
    ends: list[asyncio.TimerHandle] = []
    end = world.loop.time() + for_s
    while (now := world.loop.time()) < end:
        await asyncio.sleep(min(chance.expovariate(1 / swarm.every_s), end - now))
        if swarm.kinds and world.loop.time() < end:
            fault = draw_fault(chance, chance.choice(swarm.kinds), victims, swarm.for_s)
            fault.begin(world)
            ends.append(world.loop.call_later(fault.for_s, fault.end, world))
    for handle in ends:
        handle.cancel()
    await world.recover()


def draw_fault(chance: random.Random, kind: type[Fault], victims: Sequence[str], for_s: float) -> Fault:
    duration = chance.uniform(0.1, 2 * for_s)
    host = chance.choice(victims)
    if kind is Partition:
        sides = [chance.random() < 0.5 for _ in victims]
        one = tuple(name for name, side in zip(victims, sides, strict=True) if side)
        other = tuple(name for name in victims if name not in one)
        return Partition(0, duration, one, other, both_ways=chance.random() < 0.7)
    if kind is Clog:
        return Clog(0, duration, host, chance.choice(victims), chance.choice((0.05, 0.5, 3.0)))
    if kind is Crash:
        return Crash(0, duration, host)
    if kind is Pause:
        return Pause(0, duration, host)
    if kind is FullDisk:
        return FullDisk(0, duration, host)
    raise ValueError(f"{kind.__name__} is not drawn by chance")
