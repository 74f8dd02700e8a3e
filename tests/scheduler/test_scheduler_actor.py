"""The scheduler's shell against an API server in memory: what it binds, says, retries and doubts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from actorkube.runtime import System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.scheduler.actor import UNDER_WAY_MAX, Scheduler
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.demand import PodDemand, Shape
from actors.scheduler.framework import NodeFilter, NodeScore, PreEnqueue, Profile, Refusal
from actors.scheduler.node_state import NodeState
from actors.scheduler.plugins.pod_topology_spread import PodTopologySpread
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.api import Create, Get, Patch
from protocols.controller import Activity, AskActivity
from protocols.errors import Conflict
from protocols.message import Message
from protocols.objects import Object, decode_object
from tests.kube.memory_store import MemoryStore
from tests.scheduler.binding_api import BindingApi, is_binding, once
from tests.scheduler.worlds import make_node, make_pod


class World:
    """A scheduler, an API server, and a clock that is only waited on by turning the loop."""

    def __init__(self) -> None:
        self.network = LocalNetwork()
        self.store = MemoryStore()
        self.api = BindingApi(self.store)
        self.systems = [System(n, self.network.transport(), seed=1, log=Quiet()) for n in ("apiserver", "scheduler")]

    async def start(self, profile: Profile = DEFAULT_PROFILE) -> None:
        for system in self.systems:
            await system.start()
        self.systems[0].spawn(lambda: self.api, "api")
        self.ref = self.systems[1].spawn(lambda: Scheduler(profiles=[profile]), "scheduler")

    async def stop(self) -> None:
        for system in reversed(self.systems):
            await system.stop()

    def create(self, resource: str, *objects: Object) -> None:
        for obj in objects:
            self.store.create(resource, obj)
        self.api.deliver()

    def pod(self, name: str) -> Object:
        return self.store.read("pods", "default", name)

    def node_of(self, name: str) -> str:
        return str(self.pod(name)["spec"].get("nodeName") or "")

    def condition(self, name: str) -> Any:
        conditions = (self.pod(name).get("status") or {}).get("conditions") or [None]
        return conditions[0]

    def events(self, name: str) -> list[tuple[str, str]]:
        events = self.store.list("events", "default")
        return [(e["reason"], e["message"]) for e in events if e["involvedObject"]["name"] == name]

    async def activity(self) -> Activity:
        return await self.systems[1].ask(self.ref, AskActivity())

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.001)

    async def settled(self) -> None:
        """What was delivered has arrived, and nothing is left to do about it."""
        for _ in range(20):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while not (await self.activity()).settled:
                await asyncio.sleep(0.001)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.start()
    yield world
    await world.stop()


async def test_binds_pods_and_says_so(world: World) -> None:
    world.create("nodes", make_node("n0"), make_node("n1"))
    world.create("pods", *(make_pod(f"p{index}", "1") for index in range(6)))

    await world.settled()
    await world.until(lambda: bool(world.events("p5")))

    assert sorted(world.node_of(f"p{index}") for index in range(6)) == ["n0"] * 3 + ["n1"] * 3
    assert world.events("p0") == [("Scheduled", f"Successfully assigned default/p0 to {world.node_of('p0')}")]


@pytest.mark.slow
async def test_places_more_pods_than_it_binds_at_once(world: World) -> None:
    world.create("nodes", make_node("n0", cpu="100", pods="1000"))
    await world.settled()
    world.create("pods", *(make_pod(f"p{index}", "1m") for index in range(3 * UNDER_WAY_MAX)))

    await world.settled()

    assert len(world.api.bound) == 3 * UNDER_WAY_MAX


async def test_leaves_alone_what_is_not_its_own(world: World) -> None:
    deleting = make_pod("deleting")
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.create("pods", make_pod("other", schedulerName="mine"), make_pod("over", phase="Failed"), deleting)
    world.create("nodes", make_node("n0"))
    world.create("pods", make_pod("ours"))

    await world.settled()

    assert len(world.api.bound) == 1
    assert world.node_of("ours") == "n0"


async def test_says_why_a_pod_is_pending_and_schedules_it_when_that_changes(world: World) -> None:
    world.create("nodes", make_node("n0", cpu="1"))
    world.create("pods", make_pod("p", "2"))
    await world.settled()
    await world.until(lambda: bool(world.events("p")))
    message = (
        "0/1 nodes are available: 1 Insufficient cpu. "
        "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )
    assert world.events("p") == [("FailedScheduling", message)]
    condition = world.condition("p")
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert condition["observedGeneration"] == 1
    assert condition["message"] == message

    world.create("nodes", make_node("n1"))
    await world.settled()

    assert world.node_of("p") == "n1"


async def test_the_end_of_a_pod_makes_room_for_the_next(world: World) -> None:
    world.create("nodes", make_node("n0", pods="1"))
    world.create("pods", make_pod("first"))
    await world.settled()
    world.create("pods", make_pod("second"))
    await world.settled()
    assert world.node_of("second") == ""

    world.store.delete("pods", "default", "first", grace=0)
    world.api.deliver()
    await world.settled()

    assert world.node_of("second") == "n0"


async def test_a_pod_that_waits_for_company_is_placed_when_it_has_come(world: World) -> None:
    labels = {"kubernetes.io/hostname": "n1"}
    world.create("nodes", make_node("n0"), make_node("n1", labels=labels))
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}
    towards = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    world.create("pods", make_pod("web", affinity=towards))
    await world.settled()
    assert world.condition("web")["reason"] == "Unschedulable"

    company = make_pod("db", nodeSelector=labels)
    company["metadata"]["labels"] = {"app": "db"}
    world.create("pods", company)
    await world.until(lambda: world.node_of("web") != "")

    assert world.node_of("web") == world.node_of("db") == "n1"


async def test_company_may_also_be_placed_by_somebody_else(world: World) -> None:
    world.create("nodes", make_node("n0"), make_node("n1", labels={"kubernetes.io/hostname": "n1"}))
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}
    towards = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    world.create("pods", make_pod("web", affinity=towards))
    await world.settled()
    assert world.condition("web")["reason"] == "Unschedulable"

    company = make_pod("db", node="n1")  # as a static pod comes, or one of another scheduler
    company["metadata"]["labels"] = {"app": "db"}
    world.create("pods", company)

    await world.until(lambda: world.node_of("web") == "n1")


async def test_the_end_of_a_pod_that_kept_others_away_helps_on_other_nodes_too(world: World) -> None:
    zone = {"zone": "a"}
    world.create("nodes", make_node("n0", labels=zone, unschedulable=True), make_node("n1", labels=zone))
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}
    alone = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    web = make_pod("web")
    web["metadata"]["labels"] = {"app": "web"}
    world.create("pods", make_pod("loner", affinity=alone, node="n0"), web)
    await world.settled()
    assert world.condition("web")["reason"] == "Unschedulable"

    world.store.delete("pods", "default", "loner", grace=0)
    world.api.deliver()

    await world.until(lambda: world.node_of("web") == "n1")


async def test_a_claim_for_one_pod_is_free_when_that_is_gone_though_its_node_went_before(world: World) -> None:
    mode = {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {
        "metadata": {"name": "c", "namespace": "default", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {**mode, "volumeName": "v"},
        "status": {"phase": "Bound"},
    }
    volume = {
        "metadata": {"name": "v"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": mode["accessModes"], "hostPath": {"path": "/v"}},
        "status": {"phase": "Bound"},
    }
    using = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}
    world.create("persistentvolumes", volume)
    world.create("persistentvolumeclaims", claim)
    world.create("nodes", make_node("n0"), make_node("n1"))
    world.create("pods", make_pod("first", node="n0", **using), make_pod("second", **using))
    await world.settled()
    assert "ReadWriteOncePod" in world.condition("second")["message"]

    world.store.delete("nodes", "", "n0")
    world.api.deliver()
    await world.settled()
    world.store.delete("pods", "default", "first", grace=0)
    world.api.deliver()

    await world.until(lambda: world.node_of("second") == "n1")


async def test_a_pod_is_told_what_it_waits_for_now(world: World) -> None:
    """Its claim has come, and has no volume yet: nothing that lets it run, but no more what was said of it."""
    world.create("nodes", make_node("n0"))
    world.create("pods", make_pod("p", volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]))
    await world.until(lambda: world.condition("p") is not None)
    assert 'persistentvolumeclaim "c" not found' in world.condition("p")["message"]

    asks = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    world.create("persistentvolumeclaims", {"metadata": {"name": "c", "namespace": "default"}, "spec": asks})

    await world.until(lambda: "has unbound immediate PersistentVolumeClaims" in world.condition("p")["message"])
    await world.settled()
    asked = len(world.api.asked)
    world.create("persistentvolumes", {"metadata": {"name": "other"}, "spec": {"capacity": {"storage": "1Gi"}}})
    await world.settled()
    assert len(world.api.asked) == asked  # it was told


async def test_pods_of_a_service_are_spread_over_zones(world: World) -> None:
    def zone(name: str) -> dict[str, str]:
        return {"topology.kubernetes.io/zone": name, "kubernetes.io/hostname": name}

    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"app": "web"}}}
    world.create("services", service)
    busy = make_pod("busy", "1", "2Gi", node="n1")
    world.create("nodes", make_node("n0", labels=zone("a")), make_node("n1", labels=zone("b")))
    world.create("pods", busy)
    for index in range(2):
        pod = make_pod(f"web-{index}")
        pod["metadata"]["labels"] = {"app": "web"}
        world.create("pods", pod)

    await world.settled()

    assert {world.node_of("web-0"), world.node_of("web-1")} == {"n0", "n1"}


async def test_a_pod_that_stays_pending_is_written_about_once(world: World) -> None:
    world.create("nodes", make_node("n0", pods="0"))
    world.create("pods", make_pod("p"))
    await world.settled()

    pod = world.pod("p")
    world.store.update("pods", {**pod, "metadata": {**pod["metadata"], "labels": {"try": "again"}}})
    world.api.deliver()
    await world.settled()
    assert (await world.activity()).passes == 2

    patches = [request for request in world.api.asked if isinstance(request, Patch) and request.resource == "pods"]
    assert len(patches) == 1


async def test_says_that_gates_hold_a_pod_back_and_takes_it_when_they_are_gone(world: World) -> None:
    world.create("nodes", make_node("n0"))
    world.create("pods", make_pod("p", schedulingGates=[{"name": "x.io/wait"}]))
    await world.settled()
    assert world.condition("p")["reason"] == "SchedulingGated"

    pod = world.pod("p")
    world.store.update("pods", {**pod, "spec": {**pod["spec"], "schedulingGates": []}})
    world.api.deliver()
    await world.settled()

    assert world.node_of("p") == "n0"


async def test_what_the_api_server_says_of_gates_is_left_as_it_is(world: World) -> None:
    said = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "Scheduling is blocked"}
    pod = make_pod("p", schedulingGates=[{"name": "x.io/wait"}])
    pod["status"] = {"conditions": [said]}
    world.create("pods", pod)
    await world.settled()

    assert world.condition("p") == said


async def test_a_binding_whose_answer_was_lost_is_not_made_twice(world: World) -> None:
    world.api.doubt = once(is_binding)
    world.api.muted = True
    world.create("nodes", make_node("n0"), make_node("n1"))
    world.create("pods", make_pod("p"))

    await world.until(lambda: bool(world.api.bound))
    await world.until(lambda: any(isinstance(request, Get) for request in world.api.asked))
    await world.settled()

    assert len([request for request in world.api.asked if is_binding(request)]) == 1


async def test_a_pod_that_somebody_else_bound_is_left_where_it_is(world: World) -> None:
    def bind_elsewhere(message: Message) -> None:
        if is_binding(message) and not world.api.bound:
            pod = world.pod("p")
            world.api.bound.append((pod["metadata"]["uid"], "n9"))
            world.store.update("pods", {**pod, "spec": {**pod["spec"], "nodeName": "n9"}})

    world.api.fail = bind_elsewhere
    world.create("nodes", make_node("n0"))
    world.create("pods", make_pod("p"))

    await world.until(lambda: bool(world.api.bound))
    await world.settled()

    assert world.node_of("p") == "n9"
    assert [request for request in world.api.asked if is_binding(request)] != []
    assert len(world.api.bound) == 1


async def test_a_crashed_scheduler_starts_again_from_what_the_api_server_says(world: World) -> None:
    world.create("nodes", make_node("n0", pods="2"), make_node("n1", pods="2"))
    world.create("pods", make_pod("p0"), make_pod("p1"))
    await world.settled()
    crash_scheduler(world)

    world.create("pods", make_pod("p2"), make_pod("p3"), make_pod("p4"))
    await world.until(lambda: len(world.api.bound) == 4)
    await world.settled()

    assert len({uid for uid, _ in world.api.bound}) == 4
    assert sorted(node for _, node in world.api.bound) == ["n0", "n0", "n1", "n1"]


async def test_the_first_failures_time_stays_while_the_message_changes(world: World) -> None:
    world.create("nodes", make_node("n0", pods="0"))
    world.create("pods", make_pod("p"))
    await world.settled()
    first = world.condition("p")

    world.create("nodes", make_node("n1", unschedulable=True))
    pod = world.pod("p")
    world.store.update("pods", {**pod, "metadata": {**pod["metadata"], "labels": {"try": "again"}}})
    world.api.deliver()
    await world.until(lambda: world.condition("p")["message"] != first["message"])

    assert world.condition("p")["message"].startswith("0/2 nodes are available: ")
    assert world.condition("p")["lastTransitionTime"] == first["lastTransitionTime"]


def crash_scheduler(world: World) -> None:
    """Let its code fail in the middle of a turn, as a bug would."""
    cell = next(iter(world.systems[1]._cells.values()))
    cell.crash(RuntimeError("planted"))


async def test_asks_only_for_what_is_allowed_of_it(world: World) -> None:
    """No deletes, no updates: bindings, conditions and events are all that a scheduler writes."""
    world.create("nodes", make_node("n0", pods="1"))
    world.create("pods", make_pod("a"), make_pod("b"))
    await world.settled()

    writes = [request for request in world.api.asked if isinstance(request, Create | Patch)]
    assert len(writes) == len(world.api.asked)
    assert {decode_object(w.body).get("kind") for w in writes if isinstance(w, Create)} <= {"Binding", "Event"}


def test_a_conflict_is_an_answer() -> None:
    """The double refuses a second binding with the error that the scheduler takes for a refusal."""
    store = MemoryStore()
    store.create("pods", make_pod("p", node="n0"))
    binding = {"metadata": {"name": "p", "namespace": "default"}, "target": {"name": "n1"}}

    with pytest.raises(Conflict, match="already assigned to node 'n0'"):
        BindingApi(store)._bind(binding)


class Moody(PreEnqueue, NodeFilter, NodeScore):
    """Fails for pods that say so, where they say, while `is_bad`."""

    name = "Moody"
    is_bad = True

    def pre_enqueue(self, pod: PodDemand, state: ClusterState) -> Refusal | None:
        self._fail(pod.pod["metadata"].get("labels") or {}, "enqueue")
        return None

    def refuse(self, pod: Shape, node: NodeState) -> str:
        self._fail(pod.labels, "filter")
        return ""

    def rate(self, pod: Shape, node: NodeState) -> float:
        self._fail(pod.labels, "score")
        return 50

    def _fail(self, labels: Mapping[str, str], where: str) -> None:
        if self.is_bad and labels.get("fails") == where:
            raise ZeroDivisionError("planted")


def failing(where: str) -> Object:
    pod = make_pod("bad")
    pod["metadata"]["labels"] = {"fails": where}
    return pod


@pytest.mark.slow
@pytest.mark.parametrize("where", ["filter", "score"])
async def test_a_plugin_that_raises_is_named_and_costs_its_pod_a_back_off(where: str) -> None:
    moody, world = Moody(), World()
    await world.start(Profile((moody, 1), *((plugin, 1) for plugin in DEFAULT_PROFILE.plugins)))
    try:
        world.create("nodes", make_node("a"))
        world.create("pods", failing(where), make_pod("good"))
        await world.until(lambda: bool(world.events("bad")) and world.node_of("good") == "a")

        reason, message = world.events("bad")[0]
        before = world.node_of("bad")
        moody.is_bad = False
        await world.until(lambda: world.node_of("bad") == "a")

        assert (reason, message) == ("FailedScheduling", 'running plugin "Moody": ZeroDivisionError: planted')
        assert before == ""
        assert world.systems[1]._cells[world.ref.actor_id].restarts == 0
    finally:
        await world.stop()


async def test_a_plugin_that_raises_at_the_door_lets_nobody_in() -> None:
    world = World()
    await world.start(Profile((Moody(), 1), *((plugin, 1) for plugin in DEFAULT_PROFILE.plugins)))
    try:
        world.create("nodes", make_node("a"))
        world.create("pods", failing("enqueue"), make_pod("good"))
        await world.settled()

        assert world.node_of("good") == "a" and world.node_of("bad") == ""
        assert world.condition("bad")["message"] == 'running plugin "Moody": ZeroDivisionError: planted'
    finally:
        await world.stop()


def one_term(**where: Any) -> dict[str, Any]:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}, **where}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


async def test_other_labels_of_a_namespace_are_news(world: World) -> None:
    pod = make_pod("near", affinity={"podAffinity": one_term(namespaceSelector={"matchLabels": {"team": "t"}})})
    company = make_pod("company", node="n0")
    company["metadata"]["labels"] = {"app": "x"}
    space = {"metadata": {"name": "default", "labels": {}}}
    world.create("namespaces", space)
    world.create("nodes", make_node("n0", labels={"zone": "a"}))
    world.create("pods", company, pod)
    await world.settled()
    assert world.node_of("near") == ""

    world.store.update("namespaces", {"metadata": {"name": "default", "labels": {"team": "t"}}})
    world.api.deliver()
    await world.until(lambda: world.node_of("near") == "n0")


async def test_a_domain_that_is_gone_is_news() -> None:
    world = World()
    await world.start()
    try:
        spread = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
        constraint = {**spread, "labelSelector": {"matchLabels": {"app": "x"}}}
        pods = [make_pod(name, topologySpreadConstraints=[constraint]) for name in ("first", "second")]
        for pod in pods:
            pod["metadata"]["labels"] = {"app": "x"}
        world.create("nodes", make_node("n0", labels={"zone": "a"}), make_node("n1", pods="0", labels={"zone": "b"}))
        world.create("pods", *pods)
        await world.settled()
        assert [world.node_of("first"), world.node_of("second")].count("n0") == 1

        world.store.delete("nodes", "", "n1")
        world.api.deliver()
        await world.until(lambda: world.node_of("first") == world.node_of("second") == "n0")
    finally:
        await world.stop()


async def test_a_service_that_selects_no_longer_is_news() -> None:
    spread = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    plugins = (PodTopologySpread([spread]) if p.name == "PodTopologySpread" else p for p in DEFAULT_PROFILE.plugins)
    world = World()
    await world.start(Profile(*((plugin, 1) for plugin in plugins)))
    try:
        pods = [make_pod(name) for name in ("first", "second")]
        for pod in pods:
            pod["metadata"]["labels"] = {"app": "x"}
        service = {"metadata": {"name": "s", "namespace": "default"}, "spec": {"selector": {"app": "x"}}}
        world.create("services", service)
        world.create("nodes", make_node("n0", labels={"zone": "a"}), make_node("n1", pods="0", labels={"zone": "b"}))
        world.create("pods", *pods)
        await world.settled()
        assert [world.node_of("first"), world.node_of("second")].count("n0") == 1

        world.store.delete("services", "default", "s")
        world.api.deliver()
        await world.until(lambda: world.node_of("first") == world.node_of("second") == "n0")
    finally:
        await world.stop()
