"""Bindings that a component makes in one turn leave in one message; each is told what became of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from actorkube.runtime import Context
from protocols.api import Bind, Binding, BindOutcomes
from protocols.errors import Answer, AskError, decode_error, encode_error

TOGETHER_MAX = 64

Waiting = tuple[Binding, asyncio.Future[None]]


class Bindings:
    """`ask` sends one message of several bindings."""

    def __init__(self, ctx: Context, ask: Callable[[Bind], Awaitable[BindOutcomes]]) -> None:
        self._ctx = ctx
        self._ask = ask
        self._waiting: list[Waiting] = []

    async def bind(self, binding: Binding) -> None:
        """Raises what the API server answers about this binding, or why it did not answer."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._ctx.call_soon(self._send)
        self._waiting.append((binding, future))
        await future

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), TOGETHER_MAX):
            self._ctx.background(self._bind(waiting[start : start + TOGETHER_MAX]), "bindings")

    async def _bind(self, waiting: list[Waiting]) -> None:
        try:
            outcomes = await self._ask(Bind(tuple([binding for binding, _ in waiting])))
            errors = outcomes.errors
        except (Answer, AskError) as failure:
            errors = (encode_error(failure),) * len(waiting)
        for (_, future), error in zip(waiting, errors, strict=True):
            if future.done():
                continue  # who asked has gone
            if error:
                future.set_exception(decode_error(error))
            else:
                future.set_result(None)
