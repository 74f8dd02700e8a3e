"""An event loop whose clock jumps to the next timer: hours of waiting cost nothing, and nothing depends on speed."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class JumpingSelector(selectors.DefaultSelector):
    """Where a real loop would sleep, the clock moves instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits, and no timer is set")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(coro: Coroutine[Any, Any, object]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(coro)
    finally:
        loop.close()
