"""asyncio.Queue and a task per actor: what one writes without a framework; in process only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from bench.messages.payloads import PAYLOADS
from bench.messages.subject import (
    NotOffered,
    Subject,
    asks_per_s,
    fan_outs_per_s,
    resident_bytes,
    serve,
    tells_per_s,
)


class Actor:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Any, asyncio.Future[Any] | None]] = asyncio.Queue()
        self.task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            data, future = await self.queue.get()
            if future is not None:
                future.set_result(data)

    async def ask(self, data: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((data, future))
        return await future

    def tell(self, data: Any) -> None:
        self.queue.put_nowait((data, None))


class Queue(Subject):
    async def start(self) -> None:
        self.actor = Actor()
        self.many = [Actor() for _ in range(1000)]

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        data = _local(where, payload)
        return await asks_per_s(lambda: self.actor.ask(data), depth, seconds)

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        data = _local(where, payload)
        return await tells_per_s(lambda: self.actor.tell(data), lambda: self.actor.ask(b""), seconds)

    async def fan_out(self, where: str, actors: int, seconds: float) -> float:
        data = _local(where, "100B")

        def asker(actor: Actor) -> Any:
            def ask() -> Awaitable[object]:
                return actor.ask(data)

            return ask

        return await fan_outs_per_s([asker(actor) for actor in self.many[:actors]], seconds)

    async def spawn(self, actors: int) -> float:
        before, begin = resident_bytes(), time.perf_counter()
        self.spawned = [Actor() for _ in range(actors)]
        await self.spawned[-1].ask(b"")
        rate = actors / (time.perf_counter() - begin)
        self.bytes_per_actor = (resident_bytes() - before) / actors
        return rate


def _local(where: str, payload: str) -> Any:
    if where != "local":
        raise NotOffered
    return PAYLOADS[payload]


if __name__ == "__main__":
    serve(Queue())
