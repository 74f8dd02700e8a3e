"""The small actors that the tests of the simulation are about."""

from __future__ import annotations

from collections.abc import AsyncIterator

from actorkube.runtime import Actor, Ref, System
from protocols.message import Done, Lane, Message, Request, Streaming


class SimBeat(Message):
    lane = Lane.CONTROL
    node: str
    number: int


class SimTick(Message):
    pass


class SimCount(Message):
    value: int


class SimAdd(Request[SimCount]):
    lane = Lane.CONTROL
    amount: int
    request_id: str = ""


class SimNumbers(Streaming[SimCount]):
    most: int


class SimSlow(Request[Done]):
    delay_s: float


class Monitor(Actor):
    """Hears heartbeats: from whom, which, and when."""

    def __init__(self) -> None:
        self.heard: dict[str, list[int]] = {}

    def receive(self, message: Message) -> object:
        assert isinstance(message, SimBeat)
        self.heard.setdefault(message.node, []).append(message.number)
        return None


class Node(Actor):
    """Says each second that it is there."""

    def __init__(self, monitor: str, period_s: float = 1.0) -> None:
        self.monitor = monitor
        self.period_s = period_s
        self.number = 0

    async def on_start(self) -> None:
        self.target = self.ctx.ref(self.monitor)
        self.ctx.every(self.period_s * (0.9 + 0.2 * self.ctx.random.random()), SimTick())

    def receive(self, message: Message) -> object:
        self.number += 1
        self.ctx.tell(self.target, SimBeat(self.ctx.self_ref.address.system, self.number))
        return None


class Counter(Actor):
    """Adds. With `dedup`, an amount that is sent again under the same id is added once."""

    concurrency = 100

    def __init__(self, *, dedup: bool = True) -> None:
        self.value = 0
        self.dedup = dedup
        self.seen: dict[str, int] = {}

    def receive(self, message: Message) -> object:
        match message:
            case SimAdd(amount, request_id):
                if not (self.dedup and request_id) or request_id not in self.seen:
                    self.value += amount
                    self.seen[request_id] = self.value
                return SimCount(self.value)
            case SimNumbers(most):
                return self.numbers(most)
            case SimSlow(delay_s):
                return self.slow(delay_s)
        raise AssertionError(message)

    async def numbers(self, most: int) -> AsyncIterator[SimCount]:
        for value in range(most):
            yield SimCount(value)

    async def slow(self, delay_s: float) -> None:
        await self.ctx.sleep(delay_s)


def monitor_of(system: System) -> Monitor:
    monitor = system.actor("monitor")
    assert isinstance(monitor, Monitor)
    return monitor


def counter_ref(system: System) -> Ref:
    return system.ref("server/counter")
