"""The service controller in the simulated world: when users and faults are done, all load balancers have addresses."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.kube import ControllerActor
from actorkube.runtime import System
from actorkube.sim import Fault, World, play
from actorkube.sim.strategies import schedules, tenths
from actors.cloud.controllers import controllers
from actors.cloud.service import FINALIZER, ingress_ips
from protocols.objects import Object
from tests.effort import examples
from tests.kube.memory_api import MemoryApi
from tests.kube.memory_store import MemoryStore

MANAGER = "cloud-controller-manager"
HOSTS = ("apiserver", MANAGER)


class Cluster:
    """The store outlives the API server; what users do happens in it at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = MemoryStore()

    async def start(self) -> None:
        await self.world.boot("apiserver", self.boot_api)
        await self.world.boot(MANAGER, self.boot_manager)

    def boot_api(self, system: System) -> None:
        system.spawn(lambda: MemoryApi(self.store), "api")

    def boot_manager(self, system: System) -> None:
        system.spawn(lambda: ControllerActor(controllers()), "controllers")

    @property
    def api(self) -> MemoryApi:
        api = self.world.system("apiserver").actor("api")
        assert isinstance(api, MemoryApi)
        return api

    def step(self, deed: str, name: str) -> None:
        existing = self.store.find("services", "default", name)
        if deed == "create" and existing is None:
            self.store.create("services", service(name))
        elif deed == "delete" and existing is not None:
            self.store.delete("services", "default", name)
        elif deed in ("plain", "asked") and existing is not None:
            spec = {"plain": {"type": "ClusterIP"}, "asked": {"type": "LoadBalancer", "loadBalancerIP": "127.67.0.6"}}
            self.store.update("services", {**existing, "spec": spec[deed]})
        if self.world.is_up("apiserver"):
            self.api.deliver()

    def is_as_wanted(self) -> bool:
        """Each load balancer that can have an address has one, nobody shares, nobody else has one."""
        services = self.store.list("services")
        given = [ip for service in services for ip in ingress_ips(service)]
        return len(given) == len(set(given)) and all(is_as_wanted(service) for service in services)


def service(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"type": "LoadBalancer"}}


def is_as_wanted(service: Object) -> bool:
    is_balancer = service["spec"]["type"] == "LoadBalancer"
    has_address = bool(list(ingress_ips(service)))
    may_lack_one = is_balancer and service["spec"].get("loadBalancerIP")
    has_finalizer = FINALIZER in service["metadata"].get("finalizers", [])
    is_going = "deletionTimestamp" in service["metadata"]
    return not is_going and has_finalizer == is_balancer and (has_address == is_balancer or may_lack_one)


def is_refused(service: Object) -> bool:
    """Another has the address that it asks for; it may still have the one from before."""
    asked = service["spec"].get("loadBalancerIP")
    return bool(asked) and asked not in ingress_ips(service)


users = st.lists(
    st.tuples(tenths(15), st.sampled_from(["create", "create", "delete", "plain", "asked"]), st.sampled_from("abc")),
    max_size=12,
)


@settings(max_examples=examples(30), deadline=None)
@given(users, schedules(HOSTS, for_s=12, disks=False, messages=["Stored", "Patch", "Update"]), st.integers(0, 99))
def test_settles_whatever_happens(users: list[tuple[float, str, str]], faults: list[Fault], seed: int) -> None:
    World.run_sync(lambda world: scenario(world, users, faults), seed)


async def scenario(world: World, users: list[tuple[float, str, str]], faults: list[Any]) -> None:
    cluster = Cluster(world)
    await cluster.start()
    for at_s, deed, name in users:
        world.loop.call_later(at_s, cluster.step, deed, name)
    await play(world, faults)
    await world.sleep(15)
    await world.recover()
    cluster.api.deliver()

    await world.converges(cluster.is_as_wanted, within_s=600)

    refused = any(is_refused(service) for service in cluster.store.list("services"))  # it is tried again and again
    asked = len(cluster.api.asked)
    await world.sleep(120)
    assert refused or len(cluster.api.asked) == asked, cluster.api.asked[asked:]
