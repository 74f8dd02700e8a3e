"""Systems joined by links of any kind, for tests of links."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from actorkube.runtime import Actor, Ref, System
from actorkube.runtime.identity import Identity, LinkAuthority
from actorkube.runtime.log import Quiet
from actorkube.runtime.settings import Settings
from actorkube.runtime.tcp import TcpTransport
from protocols.message import Message, Request, Streaming

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class LinkCount(Message):
    number: int


class LinkNumbered(Request[LinkCount]):
    number: int


class LinkNumbers(Streaming[LinkCount]):
    """0, 1, 2 ... without an end."""


class Server(Actor):
    """Remembers what it was told, answers what it is asked, counts for who listens."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.asked: list[int] = []

    def receive(self, message: Message) -> object:
        match message:
            case LinkCount(number):
                self.told.append(number)
            case LinkNumbered(number):
                self.asked.append(number)
                return LinkCount(number)
            case LinkNumbers():
                return count_up()
        return None


async def count_up() -> Any:
    number = 0
    while True:
        yield LinkCount(number)
        number += 1


class Remembers(Quiet):
    """A log that a test can read."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def bind(self, **values: Any) -> Remembers:
        return self

    def warning(self, event: str, **values: Any) -> None:
        self.lines.append({"event": event, **values})


def run(loop: str, main: Coroutine[Any, Any, object]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main)


async def until(check: Callable[[], object], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not check():
            await asyncio.sleep(0.001)


def authority(path: Path, cluster: str = "c") -> LinkAuthority:
    return LinkAuthority(path, cluster, time.time())


class Pair:
    """A server that listens on loopback, and a client that knows where."""

    def __init__(self) -> None:
        self.systems: list[System] = []
        self.address = ("", 0)

    async def __aenter__(self) -> Pair:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for system in reversed(self.systems):
            await system.stop()

    async def serve(
        self,
        identity: Identity | None,
        *,
        settings: Settings | None = None,
        log: Quiet | None = None,
        epoch: float | None = None,
        book: dict[str, Any] | None = None,
        reserved: Collection[str] = (),
    ) -> tuple[System, Server]:
        import socket

        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        transport = TcpTransport(
            key=b"k",
            book=book,
            listen=(listener,),
            identity=identity,
            settings=settings,
            reserved=lambda name: name in reserved,
        )
        system = System("server", transport, seed=1, log=log or Quiet(), epoch=epoch)
        self.systems.append(system)
        await system.start()
        actor = Server()
        system.spawn(lambda: actor, "server")
        return system, actor

    async def client(
        self,
        identity: Identity | None,
        *,
        name: str = "client",
        settings: Settings | None = None,
        log: Quiet | None = None,
    ) -> tuple[System, Ref]:
        transport = TcpTransport(key=b"k", book={"server": self.address}, identity=identity, settings=settings)
        system = System(name, transport, seed=1, log=log or Quiet())
        self.systems.append(system)
        await system.start()
        return system, system.ref("server/server")


def refused(system: System) -> dict[str, int]:
    transport = system.transport
    assert isinstance(transport, TcpTransport)
    return {reason.value: count for reason, count in transport.refused.items()}
