"""The simulated backend: opens nothing, knows the table, and says who would serve a connection."""

from __future__ import annotations

from collections.abc import Callable

from actors.proxy.backend import Unbindable
from actors.proxy.balancer import Balancer
from actors.proxy.rules import Endpoint, Frontend
from actors.proxy.table import Changes


class SimBackend:
    """`reachable` says whether a connection to an endpoint would be accepted; all are, unless told otherwise."""

    def __init__(self, reachable: Callable[[Endpoint], bool] = lambda endpoint: True) -> None:
        self.balancers: dict[Frontend, Balancer] = {}
        self._reachable = reachable

    async def apply(self, changes: Changes) -> list[Unbindable]:
        for frontend in changes.close:
            del self.balancers[frontend]
        for frontend, forward in changes.open:
            self.balancers[frontend] = Balancer(forward)
        for frontend, forward in changes.change:
            self.balancers[frontend].forward = forward
        return []

    async def retry(self) -> list[Frontend]:
        return []

    async def close(self) -> None:
        self.balancers.clear()

    def connect(self, frontend: Frontend, client_ip: str, now: float) -> Endpoint | None:
        """Who serves a new connection; None: it is refused."""
        balancer = self.balancers.get(frontend)
        for endpoint in balancer.candidates(client_ip, now) if balancer else ():
            if self._reachable(endpoint):
                assert balancer is not None
                balancer.served(client_ip, endpoint, now)
                return endpoint
        return None
