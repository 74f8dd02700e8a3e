"""UDP forwarding: one flow per client address, each with a socket of its own towards one endpoint.

A flow ends when nothing passed for a minute, when its endpoint refuses, or when there are too many flows.
"""

from __future__ import annotations

import asyncio
from typing import cast

from actors.proxy.balancer import Balancer

FLOWS_MAX = 1024
FLOW_IDLE_S = 60.0
_WAITING_MAX = 16

_ClientAddress = tuple[str, int]


class DatagramListener(asyncio.DatagramProtocol):
    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.flows: dict[_ClientAddress, Flow] = {}  # least recently used first
        self._transport: asyncio.DatagramTransport | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def open(self, ip: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(ip, port), reuse_port=True)

    def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        for flow in list(self.flows.values()):
            flow.end()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, client: _ClientAddress) -> None:
        now = asyncio.get_running_loop().time()
        flow = self.flows.pop(client, None) or self._new_flow(client, now)
        if flow is not None:
            self.flows[client] = flow
            flow.send(data, now)

    def reply(self, data: bytes, client: _ClientAddress) -> None:
        if self._transport is not None:
            self._transport.sendto(data, client)

    def _new_flow(self, client: _ClientAddress, now: float) -> Flow | None:
        endpoints = self.balancer.candidates(client[0], now)
        if not endpoints:
            return None
        if len(self.flows) >= FLOWS_MAX:
            next(iter(self.flows.values())).end()
        self.balancer.served(client[0], endpoints[0], now)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(FLOW_IDLE_S, self._end_idle)
        flow = Flow(self, client)
        flow.task = asyncio.get_running_loop().create_task(flow.open(endpoints[0].ip, endpoints[0].port))
        return flow

    def _end_idle(self) -> None:
        loop = asyncio.get_running_loop()
        for flow in list(self.flows.values()):
            if flow.used_at + FLOW_IDLE_S <= loop.time():
                flow.end()
        self._sweep = loop.call_later(FLOW_IDLE_S, self._end_idle) if self.flows else None


class Flow(asyncio.DatagramProtocol):
    """A client's datagrams on their way to one endpoint, and the answers back."""

    def __init__(self, listener: DatagramListener, client: _ClientAddress) -> None:
        self.used_at = 0.0
        self.task: asyncio.Task[None] | None = None
        self._listener = listener
        self._client = client
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []

    async def open(self, ip: str, port: int) -> None:
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, remote_addr=(ip, port))
        except OSError:
            self.end()

    def send(self, data: bytes, now: float) -> None:
        self.used_at = now
        if self._transport is not None:
            self._transport.sendto(data)
        elif len(self._waiting) < _WAITING_MAX:
            self._waiting.append(data)

    def end(self) -> None:
        if self._listener.flows.get(self._client) is self:
            del self._listener.flows[self._client]
        if self._transport is not None:
            self._transport.close()
        elif self.task is not None:
            self.task.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        for data in self._waiting:
            self._transport.sendto(data)
        self._waiting.clear()

    def datagram_received(self, data: bytes, address: object) -> None:
        self.used_at = asyncio.get_running_loop().time()
        self._listener.reply(data, self._client)

    def error_received(self, exc: Exception) -> None:
        """The endpoint's port is closed: the client's next datagram begins a flow to another endpoint."""
        self.end()
