"""The limit: a uvloop protocol and MessagePack, one connection, all frames of a loop turn in one write, no actors."""

from __future__ import annotations

import asyncio
import ssl
import sys
import tempfile
from typing import Any, cast

import msgpack
import uvloop

from bench.messages.certificate import client_context, make_certificate, server_context
from bench.messages.payloads import PAYLOADS
from bench.messages.subject import Far, NotOffered, Subject, asks_per_s, be_far, serve, tells_per_s

MODULE = "bench.messages.subjects.raw"


class Framed(asyncio.Protocol):
    """Length-prefixed MessagePack of [number, data]; number 0 wants no answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""
        self.out: list[bytes] = []
        self.receiving = False
        self.loop = asyncio.get_running_loop()

    def send(self, number: int, data: Any) -> None:
        body = msgpack.packb([number, data])
        if not self.out and not self.receiving:
            self.loop.call_soon(self.flush)
        self.out += (len(body).to_bytes(4, "little"), body)

    def flush(self) -> None:
        if self.out:
            out, self.out = self.out, []
            self.transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        self.receiving = True
        start, end = 0, len(buffer)
        while end - start >= 4:
            stop = start + 4 + int.from_bytes(buffer[start : start + 4], "little")
            if stop > end:
                break
            self.received(*msgpack.unpackb(memoryview(buffer)[start + 4 : stop]))
            start = stop
        self.buffer = buffer[start:]
        self.receiving = False
        self.flush()

    def received(self, number: int, data: Any) -> None:
        raise NotImplementedError("one side asks, the other echoes")


class Echo(Framed):
    def received(self, number: int, data: Any) -> None:
        if number:
            self.send(number, data)


class Asker(Framed):
    def __init__(self) -> None:
        self.last = 0
        self.waiting: dict[int, asyncio.Future[Any]] = {}

    def ask(self, data: Any) -> asyncio.Future[Any]:
        self.last += 1
        future = self.waiting[self.last] = self.loop.create_future()
        self.send(self.last, data)
        return future

    def received(self, number: int, data: Any) -> None:
        self.waiting.pop(number).set_result(data)


class Raw(Subject):
    async def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        make_certificate(self.directory.name)
        self.far = Far(MODULE, self.directory.name)
        self.askers: dict[str, Asker] = {}

    async def stop(self) -> None:
        for asker in self.askers.values():
            asker.transport.close()
        self.far.end()
        self.directory.cleanup()

    async def _asker(self, where: str) -> Asker:
        if where == "local":
            raise NotOffered
        if where not in self.askers:
            self.askers[where] = await self._connect(where)
        return self.askers[where]

    async def _connect(self, where: str) -> Asker:
        loop = asyncio.get_running_loop()
        if where == "unix":
            return (await loop.create_unix_connection(Asker, self.far.addresses["unix"]))[1]
        context: ssl.SSLContext | None = client_context(self.directory.name) if where == "tls" else None
        return (await loop.create_connection(Asker, *self.far.addresses[where], ssl=context))[1]

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        asker, data = await self._asker(where), PAYLOADS[payload]
        return await asks_per_s(lambda: asker.ask(data), depth, seconds)

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        asker, data = await self._asker(where), PAYLOADS[payload]
        return await tells_per_s(lambda: asker.send(0, data), lambda: asker.ask(b""), seconds)


async def far(directory: str) -> None:
    loop = asyncio.get_running_loop()
    tcp = await loop.create_server(Echo, "127.0.0.1", 0)
    tls = await loop.create_server(Echo, "127.0.0.1", 0, ssl=server_context(directory))
    unix = await loop.create_unix_server(Echo, f"{directory}/raw")
    servers = {"tcp": tcp, "tls": tls, "unix": unix}
    await be_far({where: server.sockets[0].getsockname() for where, server in servers.items()})


if __name__ == "__main__":
    if sys.argv[1:2] == ["far"]:
        uvloop.run(far(sys.argv[2]))
    else:
        serve(Raw())
