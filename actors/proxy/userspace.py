"""The userspace backend: this process listens on every frontend and copies bytes to an endpoint. Needs no root.

On Linux every address in 127/8 can be listened on, so ClusterIPs live there, and the proxies of several nodes on one
host share an address by SO_REUSEPORT: the kernel spreads new connections over them. When an endpoint does not accept a
connection, the next one is tried. Connections that exist keep their endpoint when the table changes.
"""

from __future__ import annotations

import errno

from actors.proxy.backend import Unbindable
from actors.proxy.balancer import Balancer
from actors.proxy.datagrams import DatagramListener
from actors.proxy.rules import Forward, Frontend
from actors.proxy.streams import Limits, StreamListener
from actors.proxy.table import Changes

_HINTS = {
    errno.EACCES: "ports below 1024 need a privilege here: use a port from 1024 on or the NodePort, or allow it with"
    " 'sudo sysctl -w net.ipv4.ip_unprivileged_port_start=0'",
    errno.EADDRINUSE: "another program listens there: find it with 'ss -lntup', stop it or choose another port",
    errno.EADDRNOTAVAIL: "the address does not belong to this machine: on Linux, addresses in 127.0.0.0/8 always do",
}


class UserspaceBackend:
    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._listeners: dict[Frontend, StreamListener | DatagramListener] = {}
        self._unbindable: dict[Frontend, Forward] = {}

    async def apply(self, changes: Changes) -> list[Unbindable]:
        for frontend in changes.close:
            self._close(frontend)
        for frontend, forward in changes.change:
            self._change(frontend, forward)
        troubles = [await self._open(frontend, forward) for frontend, forward in changes.open]
        return [trouble for trouble in troubles if trouble is not None]

    async def retry(self) -> list[Frontend]:
        waiting, self._unbindable = self._unbindable, {}
        return [frontend for frontend, forward in waiting.items() if await self._open(frontend, forward) is None]

    async def close(self) -> None:
        for frontend in list(self._listeners):
            self._close(frontend)
        self._unbindable.clear()
        self.limits.abort_all()

    async def _open(self, frontend: Frontend, forward: Forward) -> Unbindable | None:
        listener = self._listener(frontend, forward)
        if listener is None:
            return Unbindable(frontend, "not supported", f"the userspace proxy does not forward {frontend.protocol}")
        try:
            await listener.open(frontend.ip, frontend.port)
        except OSError as error:
            self._unbindable[frontend] = forward
            return Unbindable(frontend, error.strerror or str(error), _HINTS.get(error.errno or 0, ""))
        self._listeners[frontend] = listener
        return None

    def _listener(self, frontend: Frontend, forward: Forward) -> StreamListener | DatagramListener | None:
        match frontend.protocol:
            case "TCP":
                return StreamListener(Balancer(forward), self.limits)
            case "UDP":
                return DatagramListener(Balancer(forward))
            case _:
                return None

    def _change(self, frontend: Frontend, forward: Forward) -> None:
        if frontend in self._listeners:
            self._listeners[frontend].balancer.forward = forward
        elif frontend in self._unbindable:
            self._unbindable[frontend] = forward

    def _close(self, frontend: Frontend) -> None:
        self._unbindable.pop(frontend, None)
        listener = self._listeners.pop(frontend, None)
        if listener is not None:
            listener.close()
