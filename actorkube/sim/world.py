"""A world of simulated hosts: one seed decides every delay, loss, crash and tie, so a seed is a bug report.

    def test_something() -> None:
        async def scenario(world: World) -> None:
            await world.boot("server", lambda system: system.spawn(Server, "server"))
            user = await world.boot("user")
            world.partition({"server"}, {"user"})
            ...
            world.heal()
            await world.converges(lambda: ..., within_s=30)

        World.run_sync(scenario, seed=7)

`run` raises what the scenario raises, and a SimulationError for what no scenario should see: an invariant that does
not hold, an actor that crashes unexpectedly, an unhandled exception, a deadlock. The notes of the exception name the
seed and the last things that happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import random
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from actorkube.runtime.cell import Cell
from actorkube.runtime.host import Host
from actorkube.runtime.log import Log, Quiet
from actorkube.runtime.system import System
from actorkube.sim.disk import DiskConditions, Drive
from actorkube.sim.errors import ActorCrashed, InvariantBroken, NotConverged, Unhandled
from actorkube.sim.guard import guarded
from actorkube.sim.host import Boot, SimHost
from actorkube.sim.loop import SimLoop, domain
from actorkube.sim.network import Conditions, Network, Packet, Rule
from actorkube.sim.trace import Trace, first_difference
from protocols.errors import AskError

T = TypeVar("T")
Match = str | Callable[[Packet], bool]
EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class World:
    """`expected` are the exceptions that actors may crash with: by default what a failing disk raises."""

    can_partition = True

    def __init__(
        self,
        seed: int | str = 0,
        *,
        network: Conditions | None = None,
        disk: DiskConditions | None = None,
        shuffle: bool = True,
        record: bool = False,
        check_steps: int = 16,
        expected: tuple[type[BaseException], ...] = (OSError,),
        steps_max: int = 50_000_000,
        log: Log | None = None,
    ) -> None:
        self.seed = seed
        self.epoch = EPOCH
        self.respawn_s = 1.0  # until the supervisor of processes starts again what gave up by itself
        self.log: Log = log or Quiet()
        self.trace = Trace(record=record)
        self.hosts: dict[str, SimHost] = {}
        self.disk_conditions = disk or DiskConditions()
        self.loop = SimLoop(shuffle=self.chance("shuffle") if shuffle else None, steps_max=steps_max)
        self.network = Network(self.loop, self.chance("network"), self.trace, network or Conditions())
        self._expected = expected
        self._invariants: dict[str, Callable[[], object]] = {}
        self._crash_chance = self.chance("crash")
        self.loop.check = self._check_invariants
        self.loop.check_steps = check_steps
        self.loop.on_unhandled = self._unhandled

    def chance(self, what: str) -> random.Random:
        """A stream of chance of its own: using one does not shift another."""
        return random.Random(f"{self.seed}/{what}")

    # -- running --------------------------------------------------------------------------------------------------

    @classmethod
    def run_sync(cls, scenario: Callable[[World], Coroutine[Any, Any, T]], seed: int | str = 0, **options: Any) -> T:
        """One scenario in a world of its own, from a plain function."""
        with contextlib.closing(cls(seed, **options)) as world:
            return world.run(scenario)

    @classmethod
    def check(cls, scenario: Callable[[World], Coroutine[Any, Any, T]], seed: int | str = 0, **options: Any) -> str:
        """Run twice; the hash of both, or an AssertionError that shows where they part."""

        def record() -> Trace:
            with contextlib.closing(cls(seed, **{**options, "record": True})) as world:
                world.run(scenario)
                return world.trace

        one, other = record(), record()
        assert one.hash == other.hash, f"seed {seed!r} ran in two ways: {first_difference(one.lines, other.lines)}"
        return one.hash

    def run(self, scenario: Callable[[World], Coroutine[Any, Any, T]], for_s: float = 3600.0) -> T:
        """Run the scenario to its end, which must come within `for_s` simulated seconds."""
        self.loop.end_at = self.loop.time() + for_s
        try:
            with guarded(), _gc_paused():
                result = self.loop.run_until_complete(scenario(self))
                self._check_invariants()
        except BaseException as error:
            error.add_note(self._story())
            raise
        return result

    def close(self) -> None:
        self.loop.close()

    def _story(self) -> str:
        lines = "\n  ".join(self.trace.lines[-12:])
        return f"seed {self.seed!r}, {self.now - self.epoch:.3f} s, {self.loop.steps} steps; last:\n  {lines}"

    # -- time and checks ------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.epoch + self.loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def always(self, name: str, check: Callable[[], object]) -> None:
        """An invariant, checked every `check_steps` callbacks: it must return neither False nor raise."""
        self._invariants[name] = check

    async def until(self, check: Callable[[], object], within_s: float = 30.0) -> None:
        """Wait until the check is true. It may be a coroutine function; it is asked some hundred times."""
        end = self.loop.time() + within_s
        while not await _outcome(check):
            if self.loop.time() >= end:
                raise NotConverged(f"not true after {within_s} s: {_source(check)}")
            await asyncio.sleep(min(0.1, within_s / 100))

    async def converges(self, check: Callable[[], object], within_s: float = 60.0, stays_s: float = 5.0) -> None:
        """The check becomes true within the time, and is still true at every look during `stays_s` more."""
        await self.until(check, within_s)
        end = self.loop.time() + stays_s
        while self.loop.time() < end:
            await asyncio.sleep(stays_s / 20)
            if not await _outcome(check):
                raise NotConverged(f"was true, but did not stay so: {_source(check)}")

    def _check_invariants(self) -> None:
        for name, check in self._invariants.items():
            try:
                holds = check() is not False
            except AssertionError as error:
                raise InvariantBroken(f"{name}: {error}") from error
            if not holds:
                raise InvariantBroken(name)

    # -- hosts ----------------------------------------------------------------------------------------------------

    async def boot(self, name: str, boot: Boot | None = None, *, listens: bool = True) -> System:
        """Add a host and start it: `boot` spawns its actors, now and at every restart. Returns when it has run."""
        drive = Drive(self.chance(f"disk/{name}"), self.disk_conditions)
        self.hosts[name] = SimHost(self, name, boot or (lambda system: None), drive)
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

    def is_up(self, name: str) -> bool:
        return self.hosts[name].is_up

    def crash(self, name: str) -> None:
        """Kill the process or cut the power: what is not synced may be gone, peers learn at once or by silence."""
        self._note(f"crash {name}")
        self.hosts[name].crash(silent=self._crash_chance.random() < 0.5)

    def start(self, name: str) -> None:
        """Begin a restart, without waiting for it."""
        self._note(f"start {name}")
        self.hosts[name].start()

    async def restart(self, name: str) -> System:
        """A new life on the same disk, unless it is up already. Raises what `boot` raises."""
        self.start(name)
        life = self.hosts[name].life
        assert life is not None
        return await life.ready

    async def stop(self, name: str) -> None:
        self._note(f"stop {name}")
        await self.hosts[name].stop()

    def pause(self, name: str) -> None:
        """The host does nothing, and does not know it: its timers fire late, what others send it waits."""
        self._note(f"pause {name}")
        self.hosts[name].pause()

    def resume(self, name: str) -> None:
        self._note(f"resume {name}")
        self.hosts[name].resume()

    def fill_disk(self, name: str, *, full: bool = True) -> None:
        self._note(f"disk of {name} full: {full}")
        self.hosts[name].drive.is_full = full

    def skew(self, name: str, seconds: float) -> None:
        """How far the host's clock is ahead of the world's, from its next life on."""
        self.hosts[name].skew_s = seconds

    # -- network --------------------------------------------------------------------------------------------------

    def partition(self, one: Collection[str], other: Collection[str], *, both_ways: bool = True) -> None:
        """Nothing gets from `one` to `other`, nor back unless the partition is one-way."""
        self._change_partition(one, other, both_ways, self.network.block, "partition")

    def reunite(self, one: Collection[str], other: Collection[str], *, both_ways: bool = True) -> None:
        """Undo one `partition` of the same hosts; others stay."""
        self._change_partition(one, other, both_ways, self.network.unblock, "reunite")

    def _change_partition(
        self,
        one: Collection[str],
        other: Collection[str],
        both_ways: bool,
        change: Callable[[str, str], None],
        word: str,
    ) -> None:
        self._note(f"{word} {sorted(one)} {sorted(other)} both ways: {both_ways}")
        for src in sorted(one):
            for dst in sorted(other):
                change(src, dst)
                if both_ways:
                    change(dst, src)

    def clog(self, src: str, dst: str, delay_s: float) -> None:
        """Every packet from `src` to `dst` takes so much longer, until it is set to 0 or healed."""
        self._note(f"clog {src}>{dst} {delay_s}")
        self.network.way(src, dst).clog_s = delay_s

    def drop(
        self, match: Match, *, src: str | None = None, dst: str | None = None, skip: int = 0, times: int = 1
    ) -> None:
        """Lose packets by name: a tell alone; anything else takes its connection along."""
        self._rule(match, src, dst, skip, times, lambda packet: None)

    def delay(
        self,
        match: Match,
        by_s: float,
        *,
        src: str | None = None,
        dst: str | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> None:
        """Hold packets back, and what is behind them on their connection."""
        self._rule(match, src, dst, skip, times, lambda packet: by_s)

    def when(
        self,
        match: Match,
        then: Callable[[Packet], object],
        *,
        src: str | None = None,
        dst: str | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> None:
        """Do something in the moment such a packet is sent: crash the sender before it knows, for example."""

        def act(packet: Packet) -> float:
            then(packet)
            return 0.0

        self._rule(match, src, dst, skip, times, act)

    def heal(self) -> None:
        """End all faults: the network is whole and its conditions are good, disks have room, nobody is paused.
        Hosts that are down stay down; `restart` them."""
        self._note("heal")
        self.network.heal()
        self.network.set_conditions(Conditions())
        for host in self.hosts.values():
            host.drive.is_full = False
            host.drive.conditions = DiskConditions()
            host.resume()

    async def recover(self) -> None:
        """Heal, and start whoever is down."""
        self.heal()
        lives = [host.start() for host in self.hosts.values()]
        for life in lives:
            await life.ready

    def _rule(
        self,
        match: Match,
        src: str | None,
        dst: str | None,
        skip: int,
        times: int,
        act: Callable[[Packet], float | None],
    ) -> None:
        def matches(packet: Packet) -> bool:
            if src not in (None, packet.src) or dst not in (None, packet.dst):
                return False
            return packet.name == match if isinstance(match, str) else match(packet)

        self.network.rules.append(Rule(matches, skip=skip, times=times, act=act))

    # -- what should not happen -----------------------------------------------------------------------------------

    def actor_crashed(self, cell: Cell, error: BaseException) -> None:
        self._note(f"{cell.ref.address} crashed: {error!r}")
        if not isinstance(error, self._expected):
            self._fail(ActorCrashed(f"{cell.ref.address} crashed: {error!r}"), error)

    def _unhandled(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, AskError):
            return  # an ask that nobody waits for has failed: that is not a fault
        owner = domain.get()
        where = f" on {owner.name}" if owner is not None else ""
        self._fail(Unhandled(f"{context.get('message')}{where}: {error!r}"), error)

    def _fail(self, failure: Exception, cause: BaseException | None) -> None:
        failure.__cause__ = cause
        if self.loop.failure is None:
            self.loop.failure = failure

    def _note(self, what: str) -> None:
        self.network.note(what)


async def _outcome(check: Callable[[], object]) -> object:
    outcome = check()
    return await outcome if inspect.isawaitable(outcome) else outcome


def _source(check: Callable[[], object]) -> str:
    code = getattr(check, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(check)


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Cycles are collected at fixed steps only (SimLoop), so that what their ends do is the same in every run."""
    enabled = gc.isenabled()
    frozen = gc.get_freeze_count() > 0
    gc.disable()
    if not frozen:
        gc.freeze()  # what was there before is not looked at again
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
        if enabled:
            gc.enable()
