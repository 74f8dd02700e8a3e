"""asyncio streams: length-prefixed MessagePack, a connection for each that asks; between processes only."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from typing import Any

import msgpack
import uvloop

from bench.messages.payloads import PAYLOADS
from bench.messages.subject import Far, NotOffered, Subject, asks_per_s, be_far, serve

MODULE = "bench.messages.subjects.streams"
ASK, TELL, STREAM, MADE = range(4)
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def write(writer: asyncio.StreamWriter, kind: int, data: Any) -> None:
    body = msgpack.packb([kind, data])
    writer.write(len(body).to_bytes(4, "little") + body)


async def read(reader: asyncio.StreamReader) -> Any:
    return msgpack.unpackb(await reader.readexactly(int.from_bytes(await reader.readexactly(4), "little")))


class Streams(Subject):
    async def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.far = Far(MODULE, self.directory.name)

    async def stop(self) -> None:
        self.far.end()
        self.directory.cleanup()

    async def _connect(self, where: str) -> Pair:
        if where == "tcp":
            return await asyncio.open_connection(*self.far.addresses["tcp"])
        if where == "unix":
            return await asyncio.open_unix_connection(self.far.addresses["unix"])
        raise NotOffered

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        data = PAYLOADS[payload]
        free = [await self._connect(where) for _ in range(depth)]
        every = list(free)

        async def ask() -> None:
            reader, writer = free.pop()
            write(writer, ASK, data)
            await read(reader)
            free.append((reader, writer))

        rate = await asks_per_s(ask, depth, seconds)
        for _, writer in every:
            writer.close()
        return rate

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        data = PAYLOADS[payload]
        reader, writer = await self._connect(where)
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + seconds:
            for _ in range(64):
                write(writer, TELL, data)
            count += 64
            await writer.drain()
            await asyncio.sleep(0)
        write(writer, ASK, b"")
        await read(reader)
        rate = count / (time.perf_counter() - begin)
        writer.close()
        return rate

    async def stream(self, where: str, seconds: float) -> float:
        reader, writer = await self._connect(where)
        write(writer, STREAM, None)
        begin, count = time.perf_counter(), 0
        while count % 64 or time.perf_counter() < begin + seconds:
            await read(reader)
            count += 1
        writer.transport.abort()
        return count / (time.perf_counter() - begin)

    async def ahead(self, where: str) -> float:
        reader, writer = await self._connect(where)
        write(writer, STREAM, None)
        for _ in range(100):
            await read(reader)
        asking, asker = await self._connect(where)
        made, before = 0, -1
        while made != before:
            await asyncio.sleep(0.1)
            write(asker, MADE, None)
            before, made = made, (await read(asking))[1]
        writer.transport.abort()
        asker.close()
        return made - 100


made = 0


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            kind, data = await read(reader)
            if kind == ASK:
                write(writer, ASK, data)
            elif kind == MADE:
                write(writer, MADE, made)
            elif kind == STREAM:
                await make(writer)
    writer.close()


async def make(writer: asyncio.StreamWriter) -> None:
    global made
    made = 0
    while True:
        made += 1
        write(writer, STREAM, made)
        await writer.drain()


async def far(directory: str) -> None:
    tcp = await asyncio.start_server(answer, "127.0.0.1", 0)
    unix = await asyncio.start_unix_server(answer, f"{directory}/streams", backlog=512)
    await be_far({"tcp": tcp.sockets[0].getsockname(), "unix": unix.sockets[0].getsockname()})


if __name__ == "__main__":
    if sys.argv[1:2] == ["far"]:
        uvloop.run(far(sys.argv[2]))
    else:
        serve(Streams())
