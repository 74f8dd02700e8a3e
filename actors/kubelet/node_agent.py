"""Registers the node, renews its lease every 10 s, writes its status when it has changed and every 5 minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from actorkube.kube import Client, View
from actorkube.runtime import Context
from actors.kubelet.machine import Machine
from actors.kubelet.node_status import (
    LEASE_NAMESPACE,
    NodeIdentity,
    lease,
    node_object,
    node_status,
    registered,
    says_the_same,
    told_of,
)
from protocols.api import Stored
from protocols.errors import AlreadyExists, Answer, AskError, NotFound
from protocols.objects import Object, decode_object

T = TypeVar("T")

LOOK_S = 10.0
_RENEW_AGAIN_S = 1.0
REPORT_S = 300.0
_PAUSE_FIRST_S = 0.05
_PAUSE_MAX_S = 5.0
_LEASES = "leases.coordination.k8s.io"


class NodeAgent:
    """`trouble()` says why the node is not ready, "" when it is; `nodes` is the view of this one node; `tell(reason,
    message)` tells users what has happened to it."""

    def __init__(
        self,
        ctx: Context,
        client: Client,
        nodes: View,
        identity: NodeIdentity,
        machine: Machine,
        runtime: str,
        trouble: Callable[[], str],
        renew_s: float,
        tell: Callable[[str, str], None],
    ) -> None:
        self._tell = tell
        self._unschedulable = False
        self._ctx = ctx
        self._client = client
        self._nodes = nodes
        self._identity = identity
        self._machine = machine
        self._runtime = runtime
        self._trouble = trouble
        self._renew_s = renew_s
        self._look = asyncio.Event()
        self._reported_at = 0.0
        self._lease: Object | None = None

    def look(self) -> None:
        """Something about the node may have changed: do not wait for the next turn."""
        self._look.set()

    async def register(self) -> Object:
        """Returns when the API has the node, with its status as it is now."""
        return await self._until_done(self._register)

    async def run(self, node: Object) -> None:
        """For ever."""
        self._ctx.background(self._renew(node), "node lease")
        while True:
            await self._until_done(self._report)
            self._look.clear()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._look.wait()
            except TimeoutError:
                pass

    async def _register(self) -> Object:
        """Create the Node with its status; one that exists keeps what others have set."""
        node = node_object(self._identity, self._machine)
        try:
            stored = await self._client.create_stored("nodes", {**node, "status": self._status(node)})
        except AlreadyExists:
            stored = await self._take_over()
        else:
            self._tell_of(node, self._status(node))
        self._nodes.wrote(stored, self._ctx.now)
        return decode_object(stored.body, stored.revision)

    async def _take_over(self) -> Stored:
        stored = await self._client.get_stored("nodes", self._identity.name)
        known = decode_object(stored.body, stored.revision)
        wanted = registered(known, self._identity, self._machine)
        return stored if wanted == known else await self._client.update_stored("nodes", wanted)

    async def _report(self) -> None:
        """When the node was deleted there is nothing to report: who deleted it wanted it gone."""
        node = self._nodes.get(self._identity.name)
        if node is None:
            return
        if self._unschedulable != bool((node.get("spec") or {}).get("unschedulable")):
            self._unschedulable = not self._unschedulable
            self._say("NodeNotSchedulable" if self._unschedulable else "NodeSchedulable")
        status = self._status(node)
        overdue = self._ctx.now - self._reported_at >= REPORT_S
        if says_the_same(status, node.get("status") or {}) and not overdue:
            return
        stored = await self._client.update_stored("nodes", {**node, "status": status}, "status")
        self._nodes.wrote(stored, self._ctx.now)
        self._reported_at = self._ctx.now
        self._tell_of(node, status)

    def _tell_of(self, before: Object, status: Object) -> None:
        for reason in told_of((before.get("status") or {}).get("conditions") or (), status["conditions"]):
            self._say(reason)

    def _say(self, reason: str) -> None:
        self._tell(reason, f"Node {self._identity.name} status is now: {reason}")

    def _status(self, node: Object) -> Object:
        return node_status(node, self._identity, self._machine, self._runtime, self._trouble(), self._ctx.now)

    async def _renew(self, node: Object) -> None:
        while True:
            if self._lease is None:
                self._lease = await self._until_done(lambda: self._find_lease(node))
            try:
                self._lease = await self._client.update(_LEASES, lease(node, self._lease, self._ctx.now))
                await self._ctx.sleep(self._renew_s)
            except (Answer, AskError):
                self._lease = None  # look again: it may have been written, or deleted
                await self._ctx.sleep(min(_RENEW_AGAIN_S, self._renew_s))

    async def _find_lease(self, node: Object) -> Object:
        try:
            return await self._client.get(_LEASES, self._identity.name, LEASE_NAMESPACE)
        except NotFound:
            return await self._client.create(_LEASES, lease(node, None, self._ctx.now))

    async def _until_done(self, work: Callable[[], Awaitable[T]]) -> T:
        """Again and again, with growing pauses, until it is neither refused nor unanswered."""
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                return await work()
            except (Answer, AskError) as error:
                self._ctx.log.debug("node not written", error=repr(error))
            await self._ctx.sleep(pause_s * (0.5 + self._ctx.random.random()))
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)
