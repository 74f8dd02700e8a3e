"""What an actor's handlers may rely on: their own deadline, their own timers; a wrong answer is a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from protocols.errors import Unknown
from protocols.message import Done, Message, Request, Streaming


class Wake(Request[Done]):
    """Tells a neighbour, from a task that has a deadline, to arm a timer."""


class Arm(Message):
    pass


class Woken(Message):
    pass


class Pass(Request[Done]):
    """Asks on, from the synchronous part of the handler, or from its task."""

    in_task: bool


class Hang(Request[Done]):
    pass


class Wrong(Request[Done]):
    in_task: bool


class Cancelled(Request[Done]):
    pass


class Crash(Message):
    pass


class Items(Streaming[Done]):
    answered: bool


class Worker(Actor):
    log: ClassVar[list[str]] = []

    def receive(self, message: Message) -> object:
        match message:
            case Wake():
                return self.wake()
            case Arm():
                self.ctx.after(0.03, Woken())
            case Woken():
                self.log.append("woken")
                self.ctx.ask(self.ctx.ref("test/hang"), Hang(), timeout_s=0.02).add_done_callback(self.noted)
            case Pass(in_task):
                return self.pass_on() if in_task else self.passed_on(self.ask_on())
            case Hang():
                return self.ctx.sleep(60)
            case Wrong(in_task):
                return self.wrong() if in_task else 7
            case Cancelled():
                return self.cancelled()
            case Items(answered):
                return self.items() if answered else Done()
        return None

    async def wake(self) -> None:
        self.ctx.tell(self.ctx.ref("test/neighbour"), Arm())

    def ask_on(self) -> asyncio.Future[Done]:
        return self.ctx.ask(self.ctx.ref("test/hang"), Hang(), timeout_s=60)

    async def pass_on(self) -> Done:
        await self.ctx.sleep(0)
        return await self.ask_on()

    async def passed_on(self, future: asyncio.Future[Any]) -> Done:
        await future
        return Done()

    async def wrong(self) -> int:
        return 7

    async def cancelled(self) -> None:
        task = asyncio.ensure_future(self.ctx.sleep(60))
        await self.ctx.sleep(0)
        task.cancel()
        await task

    async def items(self) -> AsyncIterator[Done]:
        yield Done()

    def noted(self, future: asyncio.Future[Any]) -> None:
        self.log.append(str(future.exception()))


class Chain(Actor):
    """Each tick arms the next: a tick of the life before would start a second chain. Only the first life is quick."""

    ticks: ClassVar[list[int]] = []
    lives: ClassVar[int] = 0

    async def on_start(self) -> None:
        Chain.lives += 1
        self.life = Chain.lives
        self.ctx.after(0.001 if self.life == 1 else 60, Woken())

    def receive(self, message: Message) -> object:
        if isinstance(message, Crash):
            raise RuntimeError("planted")
        self.ticks.append(self.life)
        self.ctx.after(0.001, Woken())
        return None


@pytest.fixture
async def system() -> AsyncIterator[System]:
    Worker.log.clear()
    Chain.ticks.clear()
    Chain.lives = 0
    system = System("test", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    system.spawn(Worker, "hang")
    yield system
    await system.stop()


async def test_a_timer_is_not_bound_by_the_deadline_of_the_request_that_armed_it(system: System) -> None:
    worker = system.spawn(Worker, "worker")
    system.spawn(Worker, "neighbour")

    await system.ask(worker, Wake(), timeout_s=0.02)
    while len(Worker.log) < 2:
        await asyncio.sleep(0.005)

    assert Worker.log[0] == "woken"
    assert "no answer in time" in Worker.log[1]  # asked and waited; "no time left" would mean the old deadline


@pytest.mark.parametrize("in_task", [False, True])
async def test_what_is_asked_on_the_way_inherits_what_is_left_of_the_request(system: System, in_task: bool) -> None:
    worker = system.spawn(Worker, "worker")

    asked = system.ask(worker, Pass(in_task), timeout_s=1)
    while len(system.asks.pending) < 2:
        await asyncio.sleep(0)
    outer, inner = system.asks.pending.values()

    assert inner.expires_at <= outer.expires_at
    asked.cancel()
    while system.asks.pending:
        await asyncio.sleep(0)


@pytest.mark.parametrize("in_task", [False, True])
async def test_an_answer_that_is_no_message_crashes_the_actor_which_then_serves_on(
    system: System, in_task: bool
) -> None:
    worker = system.spawn(Worker, "worker")

    with pytest.raises(Unknown, match="crashed"):
        await system.ask(worker, Wrong(in_task))

    assert await system.ask(worker, Wake()) == Done()


async def test_a_handler_that_ends_cancelled_makes_room_for_the_next_message(system: System) -> None:
    worker = system.spawn(Worker, "worker")

    with pytest.raises(Unknown):
        await system.ask(worker, Cancelled())

    assert await system.ask(worker, Wake(), timeout_s=1) == Done()


async def test_a_stream_answered_with_one_message_ends_with_an_error(system: System) -> None:
    worker = system.spawn(Worker, "worker")

    with pytest.raises(Unknown, match="crashed"):
        async for _ in system.stream(worker, Items(answered=False)):
            pass


async def test_a_stream_that_has_ended_leaves_nothing_on_its_link(system: System) -> None:
    worker = system.spawn(Worker, "worker")
    stream = system.stream(worker, Items(answered=True))

    assert [item async for item in stream] == [Done()]

    assert stream._link is not None
    assert not stream._link.asks


async def test_no_tick_of_the_life_before_reaches_an_actor_that_has_crashed(system: System) -> None:
    chain = system.spawn(Chain, "chain")
    while not Chain.ticks:
        await asyncio.sleep(0.001)
    cell = system._cells[chain.actor_id]

    # The tick is in the mailbox behind the message that crashes the actor.
    system.tell(chain, Crash())
    for timer in list(cell.timers.values()):
        timer._fire()
    while Chain.lives < 2 or cell.depth:
        await asyncio.sleep(0.001)

    assert 2 not in Chain.ticks


async def test_a_cancelled_timer_ticks_no_more_though_its_tick_was_under_way(system: System) -> None:
    chain = system.spawn(Chain, "chain")
    while not Chain.ticks:
        await asyncio.sleep(0.001)
    cell = system._cells[chain.actor_id]
    before = len(Chain.ticks)

    for timer in list(cell.timers.values()):
        timer._fire()
        timer.cancel()
    await asyncio.sleep(0.005)

    assert len(Chain.ticks) == before


async def test_a_killed_system_tells_whoever_waits_and_runs_no_on_stop(system: System) -> None:
    stopped = []

    class Stops(Worker):
        async def on_stop(self) -> None:
            stopped.append(self)

    other = System("other", LocalNetwork().transport(), seed=1, log=Quiet())
    await other.start()
    waiting = other.ask(other.spawn(Stops, "hang"), Hang())
    await asyncio.sleep(0)

    await other.abort()

    with pytest.raises(Unknown):
        await waiting
    assert not stopped


async def test_a_system_that_was_killed_has_nothing_left_to_stop() -> None:
    other = System("other", LocalNetwork().transport(), seed=1, log=Quiet())
    await other.start()
    other.spawn(Worker, "worker")
    await other.abort()

    async with asyncio.timeout(10):
        await other.stop()

    assert not other.cells
