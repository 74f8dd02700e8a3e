"""The autoscaler in a small world: what it does to its target, and what it says of itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.controllers import hpa
from actors.controllers.hpa import POD_METRICS, RESOURCE
from actors.controllers.settings import Settings
from protocols import api
from protocols.errors import Conflict, Forbidden, ServiceUnavailable
from protocols.message import Message
from protocols.objects import Object, meta, name_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World, time

LABELS = {"app": "web"}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
EXTERNAL = {
    "type": "External",
    "external": {
        "metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}},
        "target": {"type": "AverageValue", "averageValue": "30"},
    },
}
NO_METRICS = (
    "failed to get cpu utilization: unable to get metrics for resource cpu: "
    "no metrics returned from resource metrics API"
)


def in_world(scenario: Any) -> None:
    async def play() -> None:
        async with World(hpa.controller(Settings())) as world:
            await scenario(world)

    run(play())


def target(world: World, replicas: int, **spec: Any) -> None:
    selector = {"matchLabels": LABELS}
    obj = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": replicas, "selector": selector}}
    world.create("deployments.apps", {**obj, "spec": {**obj["spec"], **spec}})


def pods(world: World, count: int, milli: int) -> None:
    """Old ones that request 100m each, and what is measured of them."""
    for number in range(count):
        metadata = {"name": f"web-{number}", "namespace": "default", "labels": LABELS}
        container = {"name": "main", "resources": {"requests": {"cpu": "100m"}}}
        world.create(
            "pods",
            {"metadata": metadata, "spec": {"containers": [container]}, "status": {"startTime": time(-9999)}},
        )
        use(world, f"web-{number}", milli)


def use(world: World, pod: str, milli: int) -> None:
    measured = {
        "timestamp": time(1e6),
        "window": "15s",
        "containers": [{"name": "main", "usage": {"cpu": f"{milli}m"}}],
    }
    if world.find(POD_METRICS, pod) is None:
        world.create(POD_METRICS, {"metadata": {"name": pod, "namespace": "default"}, **measured})
    else:
        world.patch(POD_METRICS, pod, measured)


def autoscaler(world: World, *metrics: Object, name: str = "web", **spec: Any) -> None:
    spec = {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 10, "metrics": metrics or (CPU,), **spec}
    world.create(RESOURCE, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


def replicas(world: World) -> int:
    return int(world.get("deployments.apps", "web")["spec"]["replicas"])


def status(world: World) -> Object:
    return world.get(RESOURCE, "web")["status"]


def conditions(world: World) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status(world)["conditions"]}


def message(world: World, type: str) -> str:
    return str(next(each["message"] for each in status(world)["conditions"] if each["type"] == type))


def events(world: World) -> list[tuple[str, str]]:
    return list(dict.fromkeys((event["reason"], event["message"]) for event in world.list("events")))


def test_it_scales_up_what_works_too_much() -> None:
    async def scenario(world: World) -> None:
        target(world, 2)
        pods(world, 2, milli=100)
        await world.settled()
        autoscaler(world)
        await asyncio.sleep(14)

        assert replicas(world) == 4
        assert conditions(world) == {
            "AbleToScale": ("True", "SucceededRescale"),
            "ScalingActive": ("True", "ValidMetricFound"),
            "ScalingLimited": ("False", "DesiredWithinRange"),
        }
        told = status(world)
        assert (told["currentReplicas"], told["desiredReplicas"], told["observedGeneration"]) == (2, 4, 1)
        current = {"averageUtilization": 100, "averageValue": "100m"}
        assert told["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
        reason = "cpu resource utilization (percentage of request) above target"
        assert events(world) == [("SuccessfulRescale", f"New size: 4; reason: {reason}")]

    in_world(scenario)


def test_it_looks_every_fifteen_seconds_and_writes_nothing_when_nothing_changes() -> None:
    async def scenario(world: World) -> None:
        target(world, 2)
        pods(world, 2, milli=50)
        await world.settled()
        autoscaler(world)
        await world.settled()
        before, asked = world.store.revision, len(world.api.asked)
        await asyncio.sleep(150)

        assert world.store.revision == before
        looks = [each for each in world.api.asked[asked:] if isinstance(each, api.List)]
        assert len(looks) == 10
        assert looks[0] == api.List(POD_METRICS, "default", "app=web")
        assert "lastScaleTime" not in status(world)

    in_world(scenario)


def test_it_scales_down_when_the_window_has_passed() -> None:
    async def scenario(world: World) -> None:
        target(world, 4)
        pods(world, 4, milli=50)
        await world.settled()
        autoscaler(world)
        await world.settled()
        for number in range(4):
            use(world, f"web-{number}", 10)
        await asyncio.sleep(280)
        assert replicas(world) == 4
        assert conditions(world)["AbleToScale"] == ("True", "ScaleDownStabilized")
        await asyncio.sleep(40)

        assert replicas(world) == 1
        assert events(world) == [("SuccessfulRescale", "New size: 1; reason: All metrics below target")]

    in_world(scenario)


@pytest.mark.parametrize(
    ("size", "expected", "reason"),
    [
        (20, 10, "Current number of replicas above Spec.MaxReplicas"),
        (1, 3, "Current number of replicas below Spec.MinReplicas"),
    ],
)
def test_bounds_hold_without_metrics(size: int, expected: int, reason: str) -> None:
    async def scenario(world: World) -> None:
        target(world, size)
        autoscaler(world, minReplicas=3)
        await world.settled()

        assert replicas(world) == expected
        assert ("SuccessfulRescale", f"New size: {expected}; reason: {reason}") in events(world)

    in_world(scenario)


def test_a_target_without_pods_is_left_alone() -> None:
    async def scenario(world: World) -> None:
        target(world, 0)
        autoscaler(world)
        await world.settled()

        assert replicas(world) == 0
        assert conditions(world)["ScalingActive"] == ("False", "ScalingDisabled")

    in_world(scenario)


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ({"name": "nobody"}, 'deployments.apps "nobody" not found'),
        ({"kind": "Widget", "apiVersion": "example.com/v1"}, 'no matches for kind "Widget" in group "example.com"'),
        ({"apiVersion": "v1"}, 'no matches for kind "Deployment" in group ""'),
    ],
)
def test_what_is_not_there_is_not_scaled(reference: dict[str, str], why: str) -> None:
    async def scenario(world: World) -> None:
        target(world, 2)
        autoscaler(world, scaleTargetRef={**TARGET, **reference})
        await world.settled()

        assert conditions(world) == {"AbleToScale": ("False", "FailedGetScale")}
        expected = f"the HPA controller was unable to get the target's current scale: {why}"
        assert (message(world, "AbleToScale"), events(world)) == (expected, [("FailedGetScale", why)])

    in_world(scenario)


def test_without_metrics_it_complains_and_changes_nothing() -> None:
    async def scenario(world: World) -> None:
        target(world, 2)
        autoscaler(world)
        await world.settled()

        assert replicas(world) == 2
        assert conditions(world)["ScalingActive"] == ("False", "FailedGetResourceMetric")
        assert message(world, "ScalingActive") == f"the HPA was unable to compute the replica count: {NO_METRICS}"
        first = f"failed to get cpu resource metric value: {NO_METRICS}"
        assert events(world) == [
            ("FailedGetResourceMetric", NO_METRICS),
            ("FailedComputeMetricsReplicas", f"invalid metrics (1 invalid out of 1), first error is: {first}"),
        ]

    in_world(scenario)


def test_an_api_that_does_not_answer_is_named() -> None:
    async def scenario(world: World) -> None:
        def refuse(request: Message) -> None:
            if isinstance(request, api.List):
                raise ServiceUnavailable("the server is not available")

        world.api.fail = refuse
        target(world, 2)
        autoscaler(world)
        await world.settled()

        fetching = "unable to fetch metrics from resource metrics API: the server is not available"
        assert fetching in message(world, "ScalingActive")

    in_world(scenario)


def test_one_unknown_metric_prevents_only_that_less_are_asked_for() -> None:
    async def scenario(world: World) -> None:
        target(world, 2)
        pods(world, 2, milli=10)
        await world.settled()
        autoscaler(world, EXTERNAL, CPU, behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
        await asyncio.sleep(40)
        assert (replicas(world), conditions(world)["ScalingActive"]) == (2, ("False", "FailedGetExternalMetric"))
        selector = "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}"
        assert f"unable to get external metric default/queue/{selector}: unable to" in message(world, "ScalingActive")
        assert [each["type"] for each in status(world)["currentMetrics"]] == ["", "Resource"]

        for number in range(2):
            use(world, f"web-{number}", 100)
        await asyncio.sleep(16)
        assert replicas(world) == 4

    in_world(scenario)


def test_two_autoscalers_of_one_target_do_nothing() -> None:
    async def scenario(world: World) -> None:
        target(world, 2)
        pods(world, 2, milli=100)
        await world.settled()
        for name in ("other", "web"):
            autoscaler(world, name=name)
        await asyncio.sleep(40)

        why = "pods by selector app=web are controlled by multiple HPAs: [{other default} {web default}]"
        assert conditions(world)["ScalingActive"] == ("False", "AmbiguousSelector")
        assert message(world, "ScalingActive") == why
        assert events(world)[-2:] == [("AmbiguousSelector", why), ("FailedComputeMetricsReplicas", why)]

        assert replicas(world) == 2
        world.delete(RESOURCE, "other")
        await asyncio.sleep(20)
        assert replicas(world) == 4

    in_world(scenario)


def test_a_target_must_select_its_pods() -> None:
    async def scenario(world: World) -> None:
        target(world, 2, selector={})
        autoscaler(world)
        await world.settled()

        assert conditions(world)["ScalingActive"] == ("False", "InvalidSelector")
        assert ("SelectorRequired", "selector is required") in events(world)

    in_world(scenario)


def test_custom_metrics_are_nowhere() -> None:
    async def scenario(world: World) -> None:
        target(world, 2)
        metric, value = {"name": "hits"}, {"type": "AverageValue", "averageValue": "1"}
        described = {"kind": "Service", "name": "front", "apiVersion": "v1"}
        of_object = {"type": "Object", "object": {"metric": metric, "target": value, "describedObject": described}}
        autoscaler(world, of_object, {"type": "Pods", "pods": {"metric": metric, "target": value}})
        await world.settled()

        why = (
            "unable to get metric hits: unable to fetch metrics from custom metrics API: "
            "no custom metrics API (custom.metrics.k8s.io) registered"
        )
        assert [each for each in events(world) if each[0] != "FailedComputeMetricsReplicas"] == [
            ("FailedGetObjectMetric", f"{why} on Service default/front"),
            ("FailedGetPodsMetric", why),
        ]

    in_world(scenario)


def test_a_change_that_is_refused_is_told_and_tried_again_later() -> None:
    async def scenario(world: World) -> None:
        def refuse(request: Message) -> None:
            if isinstance(request, api.Patch):
                raise Forbidden("not this one")

        world.api.fail = refuse
        target(world, 20)
        autoscaler(world)
        await world.settled()
        assert (replicas(world), conditions(world)["AbleToScale"]) == (20, ("False", "FailedUpdateScale"))
        reason = "Current number of replicas above Spec.MaxReplicas"
        assert ("FailedRescale", f"New size: 10; reason: {reason}; error: not this one") in events(world)

        world.api.fail = lambda request: None
        await asyncio.sleep(16)
        assert replicas(world) == 10

    in_world(scenario)


def test_when_somebody_else_was_faster_it_looks_again_at_once() -> None:
    async def scenario(world: World) -> None:
        conflicts = [Conflict("the object has been modified")]

        def refuse(request: Message) -> None:
            if isinstance(request, api.Patch) and conflicts:
                raise conflicts.pop()

        world.api.fail = refuse
        target(world, 20)
        autoscaler(world)
        await asyncio.sleep(2)

        assert replicas(world) == 10
        assert conditions(world)["AbleToScale"] == ("True", "SucceededRescale")

    in_world(scenario)


def test_a_policy_bounds_what_happens_in_its_period() -> None:
    async def scenario(world: World) -> None:
        target(world, 1)
        pods(world, 1, milli=1000)
        await world.settled()
        policy = {"type": "Pods", "value": 2, "periodSeconds": 60}
        autoscaler(world, behavior={"scaleUp": {"policies": [policy]}})
        seen = []
        for _ in range(9):
            await asyncio.sleep(15)
            seen.append(replicas(world))

        assert seen == [3, 3, 3, 3, 5, 5, 5, 5, 7]
        assert conditions(world)["ScalingLimited"] == ("True", "ScaleUpLimit")

    in_world(scenario)


def test_a_replication_controller_selects_by_a_plain_map() -> None:
    async def scenario(world: World) -> None:
        spec = {"replicas": 1, "selector": LABELS}
        world.create("replicationcontrollers", {"metadata": {"name": "rc", "namespace": "default"}, "spec": spec})
        pods(world, 1, milli=100)
        await world.settled()
        autoscaler(world, scaleTargetRef={"apiVersion": "v1", "kind": "ReplicationController", "name": "rc"})
        await world.settled()

        assert world.get("replicationcontrollers", "rc")["spec"]["replicas"] == 2

    in_world(scenario)


def test_nothing_is_remembered_of_an_autoscaler_that_is_gone() -> None:
    async def scenario(world: World) -> None:
        target(world, 4)
        pods(world, 4, milli=50)
        autoscaler(world)
        await world.settled()
        world.delete(RESOURCE, "web")
        world.patch("deployments.apps", "web", {"spec": {"replicas": 2}})
        await world.settled()
        autoscaler(world)
        await asyncio.sleep(60)

        assert replicas(world) == 2  # the one before would go back to the four of its window

    in_world(scenario)


@pytest.mark.parametrize("seed", range(5))
def test_it_arrives_whatever_happens_to_its_writes(seed: int) -> None:
    async def play() -> None:
        async with World(hpa.controller(Settings()), seed=seed) as world:
            target(world, 2)
            pods(world, 2, milli=60)
            autoscaler(world, maxReplicas=7)
            busy = [lambda name=f"web-{number}": use(world, name, 400) for number in range(2)]
            await world.unrest(60, meanwhile=busy)
            await asyncio.sleep(400)

            assert (replicas(world), status(world)["desiredReplicas"]) == (7, 7)
            assert sorted(map(name_of, world.list(RESOURCE))) == ["web"] and meta(world.get(RESOURCE, "web"))
            before = world.store.revision
            await asyncio.sleep(60)
            assert world.store.revision == before

    run(play())
