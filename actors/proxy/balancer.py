"""Which endpoint gets the next connection: round-robin, or the client's own while its affinity lasts.

The proxies of several nodes may share an address, and the kernel takes a client now to one, now to another. So where
clients have affinity, the first choice follows from the client's address, and is the same in every proxy.
"""

from __future__ import annotations

import zlib

from actors.proxy.rules import Endpoint, Forward

CLIENTS_MAX = 10_000


class Balancer:
    """The state behind one frontend; it survives a change of its endpoints."""

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self._turn = 0
        self._clients: dict[str, tuple[Endpoint, float]] = {}  # client IP -> its endpoint, last used; oldest use first

    def candidates(self, client_ip: str, now: float) -> list[Endpoint]:
        """The endpoints in the order in which to try them; call `served` with the one that answered."""
        endpoints = self.forward.endpoints
        if not endpoints:
            return []
        if self.forward.affinity_s:
            own = self._own_endpoint(client_ip, now)
            return sorted(endpoints, key=lambda endpoint: (endpoint != own, _rank(client_ip, endpoint)))
        start, self._turn = self._turn % len(endpoints), (self._turn + 1) % len(endpoints)
        return [*endpoints[start:], *endpoints[:start]]

    def served(self, client_ip: str, endpoint: Endpoint, now: float) -> None:
        """The client was connected to the endpoint: it stays there, if the service asks for that."""
        if not self.forward.affinity_s:
            return
        self._clients.pop(client_ip, None)
        self._clients[client_ip] = (endpoint, now)
        if len(self._clients) > CLIENTS_MAX:
            del self._clients[next(iter(self._clients))]

    def _own_endpoint(self, client_ip: str, now: float) -> Endpoint | None:
        endpoint, used_at = self._clients.get(client_ip, (None, 0.0))
        if endpoint is None:
            return None
        if used_at + self.forward.affinity_s <= now or endpoint not in self.forward.endpoints:
            del self._clients[client_ip]
            return None
        return endpoint


def _rank(client_ip: str, endpoint: Endpoint) -> int:
    """Rendezvous hashing: when an endpoint goes, only its own clients choose anew."""
    return zlib.crc32(f"{client_ip} {endpoint.ip} {endpoint.port}".encode())
