"""ActorKube: the same actors in one system, and in two processes over each transport."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import uvloop

from actorkube.runtime import Actor, Mailbox, Ref, System
from actorkube.runtime.host import GC_THRESHOLDS
from actorkube.runtime.identity import LinkAuthority
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from bench.messages.payloads import PAYLOADS
from bench.messages.subject import (
    Far,
    NotOffered,
    Subject,
    asks_per_s,
    be_far,
    fan_outs_per_s,
    resident_bytes,
    serve,
    tells_per_s,
)
from protocols.message import Done, Message, Request, Streaming

MODULE = "bench.messages.subjects.actorkube"
FAN = 1000
WINDOW = 64


class Put(Message):
    data: bytes


class PutObject(Message):
    data: dict[str, Any]


class Echoed(Message):
    data: bytes


class EchoedObject(Message):
    data: dict[str, Any]


class Echo(Request[Echoed]):
    data: bytes


class EchoObject(Request[EchoedObject]):
    data: dict[str, Any]


class Flush(Request[Done]):
    pass


class Count(Message):
    number: int


class Numbers(Streaming[Count]):
    pass


class Made(Request[Count]):
    pass


class Mirror(Actor):
    mailbox = Mailbox(capacity=1_000_000)

    def receive(self, message: Message) -> object:
        """By exact type: to find that a message is not of some class takes `match` longer than all the rest here."""
        kind = type(message)
        if kind is Echo:
            return Echoed(message.data)  # type: ignore[attr-defined]
        if kind is EchoObject:
            return EchoedObject(message.data)  # type: ignore[attr-defined]
        return None


class Writer(Actor):
    """Makes items as fast as its reader lets it."""

    made = 0

    def receive(self, message: Message) -> object:
        return Count(self.made) if isinstance(message, Made) else self._numbers()

    async def _numbers(self) -> AsyncIterator[Count]:
        self.made = 0
        while True:
            self.made += 1
            yield Count(self.made)


def spawn_all(system: System) -> None:
    system.spawn(Mirror, "mirror")
    system.spawn(Writer, "writer")
    for number in range(FAN):
        system.spawn(Mirror, f"mirror-{number}")


class ActorKube(Subject):
    async def start(self) -> None:
        gc.set_threshold(*GC_THRESHOLDS)  # as in each process of a cluster
        self.directory = tempfile.TemporaryDirectory()
        self.far = Far(MODULE, self.directory.name)
        local = System("far", LocalNetwork().transport(), log=Quiet())
        self.systems = {"local": local}
        for where, address in self.far.addresses.items():
            endpoint = address if isinstance(address, str) else tuple(address)
            identity = authority(self.directory.name).identity(where) if where == "tls" else None
            transport = TcpTransport(key=b"bench", book={"far": endpoint}, identity=identity)
            self.systems[where] = System(where, transport, log=Quiet())
        for system in self.systems.values():
            await system.start()
        spawn_all(local)
        for system in self.systems.values():
            await system.ask(system.ref("far/mirror"), Flush())  # connected before anything is measured

    async def stop(self) -> None:
        for system in self.systems.values():
            await system.stop()
        self.far.end()
        self.directory.cleanup()

    def _system(self, where: str) -> System:
        if where not in self.systems:
            raise NotOffered
        return self.systems[where]

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        system, data = self._system(where), PAYLOADS[payload]
        mirror = system.ref("far/mirror")
        kind: Any = EchoObject if isinstance(data, dict) else Echo
        return await asks_per_s(lambda: system.ask(mirror, kind(data)), depth, seconds)

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        system, data = self._system(where), PAYLOADS[payload]
        mirror = system.ref("far/mirror")
        kind: Any = PutObject if isinstance(data, dict) else Put
        flush = Flush()
        return await tells_per_s(
            lambda: system.tell(mirror, kind(data)), lambda: system.ask(mirror, flush, timeout_s=60), seconds
        )

    async def fan_out(self, where: str, actors: int, seconds: float) -> float:
        system = self._system(where)

        def asker(ref: Ref) -> Any:
            def ask() -> Awaitable[object]:
                return system.ask(ref, Echo(PAYLOADS["100B"]))

            return ask

        return await fan_outs_per_s([asker(system.ref(f"far/mirror-{n}")) for n in range(actors)], seconds)

    async def spawn(self, actors: int) -> float:
        local, before, begin = self._system("local"), resident_bytes(), time.perf_counter()
        for number in range(actors):
            last = local.spawn(Mirror, f"spawned-{number}")
        await local.ask(last, Flush(), timeout_s=60)
        rate = actors / (time.perf_counter() - begin)
        self.bytes_per_actor = (resident_bytes() - before) / actors
        return rate

    async def stream(self, where: str, seconds: float) -> float:
        system = self._system(where)
        begin, count = time.perf_counter(), 0
        async with system.stream(system.ref("far/writer"), Numbers(), window=WINDOW) as items:
            async for _ in items:
                count += 1
                if count % 64 == 0 and time.perf_counter() > begin + seconds:
                    break
        return count / (time.perf_counter() - begin)

    async def ahead(self, where: str) -> float:
        system = self._system(where)
        writer = system.ref("far/writer")
        async with system.stream(writer, Numbers(), window=WINDOW) as items:
            for _ in range(100):
                await anext(items)
            made, before = 0, -1
            while made != before:  # until the writer stands still
                await asyncio.sleep(0.1)
                before, made = made, (await system.ask(writer, Made())).number
        return made - 100


def authority(directory: str) -> LinkAuthority:
    return LinkAuthority(Path(directory), "bench", time.time())


async def far(directory: str) -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    tcp = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(f"{directory}/far")
    unix.listen(128)
    tls = socket.create_server(("127.0.0.1", 0))
    plain = TcpTransport(key=b"bench", listen=(tcp, unix))
    mutual = TcpTransport(key=b"bench", listen=(tls,), identity=authority(directory).identity("far"))
    systems = [System("far", transport, log=Quiet()) for transport in (plain, mutual)]
    for system in systems:
        await system.start()
        spawn_all(system)
    await be_far({"tcp": tcp.getsockname(), "unix": unix.getsockname(), "tls": tls.getsockname()})
    for system in systems:
        await system.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["far"]:
        uvloop.run(far(sys.argv[2]))
    else:
        serve(ActorKube())
