"""A man in the middle of API server and store: requests reach the store, and answers get lost to order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from actorkube.runtime import Actor
from protocols.errors import Answer, Unknown
from protocols.etcd import Txn, WatchKeys, WatchResponse
from protocols.message import Message, Request


class Lossy(Actor):
    """`lose_answers`: how many answers to transactions get lost from now on. `after_loss` runs after each of them, and
    `before` before each transaction reaches the store.

    Events wait while `events_pass` is not set.
    """

    concurrency = 1024

    def __init__(self, store: str) -> None:
        self._store = store
        self.lose_answers = 0
        self.after_loss: Callable[[], Awaitable[object]] | None = None
        self.before: Callable[[], Awaitable[object]] | None = None
        self.refuse_streams: list[Answer] = []  # for each, one stream is refused
        self.events_pass = asyncio.Event()
        self.events_pass.set()
        self.transactions = 0
        self._streams: dict[asyncio.Task[Any], None] = {}

    def receive(self, message: Message) -> object:
        if isinstance(message, WatchKeys):
            return self._pass_on_stream(message)
        assert isinstance(message, Request)
        return self._pass_on(message)

    def cut_streams(self) -> None:
        for task in self._streams:
            task.cancel()

    async def _pass_on(self, request: Request[Any]) -> Message:
        if self.before is not None and isinstance(request, Txn):
            await self.before()
        answer: Message = await self.ctx.ask(self.ctx.ref(self._store), request)
        if isinstance(request, Txn):
            self.transactions += 1
            if self.lose_answers > 0:
                self.lose_answers -= 1
                if self.after_loss is not None:
                    await self.after_loss()
                raise Unknown("the answer got lost")
        return answer

    async def _pass_on_stream(self, request: WatchKeys) -> AsyncGenerator[WatchResponse, None]:
        if self.refuse_streams:
            raise self.refuse_streams.pop(0)
        task = asyncio.current_task()
        assert task is not None
        self._streams[task] = None
        try:
            async with self.ctx.stream(self.ctx.ref(self._store), request) as stream:
                async for item in stream:
                    await self.events_pass.wait()
                    yield item
        finally:
            del self._streams[task]
