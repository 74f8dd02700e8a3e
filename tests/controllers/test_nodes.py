"""Nodes that fall silent, the pods on them, and pods that nobody else removes."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import node_lifecycle, pod_gc, taint_eviction
from actors.controllers.node_lifecycle import eviction_rate
from actors.controllers.settings import Settings
from actors.controllers.taint_eviction import departure
from protocols.objects import Object, meta, name_of
from protocols.rules.conditions import find_condition, with_condition
from protocols.rules.times import micro_time_of, time_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples

TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]


class Kubelets:
    """Nodes whose kubelets renew their leases and say Ready, unless they are silent."""

    def __init__(self, world: World, names: list[str], zones: dict[str, str] | None = None) -> None:
        self.world = world
        self.silent: set[str] = set()
        world.nodes = []
        for name in names:
            labels = {"topology.kubernetes.io/zone": (zones or {}).get(name, "")}
            world.create("nodes", {"metadata": {"name": name, "labels": labels}, "spec": {}})
            world.create("leases.coordination.k8s.io", lease(name))
            self.beat(name)

    def beat(self, name: str) -> None:
        if name not in self.silent and self.world.find("nodes", name, ""):
            now = self.world.store.clock()
            renewal = {"spec": {"renewTime": micro_time_of(now)}}
            self.world.patch("leases.coordination.k8s.io", name, renewal, "kube-node-lease")
            status = self.world.get("nodes", name, "").get("status") or {}
            conditions = status.get("conditions") or []
            if (find_condition(conditions, "Ready") or {}).get("status") != "True":
                conditions = with_condition(conditions, "Ready", "True", "KubeletReady", "", now)
                conditions = [{**c, "lastHeartbeatTime": time_of(now)} for c in conditions]
                self.world.patch("nodes", name, {"status": {"conditions": conditions}}, "", "status")
        self.world.loop.call_later(10, self.beat, name)


def lease(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": {}}


def pod(name: str, node: str, tolerations: Any = TOLERATIONS) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": node, "tolerations": tolerations}}


def in_world(scenario: Any, config: Settings | None = None, **options: Any) -> None:
    config = config or Settings()
    controllers = (node_lifecycle.controller(config), taint_eviction.controller(), pod_gc.controller(config))

    async def play() -> None:
        async with World(*controllers, **options) as world:
            world.gone_after_s = 1e9
            await scenario(world)

    run(play())


def ready(world: World, name: str) -> str:
    conditions = world.get("nodes", name, "")["status"]["conditions"]
    return str((find_condition(conditions, "Ready") or {})["status"])


def ready_condition(pod: Object) -> str:
    return str((find_condition(pod["status"]["conditions"], "Ready") or {})["status"])


def taints(world: World, name: str) -> set[tuple[str, str]]:
    spec = world.get("nodes", name, "")["spec"]
    return {(t["key"].removeprefix("node.kubernetes.io/"), t["effect"]) for t in spec.get("taints") or []}


def is_going(world: World, name: str) -> bool:
    found = world.find("pods", name)
    return found is None or "deletionTimestamp" in meta(found)


def test_a_silent_node_is_marked_shunned_and_emptied_and_recovers() -> None:
    async def scenario(world: World) -> None:
        kubelets = Kubelets(world, ["a", "b", "c"])
        world.create("pods", pod("on-a", "a"))
        world.create("pods", pod("on-b", "b"))
        await asyncio.sleep(20)
        kubelets.silent.add("a")
        await asyncio.sleep(35)
        assert (ready(world, "a"), taints(world, "a")) == ("True", set())

        await asyncio.sleep(30)
        assert ready(world, "a") == "Unknown"
        assert taints(world, "a") == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
        conditions = world.get("pods", "on-a")["status"]["conditions"]
        assert (find_condition(conditions, "Ready") or {})["status"] == "False"
        assert not is_going(world, "on-a")

        await asyncio.sleep(310)
        assert is_going(world, "on-a")
        marked = find_condition(world.get("pods", "on-a")["status"]["conditions"], "DisruptionTarget")
        assert marked and marked["reason"] == "DeletionByTaintManager"
        assert not is_going(world, "on-b")

        kubelets.silent.clear()
        await asyncio.sleep(15)
        assert (ready(world, "a"), taints(world, "a")) == ("True", set())
        reasons = {e["reason"] for e in world.list("events")}
        assert {"NodeNotReady", "TaintManagerEviction"} <= reasons

    in_world(scenario)


def test_a_node_is_welcomed_once_and_its_successor_too() -> None:
    async def scenario(world: World) -> None:
        def welcomed() -> list[tuple[str, str, int]]:
            events = [event for event in world.list("events") if event["reason"] == "RegisteredNode"]
            return sorted((event["message"], event["source"]["component"], event["count"]) for event in events)

        Kubelets(world, ["a", "b"])
        await asyncio.sleep(100)
        both = [(f"Node {name} event: Registered Node {name} in Controller", "node-controller", 1) for name in "ab"]
        assert welcomed() == both

        world.delete("nodes", "a", "")
        await asyncio.sleep(1)
        world.create("nodes", {"metadata": {"name": "a"}, "spec": {}})
        await asyncio.sleep(1)

        assert welcomed() == sorted([both[0], *both])

    in_world(scenario)


def test_a_node_that_comes_back_in_time_keeps_its_pods() -> None:
    async def scenario(world: World) -> None:
        kubelets = Kubelets(world, ["a", "b", "c"])
        world.create("pods", pod("on-a", "a"))
        await asyncio.sleep(20)
        kubelets.silent.add("a")
        await asyncio.sleep(200)
        assert taints(world, "a")
        kubelets.silent.clear()
        await asyncio.sleep(600)

        assert not is_going(world, "on-a")
        assert taints(world, "a") == set()

    in_world(scenario)


def test_a_kubelet_that_lives_though_its_node_is_called_silent_has_the_last_word_on_its_pods() -> None:
    async def scenario(world: World) -> None:
        kubelets = Kubelets(world, ["a", "b", "c"])
        world.create("pods", pod("on-a", "a"))
        await asyncio.sleep(20)
        kubelets.silent.add("a")
        await asyncio.sleep(60)
        assert ready_condition(world.get("pods", "on-a")) == "False"

        world._become_ready(world.get("pods", "on-a"))
        told = meta(world.get("pods", "on-a"))["resourceVersion"]
        await asyncio.sleep(60)

        assert ready(world, "a") == "Unknown"
        assert ready_condition(world.get("pods", "on-a")) == "True"
        assert meta(world.get("pods", "on-a"))["resourceVersion"] == told

    in_world(scenario)


def test_times_are_configurable() -> None:
    async def scenario(world: World) -> None:
        kubelets = Kubelets(world, ["a", "b", "c"])
        world.create("pods", pod("on-a", "a", [{**t, "tolerationSeconds": 5} for t in TOLERATIONS]))
        await asyncio.sleep(20)
        kubelets.silent.add("a")
        await asyncio.sleep(35)

        assert is_going(world, "on-a")

    in_world(scenario, Settings(node_monitor_grace_s=15))


def test_pods_without_toleration_go_at_once_and_those_that_tolerate_for_ever_stay() -> None:
    async def scenario(world: World) -> None:
        Kubelets(world, ["a", "b"])
        world.create("pods", pod("brittle", "a", []))
        world.create("pods", pod("stubborn", "a", [{"operator": "Exists"}]))
        await world.settled(quiet_s=0.5)
        world.patch("nodes", "a", {"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}}, "")
        await asyncio.sleep(5)

        assert is_going(world, "brittle")
        assert not is_going(world, "stubborn")

    in_world(scenario)


def test_a_cordoned_node_has_the_taint_until_it_is_uncordoned() -> None:
    async def scenario(world: World) -> None:
        Kubelets(world, ["a"])
        world.patch("nodes", "a", {"spec": {"unschedulable": True}}, "")
        await asyncio.sleep(1)
        assert taints(world, "a") == {("unschedulable", "NoSchedule")}

        world.patch("nodes", "a", {"spec": {"unschedulable": None}}, "")
        await asyncio.sleep(1)
        assert taints(world, "a") == set()

    in_world(scenario)


def test_a_node_that_never_speaks_is_marked_after_the_startup_grace() -> None:
    async def scenario(world: World) -> None:
        Kubelets(world, ["b"])
        world.create("nodes", {"metadata": {"name": "mute"}, "spec": {}})
        await asyncio.sleep(55)
        assert "status" not in world.get("nodes", "mute", "")
        await asyncio.sleep(10)

        conditions = world.get("nodes", "mute", "")["status"]["conditions"]
        assert {(c["type"], c["reason"]) for c in conditions} == {
            (type, "NodeStatusNeverUpdated") for type in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
        }

    in_world(scenario)


def test_nodes_are_evicted_one_after_the_other() -> None:
    async def scenario(world: World) -> None:
        kubelets = Kubelets(world, [f"n{i}" for i in range(8)])
        await asyncio.sleep(20)
        kubelets.silent |= {"n0", "n1", "n2"}
        evicting: list[float] = []
        for _ in range(120):
            await asyncio.sleep(1)
            count = sum(("unreachable", "NoExecute") in taints(world, f"n{i}") for i in range(8))
            evicting += [world.loop.time()] * (count - len(evicting))

        assert len(evicting) == 3
        assert all(later - earlier >= 9 for earlier, later in itertools.pairwise(evicting))

    in_world(scenario)


def test_nobody_is_evicted_when_no_node_is_healthy() -> None:
    async def scenario(world: World) -> None:
        kubelets = Kubelets(world, ["a", "b", "c"], {"a": "z1", "b": "z2", "c": "z2"})
        world.create("pods", pod("on-a", "a"))
        await asyncio.sleep(20)
        kubelets.silent |= {"a"}
        await asyncio.sleep(70)
        assert ("unreachable", "NoExecute") in taints(world, "a")
        kubelets.silent |= {"b", "c"}
        await asyncio.sleep(600)

        for name in "abc":
            assert (ready(world, name), taints(world, name)) == ("Unknown", {("unreachable", "NoSchedule")})
        assert not is_going(world, "on-a")

    in_world(scenario)


@pytest.mark.parametrize(
    ("size", "unhealthy", "expected"),
    [(10, 1, 0.1), (4, 2, 0.1), (5, 3, 0.0), (10, 6, 0.0), (100, 60, 0.01), (100, 50, 0.1), (3, 3, 0.1)],
)
def test_evictions_slow_down_in_a_zone_that_is_largely_unhealthy(size: int, unhealthy: int, expected: float) -> None:
    assert eviction_rate(size, unhealthy, Settings()) == expected


def test_the_first_toleration_to_run_out_decides() -> None:
    t0 = 1_700_000_000.0
    old = {"key": "a", "effect": "NoExecute", "timeAdded": time_of(t0)}
    new = {"key": "b", "effect": "NoExecute", "timeAdded": time_of(t0 + 100)}
    tolerate = [{"key": k, "operator": "Exists", "tolerationSeconds": s} for k, s in (("a", 300), ("b", 50))]

    assert departure([old, new], tolerate, t0) == t0 + 150
    assert departure([old], tolerate, t0) == t0 + 300
    assert departure([old, new], tolerate[:1], t0) == t0 + 100
    assert departure([{"key": "a", "effect": "NoExecute"}], tolerate, t0 + 7) == t0 + 307
    assert departure([], tolerate, t0) is None


def test_pods_of_a_node_that_is_gone_are_removed_after_a_quarantine() -> None:
    async def scenario(world: World) -> None:
        Kubelets(world, ["a", "b"])
        world.create("pods", pod("on-a", "a"))
        await asyncio.sleep(5)
        world.delete("nodes", "a", "")
        await asyncio.sleep(35)
        assert world.find("pods", "on-a")

        await asyncio.sleep(10)
        assert world.find("pods", "on-a") is None

    in_world(scenario)


def test_pods_of_a_node_that_registers_again_in_time_stay() -> None:
    async def scenario(world: World) -> None:
        Kubelets(world, ["a", "b"])
        world.create("pods", pod("on-a", "a"))
        await asyncio.sleep(5)
        world.delete("nodes", "a", "")
        await asyncio.sleep(20)
        world.create("nodes", {"metadata": {"name": "a"}, "spec": {}})
        await asyncio.sleep(100)

        assert world.find("pods", "on-a")

    in_world(scenario)


def test_a_pod_that_was_never_bound_goes_when_it_is_asked_to() -> None:
    async def scenario(world: World) -> None:
        Kubelets(world, ["a"])
        dying = {"metadata": {"name": "held", "namespace": "default", "finalizers": ["x/y"]}, "spec": {}}
        world.create("pods", dying)
        world.delete("pods", "held")
        world.patch("pods", "held", {"metadata": {"deletionGracePeriodSeconds": 30}})
        await asyncio.sleep(3)

        assert meta(world.get("pods", "held"))["deletionGracePeriodSeconds"] == 0

    in_world(scenario)


def test_the_oldest_terminated_pods_go_beyond_the_threshold() -> None:
    async def scenario(world: World) -> None:
        Kubelets(world, ["a"])
        world.never_ready = lambda pod: True
        for number in range(6):
            world.create("pods", pod(f"p{number}", "a"))
            world.patch("pods", f"p{number}", {"status": {"phase": "Succeeded"}}, subresource="status")
            await asyncio.sleep(2)
        await asyncio.sleep(10)

        assert [name_of(p) for p in world.list("pods")] == ["p3", "p4", "p5"]

    in_world(scenario, Settings(terminated_pods_max=3))


@pytest.mark.slow
@settings(max_examples=examples(15), deadline=None)
@given(st.integers(0, 2**32), st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=6))
def test_settles_on_what_the_nodes_say(seed: int, changes: list[tuple[str, bool]]) -> None:
    async def scenario(world: World) -> None:
        kubelets = Kubelets(world, ["a", "b", "c", "d"])
        for name in "abcd":
            world.create("pods", pod(f"on-{name}", name))

        def change(name: str, silent: bool) -> None:
            (kubelets.silent.add if silent else kubelets.silent.discard)(name)

        await world.unrest(60, [lambda c=c: change(*c) for c in changes])  # type: ignore[misc]
        kubelets.silent.discard("a")
        await asyncio.sleep(600)

        largely = len(kubelets.silent) == 3
        for name in "abcd":
            silent = name in kubelets.silent
            assert ready(world, name) == ("Unknown" if silent else "True")
            expected = {("unreachable", "NoSchedule")} if silent else set()
            actual = taints(world, name)
            assert actual - {("unreachable", "NoExecute")} == expected
            if not largely:
                assert (("unreachable", "NoExecute") in actual) == silent
                assert is_going(world, f"on-{name}") >= silent
        nodes = [meta(n)["resourceVersion"] for n in world.list("nodes")]
        await asyncio.sleep(300)
        assert [meta(n)["resourceVersion"] for n in world.list("nodes")] == nodes

    in_world(scenario, seed=seed)
