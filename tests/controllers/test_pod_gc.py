"""The pod garbage collector settles: pods that nobody else removes are gone, and no others are."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import pod_gc
from actors.controllers.settings import Settings
from protocols.objects import Object, meta, name_of
from protocols.rules.pods import is_terminated, node_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples

NODES = ("a", "b", "c")
TERMINATED_MAX = 2


class Unattended(World):
    """Nodes without kubelets: what is asked to go stays, until somebody deletes it for good."""

    def __init__(self, seed: int) -> None:
        super().__init__(pod_gc.controller(Settings(terminated_pods_max=TERMINATED_MAX)), seed=seed, nodes=0)
        self.gone_after_s = 1e9
        self.never_ready = lambda pod: True
        self.due: set[str] = set()  # pods that may be removed, because of what happened to them

    def register(self, node: str) -> None:
        if not self.find("nodes", node, ""):
            self.create("nodes", {"metadata": {"name": node}, "spec": {}})

    def unregister(self, node: str) -> None:
        if self.find("nodes", node, ""):
            self.delete("nodes", node, "")

    def run_pod(self, name: str, node: str) -> None:
        spec = {"nodeName": node} if node else {}
        self.create("pods", {"metadata": {"name": name, "namespace": "default"}, "spec": spec})

    def finish(self, name: str) -> None:
        if self.find("pods", name):
            self.due.add(name)
            self.patch("pods", name, {"status": {"phase": "Succeeded"}}, subresource="status")


def in_world(scenario: Any, seed: int = 0) -> None:
    async def play() -> None:
        world = Unattended(seed)
        async with world:
            for node in NODES:
                world.register(node)
            await scenario(world)

    run(play())


def names(world: World) -> list[str]:
    return [name_of(pod) for pod in world.list("pods")]


def test_a_pod_of_a_gone_node_is_told_to_have_failed_before_it_goes() -> None:
    async def scenario(world: Unattended) -> None:
        world.run_pod("lost", "a")
        world.patch("pods", "lost", {"metadata": {"finalizers": ["x/y"]}})
        world.unregister("a")
        await asyncio.sleep(60)

        pod = world.get("pods", "lost")
        assert pod["status"]["phase"] == "Failed"
        assert meta(pod)["deletionGracePeriodSeconds"] == 0

    in_world(scenario)


def test_a_bound_pod_that_is_asked_to_go_is_left_to_its_kubelet() -> None:
    async def scenario(world: Unattended) -> None:
        world.run_pod("going", "a")
        world.store.pod_grace_s = 30
        world.delete("pods", "going")
        await asyncio.sleep(100)

        assert meta(world.get("pods", "going"))["deletionGracePeriodSeconds"] == 30

    in_world(scenario)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["register", "unregister"]), st.sampled_from(NODES)),
        st.tuples(st.just("run_pod"), st.sampled_from([*NODES, "never", ""])),
        st.tuples(st.just("finish"), st.integers(0, 5)),
    ),
    max_size=8,
)


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 2**32), OPERATIONS)
def test_settles_with_those_gone_whom_nobody_looks_after(seed: int, operations: list[tuple[str, Any]]) -> None:
    async def scenario(world: Unattended) -> None:
        for number in range(6):
            world.run_pod(f"p{number}", NODES[number % 2])
        await world.unrest(40, [lambda n=n, o=o: operate(world, n, *o) for n, o in enumerate(operations)])  # type: ignore[misc]
        await world.settled()
        await asyncio.sleep(120)

        nodes = {name_of(node) for node in world.list("nodes")}
        pods: list[Object] = world.list("pods")
        assert all(node_of(pod) in {*nodes, ""} for pod in pods)
        assert sum(is_terminated(pod) for pod in pods) <= TERMINATED_MAX
        absent = {node for operation, node in operations if operation == "unregister"}
        safe = {f"p{n}" for n in range(6) if NODES[n % 2] not in absent} - world.due
        assert safe <= set(names(world))
        revision = world.revision()
        await asyncio.sleep(600)
        assert world.revision() == revision

    in_world(scenario, seed)


def operate(world: Unattended, number: int, operation: str, argument: Any) -> None:
    match operation:
        case "run_pod":
            world.run_pod(f"new-{number}", argument)
        case "finish":
            world.finish(f"p{argument}")
        case _:
            getattr(world, operation)(argument)
