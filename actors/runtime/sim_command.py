"""A simulated command prints what its pod's annotations say, repeats its input to the end, and exits as they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from actors.runtime.sessions import Command
from actors.runtime.sim_script import SimScript
from protocols.exec import STDOUT, ExecItem

_KILLED = 128 + 9


class SimCommand(Command):
    """Holds one piece of input at a time: whoever writes waits until there is room for it."""

    def __init__(
        self, script: SimScript, stdin: bool, on_kill: Callable[[], object], killed_code: int = _KILLED
    ) -> None:
        self._script = script
        self._open = stdin
        self._killed = False
        self._killed_code = killed_code
        self._on_kill = on_kill
        self._held: bytes | None = None  # empty: the end of the input
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def items(self) -> AsyncIterator[ExecItem]:
        if self._script.exec_prints:
            yield ExecItem(channel=STDOUT, data=self._script.exec_prints.encode() + b"\n")
        while self._open:
            if self._held is None:
                self._news.clear()
                await self._news.wait()
                continue
            data, self._held = self._held, None
            self._room.set()
            if data:
                yield ExecItem(channel=STDOUT, data=data)
            else:
                self._open = False
        yield ExecItem(ended=True, exit_code=self._killed_code if self._killed else self._script.exec_code)

    async def write(self, data: bytes, last: bool) -> None:
        if data:
            await self._hand_over(data)
        if last:
            await self._hand_over(b"")

    def kill(self) -> None:
        self._killed, self._open = True, False
        self._on_kill()
        self._news.set()
        self._room.set()

    async def _hand_over(self, data: bytes) -> None:
        while self._open and self._held is not None:
            self._room.clear()
            await self._room.wait()
        if self._open:
            self._held = data
            self._news.set()
