"""The standard input of a process: written as fast as it reads, by one writer at a time."""

from __future__ import annotations

import asyncio
import os

from actors.runtime.child import Child, set_window_size

_END_OF_INPUT = b"\x04"  # what closes the input of a terminal: control-D


class InputPipe:
    """A writer waits for room, at most until the process ends. Bytes for one that has ended are dropped."""

    def __init__(self, child: Child, tty: bool) -> None:
        self._child = child
        self._tty = tty
        self._room: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()

    async def write(self, data: bytes, last: bool) -> None:
        async with self._turn:
            await self._write(data + _END_OF_INPUT if last and self._tty else data)
            if last and not self._tty:
                self._child.close_stdin()

    def resize(self, width: int, height: int) -> None:
        if self._tty and self._child.stdin >= 0:
            set_window_size(self._child.stdin, width, height)

    def close(self) -> None:
        """The process has ended."""
        self._child.close_stdin()
        self._has_room()

    async def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left and self._child.stdin >= 0:
            try:
                left = left[os.write(self._child.stdin, left) :]
            except BlockingIOError:
                await self._until_room()
            except OSError:  # the process has closed its input, or its terminal is gone
                self._child.close_stdin()

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
