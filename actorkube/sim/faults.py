"""Faults as data: what happens to whom, when, for how long. So a schedule prints, replays and shrinks.

Two sources: a list (written down, or drawn by hypothesis: actorkube/sim/strategies.py) played by `play`; or `nemesis`
(actorkube/sim/nemesis.py), which draws fault after fault from the world's seed.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from actorkube.sim.network import Packet
from actorkube.sim.world import World


@dataclass(frozen=True)
class Fault(ABC):
    """Begins at `at_s` and lasts `for_s`. Beginning twice or ending what is over is harmless."""

    at_s: float
    for_s: float

    @abstractmethod
    def begin(self, world: World) -> None: ...

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
        world.loop.later(self.after_s, self._strike, world, host, context=world.network.outside)

    def _strike(self, world: World, host: str) -> None:
        world.crash(host)
        world.loop.later(self.for_s, world.start, host, context=world.network.outside)


@dataclass(frozen=True)
class LossyLink(Fault):
    """Of the packets from `src` to `dst` a part is lost; they are sent again, as TCP does."""

    src: str
    dst: str
    loss: float

    def begin(self, world: World) -> None:
        known = world.network.way(self.src, self.dst).conditions
        world.set_link(self.src, self.dst, replace(known, loss=self.loss, lost="retransmitted"))

    def end(self, world: World) -> None:
        world.set_link(self.src, self.dst, None)


@dataclass(frozen=True)
class SlowLink(Fault):
    """So little fits through from `src` to `dst`; the rest waits in line."""

    src: str
    dst: str
    bytes_per_s: float

    def begin(self, world: World) -> None:
        known = world.network.way(self.src, self.dst).conditions
        world.set_link(self.src, self.dst, replace(known, bytes_per_s=self.bytes_per_s))

    def end(self, world: World) -> None:
        world.set_link(self.src, self.dst, None)


@dataclass(frozen=True)
class Drift(Fault):
    """A host's clock, and all its timers, run fast (1.1) or slow (0.9)."""

    host: str
    rate: float

    def begin(self, world: World) -> None:
        world.drift(self.host, self.rate)

    def end(self, world: World) -> None:
        world.drift(self.host, 1.0)


@dataclass(frozen=True)
class Skew(Fault):
    """A host's wall clock is set ahead or back, and set right in the end."""

    host: str
    ahead_s: float

    def begin(self, world: World) -> None:
        world.skew(self.host, self.ahead_s)

    def end(self, world: World) -> None:
        world.skew(self.host, 0.0)


@dataclass(frozen=True)
class FullDisk(Fault):
    host: str

    def begin(self, world: World) -> None:
        world.fill_disk(self.host)

    def end(self, world: World) -> None:
        world.fill_disk(self.host, full=False)


@dataclass(frozen=True)
class SlowDisk(Fault):
    host: str
    slow_s: float

    def begin(self, world: World) -> None:
        world.slow_disk(self.host, self.slow_s)

    def end(self, world: World) -> None:
        world.slow_disk(self.host, 0.0)


@dataclass(frozen=True)
class BadReads(Fault):
    """Whoever reads the disk, mostly at a restart, gets an error."""

    host: str

    def begin(self, world: World) -> None:
        world.fail_reads(self.host)

    def end(self, world: World) -> None:
        world.fail_reads(self.host, fail=False)


@dataclass(frozen=True)
class Rot(Fault):
    """A bit of the host's disk flips, for good. Only for actors that are expected to refuse such a disk."""

    host: str

    def begin(self, world: World) -> None:
        world.rot(self.host)


async def play(world: World, faults: Sequence[Fault]) -> None:
    """Play a schedule, from now to the end of its last fault. Does not heal what it was not told to end."""
    events = [(fault.at_s, fault.begin) for fault in faults]
    events += [(fault.at_s + fault.for_s, fault.end) for fault in faults]
    began = world.loop.now
    for at, event in sorted(events, key=lambda entry: entry[0]):
        await asyncio.sleep(max(0.0, began + at - world.loop.now))
        event(world)
