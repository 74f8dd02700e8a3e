"""A small world for controllers: the real shell, a store that is obviously right, pods that run, faults that end.

Everything happens in virtual time. Pods are bound, become ready and go by timers, as a scheduler and kubelets would
make them. `unrest` makes watches lag, loses answers, refuses writes and restarts controllers, for a while.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from actorkube.kube import Controller, ControllerActor
from actorkube.runtime import Ref, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.controllers.daemon_pods import named_node
from protocols import api
from protocols.controller import Activity, AskActivity
from protocols.errors import Conflict, InternalError, ServiceUnavailable
from protocols.message import Message
from protocols.objects import Object, key_of, meta, name_of, namespace_of, revision_of, uid_of
from protocols.rules.conditions import with_condition
from protocols.rules.pods import is_terminated
from protocols.rules.times import time_of
from tests.kube.memory_api import MemoryApi
from tests.kube.memory_store import MemoryStore

EPOCH = 1_700_000_000.0
PULSE = ("events", "leases.coordination.k8s.io")
WRITES = (api.Create, api.Update, api.Patch, api.Delete, api.DeleteCollection)


class World:
    def __init__(
        self, *controllers: Controller, seed: int = 0, pod_grace_s: int = 2, nodes: int = 3, together: bool = False
    ) -> None:
        self.store = MemoryStore(pod_grace_s=pod_grace_s)
        self.random = random.Random(seed)
        self.actors = [controllers] if together else [(controller,) for controller in controllers]
        self.network = LocalNetwork()
        self.nodes = [f"node-{i}" for i in range(nodes)]
        self.ready_after_s = 1.0
        self.gone_after_s = 1.0
        self.never_ready: Callable[[Object], bool] = lambda pod: False
        self.ends: Callable[[Object], tuple[float, int] | None] = lambda pod: None  # after how long, with which code
        self._seen: dict[str, None] = {}
        self._going: dict[str, None] = {}
        self._position = 0
        self._soon = False

    async def __aenter__(self) -> World:
        self.loop = asyncio.get_running_loop()
        self.systems = [
            System(name, self.network.transport(), seed=1, log=Quiet(), epoch=EPOCH) for name in ("apiserver", "cm")
        ]
        for system in self.systems:
            await system.start()
        self.systems[0].spawn(lambda: MemoryApi(self.store), "api")
        self.refs = [self._spawn(controllers) for controllers in self.actors]
        await asyncio.sleep(0)
        self.store.clock = lambda: EPOCH + self.loop.time()
        self.store.on_commit = self._live_soon
        return self

    async def __aexit__(self, *exc: object) -> None:
        for system in reversed(self.systems):
            await system.stop()

    def _spawn(self, controllers: Sequence[Controller]) -> Ref:
        return self.systems[1].spawn(lambda: ControllerActor(controllers), controllers[0].name)

    @property
    def api(self) -> MemoryApi:
        actor = self.systems[0].actor("api")
        assert isinstance(actor, MemoryApi)
        return actor

    # -- what users do --------------------------------------------------------------------------------------------

    def create(self, resource: str, obj: Object) -> Object:
        self.store.create(resource, obj)
        self.api.deliver()
        return self.store.read(resource, namespace_of(obj), name_of(obj))

    def patch(self, resource: str, name: str, patch: Any, namespace: str = "default", subresource: str = "") -> None:
        self.store.patch(resource, namespace, name, patch, subresource)
        self.api.deliver()

    def delete(self, resource: str, name: str, namespace: str = "default", propagation: str = "") -> None:
        self.store.delete(resource, namespace, name, propagation=propagation)
        self.api.deliver()

    def get(self, resource: str, name: str, namespace: str = "default") -> Object:
        return self.store.read(resource, namespace, name)

    def find(self, resource: str, name: str, namespace: str = "default") -> Object | None:
        return self.store.find(resource, namespace, name)

    def list(self, resource: str, namespace: str = "") -> list[Object]:
        return self.store.list(resource, namespace)

    def active_pods(self) -> list[Object]:
        return [pod for pod in self.list("pods") if "deletionTimestamp" not in meta(pod)]

    # -- time -----------------------------------------------------------------------------------------------------

    async def activity(self) -> list[Activity]:
        return [await self.systems[1].ask(ref, AskActivity()) for ref in self.refs]

    async def settled(self, within_s: float = 300.0, quiet_s: float = 5.0) -> float:
        """Until all controllers rest and nothing was written for `quiet_s`; returns how long that took."""
        begin = self.loop.time()
        revision, since = self.revision(), begin
        while self.loop.time() - begin < within_s:
            await asyncio.sleep(0.25)
            if self.revision() != revision:
                revision, since = self.revision(), self.loop.time()
            resting = all(activity.settled for activity in await self.activity())
            if resting and self.loop.time() - since >= quiet_s:
                self.check_views()
                return since - begin
        raise AssertionError(f"still restless after {within_s} s: {await self.activity()}, {self.store.log[-5:]}")

    def check_views(self) -> None:
        """At rest, every view shows what the store holds, and its indexes are right."""
        for ref in self.refs:
            actor = self.systems[1].actor(ref.address.actor)
            assert isinstance(actor, ControllerActor)
            for resource, view in actor._views.items():
                view.check()
                shown = {key: view.entry(key).revision for key in view}  # type: ignore[union-attr]
                assert shown == {key_of(o): revision_of(o) for o in self.store.list(resource)}

    def revision(self) -> int:
        """Of the last change that is neither an event nor a sign of life."""
        return next((e.revision for resource, e in reversed(self.store.log) if resource not in PULSE), 0)

    # -- scheduler and kubelets -----------------------------------------------------------------------------------

    def _live_soon(self) -> None:
        if not self._soon:
            self._soon = True
            self.loop.call_later(0.05, self._live)

    def _live(self) -> None:
        self._soon = False
        for resource, event in self.store.log[self._position :]:
            if resource == "pods" and event.type != "DELETED":
                self._look_after_pods()
                break
        self._position = len(self.store.log)

    def _look_after_pods(self) -> None:
        for pod in self.store.list("pods"):
            uid = uid_of(pod)
            if uid not in self._seen:
                self._seen[uid] = None
                self._begin(pod)
            if "deletionTimestamp" in meta(pod) and uid not in self._going:
                self._going[uid] = None
                self.loop.call_later(self.gone_after_s, self._end, pod)

    def _begin(self, pod: Object) -> None:
        if self.nodes and not (pod.get("spec") or {}).get("nodeName"):
            node = named_node(pod) or self.nodes[len(self._seen) % len(self.nodes)]
            self.patch("pods", name_of(pod), {"spec": {"nodeName": node}}, namespace_of(pod))
        if not self.never_ready(pod):
            self.loop.call_later(self.ready_after_s, self._become_ready, pod)

    def _become_ready(self, pod: Object) -> None:
        now = self.store.find("pods", namespace_of(pod), name_of(pod))
        if now is None or uid_of(now) != uid_of(pod):
            return
        number = len(self._seen) + self.store.revision
        conditions = with_condition(
            (now.get("status") or {}).get("conditions"), "Ready", "True", "", "", self.store.clock()
        )
        ip = (now.get("status") or {}).get("podIP") or f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
        self.patch("pods", name_of(pod), {"status": status}, namespace_of(pod), "status")
        if (end := self.ends(now)) is not None:
            self.loop.call_later(end[0], self.exit, pod, end[1])

    def exit(self, pod: Object, code: int) -> None:
        """Its container ends, and is not started again."""
        now = self.store.find("pods", namespace_of(pod), name_of(pod))
        if now is None or uid_of(now) != uid_of(pod) or is_terminated(now):
            return
        conditions = (now.get("status") or {}).get("conditions")
        terminated = {"exitCode": code, "finishedAt": time_of(self.store.clock())}
        status = {
            "phase": "Failed" if code else "Succeeded",
            "conditions": with_condition(conditions, "Ready", "False", "PodFailed", "", self.store.clock()),
            "containerStatuses": [{"name": "c", "restartCount": 0, "state": {"terminated": terminated}}],
        }
        self.patch("pods", name_of(pod), {"status": status}, namespace_of(pod), "status")

    def _end(self, pod: Object) -> None:
        now = self.store.find("pods", namespace_of(pod), name_of(pod))
        if now is not None and uid_of(now) == uid_of(pod):
            if meta(now).get("finalizers"):
                self.exit(pod, 137)  # somebody wants to see how it ended
            self.store.delete("pods", namespace_of(pod), name_of(pod), grace=0)
            self.api.deliver()

    # -- faults ---------------------------------------------------------------------------------------------------

    async def unrest(self, seconds: float, meanwhile: Sequence[Callable[[], object]] = ()) -> None:
        """Faults for a while, spread over which the given user operations happen; then all is well again."""
        api_actor = self.api
        end = self.loop.time() + seconds
        operations = list(meanwhile)
        api_actor.fail, api_actor.lose = self._maybe_refuse, self._maybe_lose
        while self.loop.time() < end:
            api_actor.muted = self.random.random() < 0.6
            api_actor.deliver()
            if self.random.random() < 0.1:
                api_actor.cut()
            if self.random.random() < 0.1:
                await self._restart(self.random.choice(self.actors))
            if operations and self.random.random() < 0.5:
                operations.pop(0)()
            await asyncio.sleep(self.random.choice((0.01, 0.3, 2.0)))
        api_actor.muted = False
        api_actor.fail, api_actor.lose = (lambda request: None), (lambda request: False)
        api_actor.deliver()
        for operation in operations:
            operation()

    async def _restart(self, controllers: Sequence[Controller]) -> None:
        """The actor forgets everything; what it had sent may still arrive."""
        await self.systems[1].kill(controllers[0].name)
        self._spawn(controllers)

    def _maybe_refuse(self, request: Message) -> None:
        if isinstance(request, WRITES) and self.random.random() < 0.2:
            raise self.random.choice((Conflict, ServiceUnavailable, InternalError))("unrest")

    def _maybe_lose(self, request: Message) -> bool:
        return isinstance(request, WRITES) and self.random.random() < 0.2


def time(seconds: float = 0) -> str:
    return time_of(EPOCH + seconds)
