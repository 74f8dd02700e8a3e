"""Those who are attached to a container's own process: each gets all that it prints from then on; all share its input.

One of them who does not read stops the container's output, its log included, as containerd's attach does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from actors.runtime.child import Child
from actors.runtime.input_pipe import InputPipe
from actors.runtime.output_queue import OutputQueue
from actors.runtime.sessions import Command
from protocols.exec import ExecItem


class Attachments:
    """Of one container. `started` comes before anything else."""

    def __init__(self) -> None:
        self._attached: dict[Attachment, None] = {}
        self._full: dict[Attachment, None] = {}

    def started(self, child: Child, tty: bool) -> None:
        self._child = child
        self._input = InputPipe(child, tty)

    def attach(self, stdin: bool, stdin_once: bool) -> Attachment:
        """`stdin_once`: when this one's input ends, so does the container's."""
        attachment = Attachment(self, self._input if stdin else None, stdin_once)
        self._attached[attachment] = None
        return attachment

    def printed(self, channel: int, data: bytes) -> None:
        for attachment in self._attached:
            attachment.output.put(channel, data)

    def ended(self) -> None:
        """However the container has ended, those who watched have seen all of it: that is a success."""
        self._input.close()
        for attachment in self._attached:
            attachment.output.end(0)

    def resize(self, width: int, height: int) -> None:
        self._input.resize(width, height)

    def full(self, attachment: Attachment) -> None:
        self._full[attachment] = None
        self._child.pause()

    def has_room(self, attachment: Attachment) -> None:
        self._full.pop(attachment, None)
        if not self._full:
            self._child.resume()

    def left(self, attachment: Attachment) -> None:
        self._attached.pop(attachment, None)
        self.has_room(attachment)


class Attachment(Command):
    def __init__(self, attachments: Attachments, input: InputPipe | None, stdin_once: bool) -> None:
        self._attachments = attachments
        self._input = input
        self._stdin_once = stdin_once
        self.output = OutputQueue(lambda: attachments.full(self), lambda: attachments.has_room(self))

    def items(self) -> AsyncIterator[ExecItem]:
        return self.output.items()

    async def write(self, data: bytes, last: bool) -> None:
        if self._input is not None:
            await self._input.write(data, last and self._stdin_once)

    def resize(self, width: int, height: int) -> None:
        """Also of a terminal that it only watches."""
        self._attachments.resize(width, height)

    def kill(self) -> None:
        """The container goes on without it."""
        self._attachments.left(self)
