"""A stage for hostile peers: a server whose actors must not notice them, and a bystander whose asks must go on.

The hostile peer knows the cluster's key, so everything behind the handshake is open to it; what it says is a frame with
any numbers in its header and any body. It is at both ends of what the server does: it asks the server, and the server
asks it (an ask that is never answered, a stream that only the peer feeds).
"""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from actorkube.runtime import LATER, Actor, System
from actorkube.runtime.link import Link
from actorkube.runtime.log import Quiet
from actorkube.runtime.stream import Stream
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import AskError
from protocols.message import Lane, Message, Request, Streaming

KEY = b"fuzz"
ANSWER_S = 30.0
WINDOW = 8
ACTORS = ("echo", "feed", "hole")


class FuzzText(Message):
    """Every kind of field that can go wrong."""

    text: str = ""
    number: int = 0
    items: list[str] = []
    fields: dict[str, Any] = {}


class FuzzEcho(Request[FuzzText]):
    text: str = ""
    fields: dict[str, Any] = {}


class FuzzWait(Request[FuzzText]):
    """Never answered."""


class FuzzFeed(Streaming[FuzzText]):
    """Fed by whoever is asked."""


class Echo(Actor):
    def receive(self, message: Message) -> object:
        return FuzzText(message.text) if isinstance(message, FuzzEcho) else None


class Hole(Actor):
    def receive(self, message: Message) -> object:
        if isinstance(message, FuzzFeed):
            self.ctx.outlet()
        else:
            self.ctx.reply_handle()
        return LATER


class Feed(Actor):
    def receive(self, message: Message) -> object:
        return self._count() if isinstance(message, FuzzFeed) else None

    async def _count(self) -> Any:
        for number in range(1_000_000):
            yield FuzzText(number=number)


class Hostile(NamedTuple):
    """A peer to misuse: its link, and what the server awaits from it under which number."""

    system: System
    link: Link
    answer: asyncio.Future[FuzzText]
    answer_corr: int
    stream: Stream[FuzzText]
    stream_corr: int
    back: Link  # the server's end

    async def is_cut_off(self) -> bool:
        """Whether the server has ended the connection; everything that was sent has been read then."""
        try:
            await self.system.ask(self.system.ref("server/echo"), FuzzEcho(), ANSWER_S)
        except AskError:
            return True
        return False


class Stage:
    """Use `on_stage()`; then `stage.hostile()` is a peer to misuse, and `stage.check()` sees that nobody noticed."""

    async def start(self) -> None:
        self.escaped: list[str] = []  # what reached the loop, where nobody answers it
        asyncio.get_running_loop().set_exception_handler(self._escapes)
        listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = listener.getsockname()
        self.transport = TcpTransport(key=KEY, listen=(listener,))
        self.server = System("server", self.transport, seed=1, log=Quiet())
        await self.server.start()
        for name, actor in zip(ACTORS, (Echo, Feed, Hole), strict=True):
            self.server.spawn(actor, name)
        self.bystander = await self._client("bystander")
        self._actors = [self.server.actor(name) for name in ACTORS]
        self._hostile: list[Hostile] = []
        self._last = 0

    async def stop(self) -> None:
        await self.forget()
        await self.bystander.stop()
        await self.server.stop()

    async def hostile(self) -> Hostile:
        self.escaped.clear()
        self._last += 1
        system = await self._client(f"hostile-{self._last}")
        system.spawn(Hole, "hole")
        await system.ask(system.ref("server/echo"), FuzzEcho(), ANSWER_S)
        hole = self.server.ref(f"{system.name}/hole")
        answer = self.server.ask(hole, FuzzWait(), 600)
        stream = self.server.stream(hole, FuzzFeed(), window=WINDOW)
        link, back = system.transport.link("server", Lane.BULK), self.server.transport.link(system.name, Lane.BULK)
        assert link is not None and back is not None
        [stream_corr] = back.streams
        [answer_corr] = back.asks
        self._hostile.append(Hostile(system, link, answer, answer_corr, stream, stream_corr, back))
        return self._hostile[-1]

    async def forget(self) -> None:
        """All hostile peers are gone."""
        while self._hostile:
            peer = self._hostile.pop()
            peer.answer.cancel()
            peer.stream.close()
            await peer.system.stop()

    @property
    def refused(self) -> int:
        """Connections that the server has ended for a counted reason."""
        return sum(self.transport.refused.values())

    def producers(self) -> int:
        """How many tasks of the server's actors feed a stream."""
        return sum("_pump" in repr(task.get_coro()) for task in asyncio.all_tasks())

    async def until(self, check: Callable[[], object]) -> None:
        async with asyncio.timeout(ANSWER_S):
            while not check():
                await asyncio.sleep(0)

    async def check(self) -> None:
        """Nobody but the hostile peer has noticed anything."""
        answer = await self.bystander.ask(self.bystander.ref("server/echo"), FuzzEcho("here"), ANSWER_S)
        assert answer.text == "here"
        assert not self.escaped, self.escaped[:3]
        assert [self.server.actor(name) for name in ACTORS] == self._actors, "an actor has crashed"
        assert self.server.failed is not None and not self.server.failed.done()

    def _escapes(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.escaped.append(f"{context['message']} {''.join(traceback.format_exception(error)) if error else ''}")

    async def _client(self, name: str) -> System:
        system = System(name, TcpTransport(key=KEY, book={"server": self.address}), seed=1, log=Quiet())
        system._last_corr = 0x40000000  # so that no number which a test makes up is one of its own asks
        await system.start()
        return system


@asynccontextmanager
async def on_stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.start()
    try:
        yield stage
    finally:
        await stage.stop()
