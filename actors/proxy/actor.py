"""The proxy's shell: watches Services and EndpointSlices, and has a backend make the forwarding table true.

A change marks its service; one background task works off what is marked, so a burst of changes costs one pass and the
backend is never asked for two things at once. An address on which the system does not let us listen is told once, in
the log and as an Event on its Service, and tried again from time to time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from actorkube.kube.client import Client
from actorkube.kube.events import Recorder
from actorkube.kube.follow import follow
from actorkube.kube.series import Series
from actorkube.kube.servers import API, ApiServers
from actorkube.kube.view import Entry, View
from actorkube.runtime import Actor
from actors.proxy.backend import Backend, Unbindable
from actors.proxy.rules import Frontend, Node, service_of, service_rules
from actors.proxy.table import ForwardingTable
from actors.proxy.userspace import UserspaceBackend
from protocols.message import Message
from protocols.objects import Object, key_of
from protocols.proxy import ProxyDue

RETRY_PERIOD_S = 15.0
REST_PER_ENDPOINT_S = 0.001  # a service of 1,000 endpoints is looked at once a second at most, as kube-proxy does


class Proxy(Actor):
    """Serves one node. `backend` makes a new backend for each life of this actor."""

    def __init__(
        self, node: str, backend: Callable[[], Backend] = UserspaceBackend, api: str | Sequence[str] = API
    ) -> None:
        self._api_addresses = api
        self._node = Node(node)
        self._backend = backend()
        self._table = ForwardingTable()
        self._services = View("services")
        self._slices = View(
            "endpointslices.discovery.k8s.io",
            indexes={"service": lambda obj: [service_of(obj)]},
            summaries={"service": service_of},
        )
        self._nodes = View("nodes", field_selector=f"metadata.name={node}", trim=_trim_node)
        self._marked: dict[str, None] = {}
        self._troubles: dict[Frontend, Unbindable] = {}
        self._retry_due = False
        self._wake = asyncio.Event()

    async def on_start(self) -> None:
        api = ApiServers.known(self.ctx, self._api_addresses)
        self._recorder = Recorder(self.ctx, Client(self.ctx, api), "kube-proxy", self._node.name, correlator=Series())
        self._services.on_change(lambda key, old, new: self._mark(key))
        self._slices.on_change(self._slice_changed)
        self._nodes.on_change(self._node_changed)
        for view in (self._services, self._slices, self._nodes):
            self.ctx.background(follow(self.ctx, api, view), f"watch of {view.resource}")
        self.ctx.background(self._work(), "forwarding")
        self.ctx.every(RETRY_PERIOD_S, ProxyDue())

    def receive(self, message: Message) -> None:
        match message:
            case ProxyDue():
                self._retry_due = bool(self._troubles)
                self._wake.set()

    # -- what the watches say -------------------------------------------------------------------------------------

    def _mark(self, service: str) -> None:
        self._marked[service] = None
        self._wake.set()

    def _slice_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        for entry in (old, new):
            if entry is not None and (service := entry.summaries["service"]):
                self._mark(service)

    def _node_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        addresses = new.peek()["addresses"] if new is not None else []
        if tuple(addresses) != self._node.ips:
            self._node = self._node._replace(ips=tuple(addresses))
            for service in self._services:
                self._mark(service)

    # -- making it true -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._retry_due:
                    await self._retry()
                await self.ctx.sleep(await self._sync() * REST_PER_ENDPOINT_S)
        finally:
            await self._backend.close()

    async def _sync(self) -> int:
        """Returns how many endpoints it looked at."""
        marked, self._marked = self._marked, {}
        looked_at = 0
        for key in marked:
            service = self._services.get(key)
            slices = self._slices.by_index("service", key) if service else []
            looked_at += sum(len(each.get("endpoints") or ()) for each in slices)
            rules = service_rules(service, slices, self._node) if service else {}
            changes = self._table.set_service(key, rules)
            for frontend in changes.close:
                self._troubles.pop(frontend, None)
            for trouble in await self._backend.apply(changes) if changes else ():
                self._tell(trouble)
        return looked_at

    async def _retry(self) -> None:
        self._retry_due = False
        for frontend in await self._backend.retry():
            self._troubles.pop(frontend, None)
            self.ctx.log.info("listening after all", address=str(frontend))

    def _tell(self, trouble: Unbindable) -> None:
        frontend, reason, hint = trouble
        self._troubles[frontend] = trouble
        self.ctx.log.warning("cannot listen", address=str(frontend), reason=reason, hint=hint)
        service = self._services.get(self._table.forwards[frontend].service)
        if service is not None:
            message = f"cannot listen on {frontend}: {reason}. {hint}".rstrip()
            self._recorder.event(
                service, "v1", "Service", "Warning", "FailedToListen", message, action="SyncProxyRules"
            )


def _trim_node(node: Object) -> Object:
    """The node's internal addresses: a heartbeat changes none of them."""
    listed = (node.get("status") or {}).get("addresses") or ()
    addresses = [entry["address"] for entry in listed if entry.get("type") == "InternalIP"]
    return {
        "metadata": {"name": key_of(node), "uid": (node.get("metadata") or {}).get("uid", "")},
        "addresses": addresses,
    }
