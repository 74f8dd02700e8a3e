"""A command as a process beside its container.

While too much of what it prints waits, its pipes are not read, so that it stops in its own `write`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from actors.runtime.child import Child, Output
from actors.runtime.input_pipe import InputPipe
from actors.runtime.output_queue import OutputQueue
from actors.runtime.sessions import Command
from protocols.exec import STDERR, STDOUT, ExecItem

Start = Callable[[Output, Output, Callable[[int, int], None]], Child]


class ProcessCommand(Command):
    def __init__(self, start: Start, tty: bool) -> None:
        """Raises what starting it raises."""
        self._output = OutputQueue(lambda: self._child.pause(), lambda: self._child.resume())
        self._child = start(
            lambda data: self._output.put(STDOUT, data), lambda data: self._output.put(STDERR, data), self._ended
        )
        self._input = InputPipe(self._child, tty)

    def items(self) -> AsyncIterator[ExecItem]:
        return self._output.items()

    async def write(self, data: bytes, last: bool) -> None:
        await self._input.write(data, last)

    def resize(self, width: int, height: int) -> None:
        self._input.resize(width, height)

    def kill(self) -> None:
        self._child.end()

    def _ended(self, exit_code: int, signal: int) -> None:
        self._input.close()
        self._output.end(exit_code)
