"""The kubelet's connection to the runtime: follows its events, lists when it may have missed some, keeps the facts.

It lists at the start, after a lost connection, when somebody asks for it (because an answer was lost), and every
minute in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from actorkube.runtime import Context, Ref, Stream
from actors.kubelet.facts import PodFacts
from protocols.cri import (
    ContainerEvent,
    ContainerStatus,
    GetContainerEvents,
    GetRuntimeStatus,
    GetVersion,
    ListContainers,
    ListPodSandbox,
    PodSandboxStatus,
    RuntimeVersion,
    UpdateRuntimeConfig,
)
from protocols.errors import Answer, AskError
from protocols.message import Request

R = TypeVar("R")

_RELIST_S = 60.0
_PAUSE_FIRST_S = 0.02
_PAUSE_MAX_S = 2.0
_TIMEOUT_S = 10.0


class RuntimeLink:
    """`on_change(uid)` after news about a pod; `on_relisted(turn)` when all facts are complete, see `request_list`."""

    def __init__(
        self,
        ctx: Context,
        runtime: Ref,
        pod_cidr: str,
        on_change: Callable[[str], None],
        on_relisted: Callable[[int], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.facts: dict[str, PodFacts] = {}
        self.version: RuntimeVersion | None = None
        self.trouble = "container runtime has not answered yet"
        self._ctx = ctx
        self._runtime = runtime
        self._pod_cidr = pod_cidr
        self._on_change = on_change
        self._on_relisted = on_relisted
        self._on_lost = on_lost
        self._pods: dict[str, str] = {}  # sandbox id -> uid
        self._turn = 0
        self._wanted = asyncio.Event()

    def of_pod(self, uid: str) -> PodFacts:
        return self.facts.setdefault(uid, PodFacts())

    def forget(self, uid: str) -> None:
        self.facts.pop(uid, None)
        self._pods = {id: pod for id, pod in self._pods.items() if pod != uid}

    def request_list(self) -> int:
        """List soon. Facts are complete once `on_relisted` has been called with this turn or a later one."""
        self._turn += 1
        self._wanted.set()
        return self._turn

    async def follow(self) -> None:
        """For ever."""
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                async with self._ctx.stream(self._runtime, GetContainerEvents(), window=256) as events:
                    await self._subscribed(events)
                    pause_s = _PAUSE_FIRST_S
                    await self._read(events)
            except (Answer, AskError, TimeoutError) as error:
                self._ctx.log.debug("runtime lost", error=repr(error))
                self.trouble = f"container runtime is down: {error}"
                self._on_lost()
            await self._ctx.sleep(pause_s * (0.5 + self._ctx.random.random()))
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    async def _subscribed(self, events: Stream[ContainerEvent]) -> None:
        async with asyncio.timeout(_TIMEOUT_S):
            await anext(events)
        await self._ask(UpdateRuntimeConfig(self._pod_cidr))
        self.version = await self._ask(GetVersion())
        await self._relist()

    async def _read(self, events: Stream[ContainerEvent]) -> None:
        """Events as they come; beside them, lists as they are wanted. Either one's failure ends both."""
        lists = asyncio.ensure_future(self._keep_listing())
        lists.add_done_callback(lambda _: events.close())
        try:
            async for event in events:
                if event.status is not None:
                    self._heard(event, event.status)
        finally:
            lists.cancel()
        if lists.done() and not lists.cancelled():
            lists.result()

    async def _keep_listing(self) -> None:
        while True:
            self._wanted.clear()
            try:
                async with asyncio.timeout(_RELIST_S):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            await self._relist()

    async def _relist(self) -> None:
        turn = self._turn
        asked = {uid: facts.copy() for uid, facts in self.facts.items()}
        sandboxes = (await self._ask(ListPodSandbox())).items
        containers = (await self._ask(ListContainers())).containers
        status = await self._ask(GetRuntimeStatus())
        self.trouble = "; ".join(f"{c.type} is false: {c.message}" for c in status.conditions if not c.status)
        self._learn(asked, sandboxes, containers)
        self._on_relisted(turn)

    def _learn(
        self,
        asked: dict[str, PodFacts],
        sandboxes: tuple[PodSandboxStatus, ...],
        containers: tuple[ContainerStatus, ...],
    ) -> None:
        by_pod: dict[str, tuple[list[PodSandboxStatus], list[ContainerStatus]]] = {uid: ([], []) for uid in self.facts}
        for sandbox in sandboxes:
            self.sandbox_known(sandbox)
            by_pod.setdefault(sandbox.metadata.uid, ([], []))[0].append(sandbox)
        for container in containers:
            if uid := self._pods.get(container.pod_sandbox_id):
                by_pod.setdefault(uid, ([], []))[1].append(container)
        for uid, (its_sandboxes, its_containers) in by_pod.items():
            self.of_pod(uid).relisted(its_sandboxes, its_containers, asked.get(uid, PodFacts()), self._ctx.now)

    def sandbox_known(self, sandbox: PodSandboxStatus) -> None:
        self._pods[sandbox.id] = sandbox.metadata.uid

    def _heard(self, event: ContainerEvent, status: ContainerStatus) -> None:
        uid = self._pods.get(status.pod_sandbox_id)
        if uid is None or uid not in self.facts:
            return  # of a sandbox that was removed, or whose making is still to be answered
        if event.container_event_type == "CONTAINER_DELETED_EVENT":
            self.facts[uid].container_lost(status.id, self._ctx.now)
        else:
            self.facts[uid].container_seen(status)
        self._on_change(uid)

    async def _ask(self, request: Request[R]) -> R:
        return await self._ctx.ask(self._runtime, request, timeout_s=_TIMEOUT_S)
