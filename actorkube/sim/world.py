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
import inspect
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from actorkube.runtime.cell import Cell
from actorkube.runtime.log import Log
from actorkube.runtime.probe import reached
from actorkube.sim.conditions import Conditions
from actorkube.sim.disk import DiskConditions
from actorkube.sim.errors import ActorCrashed, InvariantBroken, NotConverged, Unhandled
from actorkube.sim.garbage import collected_at_steps
from actorkube.sim.guard import guarded
from actorkube.sim.loop import SimLoop
from actorkube.sim.policies import PolicyName
from actorkube.sim.policies import policy as ordering
from actorkube.sim.recording import Follower, Header, Recorder, Recording
from actorkube.sim.stage import Stage
from actorkube.sim.tasks import domain
from actorkube.sim.trace import Trace, first_difference
from protocols.errors import AskError

T = TypeVar("T")


class World(Stage):
    """What can be done to its hosts is in `Stage`.

    `expected` are the exceptions that actors may crash with: by default what a failing disk raises. `policy` is how
    tasks that are ready are ordered. `record=True` keeps the whole trace; `record=path` writes it to a file, with the
    `name` and `options` of the scenario. `replay=path` compares the run with such a file as it goes, and ends it with
    `Diverged` at the first difference.
    """

    def __init__(
        self,
        seed: int | str = 0,
        *,
        network: Conditions | None = None,
        disk: DiskConditions | None = None,
        policy: PolicyName = "shuffle",
        record: bool | Path = False,
        replay: Path | None = None,
        name: str = "",
        options: dict[str, Any] | None = None,
        check_steps: int = 8,
        expected: tuple[type[BaseException], ...] = (OSError,),
        steps_max: int = 50_000_000,
        log: Log | None = None,
    ) -> None:
        loop = SimLoop(policy=ordering(policy, random.Random(f"{seed}/policy")), steps_max=steps_max)
        trace = Trace(keep=record is True)
        super().__init__(seed, loop, trace, network or Conditions(), disk or DiskConditions(), log)
        self._expected = expected
        self._invariants: dict[str, Callable[[], object]] = {}
        self.loop.check = self._check_invariants
        self.loop.check_steps = check_steps
        self.loop.on_unhandled = self._unhandled
        self._recorder: Recorder | None = None
        self._follower: Follower | None = None
        if isinstance(record, Path):
            header = Header(seed=seed, scenario=name, options=options or {})
            self._recorder = Recorder(record, trace, header)
        if replay is not None:
            self._follower = Follower(Recording(replay), trace, lambda diverged: self._fail(diverged, None))

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
        if one.hash != other.hash:
            raise AssertionError(f"seed {seed!r} ran in two ways: {first_difference(one.entries, other.entries)}")
        return one.hash

    def run(self, scenario: Callable[[World], Coroutine[Any, Any, T]], for_s: float = 3600.0) -> T:
        """Run the scenario to its end, which must come within `for_s` simulated seconds."""
        self.loop.end_at = self.loop.now + for_s
        counted = reached.set(self.probes)
        try:
            with collected_at_steps(self.loop), guarded():
                result = self.loop.run_until_complete(scenario(self))
                self._check_invariants()
            self._followed()
        except BaseException as error:
            error.add_note(self._story())
            raise
        finally:
            reached.reset(counted)
        return result

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
        if self._follower is not None:
            self._follower.close()
        self.loop.close()

    def _followed(self) -> None:
        self.trace.flush()
        if self._follower is not None:
            self._follower.finish()
        if self.loop.failure is not None:
            failure, self.loop.failure = self.loop.failure, None
            raise failure

    def _story(self) -> str:
        lines = "\n  ".join(self.trace.lines[-12:])
        return f"seed {self.seed!r}, {self.now - self.epoch:.3f} s, {self.loop.steps} steps; last:\n  {lines}"

    # -- time and checks ------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.epoch + self.loop.now

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

    def sometimes(self, name: str, condition: object) -> None:
        """A probe of the scenario: it should be true in some run (see actorkube/runtime/probe.py)."""
        self.probes[name] = self.probes.get(name, 0) + bool(condition)

    def _check_invariants(self) -> None:
        for name, check in self._invariants.items():
            try:
                holds = check() is not False
            except AssertionError as error:
                raise InvariantBroken(f"{name}: {error}") from error
            if not holds:
                raise InvariantBroken(name)

    # -- what should not happen -----------------------------------------------------------------------------------

    def actor_crashed(self, cell: Cell, error: BaseException) -> None:
        self.network.note(f"{cell.ref.address} crashed: {error!r}")
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


async def _outcome(check: Callable[[], object]) -> object:
    outcome = check()
    return await outcome if inspect.isawaitable(outcome) else outcome


def _source(check: Callable[[], object]) -> str:
    code = getattr(check, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(check)
