"""A scheduler, an API server in memory, two nodes with room for one pod each, and users: in the simulated world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from actorkube.runtime import System
from actorkube.sim import World
from actors.scheduler.actor import Scheduler
from actors.scheduler.framework import Profile
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.controller import AskActivity
from protocols.objects import Object
from tests.kube.memory_store import MemoryStore
from tests.scheduler.binding_api import BindingApi
from tests.scheduler.worlds import make_node, make_pod

HOSTS = ("apiserver", "scheduler")
NODES = ("n0", "n1")
PODS_PER_NODE = 1


class Cluster:
    """The store outlives the API server; what users do happens in it at once."""

    def __init__(self, world: World, lag_s: float = 0.0, profiles: Sequence[Profile] = (DEFAULT_PROFILE,)) -> None:
        self.world = world
        self.profiles = profiles
        self.lag_s = lag_s
        self.store = MemoryStore()
        self.bound: list[tuple[str, str]] = []

    async def start(self) -> None:
        for name in NODES:
            self.store.create("nodes", make_node(name, cpu=str(PODS_PER_NODE)))
        await self.world.boot("apiserver", self.boot_api)
        await self.world.boot("scheduler", self.boot_scheduler)
        self.world.always("each pod is bound once", self.check_bound_once)

    def boot_scheduler(self, system: System) -> None:
        system.spawn(lambda: Scheduler(profiles=self.profiles), "scheduler")

    def boot_api(self, system: System) -> None:
        system.spawn(lambda: BindingApi(self.store, self.bound, lag_s=self.lag_s), "api")

    @property
    def api(self) -> BindingApi:
        api = self.world.system("apiserver").actor("api")
        assert isinstance(api, BindingApi)
        return api

    def deliver(self) -> None:
        if self.world.is_up("apiserver"):
            self.api.deliver()

    def create(self, name: str, priority: int = 0) -> None:
        if self.store.find("pods", "default", name) is None:
            self.store.create("pods", make_pod(name, "1", priority=priority))
            self.deliver()

    def add(self, resource: str, *objects: Object) -> None:
        for obj in objects:
            self.store.create(resource, obj)
        self.deliver()

    def pod(self, name: str) -> Object:
        return self.store.read("pods", "default", name)

    def node_of(self, name: str) -> str:
        return str(self.pod(name)["spec"].get("nodeName") or "")

    def events(self, name: str) -> list[tuple[str, str]]:
        events = self.store.list("events", "default")
        return [(e["reason"], e["message"]) for e in events if e["involvedObject"]["name"] == name]

    @property
    def scheduler(self) -> Scheduler:
        scheduler = self.world.system("scheduler").actor("scheduler")
        assert isinstance(scheduler, Scheduler)
        return scheduler

    def end_who_was_told_to(self) -> None:
        """What kubelets do, every half second."""
        for pod in self.store.list("pods"):
            if "deletionTimestamp" in pod["metadata"]:
                self.delete(pod["metadata"]["name"])
        self.world.loop.call_later(0.5, self.end_who_was_told_to)

    def delete(self, name: str) -> None:
        if self.store.find("pods", "default", name) is not None:
            self.store.delete("pods", "default", name, grace=0)
            self.deliver()

    def placed(self) -> dict[str, str]:
        return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in self.store.list("pods")}

    def check_bound_once(self) -> None:
        twice = [uid for uid, count in Counter(uid for uid, _ in self.bound).items() if count > 1]
        assert not twice, f"bound twice: {twice}"

    def check_not_overcommitted(self) -> None:
        load = Counter(node for node in self.placed().values() if node)
        assert all(count <= PODS_PER_NODE for count in load.values()), f"too much: {dict(load)}"

    def is_done(self) -> bool:
        nodes = Counter(self.placed().values())
        return not nodes[""] or all(nodes[name] >= PODS_PER_NODE for name in NODES)

    async def check_rests(self) -> None:
        """It is settled, and asks for nothing more."""
        ref = self.world.system("scheduler").ref("scheduler/scheduler")
        await self.world.until(lambda: self.world.is_up("scheduler"))

        async def settled() -> bool:
            return (await self.world.system("scheduler").ask(ref, AskActivity())).settled

        await self.world.until(settled)
        asked = len(self.api.asked)
        await self.world.sleep(60)
        assert len(self.api.asked) == asked, self.api.asked[asked:]

    def check_believes_the_truth(self) -> None:
        scheduler = self.scheduler
        scheduler._state.check()
        scheduler._queue.check()
        placed = {f"default/{name}": node for name, node in self.placed().items()}
        assert {key: node for key, node in placed.items() if node} == scheduler._state._placed
        assert sorted(key for key, _ in scheduler._queue.places()) == sorted(key for key in placed if not placed[key])
