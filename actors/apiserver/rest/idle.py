"""The kubelet's streamingConnectionIdleTimeout: what nobody uses ends, what is used may last for days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def idle_limit(limit_s: float) -> AsyncIterator[Callable[[], None]]:
    """Gives `busy`, to be called whenever something has happened. Raises TimeoutError when nothing has for so long."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(limit_s) as timeout:

        def busy() -> None:
            if not timeout.expired():
                timeout.reschedule(loop.time() + limit_s)

        yield busy
