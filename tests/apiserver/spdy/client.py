"""A client's end of a SPDY connection, by hand: what it says is bytes, what it hears is frames."""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from actors.apiserver.spdy import frames
from actors.apiserver.spdy.frames import Control, Data, Frame, FrameReader
from actors.apiserver.spdy.header_block import HeaderReader, HeaderWriter


class Talk:
    """Makes a client's frames; headers are compressed in the order in which they are made."""

    def __init__(self) -> None:
        self._headers = HeaderWriter()

    def syn(self, stream: int, fin: bool = False, **headers: str) -> bytes:
        block = self._headers.write(headers)
        payload = frames.pack(stream, 0) + b"\x00\x00" + block
        return frames.encode(Control(frames.SYN_STREAM, frames.FLAG_FIN if fin else 0, payload))


def data(stream: int, payload: bytes, fin: bool = False) -> bytes:
    return frames.encode(Data(stream, frames.FLAG_FIN if fin else 0, payload))


def reset(stream: int) -> bytes:
    return frames.encode(Control(frames.RST_STREAM, 0, frames.pack(stream, frames.CANCEL)))


def ping(id: int) -> bytes:
    return frames.encode(Control(frames.PING, 0, frames.pack(id)))


def goaway() -> bytes:
    return frames.encode(Control(frames.GOAWAY, 0, frames.pack(0, 0)))


class Heard(NamedTuple):
    """What a server has said, by kind."""

    replies: list[int]
    data: dict[int, bytes]
    ended: list[int]
    resets: list[int]
    pings: list[int]
    goaway: int | None


def heard(received: list[Frame]) -> Heard:
    replies: list[int] = []
    resets: list[int] = []
    ended: list[int] = []
    pings: list[int] = []
    payloads: dict[int, bytes] = {}
    goaway = None
    headers = HeaderReader()
    for frame in received:
        match frame:
            case Data(stream, flags, payload):
                payloads[stream] = payloads.get(stream, b"") + payload
                ended += [stream] if flags & frames.FLAG_FIN else []
            case Control(frames.SYN_REPLY, _, payload):
                assert headers.read(payload[4:]) == {}
                replies += frames.numbers(payload, 1)
            case Control(frames.RST_STREAM, _, payload):
                resets.append(frames.numbers(payload, 1)[0])
            case Control(frames.PING, _, payload):
                pings += frames.numbers(payload, 1)
            case Control(frames.GOAWAY, _, payload):
                goaway = frames.numbers(payload, 2)[1]
    return Heard(replies, {stream: each for stream, each in payloads.items() if each}, ended, resets, pings, goaway)


class Connection:
    """An upgraded HTTPS connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.talk = Talk()

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def rest(self) -> Heard:
        """All that comes until the server ends the connection."""
        return heard(list(FrameReader().feed(await self.reader.read(-1))))

    async def until(self, enough: bytes) -> bytes:
        return await self.reader.readuntil(enough)

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            pass


async def upgrade(base: str, path: str, context: ssl.SSLContext, *protocols: str) -> tuple[int, Connection]:
    """The HTTP status (101: it speaks SPDY from now on), and the connection."""
    at = urlsplit(base)
    reader, writer = await asyncio.open_connection(at.hostname, at.port, ssl=context)
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Length: 0", "Connection: Upgrade"]
    lines += ["Upgrade: SPDY/3.1", *(f"X-Stream-Protocol-Version: {name}" for name in protocols), "", ""]
    writer.write("\r\n".join(lines).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), Connection(reader, writer)
