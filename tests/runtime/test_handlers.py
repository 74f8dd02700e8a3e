"""Handlers at the edges: a wrong answer is a crash, a cancelled one makes room; timers; systems that are killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from protocols.errors import Unknown
from protocols.message import Done, Message, Request, Streaming


class Wake(Request[Done]):
    """Is answered: the actor serves on."""


class Woken(Message):
    pass


class Hang(Request[Done]):
    pass


class Wrong(Request[Done]):
    in_task: bool


class Cancelled(Request[Done]):
    pass


class Items(Streaming[Done]):
    answered: bool


class Worker(Actor):
    def receive(self, message: Message) -> object:
        match message:
            case Wake():
                return Done()
            case Hang():
                return self.ctx.sleep(60)
            case Wrong(in_task):
                return self.wrong() if in_task else 7
            case Cancelled():
                return self.cancelled()
            case Items(answered):
                return self.items() if answered else Done()
        return None

    async def wrong(self) -> int:
        return 7

    async def cancelled(self) -> None:
        task = asyncio.ensure_future(self.ctx.sleep(60))
        await self.ctx.sleep(0)
        task.cancel()
        await task

    async def items(self) -> AsyncIterator[Done]:
        yield Done()


class Chain(Actor):
    """Each tick arms the next."""

    def __init__(self) -> None:
        self.ticks = 0

    async def on_start(self) -> None:
        self.ctx.after(0.001, Woken())

    def receive(self, message: Message) -> object:
        self.ticks += 1
        self.ctx.after(0.001, Woken())
        return None


@pytest.fixture
async def system() -> AsyncIterator[System]:
    system = System("test", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    system.spawn(Worker, "hang")
    yield system
    await system.stop()


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
    assert not stream._link.streams


async def test_a_cancelled_timer_ticks_no_more_though_its_tick_was_under_way(system: System) -> None:
    chain = system.spawn(Chain, "chain")
    actor, cell = system.actor("chain"), system._cells[chain.actor_id]
    assert isinstance(actor, Chain)
    while not actor.ticks:
        await asyncio.sleep(0.001)
    before = actor.ticks

    system.tell(chain, Woken())  # behind which the tick waits
    for timer in list(cell.timers.values()):
        timer._fire()
        timer.cancel()
    await asyncio.sleep(0)

    assert actor.ticks == before + 1


async def test_a_tick_does_not_overtake_what_waits_and_does_not_wait_where_nothing_does(system: System) -> None:
    chain = system.spawn(Chain, "chain")
    actor, cell = system.actor("chain"), system._cells[chain.actor_id]
    assert isinstance(actor, Chain)
    while not cell.timers:
        await asyncio.sleep(0)
    (timer,) = cell.timers.values()

    timer._fire()
    assert actor.ticks == 1, "at once"
    system.tell(chain, Wake())
    (timer,) = cell.timers.values()
    timer._fire()
    assert actor.ticks == 1 and cell.depth == 2, "in its turn"


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
