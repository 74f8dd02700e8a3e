"""Timers at a hand-over, in every world: they run on, and their ticks come to the new instance when they are due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import Actor, Backoff, Supervision, System
from actorkube.runtime.cell import State
from actorkube.runtime.timer import Timer
from actorkube.sim import World as SimWorld
from actorkube.testing import World, run_in
from protocols.errors import Unknown
from protocols.message import Done, Message, Request
from tests.runtime.gate import in_every_world


class Struck(Message):
    """A tick of the timer of that name."""

    name: str


class Ticked(Message):
    """What is handed over: which timers have ticked, and when."""

    ticks: list[tuple[str, float]]


class HoldClock(Request[Done]):
    pass


class Clock(Actor):
    """Notes its ticks, and hands them over. `winds`: an instance that starts, or takes over, sets timers."""

    def __init__(self, *, winds: bool = False, breaks: bool = False) -> None:
        self.winds = winds
        self.breaks = breaks
        self.ticks: list[tuple[str, float]] = []
        self.gate = asyncio.Event()

    async def on_start(self) -> None:
        if self.winds:
            self.ctx.every(0.05, Struck("each"))
            self.ctx.after(0.2, Struck("keyed"), key="k")

    async def on_handover(self) -> Message:
        return Ticked(self.ticks)

    async def on_takeover(self, state: Message) -> None:
        assert isinstance(state, Ticked)
        self.ticks = state.ticks
        await self.on_start()
        if self.breaks:
            raise OSError("planted")

    def receive(self, message: Message) -> object:
        match message:
            case Struck(name):
                self.ticks.append((name, self.ctx._cell.system.loop.time()))
                return None
            case _:
                return self.hold()

    async def hold(self) -> None:
        await self.gate.wait()

    def named(self, name: str) -> list[float]:
        return [time for each, time in self.ticks if each == name]


def clock(system: System) -> Clock:
    actor = system.actor("clock")
    assert isinstance(actor, Clock)
    return actor


async def clocked(world: World, factory: Callable[[], Clock] = Clock) -> System:
    quick = Supervision(backoff=Backoff(0.0, 0.0))
    return await world.boot("s", lambda system: void(system.spawn(factory, "clock", quick)))


def void(_: object) -> None:
    return


def due_between(system: System, timer: Timer) -> tuple[float, float]:
    """In a real world, time passes while it is looked at."""
    before, left = system.loop.time(), timer.left_s
    return before + left, system.loop.time() + left


@in_every_world
def test_timers_run_on_with_the_time_that_is_left_to_them(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await clocked(world)
        old = clock(system)
        began = system.loop.time()
        once = old.ctx.after(0.4, Struck("once"))
        keyed = old.ctx.after(0.5, Struck("keyed"), key="k")
        each = old.ctx.every(0.1, Struck("each"))
        await world.until(lambda: len(old.named("each")) == 2)
        due = [due_between(system, timer) for timer in (once, keyed)]

        await system.restart("clock")

        new = clock(system)
        assert new is not old
        assert new.ctx.timers == [once, keyed, each]
        assert [(timer.message, timer.period_s) for timer in new.ctx.timers] == [
            (Struck("once"), None),
            (Struck("keyed"), None),
            (Struck("each"), 0.1),
        ]
        for timer, (low, high) in zip((once, keyed), due, strict=True):
            least, most = due_between(system, timer)
            assert least <= high + 1e-6 and most >= low - 1e-6
        await world.until(lambda: new.named("once") and new.named("keyed") and len(new.named("each")) > 5)
        assert len(new.named("once")) == len(new.named("keyed")) == 1
        assert new.named("once")[0] >= began + 0.4 and new.named("keyed")[0] >= began + 0.5
        beat = (each.left_s + system.loop.time() - began) % 0.1
        assert min(beat, 0.1 - beat) < 0.02  # of the old one, however long the hand-over took
        new.ctx.timers[0].cancel()
        assert new.ctx.timers == []

    run_in(kind, scenario, tmp_path)


@in_every_world
def test_a_tick_that_waits_is_handled_once_by_the_new_instance(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await clocked(world)
        old = clock(system)
        held = system.ask(system.ref("s/clock"), HoldClock(), timeout_s=30)
        cell = system._cells[system.ref("s/clock").actor_id]
        await world.until(lambda: cell.running == 1)
        old.ctx.after(0.01, Struck("once"))
        await world.until(lambda: cell.depth == 1)

        replacing = asyncio.ensure_future(system.restart("clock"))
        await world.sleep(0.02)
        old.gate.set()
        await held
        await replacing

        await world.until(lambda: clock(system).named("once"))
        await world.sleep(0.05)
        assert len(clock(system).named("once")) == 1
        assert old.named("once") == []

    run_in(kind, scenario, tmp_path)


@in_every_world
def test_what_the_new_instance_sets_takes_the_place_of_what_says_the_same(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await clocked(world, lambda: Clock(winds=True))
        old = clock(system)
        await world.until(lambda: old.named("each"))
        other = old.ctx.every(0.05, Struck("other"))

        await system.restart("clock")

        new = clock(system)
        said = [timer.message for timer in new.ctx.timers]
        assert said.count(Struck("each")) == 1
        assert said.count(Struck("keyed")) <= 1
        assert other in new.ctx.timers
        await world.until(lambda: len(new.named("each")) > 4 and new.named("keyed"))
        assert len(new.named("keyed")) == 1

    run_in(kind, scenario, tmp_path)


@in_every_world
def test_no_tick_reaches_an_instance_that_starts_afresh_nor_one_that_is_stopped_meanwhile(
    kind: str, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        system = await clocked(world)
        timers = [clock(system).ctx.after(0.05, Struck("old")), clock(system).ctx.every(0.05, Struck("old"), key="k")]

        await system.replace("clock", lambda: Clock(breaks=True))

        fresh = clock(system)
        assert fresh.ctx.timers == []
        assert not any(timer.is_active for timer in timers)
        again = fresh.ctx.after(0.05, Struck("again"))
        await world.until(lambda: bool(fresh.ticks))
        assert [name for name, _ in fresh.ticks] == ["again"]
        again.restart(1000)
        held = system.ask(system.ref("s/clock"), HoldClock(), timeout_s=30)
        cell = system._cells[system.ref("s/clock").actor_id]
        await world.until(lambda: cell.running == 1)
        replacing = asyncio.ensure_future(system.restart("clock"))
        await world.until(lambda: cell.state is State.STARTING)
        assert again.is_active
        await system.kill("clock")
        await replacing
        assert not again.is_active
        with pytest.raises(Unknown):
            await held

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.sampled_from([None, "a", "b"])), min_size=1, max_size=8),
    st.lists(st.integers(1, 60), max_size=4, unique=True),
)
def test_however_often_an_actor_is_handed_over_its_ticks_come_when_they_would_have_come(
    timers: list[tuple[int, bool, str | None]], handovers: list[int]
) -> None:
    def ticks(handovers: list[int]) -> list[tuple[str, float]]:
        async def scenario(world: SimWorld) -> list[tuple[str, float]]:
            system = await clocked(world)
            began = system.loop.time()
            for number, (delay, periodic, key) in enumerate(timers):
                (clock(system).ctx.every if periodic else clock(system).ctx.after)(delay / 10, Struck(str(number)), key)
            for at in sorted(handovers):
                await world.sleep(began + at / 10 + 0.05 - system.loop.time())
                await system.restart("clock")
            await world.sleep(began + 10 - system.loop.time())
            return [(name, round(time - began, 6)) for name, time in clock(system).ticks]

        return SimWorld.run_sync(scenario, 1)

    assert ticks(handovers) == ticks([])
