"""The scheduler's metrics: kube-scheduler's names, labels and bounds, and numbers that are what has happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.scheduler.counts import Counts, Result
from actors.scheduler.demand import PodDemand
from actors.scheduler.exposition import metrics, resources
from actors.scheduler.framework import ClusterEvent
from actors.scheduler.queue import UNSCHEDULABLE_MAX_S, SchedulingQueue
from actors.scheduler.told import gather
from protocols.errors import Conflict
from protocols.message import Message
from protocols.objects import Object, encode_object
from protocols.observe import AskExposition
from tests.samples import Samples, samples
from tests.scheduler.binding_api import is_binding
from tests.scheduler.test_queue import popped
from tests.scheduler.test_scheduler_actor import World
from tests.scheduler.worlds import cluster, make_node, make_pod

PROFILE = "default-scheduler"
BOUNDS = {  # kube-scheduler 1.36: the first, the one after it, the last, how many
    "scheduling_attempt_duration_seconds": ("0.001", "0.002", "16.384", 15),
    "scheduling_algorithm_duration_seconds": ("0.001", "0.002", "16.384", 15),
    "pod_scheduling_sli_duration_seconds": ("0.01", "0.02", "5242.88", 20),
    "pod_scheduling_attempts": ("1", "2", "16", 5),
    "framework_extension_point_duration_seconds": ("0.0001", "0.0002", "0.2048", 12),
    "preemption_victims": ("1", "2", "64", 7),
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.start()
    yield world
    await world.stop()


async def read(world: World, page: str = "") -> bytes:
    observer = world.systems[1].ref("scheduler/observer")
    return (await world.systems[1].ask(observer, AskExposition(page))).text


async def read_by(world: World, *labels: str) -> Samples:
    return samples(await read(world), *labels)


def counted(samples: Samples, *key: str) -> float:
    return samples.get(("scheduler_" + key[0], *key[1:]), 0)


async def test_attempts_are_told_by_what_came_of_them(world: World) -> None:
    def refuse_one(message: Message) -> None:
        if is_binding(message) and message.name == "unlucky":  # type: ignore[attr-defined]  # it is a Create
            raise Conflict("not now")

    world.api.fail = refuse_one
    world.create("nodes", make_node("n0", cpu="4"))
    world.create("pods", make_pod("fits", "1"), make_pod("huge", "9"), make_pod("unlucky", "1"))

    await world.until(lambda: bool(world.events("fits")))
    await world.until(lambda: all(world.condition(name) for name in ("huge", "unlucky")))

    attempts = await read_by(world, "result", "profile")
    assert counted(attempts, "schedule_attempts_total", "scheduled", PROFILE) == 1
    assert counted(attempts, "schedule_attempts_total", "error", PROFILE) == 1
    assert counted(attempts, "schedule_attempts_total", "unschedulable", PROFILE) >= 1
    assert counted(attempts, "scheduling_attempt_duration_seconds_count", "scheduled", PROFILE) == 1
    plain = await read_by(world)
    assert counted(plain, "pod_scheduling_attempts_sum") == counted(plain, "pod_scheduling_attempts_count") == 1
    assert counted(plain, "scheduling_algorithm_duration_seconds_count") >= 3
    assert counted(await read_by(world, "attempts"), "pod_scheduling_sli_duration_seconds_count", "1") == 1


async def test_who_waits_is_told_by_queue_and_by_who_refused_it(world: World) -> None:
    gated = make_pod("gated", "1", schedulingGates=[{"name": "example.com/wait"}])
    world.create("nodes", make_node("n0", cpu="2"))
    world.create("pods", make_pod("huge", "9"), make_pod("vast", "99"), gated, make_pod("fits", "1"))

    await world.until(lambda: all(world.condition(name) for name in ("huge", "vast")))
    await world.settled()

    queues = await read_by(world, "queue")
    assert {key[1]: value for key, value in queues.items()} == {
        "active": 0,
        "backoff": 0,
        "unschedulable": 2,
        "gated": 1,
    }
    assert counted(await read_by(world, "plugin", "profile"), "unschedulable_pods", "NodeResourcesFit", PROFILE) == 2
    sizes = await read_by(world, "type")
    assert {key[1]: value for key, value in sizes.items()} == {"nodes": 1, "pods": 1, "assumed_pods": 0}


async def test_extension_points_are_told_with_their_status(world: World) -> None:
    world.create("nodes", make_node("n0", cpu="2"))
    world.create("pods", make_pod("fits", "1"), make_pod("huge", "9"))

    await world.until(lambda: bool(world.node_of("fits")) and bool(world.condition("huge")))
    await world.settled()

    points = await read_by(world, "extension_point", "status", "profile")
    name = "framework_extension_point_duration_seconds_count"
    for point, status in [("Reserve", "Success"), ("Permit", "Success"), ("PreBind", "Success"), ("Bind", "Success")]:
        assert counted(points, name, point, status, PROFILE) == 1, point
    assert counted(points, name, "PostFilter", "Unschedulable", PROFILE) >= 1


async def test_preemption_is_told_with_its_victims(world: World) -> None:
    world.store.pod_grace_s = 30
    world.create("nodes", make_node("n0", cpu="2"))
    world.create("pods", *(make_pod(f"low-{n}", "1", node="n0", priority=1) for n in range(2)))
    await world.settled()
    world.create("pods", make_pod("high", "2", priority=9))

    await world.until(lambda: all("deletionTimestamp" in world.pod(f"low-{n}")["metadata"] for n in range(2)))
    await world.settled()

    plain = await read_by(world)
    assert counted(plain, "preemption_attempts_total") >= 1
    assert counted(plain, "preemption_victims_count") == 1
    assert counted(plain, "preemption_victims_sum") == 2


def test_what_moves_a_pod_is_told_by_event_and_queue() -> None:
    queue = SchedulingQueue({"Fit": ClusterEvent.NODE_ADDED | ClusterEvent.POD_DELETED})
    queue.set(PodDemand(make_pod("gated")), 0.0, gated=True)
    queue.set(PodDemand(make_pod("p")), 1.0)

    pod = popped(queue, 1.0)
    queue.refuse(pod, ("Fit",), 1.0)
    queue.waiting.happened(ClusterEvent.NODE_ADDED, "n0")
    queue.hear_news(1.5, lambda pod, nodes: True)
    assert popped(queue, 1.6) is pod  # nothing else is there to try
    queue.retry(pod, 1.6)
    assert popped(queue, 9.0) is pod
    queue.refuse(pod, ("Fit",), 9.0)
    assert popped(queue, 9.0 + UNSCHEDULABLE_MAX_S) is pod
    queue.admit("default/gated", 400.0)

    assert queue.incoming == {
        ("unschedulable", "UnschedulablePodAdd"): 1,
        ("active", "UnschedulablePodAdd"): 1,
        ("unschedulable", "ScheduleAttemptFailure"): 2,
        ("backoff", "NodeAdd"): 1,
        ("active", "PopFromBackoffQ"): 1,
        ("backoff", "ScheduleAttemptFailure"): 1,
        ("active", "BackoffComplete"): 1,
        ("active", "UnschedulableTimeout"): 1,
        ("active", "ForceActivate"): 1,
    }
    assert (pod.attempts, pod.entered_at) == (4, 1.0)


@pytest.mark.parametrize(
    ("event", "label"),
    [
        (ClusterEvent.NODE_TAINT, "NodeUpdateNodeTaint"),
        (ClusterEvent.POD_DELETED | ClusterEvent.NODE_ADDED, "NodeAdd"),
        (ClusterEvent.NAMESPACE_LABEL, "NamespaceLabel"),
        (ClusterEvent.NONE, "None"),
    ],
)
def test_an_event_has_kube_schedulers_name_where_that_has_one(event: ClusterEvent, label: str) -> None:
    assert event.label == label


def test_histograms_have_kube_schedulers_bounds() -> None:
    counts = Counts()
    counts.attempt(Result.SCHEDULED, PROFILE, 0.0)
    counts.scheduled(1, 0.0)
    counts.point("Bind", "Success", PROFILE, 0.0)

    families = text_string_to_metric_families(metrics(gather(counts, SchedulingQueue({}), cluster([]))).decode())

    bounds = {f.name: [s.labels["le"] for s in f.samples if s.name.endswith("_bucket")] for f in families}
    for name, (first, second, last, number) in BOUNDS.items():
        found = bounds["scheduler_" + name]
        assert (found[0], found[1], found[-2], found[-1], len(found)) == (first, second, last, "+Inf", number + 1), name


def test_many_attempts_are_told_as_fifteen_and_more() -> None:
    counts = Counts()
    for attempts in (1, 14, 15, 16):
        counts.scheduled(attempts, 0.5)

    assert {label: histogram.count for label, histogram in counts.waits.items()} == {"1": 1, "14": 1, "15+": 2}


def resourceful(name: str, **more: Any) -> Object:
    pod = make_pod(name, **more)
    pod["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "250m", "memory": "1Gi", "example.com/gpu": "2"},
        "limits": {"cpu": "1", "hugepages-2Mi": "4Mi"},
    }
    return pod


def test_what_pods_ask_for_is_told_with_units() -> None:
    placed = resourceful("placed", node="n0", priority=7, overhead={"cpu": "50m", "memory": "1Mi"})
    over = make_pod("over", "1", node="n0", phase="Succeeded")

    labels = ("namespace", "pod", "node", "scheduler", "priority", "resource", "unit")
    told = samples(resources(encode_object(pod) for pod in (placed, make_pod("waits", "1"), over)), *labels)

    here = ("default", "placed", "n0", PROFILE, "7")
    assert told == {
        ("kube_pod_resource_request", *here, "cpu", "cores"): 0.3,
        ("kube_pod_resource_request", *here, "memory", "bytes"): 2**30 + 2**20,
        ("kube_pod_resource_request", *here, "example.com/gpu", ""): 2,
        ("kube_pod_resource_request", *here, "hugepages-2Mi", "bytes"): 4 * 2**20,
        ("kube_pod_resource_limit", *here, "cpu", "cores"): 1.05,
        ("kube_pod_resource_limit", *here, "hugepages-2Mi", "bytes"): 4 * 2**20,
        ("kube_pod_resource_request", "default", "waits", "", PROFILE, "", "cpu", "cores"): 1,
    }


async def test_what_pods_ask_for_is_a_page_of_its_own(world: World) -> None:
    world.create("nodes", make_node("n0"))
    world.create("pods", make_pod("p", "1"))
    await world.settled()

    page, other = await read(world, "resources"), await read(world, "nonsense")

    assert b'kube_pod_resource_request{namespace="default",node="n0",pod="p"' in page
    assert b"scheduler_pending_pods" not in page
    assert other == b""
