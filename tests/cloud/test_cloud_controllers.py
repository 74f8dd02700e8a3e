"""The cloud's controllers, run by the one controller shell against an API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from actorkube.kube import ControllerActor
from actorkube.runtime import System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.cloud.controllers import controllers
from actors.cloud.local import LocalProvider
from actors.cloud.service import FINALIZER, ingress_ips
from protocols.api import Patch
from protocols.controller import AskActivity
from protocols.objects import Object
from protocols.rules.taints import UNINITIALIZED
from tests.kube.memory_api import MemoryApi
from tests.kube.memory_store import MemoryStore

NEW_NODE = {
    "metadata": {"name": "node-2", "labels": {"mine": "stays"}},
    "spec": {"taints": [{"key": UNINITIALIZED, "effect": "NoSchedule"}, {"key": "mine", "effect": "NoExecute"}]},
    "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]},
}


class World:
    def __init__(self, cidr: str = "127.67.0.0/29") -> None:
        self.network = LocalNetwork()
        self.store = MemoryStore()
        self.api = MemoryApi(self.store)
        self.provider = LocalProvider(cidr)
        names = ("apiserver", "cloud-controller-manager")
        self.systems = [System(name, self.network.transport(), seed=1, log=Quiet()) for name in names]

    async def start(self) -> None:
        for system in self.systems:
            await system.start()
        self.systems[0].spawn(lambda: self.api, "api")
        self.ref = self.systems[1].spawn(lambda: ControllerActor(controllers(self.provider)), "cloud")

    async def stop(self) -> None:
        for system in reversed(self.systems):
            await system.stop()

    def write(self, write: Callable[[MemoryStore], object]) -> None:
        write(self.store)
        self.api.deliver()

    def services(self) -> dict[str, list[str]]:
        return {s["metadata"]["name"]: list(ingress_ips(s)) for s in self.store.list("services")}

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.001)

    async def settled(self) -> None:
        """What was delivered has arrived, also by the watches that were cut, and nothing is left to do about it."""
        await self.until(lambda: len(self.api.watches) == 2)
        for _ in range(30):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while not (await self.systems[1].ask(self.ref, AskActivity())).settled:
                await asyncio.sleep(0.001)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.start()
    yield world
    await world.stop()


def balancer(name: str, **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"type": "LoadBalancer", **spec}}


async def test_a_new_node_is_told_what_it_is_and_opened(world: World) -> None:
    world.write(lambda store: store.create("nodes", NEW_NODE))

    await world.settled()

    node = world.store.read("nodes", "", "node-2")
    assert node["spec"]["taints"] == [{"key": "mine", "effect": "NoExecute"}]
    assert node["spec"]["providerID"] == "local://node-2"
    assert node["metadata"]["labels"]["mine"] == "stays"
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "local-b"
    assert node["metadata"]["labels"]["topology.kubernetes.io/region"] == "local"
    assert [entry["type"] for entry in node["status"]["addresses"]] == ["InternalIP", "Hostname"]


async def test_a_node_that_is_initialised_is_left_alone(world: World) -> None:
    world.write(lambda store: store.create("nodes", {"metadata": {"name": "node-1"}, "spec": {}}))
    await world.settled()

    assert world.api.asked == []


async def test_a_load_balancer_gets_an_address_and_keeps_it(world: World) -> None:
    world.write(lambda store: (store.create("services", balancer("a")), store.create("services", balancer("b"))))
    await world.settled()
    assert world.services() == {"a": ["127.67.0.1"], "b": ["127.67.0.2"]}
    assert len([request for request in world.api.asked if isinstance(request, Patch)]) == 2
    asked = len(world.api.asked)

    service = world.store.read("services", "default", "b")
    world.write(lambda store: store.update("services", {**service, "spec": {**service["spec"], "x": "y"}}))
    await world.settled()

    assert world.services()["b"] == ["127.67.0.2"]
    assert len(world.api.asked) == asked
    assert service["metadata"]["finalizers"] == [FINALIZER]


async def test_other_services_are_none_of_its_business(world: World) -> None:
    world.write(lambda store: store.create("services", balancer("a", loadBalancerClass="x.io/other")))
    world.write(lambda store: store.create("services", balancer("b", type="ClusterIP")))
    await world.settled()

    assert world.services() == {"a": [], "b": []}
    assert world.api.asked == []


async def test_a_deleted_load_balancer_gives_its_address_back(world: World) -> None:
    world.write(lambda store: store.create("services", balancer("a")))
    await world.settled()

    world.write(lambda store: store.delete("services", "default", "a"))
    await world.settled()
    world.write(lambda store: store.create("services", balancer("b")))
    await world.settled()

    assert world.services() == {"b": ["127.67.0.1"]}


async def test_a_service_that_is_no_load_balancer_any_more_loses_address_and_finalizer(world: World) -> None:
    world.write(lambda store: store.create("services", balancer("a")))
    await world.settled()

    service = world.store.read("services", "default", "a")
    world.write(lambda store: store.update("services", {**service, "spec": {"type": "ClusterIP"}}))
    await world.settled()

    service = world.store.read("services", "default", "a")
    assert service["status"] == {"loadBalancer": {}}
    assert "finalizers" not in service["metadata"]


async def test_says_that_there_is_no_address_left() -> None:
    world = World("127.67.0.0/31")
    await world.start()
    for name in "abc":
        world.write(lambda store, name=name: store.create("services", balancer(name)))  # type: ignore[misc]
    await world.settled()

    await world.until(lambda: "SyncLoadBalancerFailed" in reasons(world))
    event = world.store.list("events")[reasons(world).index("SyncLoadBalancerFailed")]
    await world.stop()

    assert event["message"] == "Error syncing load balancer: the local provider has no address left for default/c"


async def test_an_address_that_two_have_stays_with_the_first(world: World) -> None:
    """As after a change of the leader, whose successor could not see the last address given out."""
    for name in "ba":
        service = {**balancer(name), "status": {"loadBalancer": {"ingress": [{"ip": "127.67.0.5"}]}}}
        service["metadata"]["finalizers"] = [FINALIZER]
        world.write(lambda store, service=service: store.create("services", service))  # type: ignore[misc]

    await world.settled()

    assert world.services() == {"a": ["127.67.0.5"], "b": ["127.67.0.1"]}


def reasons(world: World) -> list[str]:
    return [event["reason"] for event in world.store.list("events")]
