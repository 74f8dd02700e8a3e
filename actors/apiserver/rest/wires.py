"""How a client's end of a session is carried: channels of a WebSocket, or streams of a SPDY connection."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Set

from aiohttp import WSMsgType, web

from actors.apiserver.rest import channels
from actors.apiserver.rest.audit import has_started
from actors.apiserver.rest.channels import Frame
from actors.apiserver.rest.upgrade import SpdyConnection, require_stream_protocol, upgrade_to_spdy, wants_spdy
from actors.apiserver.rest.warned import warned
from actors.apiserver.spdy import frames
from actors.apiserver.spdy.session import Closed, Ended, Event, Opened, Received
from protocols.errors import BadRequest

_MESSAGE_BYTES_MAX = 1024 * 1024
_STREAMS_WITHIN_S = 30.0
_SIZE_BYTES_MAX = 1024
_CHANNELS = {
    "stdin": channels.STDIN,
    "stdout": channels.STDOUT,
    "stderr": channels.STDERR,
    "error": channels.ERROR,
    "resize": channels.RESIZE,
}


class Wire(ABC):
    response: web.StreamResponse

    @abstractmethod
    async def begin(self, shown: int) -> bool:
        """The session is there; `shown` is the first channel that the client will see something on.

        False: the client has left, or is not one.
        """

    @abstractmethod
    async def send(self, channel: int, data: bytes) -> None:
        """Waits for a client that is slow to read. Raises ConnectionError."""

    @abstractmethod
    def frames(self) -> AsyncIterator[Frame]:
        """Until the client leaves. Raises ValueError for what has no meaning."""

    @abstractmethod
    async def close(self, reason: str = "") -> None: ...


class WebSocketWire(Wire):
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.response = self._socket = socket
        self._subprotocol = socket.ws_protocol or channels.V4

    async def begin(self, shown: int) -> bool:
        await self.send(shown, b"")  # clients wait for a first message to know that the session is there
        return True

    async def send(self, channel: int, data: bytes) -> None:
        message = channels.to_wire(self._subprotocol, channel, data)
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)

    async def frames(self) -> AsyncIterator[Frame]:
        async for message in self._socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            yield channels.from_wire(self._subprotocol, message.data)

    async def close(self, reason: str = "") -> None:
        await self._socket.close(message=reason.encode())


class SpdyWire(Wire):
    """Each channel is a stream that the client opens and names in its header `streamtype`."""

    def __init__(self, connection: SpdyConnection, response: web.StreamResponse, wanted: Set[int]) -> None:
        """`wanted`: the channels that the client will open."""
        self.response = response
        self._connection = connection
        self._wanted = wanted
        self._events = connection.events()
        self._streams: dict[int, int] = {}  # by channel
        self._channels: dict[int, int] = {}  # and the other way round
        self._size = b""

    async def begin(self, shown: int) -> bool:
        """Wait for the client's streams."""
        try:
            async with asyncio.timeout(_STREAMS_WITHIN_S):
                while not self._wanted <= self._streams.keys():
                    event = await anext(self._events, Closed())
                    if isinstance(event, Closed):
                        return False
                    if isinstance(event, Opened):
                        self._opened(event)
        except (ConnectionError, TimeoutError):
            return False
        await self._connection.flush()
        return True

    async def send(self, channel: int, data: bytes) -> None:
        stream = self._streams.get(channel)
        if stream is not None:
            self._connection.session.send(stream, data)
            await self._connection.flush()

    async def frames(self) -> AsyncIterator[Frame]:
        async for event in self._events:
            for frame in self._frames(event):
                yield frame
            if isinstance(event, Closed):
                return

    async def close(self, reason: str = "") -> None:
        for stream in self._channels:
            self._connection.session.send(stream, b"", last=True)
        await self._connection.close()

    def _opened(self, event: Opened) -> None:
        channel = _CHANNELS.get(event.headers.get("streamtype", ""))
        if channel is None or channel not in self._wanted or channel in self._streams:
            self._connection.session.reset(event.stream, frames.REFUSED_STREAM)
            return
        self._streams[channel] = event.stream
        self._channels[event.stream] = channel
        self._connection.session.reply(event.stream)

    def _frames(self, event: Event) -> list[Frame]:
        """Raises ValueError."""
        match event:
            case Received(stream, data) if self._channels.get(stream) == channels.STDIN:
                return [Frame(channels.STDIN, data)]
            case Received(stream, data) if self._channels.get(stream) == channels.RESIZE:
                return self._sizes(data)
            case Ended(stream) if self._channels.get(stream) == channels.STDIN:
                return [Frame(channels.CLOSE, bytes((channels.STDIN,)))]
            case Opened(stream):
                self._connection.session.reset(stream, frames.REFUSED_STREAM)
        return []

    def _sizes(self, data: bytes) -> list[Frame]:
        """Each size is a line."""
        *lines, self._size = (self._size + data).split(b"\n")
        if len(self._size) > _SIZE_BYTES_MAX:
            raise ValueError("a terminal's size without an end")
        return [Frame(channels.RESIZE, line) for line in lines if line]


async def open_wire(request: web.BaseRequest, wanted: Set[int]) -> Wire:
    """What `require_wire` has let pass. `wanted`: the channels that there will be."""
    if wants_spdy(request):
        way = await upgrade_to_spdy(request, require_stream_protocol(request, channels.SPDY_PROTOCOLS))
        return SpdyWire(SpdyConnection(way), way.response, wanted)
    socket = web.WebSocketResponse(
        protocols=channels.SUBPROTOCOLS, compress=False, max_msg_size=_MESSAGE_BYTES_MAX, timeout=1.0
    )
    socket.headers.extend(warned(request))
    await socket.prepare(request)
    has_started(request, socket)
    return WebSocketWire(socket)


def require_wire(request: web.BaseRequest) -> None:
    """Raises BadRequest or Forbidden."""
    if wants_spdy(request):
        require_stream_protocol(request, channels.SPDY_PROTOCOLS)
    else:
        require_websocket(request, channels.SUBPROTOCOLS)


def require_websocket(request: web.BaseRequest, subprotocols: tuple[str, ...]) -> None:
    """Raises BadRequest."""
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        raise BadRequest("Upgrade request required")
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    if offered and not any(name.strip() in subprotocols for name in offered.split(",")):
        raise BadRequest(f"unable to negotiate protocol: client offers {offered}, the server {subprotocols}")
