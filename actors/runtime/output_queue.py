"""What a process has printed and somebody has not taken yet, within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from protocols.exec import ExecItem

WAITING_BYTES_MAX = 256 * 1024


class OutputQueue:
    """`on_full`: print nothing more, until `on_room`."""

    def __init__(self, on_full: Callable[[], None], on_room: Callable[[], None]) -> None:
        self._on_full, self._on_room = on_full, on_room
        self._items: deque[ExecItem] = deque()
        self._waiting_bytes = 0
        self._end: ExecItem | None = None
        self._news = asyncio.Event()

    def put(self, channel: int, data: bytes) -> None:
        self._items.append(ExecItem(channel=channel, data=data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= WAITING_BYTES_MAX:
            self._on_full()
        self._news.set()

    def end(self, exit_code: int) -> None:
        """Nothing comes after what there is."""
        self._end = ExecItem(ended=True, exit_code=exit_code)
        self._news.set()

    async def items(self) -> AsyncIterator[ExecItem]:
        while True:
            while self._items:
                item = self._items.popleft()
                was_full = self._waiting_bytes >= WAITING_BYTES_MAX
                self._waiting_bytes -= len(item.data)
                if was_full and self._waiting_bytes < WAITING_BYTES_MAX:
                    self._on_room()
                yield item
            if self._end is not None:
                yield self._end
                return
            self._news.clear()
            await self._news.wait()
