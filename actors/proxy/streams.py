"""TCP forwarding: a listener, and pairs of protocol objects between which bytes move without a task.

Each side stops reading while the other cannot write, so a slow reader holds at most two buffers here. The end of one
direction (half-close) is passed on; when both have ended, what is still buffered is sent and the pair is closed.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

from actors.proxy.balancer import Balancer

BACKLOG = 1024
_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)


class Limits:
    """What all listeners of one proxy share: how many connections, how much each may hold, how long to try."""

    def __init__(
        self, connections_max: int = 4096, buffer_bytes_max: int = 64 * 1024, connect_timeout_s: float = 2.0
    ) -> None:
        self.connections_max = connections_max
        self.buffer_bytes_max = buffer_bytes_max
        self.connect_timeout_s = connect_timeout_s
        self.connections: dict[ClientSide, None] = {}
        self.refused = 0

    def admit(self, connection: ClientSide) -> bool:
        if len(self.connections) >= self.connections_max:
            self.refused += 1
            return False
        self.connections[connection] = None
        return True

    def abort_all(self) -> None:
        for connection in list(self.connections):
            connection.abort()


class StreamListener:
    def __init__(self, balancer: Balancer, limits: Limits) -> None:
        self.balancer = balancer
        self._limits = limits
        self._server: asyncio.Server | None = None

    async def open(self, ip: str, port: int) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientSide(self.balancer, self._limits), ip, port, reuse_port=True, backlog=BACKLOG
        )

    def close(self) -> None:
        """Stop accepting; connections that exist go on."""
        if self._server is not None:
            self._server.close()


class Side(asyncio.Protocol):
    """One connection of a pair. Until it is joined to the other, what it says is kept (one read at most)."""

    def __init__(self, buffer_bytes_max: int) -> None:
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self._buffer_bytes_max = buffer_bytes_max
        self._early: list[bytes] = []
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self._buffer_bytes_max)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        elif self.transport is not None:
            # uvloop begins to read after connection_made, so reading cannot be paused before something was read.
            self._early.append(data)
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        if not self._ended:
            self._ended = True
            self._pass_end()
        return self.transport is not None and not self.transport.is_closing()

    def begin(self) -> None:
        """It is joined, and all that was said early has been passed on: read on, or pass on that it has ended."""
        if self._ended:
            self._pass_end()
        else:
            self._read_on()

    def pass_early(self) -> None:
        for data in self._early:
            self.data_received(data)
        self._early.clear()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        other, self.other, self.transport = self.other, None, None
        if other is None or other.transport is None:
            return
        if exc is None:
            other.transport.close()
        else:
            reset(other.transport)

    def _read_on(self) -> None:
        if self.transport is not None and not self._ended:
            self.transport.resume_reading()

    def _pass_end(self) -> None:
        """Half-close the other side; when it has ended as well, close both, which sends what is still buffered."""
        other = self.other
        if other is None or other.transport is None or self.transport is None:
            return
        if other._ended:
            self.transport.close()
            other.transport.close()
        elif not other.transport.is_closing():
            other.transport.write_eof()


def join(one: Side, other: Side) -> None:
    one.other, other.other = other, one
    for side in (one, other):
        side.pass_early()
    for side in (one, other):
        side.begin()


class ClientSide(Side):
    """An accepted connection, looking for its endpoint."""

    def __init__(self, balancer: Balancer, limits: Limits) -> None:
        super().__init__(limits.buffer_bytes_max)
        self._balancer = balancer
        self._limits = limits
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        if not self._limits.admit(self):
            reset(self.transport)
            return
        self._task = asyncio.get_running_loop().create_task(self._join(self.transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.connections.pop(self, None)
        if self._task is not None:
            self._task.cancel()
        super().connection_lost(exc)

    def abort(self) -> None:
        if self.transport is not None:
            reset(self.transport)

    async def _join(self, transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername")
        side = await self._connect(peer[0] if peer else "")
        if side is None or side.transport is None:
            reset(transport)
            return
        join(self, side)

    async def _connect(self, client_ip: str) -> Side | None:
        """The first endpoint that accepts; None: nobody does."""
        loop = asyncio.get_running_loop()
        for endpoint in self._balancer.candidates(client_ip, loop.time()):
            try:
                async with asyncio.timeout(self._limits.connect_timeout_s):
                    _, side = await loop.create_connection(self._other_side, endpoint.ip, endpoint.port)
            except OSError:  # TimeoutError is one of them
                continue
            self._balancer.served(client_ip, endpoint, loop.time())
            return side
        return None

    def _other_side(self) -> Side:
        return Side(self._limits.buffer_bytes_max)


def reset(transport: asyncio.Transport) -> None:
    """End it so that the far end knows that something failed: a mere close would look like a proper end."""
    if not transport.is_closing():
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
    transport.abort()
