"""Asks between actors: answers, refusals, those who are not there, crashes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from actorkube.runtime import Actor, Mailbox, Ref, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import NotFound, NotSent, Overloaded, Terminated, Unknown
from protocols.message import Done, Message, Request


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


class Calculator(Actor):
    mailbox = Mailbox(capacity=4)

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
        raise AssertionError(message)

    async def slow(self, message: SlowDouble) -> Number:
        await self.ctx.sleep(message.delay_s)
        return Number(message.value * 2)


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
