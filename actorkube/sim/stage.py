"""The hosts of a world and what may happen to them: everything that a scenario or a schedule of faults can do."""

from __future__ import annotations

import abc
import asyncio
import random
from collections.abc import Callable, Collection, Sequence

from actorkube.runtime.cell import Cell
from actorkube.runtime.host import Host, Hosts
from actorkube.runtime.log import Log, Quiet
from actorkube.runtime.system import System
from actorkube.sim.conditions import Conditions
from actorkube.sim.disk import DiskConditions, Drive
from actorkube.sim.host import Boot, SimHost
from actorkube.sim.loop import SimLoop
from actorkube.sim.network import Match, Network, Packet
from actorkube.sim.trace import Trace

EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Stage(abc.ABC):
    def __init__(
        self, seed: int | str, loop: SimLoop, trace: Trace, network: Conditions, disk: DiskConditions, log: Log | None
    ) -> None:
        self.seed = seed
        self.epoch = EPOCH
        self.respawn_s = 1.0  # until the supervisor of processes starts again what gave up by itself
        self.log: Log = log or Quiet()
        self.loop = loop
        self.trace = trace
        self.probes: dict[str, int] = {}  # how often each was reached
        self.hosts: Hosts[SimHost] = Hosts()
        self.follow_rate = 0.0
        self.network = Network(loop, self.chance("network"), trace, network)
        self._disk = disk
        self._crash_chance = self.chance("crash")

    @abc.abstractmethod
    def actor_crashed(self, cell: Cell, error: BaseException) -> None:
        """A system reports it before its supervisor decides."""

    def chance(self, what: str) -> random.Random:
        """A stream of chance of its own: using one does not shift another."""
        return random.Random(f"{self.seed}/{what}")

    # -- hosts ----------------------------------------------------------------------------------------------------

    async def boot(
        self, name: str, boot: Boot | None = None, *, listens: bool = True, knows: Collection[str] | None = None
    ) -> System:
        """Add a host and start it: `boot` spawns its actors, now and at every restart. Returns when it has run.

        `knows`: the hosts that it can make links to by itself; None: all that listen.
        """
        self.hosts.take(name)
        drive = Drive(self.chance(f"disk/{name}"), self._disk)
        self.hosts[name] = SimHost(self, name, boot or (lambda system: None), drive, knows)
        self.network.known[name] = listens
        return await self.restart(name)

    async def boot_all(self, hosts: Sequence[Host]) -> None:
        """Boot hosts that need each other; returns when all are ready."""
        await asyncio.gather(*(self.boot(host.name, host.boot, listens=host.listens) for host in hosts))

    def system(self, name: str) -> System:
        """The living system of a host."""
        life = self.hosts[name].life
        if life is None or not life.started:
            raise KeyError(f"host {name} is down")
        return life.system

    def follow(self, rate: float = 1.0) -> None:
        """All systems, now and in later lives, begin traces with this chance: every message says what caused it."""
        self.follow_rate = rate
        for host in self.hosts.values():
            if host.life is not None:
                host.life.system.follow(rate)

    def is_up(self, name: str) -> bool:
        return self.hosts[name].is_up

    def crash(self, name: str) -> None:
        """Kill the process or cut the power: what is not synced may be gone, peers learn at once or by silence."""
        self.network.note(f"crash {name}")
        self.hosts[name].crash(silent=self._crash_chance.random() < 0.5)

    def start(self, name: str) -> None:
        """Begin a restart, without waiting for it."""
        self.network.note(f"start {name}")
        self.hosts[name].start()

    async def restart(self, name: str) -> System:
        """A new life on the same disk, unless it is up already. Raises what `boot` raises."""
        self.start(name)
        life = self.hosts[name].life
        assert life is not None
        return await life.ready

    async def stop(self, name: str, drain_s: float = 0.0) -> None:
        self.network.note(f"stop {name}")
        await self.hosts[name].stop(drain_s)

    def pause(self, name: str) -> None:
        """The host does nothing, and does not know it: its timers fire late, what others send it waits."""
        self.network.note(f"pause {name}")
        self.hosts[name].pause()

    def resume(self, name: str) -> None:
        self.network.note(f"resume {name}")
        self.hosts[name].resume()

    def fill_disk(self, name: str, *, full: bool = True) -> None:
        self.network.note(f"disk of {name} full: {full}")
        self.hosts[name].drive.is_full = full

    def slow_disk(self, name: str, slow_s: float) -> None:
        """Each sync takes so much longer, until it is set to 0 or healed."""
        self.network.note(f"disk of {name} slow: {slow_s}")
        self.hosts[name].drive.slow_s = slow_s

    def fail_reads(self, name: str, *, fail: bool = True) -> None:
        self.network.note(f"disk of {name} unreadable: {fail}")
        self.hosts[name].drive.is_unreadable = fail

    def rot(self, name: str, file: str = "") -> str:
        """One durable bit of the host's disk flips, in the file `actor/name` or in one by chance; found at the next
        read, by whoever keeps checksums. Returns the file's name, empty if the disk holds nothing. No healing undoes
        it."""
        rotten = self.hosts[name].drive.rot(file)
        self.network.note(f"disk of {name} rots: {rotten}")
        return rotten

    # -- their clocks ---------------------------------------------------------------------------------------------

    def drift(self, name: str, rate: float) -> None:
        """The host's clock runs at that rate from now on (1.05: five percent fast), and all its timers with it."""
        self.network.note(f"drift {name} {rate}")
        self.loop.set_rate(self.hosts[name].clock, rate)

    def skew(self, name: str, ahead_s: float) -> None:
        """Set the host's wall clock so far ahead of the world's time (behind, if negative). Its `ctx.now` jumps
        forward, or stands still until the wall clock has caught up; its timers do not notice."""
        self.network.note(f"skew {name} {ahead_s}")
        self.hosts[name].clock.set_wall(ahead_s, self.loop.now)

    # -- the network between them ---------------------------------------------------------------------------------

    def partition(self, one: Collection[str], other: Collection[str], *, both_ways: bool = True) -> None:
        """Nothing gets from `one` to `other`, nor back unless the partition is one-way."""
        self.network.note(f"partition {sorted(one)} {sorted(other)} both ways: {both_ways}")
        for src, dst in _ways(one, other, both_ways):
            self.network.block(src, dst)

    def reunite(self, one: Collection[str], other: Collection[str], *, both_ways: bool = True) -> None:
        """Undo one `partition` of the same hosts; others stay."""
        self.network.note(f"reunite {sorted(one)} {sorted(other)} both ways: {both_ways}")
        for src, dst in _ways(one, other, both_ways):
            self.network.unblock(src, dst)

    @property
    def is_partitioned(self) -> bool:
        return self.network.is_cut

    def clog(self, src: str, dst: str, delay_s: float) -> None:
        """Every packet from `src` to `dst` takes so much longer, until it is set to 0 or healed."""
        self.network.note(f"clog {src}>{dst} {delay_s}")
        self.network.way(src, dst).clog_s = delay_s

    def set_link(self, src: str, dst: str, conditions: Conditions | None) -> None:
        """What the way from `src` to `dst` is like; None: as the network is. Healing ends it."""
        self.network.note(f"link {src}>{dst} {conditions}")
        self.network.set_way(src, dst, conditions)

    def drop(self, match: Match, *, src: str = "", dst: str = "", skip: int = 0, times: int = 1) -> None:
        """Lose packets by name: a tell alone; anything else takes its connection along."""
        self.network.add_rule(match, src, dst, skip, times, lambda packet: None)

    def delay(self, match: Match, by_s: float, *, src: str = "", dst: str = "", skip: int = 0, times: int = 1) -> None:
        """Hold packets back, and what is behind them on their connection."""
        self.network.add_rule(match, src, dst, skip, times, lambda packet: by_s)

    def when(
        self,
        match: Match,
        then: Callable[[Packet], object],
        *,
        src: str = "",
        dst: str = "",
        skip: int = 0,
        times: int = 1,
    ) -> None:
        """Do something in the moment such a packet is sent: crash the sender before it knows, for example."""

        def act(packet: Packet) -> float:
            then(packet)
            return 0.0

        self.network.add_rule(match, src, dst, skip, times, act)

    # -- the end of faults ----------------------------------------------------------------------------------------

    def heal(self) -> None:
        """End all faults: the network is whole and its conditions are good, disks have room, clocks are
        right, nobody is paused. Hosts that are down stay down; `restart` them."""
        self.network.note("heal")
        self.network.heal()
        self.network.set_conditions(Conditions())
        for host in self.hosts.values():
            host.drive.heal()
            if not host.clock.is_true:
                self.loop.set_rate(host.clock, 1.0)
            host.clock.set_wall(0.0, self.loop.now)
            host.resume()

    async def recover(self) -> None:
        """Heal, start whoever is down, and wait until all have booted."""
        self.heal()
        lives = [host.start() for host in self.hosts.values()]
        for life in lives:
            await life.ready


def _ways(one: Collection[str], other: Collection[str], both_ways: bool) -> list[tuple[str, str]]:
    there = [(src, dst) for src in sorted(one) for dst in sorted(other)]
    return there + [(dst, src) for src, dst in there] if both_ways else there
