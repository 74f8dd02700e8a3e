"""SPDY's ways to us: an HTTP connection that was upgraded to it, or binary messages of a WebSocket (KEP-4006).

Refusals come before either begins, as a Status. A way that nobody reads from stops its client by TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Sequence

from aiohttp import WSMsgType, web

from actors.apiserver.rest.audit import has_started
from actors.apiserver.rest.warned import warned
from actors.apiserver.spdy.session import Event, Session
from protocols.errors import BadRequest, Forbidden, InternalError

_STREAM_PROTOCOL = "X-Stream-Protocol-Version"
_WAITING_BYTES_MAX = 256 * 1024
_MESSAGE_BYTES_MAX = 1024 * 1024
_GOODBYE_S = 2.0


class Way(ABC):
    """Bytes in both directions. `response` is what aiohttp is given when all is over."""

    response: web.StreamResponse

    @abstractmethod
    async def read(self) -> bytes:
        """Empty at the end."""

    @abstractmethod
    async def write(self, data: bytes) -> None:
        """Raises ConnectionError."""

    @abstractmethod
    async def close(self) -> None: ...


class Upgraded(Way):
    """What aiohttp's connection turns into after 101; it is the connection's parser from then on."""

    def __init__(self, response: web.StreamResponse, transport: asyncio.Transport) -> None:
        self.response = response
        self._transport = transport
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ended = False
        self._news = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._pieces.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _WAITING_BYTES_MAX:
            self._transport.pause_reading()
        self._news.set()
        return False, b""

    def feed_eof(self) -> None:
        self._ended = True
        self._news.set()

    async def read(self) -> bytes:
        while not self._pieces and not self._ended:
            self._news.clear()
            await self._news.wait()
        if not self._pieces:
            return b""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        if not self._transport.is_closing():
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        await self.response.write(data)

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.response.write_eof()


class Tunnel(Way):
    """A WebSocket whose messages are pieces of the connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.response = self._socket = socket

    async def read(self) -> bytes:
        message = await self._socket.receive()
        while message.type is WSMsgType.BINARY and not message.data:
            message = await self._socket.receive()
        return bytes(message.data) if message.type is WSMsgType.BINARY else b""

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        await self._socket.close()


class SpdyConnection:
    """A session and the way it goes."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.session = Session()

    async def events(self) -> AsyncIterator[Event]:
        """Until the client leaves. What an event's taker sends goes out before the next event comes."""
        while data := await self._way.read():
            for event in self.session.receive(data):
                yield event
                await self.flush()
            await self.flush()

    async def flush(self) -> None:
        """Raises ConnectionError."""
        if data := self.session.output():
            await self._way.write(data)

    async def close(self) -> None:
        """Our side is done: the client may take in peace what was sent last, and leave."""
        with contextlib.suppress(ConnectionError):
            await self.flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    while not self.session.closed and await self._way.read():
                        pass
            self.session.go_away()
            await self.flush()
        await self._way.close()


def wants_spdy(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").strip().lower() == "spdy/3.1"


def require_stream_protocol(request: web.BaseRequest, served: Sequence[str]) -> str:
    """The first of what the client names that is served (in the order of its wishes). Raises Forbidden, BadRequest."""
    offered = [name.strip() for line in request.headers.getall(_STREAM_PROTOCOL, []) for name in line.split(",")]
    if not offered:
        raise BadRequest(f"{_STREAM_PROTOCOL} is required")
    for name in offered:
        if name in served:
            return name
    client, server = " ".join(offered), " ".join(served)
    raise Forbidden(f"unable to negotiate protocol: client supports [{client}], server accepts [{server}]")


async def upgrade_to_spdy(request: web.BaseRequest, protocol: str) -> Upgraded:
    if request.transport is None:
        raise InternalError("the client has left")
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", _STREAM_PROTOCOL: protocol}
    response = web.StreamResponse(status=101, headers=headers)
    response.headers.extend(warned(request))
    response.force_close()
    way = Upgraded(response, request.transport)
    await response.prepare(request)
    has_started(request, response)
    request.protocol.set_parser(way)  # type: ignore[arg-type]  # what aiohttp needs of a parser, Upgraded has
    return way


async def tunnel(request: web.BaseRequest, protocol: str) -> Tunnel:
    socket = web.WebSocketResponse(protocols=(protocol,), compress=False, max_msg_size=_MESSAGE_BYTES_MAX, timeout=1.0)
    socket.headers.extend(warned(request))
    await socket.prepare(request)
    has_started(request, socket)
    return Tunnel(socket)
