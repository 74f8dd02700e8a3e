"""Commands that somebody watches while they run (`kubectl exec`): by session, a bounded number of them a node.

A backend makes a `Command`; here it gets a name under which input and window sizes reach it. Whoever stops reading the
stream ends the command.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

from protocols.errors import TooManyRequests
from protocols.exec import ExecInput, ExecItem, ResizeTerminal

SESSIONS_MAX = 64


class Command(ABC):
    """A command that runs, as a backend gives it."""

    @abstractmethod
    def items(self) -> AsyncIterator[ExecItem]:
        """Output as it comes, then how it ended. Taking no more of it stops the command's output, not its life."""

    @abstractmethod
    async def write(self, data: bytes, last: bool) -> None:
        """Returns when the bytes are taken or dropped."""

    def resize(self, width: int, height: int) -> None:
        """Of its terminal, where it has one."""

    def kill(self) -> None:
        """End it, if it has not ended."""


class Sessions:
    """`ctx.random` names them: a name cannot be had without having opened the session, short of guessing 64 bits."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}

    def __len__(self) -> int:
        return len(self._commands)

    async def run(self, start: Callable[[], Command], chance: random.Random) -> AsyncIterator[ExecItem]:
        """The whole life of a session, as the items of its stream."""
        if len(self._commands) >= SESSIONS_MAX:
            raise TooManyRequests(f"the node has {SESSIONS_MAX} commands under way already, try again later")
        command = start()
        name = f"exec-{chance.getrandbits(64):016x}"
        self._commands[name] = command
        try:
            yield ExecItem(session=name)
            async for item in command.items():
                yield item
        finally:
            del self._commands[name]
            command.kill()

    async def write(self, message: ExecInput) -> None:
        command = self._commands.get(message.session)
        if command is not None:
            await command.write(message.data, message.last)

    def resize(self, message: ResizeTerminal) -> None:
        command = self._commands.get(message.session)
        if command is not None:
            command.resize(message.width, message.height)
