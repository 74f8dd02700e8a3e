"""The proxy's shell against an API server in memory: what it forwards, and what it says when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from actorkube.runtime import System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.proxy.actor import Proxy
from actors.proxy.backend import Unbindable
from actors.proxy.rules import Endpoint, Frontend, Node, forwarding_table
from actors.proxy.sim import SimBackend
from actors.proxy.table import Changes
from protocols.objects import Object
from protocols.proxy import ProxyDue
from tests.kube.memory_api import MemoryApi
from tests.kube.memory_store import MemoryStore
from tests.proxy.worlds import make_endpoint, make_service, make_slice

WEB = Frontend("127.66.0.10", 8080, "TCP")


class Stubborn(SimBackend):
    """Does not let anybody listen on privileged ports, until it is `allowed`."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = False
        self.waiting: list[Frontend] = []
        self.closed = False

    async def apply(self, changes: Changes) -> list[Unbindable]:
        await super().apply(changes)
        refused = [frontend for frontend, _ in changes.open if frontend.port < 1024 and not self.allowed]
        self.waiting += refused
        return [Unbindable(frontend, "Permission denied", "Use a higher port.") for frontend in refused]

    async def retry(self) -> list[Frontend]:
        if not self.allowed:
            return []
        waiting, self.waiting = self.waiting, []
        return waiting

    async def close(self) -> None:
        await super().close()
        self.closed = True


class World:
    def __init__(self) -> None:
        self.network = LocalNetwork()
        self.store = MemoryStore()
        self.api = MemoryApi(self.store)
        self.backends: list[Stubborn] = []
        self.systems = [System(n, self.network.transport(), seed=1, log=Quiet()) for n in ("apiserver", "node-1-proxy")]

    async def start(self) -> None:
        for system in self.systems:
            await system.start()
        self.systems[0].spawn(lambda: self.api, "api")
        self.ref = self.systems[1].spawn(lambda: Proxy("node-1", self.new_backend), "proxy")

    async def stop(self) -> None:
        for system in reversed(self.systems):
            await system.stop()

    def new_backend(self) -> Stubborn:
        self.backends.append(Stubborn())
        return self.backends[-1]

    @property
    def backend(self) -> Stubborn:
        return self.backends[-1]

    def create(self, resource: str, *objects: Object) -> None:
        for obj in objects:
            self.store.create(resource, obj)
        self.api.deliver()

    def create_slice(self, found: Object) -> None:
        self.create("endpointslices.discovery.k8s.io", found)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0)

    async def quiet(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    def serves(self, frontend: Frontend = WEB) -> str:
        endpoint = self.backend.connect(frontend, "10.9.9.9", 0.0)
        return endpoint.ip if endpoint else ""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.start()
    yield world
    await world.stop()


async def test_a_service_is_served_by_its_endpoints_as_they_come_and_go(world: World) -> None:
    world.create("services", make_service("web"))
    world.create_slice(make_slice("web", make_endpoint("10.0.0.1")))
    await world.until(lambda: world.serves() == "10.0.0.1")

    world.store.update("endpointslices.discovery.k8s.io", make_slice("web", make_endpoint("10.0.0.2")))
    world.api.deliver()
    await world.until(lambda: world.serves() == "10.0.0.2")
    world.store.delete("endpointslices.discovery.k8s.io", "default", "web-1")
    world.api.deliver()

    await world.until(lambda: world.backend.balancers == {})


async def test_a_service_that_goes_takes_its_addresses_along(world: World) -> None:
    world.create("services", make_service("web"))
    world.create_slice(make_slice("web", make_endpoint("10.0.0.1")))
    await world.until(lambda: WEB in world.backend.balancers)

    world.store.delete("services", "default", "web")
    world.api.deliver()

    await world.until(lambda: world.backend.balancers == {})


async def test_node_ports_follow_the_nodes_own_address(world: World) -> None:
    world.create("services", make_service("web", node_port=30080))
    world.create_slice(make_slice("web", make_endpoint("10.0.0.1")))
    await world.until(lambda: WEB in world.backend.balancers)
    addresses = [{"type": "Hostname", "address": "node-1"}, {"type": "InternalIP", "address": "127.0.0.5"}]
    node = {"metadata": {"name": "node-1"}, "status": {"addresses": addresses}}

    world.create("nodes", node)

    await world.until(lambda: world.serves(Frontend("127.0.0.5", 30080, "TCP")) == "10.0.0.1")


async def test_nothing_is_closed_while_the_lists_are_read_again(world: World) -> None:
    world.create("services", make_service("web"))
    world.create_slice(make_slice("web", make_endpoint("10.0.0.1")))
    await world.until(lambda: WEB in world.backend.balancers)

    world.api.expire_before = world.store.revision + 1
    world.api.cut()
    await world.quiet()

    assert world.serves() == "10.0.0.1"


async def test_says_once_that_it_may_not_listen_and_goes_on_with_the_rest(world: World) -> None:
    world.create("services", make_service("web", port=80), make_service("other", "127.66.0.11"))
    world.create_slice(make_slice("web", make_endpoint("10.0.0.1")))
    world.create_slice(make_slice("other", make_endpoint("10.0.0.2")))
    await world.until(lambda: bool(world.store.list("events")))

    world.systems[1].tell(world.ref, ProxyDue())
    await world.quiet()

    (event,) = world.store.list("events")
    assert event["involvedObject"]["name"] == "web"
    assert (event["type"], event["reason"], event["reportingInstance"]) == (
        "Warning",
        "FailedToListen",
        "kube-proxy-node-1",
    )
    assert event["message"] == "cannot listen on 127.66.0.10:80/TCP: Permission denied. Use a higher port."
    assert world.serves(Frontend("127.66.0.11", 8080, "TCP")) == "10.0.0.2"


async def test_tries_again_what_it_could_not_listen_on(world: World) -> None:
    world.create("services", make_service("web", port=80))
    world.create_slice(make_slice("web", make_endpoint("10.0.0.1")))
    await world.until(lambda: bool(world.backend.waiting))

    world.backend.allowed = True
    world.systems[1].tell(world.ref, ProxyDue())

    await world.until(lambda: not world.backend.waiting)


async def test_a_new_life_has_a_new_backend_and_the_old_one_is_closed(world: World) -> None:
    world.create("services", make_service("web"))
    world.create_slice(make_slice("web", make_endpoint("10.0.0.1")))
    await world.until(lambda: world.serves() == "10.0.0.1")

    next(iter(world.systems[1]._cells.values())).crash(RuntimeError("planted"))
    await world.until(lambda: len(world.backends) == 2)
    async with asyncio.timeout(10):
        while world.serves() != "10.0.0.1":
            await asyncio.sleep(0.001)

    assert [backend.closed for backend in world.backends] == [True, False]


async def test_the_simulated_backend_skips_endpoints_that_do_not_accept() -> None:
    dead, alive = Endpoint("10.0.0.1", 9000), Endpoint("10.0.0.2", 9000)
    backend = SimBackend(lambda endpoint: endpoint != dead)
    found = make_slice("web", make_endpoint(dead.ip), make_endpoint(alive.ip))
    rules = forwarding_table([make_service("web")], [found], Node("node-1"))

    await backend.apply(Changes(open=tuple(rules.items())))

    assert [backend.connect(WEB, "x", 0.0) for _ in range(4)] == [alive] * 4
    assert backend.connect(Frontend("127.66.0.99", 1, "TCP"), "x", 0.0) is None
