"""Messages between actors of one process: replies, refusals, deadlines, streams, crashes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from actorkube.runtime import LATER, Actor, Mailbox, Outlet, Ref, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import DeadlineExceeded, NotFound, NotSent, Overloaded, Terminated, Unknown
from protocols.message import Done, Message, Request, Streaming


class Number(Message):
    value: int


class Double(Request[Number]):
    value: int


class SlowDouble(Request[Number]):
    value: int
    delay_s: float = 0


class Refuse(Request[Done]):
    pass


class Break(Request[Done]):
    pass


class Never(Request[Done]):
    pass


class CountTo(Streaming[Number]):
    most: int


class PushTo(Streaming[Number]):
    most: int


class Note(Message):
    value: int


class HeardThat(Message):
    values: tuple[int, ...]
    senders: tuple[str, ...]


class Heard(Request[HeardThat]):
    pad: int


class Calculator(Actor):
    mailbox = Mailbox(capacity=4)

    def __init__(self) -> None:
        self.noted: list[int] = []
        self.outlets: list[Outlet] = []
        self.senders: list[Ref | None] = []

    def receive(self, message: Message) -> object:
        match message:
            case Double(value):
                return Number(value * 2)
            case SlowDouble():
                return self.slow(message)
            case Refuse():
                raise NotFound('pods "x" not found')
            case Break():
                raise RuntimeError("planted")
            case Never():
                self.ctx.reply_handle()
                return LATER
            case CountTo(most):
                return self.count(most)
            case PushTo(most):
                return self.push(most)
            case Note(value):
                self.senders.append(self.ctx.sender)
                self.noted.append(value)
                return None
            case Heard():
                senders = tuple(str(s.address) for s in self.senders if s)
                return HeardThat(tuple(self.noted), senders)
        raise AssertionError(message)

    async def slow(self, message: SlowDouble) -> Number:
        await self.ctx.sleep(message.delay_s)
        return Number(message.value * 2)

    async def count(self, most: int) -> AsyncIterator[Number]:
        for value in range(most):
            yield Number(value)

    def push(self, most: int) -> object:
        outlet = self.ctx.outlet()
        self.outlets.append(outlet)
        left = list(range(most))

        def feed() -> None:
            while left and outlet.credit:
                outlet.send(Number(left.pop(0)))
            if not left:
                outlet.end()

        outlet.on_ready = feed
        feed()
        return LATER


@pytest.fixture(params=["same system", "two systems", "tcp"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[System, Ref]]:
    here, there = await two_systems(request.param)
    yield here, there.spawn(Calculator, "calculator")
    await here.stop()
    if there is not here:
        await there.stop()


async def two_systems(how: str) -> tuple[System, System]:
    network = LocalNetwork()
    if how == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        book = {"there": listener.getsockname()}
        here = System("here", TcpTransport(key=b"k", book=book), seed=1, log=Quiet())
        there = System("there", TcpTransport(key=b"k", listen=(listener,)), seed=1, log=Quiet())
    else:
        here = System("here", network.transport(), seed=1, log=Quiet())
        there = here if how == "same system" else System("there", network.transport(), seed=1, log=Quiet())
    await here.start()
    if there is not here:
        await there.start()
    return here, there


Pair = tuple[System, Ref]


async def test_an_ask_is_answered_by_a_plain_handler(pair: Pair) -> None:
    system, calculator = pair

    assert await system.ask(calculator, Double(4)) == Number(8)


async def test_an_ask_is_answered_by_a_coroutine_handler(pair: Pair) -> None:
    system, calculator = pair

    assert await system.ask(calculator, SlowDouble(4)) == Number(8)


async def test_a_refusal_reaches_the_asker_by_its_own_type(pair: Pair) -> None:
    system, calculator = pair

    with pytest.raises(NotFound, match="pods"):
        await system.ask(calculator, Refuse())


async def test_an_ask_ends_when_its_time_is_up(pair: Pair) -> None:
    system, calculator = pair

    with pytest.raises(DeadlineExceeded):
        await system.ask(calculator, Never(), timeout_s=0.01)


async def test_a_request_that_nobody_waits_for_any_more_is_not_begun(pair: Pair) -> None:
    system, calculator = pair
    blocking = system.ask(calculator, SlowDouble(1, delay_s=0.05))

    with pytest.raises(DeadlineExceeded):
        await system.ask(calculator, SlowDouble(2, delay_s=60), timeout_s=0.01)
    await blocking

    assert await system.ask(calculator, Double(3), timeout_s=2) == Number(6)


async def test_an_actor_that_does_not_exist_is_said_to_be_terminated(pair: Pair) -> None:
    system, calculator = pair

    with pytest.raises(Terminated):
        await system.ask(system.ref(f"{calculator.address.system}/nobody"), Double(1))


async def test_a_system_that_is_not_known_means_not_sent(pair: Pair) -> None:
    system, _ = pair

    with pytest.raises(NotSent):
        await system.ask(system.ref("nowhere/nobody"), Double(1))


async def test_a_crash_is_told_to_the_asker_and_the_actor_comes_back(pair: Pair) -> None:
    system, calculator = pair

    with pytest.raises(Unknown):
        await system.ask(calculator, Break())

    assert await system.ask(calculator, Double(1)) == Number(2)


async def test_a_full_mailbox_refuses_asks(pair: Pair) -> None:
    system, calculator = pair
    blocking = system.ask(calculator, SlowDouble(1, delay_s=0.05))
    await asyncio.sleep(0)

    others = [system.ask(calculator, Double(n)) for n in range(10)]
    answers = await asyncio.gather(blocking, *others, return_exceptions=True)

    assert sum(isinstance(a, Overloaded) for a in answers) >= 5
    assert sum(isinstance(a, Number) for a in answers) >= 4


async def test_a_coroutine_handler_is_not_re_entered(pair: Pair) -> None:
    system, calculator = pair

    slow, quick = system.ask(calculator, SlowDouble(1, delay_s=0.01)), system.ask(calculator, Double(2))
    await quick

    assert slow.done()


async def test_a_generator_streams_all_its_items_through_a_small_window(pair: Pair) -> None:
    system, calculator = pair

    got = [item.value async for item in system.stream(calculator, CountTo(100), window=3)]

    assert got == list(range(100))


async def test_an_outlet_streams_all_its_items_through_a_small_window(pair: Pair) -> None:
    system, calculator = pair

    got = [item.value async for item in system.stream(calculator, PushTo(100), window=3)]

    assert got == list(range(100))


async def test_a_slow_reader_leaves_no_more_than_its_window_under_way(pair: Pair) -> None:
    system, calculator = pair
    stream = system.stream(calculator, PushTo(1000), window=4)

    await anext(stream)
    for _ in range(20):
        await asyncio.sleep(0)

    assert len(stream._items) <= 4
    stream.close()


async def test_tells_arrive_in_order_and_name_their_sender(pair: Pair) -> None:
    system, calculator = pair

    class Teller(Actor):
        async def on_start(self) -> None:
            for value in (1, 2, 3):
                self.ctx.tell(calculator, Note(value))
            await self.ctx.ask(calculator, Heard(2))
            self.told.set()

        told = asyncio.Event()

    teller = system.spawn(Teller, "teller")
    await asyncio.wait_for(Teller.told.wait(), 5)

    assert await system.ask(calculator, Heard(0)) == HeardThat((1, 2, 3), (str(teller.address),) * 3)


@pytest.mark.parametrize("how", ["two systems", "tcp"])
async def test_stopping_the_other_system_ends_streams_and_asks(how: str) -> None:
    here, there = await two_systems(how)
    calculator = there.spawn(Calculator, "calculator")
    stream = here.stream(calculator, PushTo(1000), window=1)
    await anext(stream)
    waiting = here.ask(calculator, Never())
    await here.ask(calculator, Double(1))

    await there.stop()

    with pytest.raises((Unknown, Terminated)):
        [item async for item in stream]
    with pytest.raises((Unknown, Terminated)):
        await waiting
    await here.stop()
