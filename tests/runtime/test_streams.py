"""Streams at the edges: to oneself over any transport, and of what is too large."""

from __future__ import annotations

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import InternalError, NotSent
from protocols.frame import FRAME_MAX
from protocols.message import Message, Request, Streaming


class Tick(Message):
    number: int


class Ticks(Streaming[Tick]):
    most: int


class Clock(Actor):
    def receive(self, message: Message) -> object:
        assert isinstance(message, Ticks)
        return self.ticks(message.most)

    async def ticks(self, most: int):  # type: ignore[no-untyped-def]
        for number in range(most):
            yield Tick(number)


@pytest.mark.parametrize("kind", ["local", "tcp"])
async def test_an_actor_may_stream_from_its_own_system(kind: str) -> None:
    transport = LocalNetwork().transport() if kind == "local" else TcpTransport(key=b"k")
    system = System("own", transport, seed=1, log=Quiet())
    await system.start()
    clock = system.spawn(Clock, "clock")

    got = [tick.number async for tick in system.stream(clock, Ticks(20), window=3)]

    assert got == list(range(20))
    await system.stop()


class Bulk(Message):
    data: bytes


class GiveBulk(Request[Bulk]):
    data: bytes
    size: int


class StreamBulk(Streaming[Bulk]):
    pass


class Warehouse(Actor):
    def receive(self, message: Message) -> object:
        if isinstance(message, GiveBulk):
            return Bulk(b"x" * message.size)
        return self.all()

    async def all(self):  # type: ignore[no-untyped-def]
        yield Bulk(b"x" * (FRAME_MAX + 1))


async def test_what_is_too_large_for_a_frame_is_refused_by_its_sender_and_the_link_lives_on() -> None:
    network = LocalNetwork()
    here, there = (System(name, network.transport(), seed=1, log=Quiet()) for name in ("here", "there"))
    await here.start()
    await there.start()
    warehouse = there.spawn(Warehouse, "warehouse")

    with pytest.raises(NotSent, match="more than a frame may have"):
        await here.ask(warehouse, GiveBulk(b"x" * (FRAME_MAX + 1), 1))
    with pytest.raises(InternalError, match="more than a frame may"):
        await here.ask(warehouse, GiveBulk(b"", FRAME_MAX + 1))
    with pytest.raises(InternalError, match="more than a frame may"):
        await anext(here.stream(warehouse, StreamBulk()))

    assert await here.ask(warehouse, GiveBulk(b"", 3)) == Bulk(b"xxx")
    await here.stop()
    await there.stop()
