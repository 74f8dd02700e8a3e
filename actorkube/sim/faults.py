"""Faults as data: what happens to whom, when, for how long. So a schedule prints, replays and shrinks.

Two sources: a list (written down, or drawn by hypothesis: actorkube/sim/strategies.py) played by `play`; or `nemesis`,
which draws fault after fault from the world's seed. Swarm mode: each seed enables only some kinds of faults, and draws
how bad the network and the disks are, because a run that has everything rarely gets far into one thing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from actorkube.sim.disk import DiskConditions
from actorkube.sim.network import Conditions, Packet
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
class Outage(Fault):
    """Many hosts crash in one moment: what only their memories shared is gone."""

    hosts: tuple[str, ...]

    def begin(self, world: World) -> None:
        for host in self.hosts:
            world.crash(host)

    def end(self, world: World) -> None:
        for host in self.hosts:
            world.start(host)


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


VICTIMS: tuple[Literal["src", "dst"], ...] = ("src", "dst")


@dataclass(frozen=True)
class Ambush(Fault):
    """A host crashes when it has sent (or is sent) a message of that name, `after_s` later, and is down for `for_s`."""

    message: str
    victim: Literal["src", "dst"]
    skip: int = 0
    after_s: float = 0.0

    def begin(self, world: World) -> None:
        world.when(self.message, lambda packet: self._wait(world, packet), skip=self.skip)

    def _wait(self, world: World, packet: Packet) -> None:
        host = packet.src if self.victim == "src" else packet.dst
        world.loop.call_later(self.after_s, self._strike, world, host, context=world.network.outside)

    def _strike(self, world: World, host: str) -> None:
        world.crash(host)
        world.loop.call_later(self.for_s, world.start, host)


@dataclass(frozen=True)
class FullDisk(Fault):
    host: str

    def begin(self, world: World) -> None:
        world.fill_disk(self.host)

    def end(self, world: World) -> None:
        world.fill_disk(self.host, full=False)


KINDS: tuple[type[Fault], ...] = (Crash, Outage, Pause, Partition, Clog, FullDisk)


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
    ends: list[asyncio.TimerHandle] = []
    end = world.loop.time() + for_s
    while (now := world.loop.time()) < end:
        await asyncio.sleep(min(chance.expovariate(1 / swarm.every_s), end - now))
        if swarm.kinds and world.loop.time() < end:
            kind = Ambush if messages and chance.random() < 0.3 else chance.choice(swarm.kinds)
            host = (favourite() if chance.random() < 0.5 else None) or chance.choice(victims)
            fault = draw_fault(chance, kind, host, victims, swarm.for_s, messages)
            fault.begin(world)
            ends.append(world.loop.call_later(fault.for_s, fault.end, world))
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
    if kind is Clog:
        return Clog(0, duration, host, chance.choice(victims), chance.choice((0.05, 0.5, 3.0)))
    if kind is Crash:
        return Crash(0, duration, host)
    if kind is Pause:
        return Pause(0, duration, host)
    if kind is FullDisk:
        return FullDisk(0, duration, host)
    raise ValueError(f"{kind.__name__} is not drawn by chance")
