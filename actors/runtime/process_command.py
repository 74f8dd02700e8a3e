"""A command as a process beside its container: what it prints waits here, within bounds, until somebody takes it.

While too much waits its pipes are not read, so that it stops in its own `write`. Its input is written as fast as it
reads: a writer waits for room in the pipe, at most until the command ends.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable

from actors.runtime.child import Child, Output, set_window_size
from actors.runtime.sessions import Command
from protocols.exec import STDERR, STDOUT, ExecItem

WAITING_BYTES_MAX = 256 * 1024
_END_OF_INPUT = b"\x04"  # what closes the input of a terminal: control-D

Start = Callable[[Output, Output, Callable[[int, int], None]], Child]


class ProcessCommand(Command):
    def __init__(self, start: Start, tty: bool) -> None:
        """Raises what starting it raises."""
        self._tty = tty
        self._items: deque[ExecItem] = deque()
        self._waiting_bytes = 0
        self._exit_code: int | None = None
        self._news = asyncio.Event()
        self._room: asyncio.Future[None] | None = None
        self._child = start(
            lambda data: self._printed(STDOUT, data), lambda data: self._printed(STDERR, data), self._ended
        )

    async def items(self) -> AsyncIterator[ExecItem]:
        while True:
            while self._items:
                item = self._items.popleft()
                self._waiting_bytes -= len(item.data)
                if self._waiting_bytes < WAITING_BYTES_MAX:
                    self._child.resume()
                yield item
            if self._exit_code is not None:
                yield ExecItem(ended=True, exit_code=self._exit_code)
                return
            self._news.clear()
            await self._news.wait()

    async def write(self, data: bytes, last: bool) -> None:
        left = memoryview(data + _END_OF_INPUT if last and self._tty else data)
        while left and self._child.stdin >= 0:
            try:
                left = left[os.write(self._child.stdin, left) :]
            except BlockingIOError:
                await self._until_room()
            except OSError:  # the command has closed its input, or its terminal is gone
                self._child.close_stdin()
        if last and not self._tty:
            self._child.close_stdin()

    def resize(self, width: int, height: int) -> None:
        if self._tty and self._child.stdin >= 0:
            set_window_size(self._child.stdin, width, height)

    def kill(self) -> None:
        self._child.end()

    def _printed(self, channel: int, data: bytes) -> None:
        self._items.append(ExecItem(channel=channel, data=data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= WAITING_BYTES_MAX:
            self._child.pause()
        self._news.set()

    def _ended(self, exit_code: int, signal: int) -> None:
        self._exit_code = exit_code
        self._child.close_stdin()
        self._has_room()
        self._news.set()

    async def _until_room(self) -> None:
        loop, stdin = asyncio.get_running_loop(), self._child.stdin
        self._room = loop.create_future()
        loop.add_writer(stdin, self._has_room)
        try:
            await self._room
        finally:
            if self._child.stdin == stdin:
                loop.remove_writer(stdin)
            self._room = None

    def _has_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
