"""Port-forward in the channel form, which clients in Python use: each port asked for is a pair of channels.

Channel 2i carries the bytes of the i-th port, 2i+1 its errors; the first message of each is the port's number, two
bytes with the lower one first. Each port is a connection of its own to the pod, a session with the kubelet of its node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiohttp import WSMsgType, web

from actorkube.runtime import Context, Ref, Stream
from actors.apiserver.rest import channels
from actors.apiserver.rest.audit import has_started
from actors.apiserver.rest.idle import idle_limit
from actors.apiserver.rest.warned import warned
from actors.apiserver.rest.wires import require_websocket
from protocols.errors import Answer, AskError, BadRequest, InternalError
from protocols.exec import CHUNK_BYTES_MAX, IDLE_S, WINDOW, ExecInput, ExecItem, ForwardPort
from protocols.objects import Object, name_of, namespace_of
from protocols.rules.pods import node_of

PORTS_MAX = 32
_SUBPROTOCOLS = (channels.V4,)
_OPENED_WITHIN_S = 30.0
_MESSAGE_BYTES_MAX = 1024 * 1024


def check_ports(ports: list[int]) -> None:
    """Raises BadRequest."""
    if not ports:
        raise BadRequest('query parameter "ports" is required')
    if len(ports) > PORTS_MAX:
        raise BadRequest(f"at most {PORTS_MAX} ports are forwarded at a time")


async def run(
    context: Context, request: web.BaseRequest, pod: Object, kubelet: Ref, ports: list[int]
) -> web.StreamResponse:
    require_websocket(request, _SUBPROTOCOLS)
    check_ports(ports)
    async with AsyncExitStack() as stack:
        forwards = []
        for index, port in enumerate(ports):
            wanted = ForwardPort(namespace_of(pod), name_of(pod), port)
            items = await stack.enter_async_context(context.stream(kubelet, wanted, window=WINDOW))
            forwards.append(Forward(index, port, items))
        try:
            async with asyncio.timeout(_OPENED_WITHIN_S):
                for forward in forwards:
                    forward.session = (await anext(forward.items)).session
        except (AskError, TimeoutError) as error:
            raise InternalError(f"the kubelet of node {node_of(pod)} does not answer: {error}") from None
        socket = web.WebSocketResponse(
            protocols=_SUBPROTOCOLS, compress=False, max_msg_size=_MESSAGE_BYTES_MAX, timeout=1.0
        )
        socket.headers.extend(warned(request))
        await socket.prepare(request)
        has_started(request, socket)
        await _Socket(context, kubelet, socket, forwards).run()
    return socket


class Forward:
    """One port: its place among those asked for, and its connection."""

    def __init__(self, index: int, port: int, items: Stream[ExecItem]) -> None:
        self.data, self.error = 2 * index, 2 * index + 1
        self.port = port
        self.items = items
        self.session = ""


class _Socket:
    def __init__(self, context: Context, kubelet: Ref, socket: web.WebSocketResponse, forwards: list[Forward]) -> None:
        self._context = context
        self._kubelet = kubelet
        self._socket = socket
        self._forwards = forwards
        self._busy: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Until all connections have ended, the client has left, or nobody has sent anything for four hours."""
        try:
            async with idle_limit(IDLE_S) as self._busy:
                await self._run()
        except (ConnectionError, TimeoutError) as error:
            self._context.log.debug("a port-forward broke off", error=repr(error))
        await self._socket.close()

    async def _run(self) -> None:
        reading = asyncio.ensure_future(self._read_client())
        try:
            for forward in self._forwards:
                for channel in (forward.data, forward.error):
                    await self._send(channel, forward.port.to_bytes(2, "little"))
            await asyncio.gather(*(self._write_client(forward) for forward in self._forwards))
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    async def _write_client(self, forward: Forward) -> None:
        try:
            async for item in forward.items:
                self._busy()
                if item.data:
                    await self._send(forward.data, item.data)
                if item.error:
                    await self._send(forward.error, f"error forwarding port {forward.port}: {item.error}".encode())
        except (Answer, AskError) as error:
            await self._send(forward.error, f"error forwarding port {forward.port}: {error}".encode())

    async def _read_client(self) -> None:
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    break
                self._busy()
                await self._take(channels.from_wire(channels.V4, message.data))
        except ValueError as error:
            self._context.log.info("a client's message has no meaning", error=str(error))
        except (Answer, AskError) as error:
            self._context.log.debug("input is not taken", error=repr(error))
        for forward in self._forwards:
            forward.items.close()

    async def _take(self, frame: channels.Frame) -> None:
        """Raises ValueError for a channel that carries nothing to the pod."""
        if frame.channel % 2 or frame.channel // 2 >= len(self._forwards):
            raise ValueError(f"channel {frame.channel} takes no data")
        session = self._forwards[frame.channel // 2].session
        for start in range(0, len(frame.data), CHUNK_BYTES_MAX):
            data = frame.data[start : start + CHUNK_BYTES_MAX]
            await self._context.ask(self._kubelet, ExecInput(session, data), timeout_s=IDLE_S)

    async def _send(self, channel: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes((channel,)) + data)
