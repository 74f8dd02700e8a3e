"""A counter that survives crashes: it answers an addition when the new number is durable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from actorkube.runtime import Actor
from protocols.errors import Invalid
from protocols.message import Message, Request, Streaming


class CounterValue(Message):
    number: int


class AddToCounter(Request[CounterValue]):
    amount: int


class WatchCounter(Streaming[CounterValue]):
    """The number now, and whenever it has changed."""


class Counter(Actor):
    async def on_start(self) -> None:
        kept = "number" in self.ctx.disk.list()
        self.number = int(self.ctx.disk.read("number")) if kept else 0
        self.changed = asyncio.Event()

    def receive(self, message: Message) -> object:
        match message:
            case AddToCounter(amount):
                return self.add(amount)
            case WatchCounter():
                return self.watch()
        return super().receive(message)

    async def add(self, amount: int) -> CounterValue:
        if self.number + amount < 0:
            raise Invalid("a counter does not go below zero")
        number = self.number + amount
        await self.ctx.disk.replace("number", str(number).encode())
        self.number = number
        self.changed.set()
        return CounterValue(number)

    async def watch(self) -> AsyncIterator[CounterValue]:
        while True:
            self.changed.clear()
            yield CounterValue(self.number)
            await self.changed.wait()
