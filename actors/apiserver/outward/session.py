"""The connections of one client: opened when the first request needs them, closed when their keeper ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


class KeptSession:
    """`make` is called in the loop that uses it, at the first `opened()`. `run` ends with its actor, or its server."""

    def __init__(self, make: Callable[[], aiohttp.ClientSession]) -> None:
        self._make = make
        self._session: aiohttp.ClientSession | None = None

    def opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._make()
        return self._session

    async def run(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if self._session is not None:
                await self._session.close()
