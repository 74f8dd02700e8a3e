"""Pods of one node ask for other amounts while kubelet, runtime and API server come and go: what they say is so."""

from __future__ import annotations

from typing import Any

import pytest

from actors.kubelet.container_config import linux_resources
from protocols.objects import Object, name_of
from protocols.rules.conditions import condition_is, find_condition
from protocols.rules.resources import pod_requests
from tests.kubelet.node_world import KUBELET, RUNTIME, NodeWorld, run

CPU_MAX = 8000  # of the simulated node


def sized(cpu: str, memory: str = "1Gi", **fields: Any) -> list[dict[str, Any]]:
    resources = {"requests": {"cpu": cpu, "memory": "1Gi"}, "limits": {"memory": memory}}
    return [{"name": "main", "image": "label", "command": ["run"], "resources": resources, **fields}]


async def resize(node: NodeWorld, name: str, cpu: str, memory: str = "1Gi") -> Object:
    resources = sized(cpu, memory)[0]["resources"]
    patch = {"spec": {"containers": [{"name": "main", "resources": resources}]}}
    return await node.client.patch("pods", name, patch, "default", type="strategic", subresource="resize")


def resources_of(pod: Object) -> Any:
    return pod["status"]["containerStatuses"][0].get("resources")


def is_settled(pod: Object) -> bool:
    """It has what it asks for, and says no more about it."""
    asked = pod["spec"]["containers"][0]["resources"]
    (told,) = pod["status"]["containerStatuses"]
    types = {condition["type"] for condition in pod["status"]["conditions"]}
    has_all = (told.get("resources"), told.get("allocatedResources")) == (asked, asked["requests"])
    return has_all and types.isdisjoint({"PodResizePending", "PodResizeInProgress"})


def in_runtime(node: NodeWorld, pod: Object) -> Any:
    id = pod["status"]["containerStatuses"][0]["containerID"].partition("://")[2]
    return node.shim._ledger.containers[id].config.resources


def test_a_running_pod_gets_what_it_asks_for_and_is_not_restarted() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(containers=sized("1"))
        before = await node.ready()

        await resize(node, "web", "2", "2Gi")
        after = await node.reaches("web", lambda pod: is_settled(pod) and pod["status"].get("observedGeneration") == 2)

        assert in_runtime(node, after) == linux_resources(after["spec"]["containers"][0]["resources"])
        assert resources_of(after)["limits"] == {"memory": "2Gi"}
        same = ("containerID", "restartCount", "state")
        (was,), (now,) = before["status"]["containerStatuses"], after["status"]["containerStatuses"]
        assert [was[key] for key in same] == [now[key] for key in same]
        reasons = [reason for reason, _ in await node.events()]
        assert [each for each in reasons if "Resize" in each] == ["ResizeStarted", "ResizeCompleted"]

    run(scenario)


def test_a_resize_waits_for_room_and_gets_it_when_another_pod_goes() -> None:
    async def scenario(node: NodeWorld) -> None:
        for name, cpu in (("web", "3"), ("other", "2"), ("third", "1")):
            await node.create(name, containers=sized(cpu))
            await node.ready(name)

        await resize(node, "web", "6")
        waits = await node.reaches("web", lambda pod: condition_is(pod, "PodResizePending"))
        await resize(node, "third", "9")
        never = await node.reaches("third", lambda pod: condition_is(pod, "PodResizePending"))
        await node.delete("other")
        await node.reaches("web", is_settled)

        pending = find_condition(waits["status"]["conditions"], "PodResizePending") or {}
        assert (pending["reason"], pending["observedGeneration"]) == ("Deferred", 2)
        assert pending["message"] == (
            "Node didn't have enough resource: cpu, requested: 6000, used: 3000, capacity: 8000"
        )
        assert (find_condition(never["status"]["conditions"], "PodResizePending") or {})["reason"] == "Infeasible"
        assert resources_of(never)["requests"]["cpu"] == "1"

    run(scenario)


def test_who_would_have_been_admitted_in_the_place_of_a_resize_is_not() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(containers=sized("3"))
        await node.ready()
        await resize(node, "web", "6")
        await node.reaches("web", is_settled)

        await node.create("late", containers=sized("3"))
        refused = await node.reaches("late", lambda pod: pod["status"].get("phase") == "Failed")

        assert "requested: 3000, used: 6000, capacity: 8000" in refused["status"]["message"]

    run(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_resizes_converge_and_pods_tell_the_truth_through_crashes(seed: int) -> None:
    async def scenario(node: NodeWorld) -> None:
        world, chance = node.world, node.world.chance("test")
        names = [f"pod-{number}" for number in range(4)]
        restarts = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        for number, name in enumerate(names):
            await node.create(name, containers=sized("1", resizePolicy=restarts if number % 2 else []))
            await node.ready(name)
        for _ in range(8):
            match chance.choice(["resize", "resize", "resize", "kubelet", "runtime", "api", "partition"]):
                case "resize" if world.is_up("apiserver"):
                    cpu, memory = chance.choice(["500m", "1", "3", "5", "9"]), chance.choice(["1Gi", "2Gi", "3Gi"])
                    await resize(node, chance.choice(names), cpu, memory)
                case "kubelet":
                    world.crash(KUBELET)
                case "runtime":
                    world.crash(RUNTIME)
                case "api":
                    world.crash("apiserver")
                case "partition":
                    world.partition({KUBELET}, {chance.choice(["apiserver", RUNTIME])})
            await world.sleep(chance.uniform(0, 5))
            if chance.random() < 0.5:
                await world.recover()
        await world.recover()
        await world.sleep(60)  # until silent crashes have been noticed

        async def is_well() -> bool:
            pods = [pod for name in names if (pod := await node.pod(name)) is not None]
            return len(pods) == len(names) and all(is_true(node, pod) for pod in pods) and fits(pods)

        await world.converges(is_well, within_s=120)

    run(scenario, seed)


def is_true(node: NodeWorld, pod: Object) -> bool:
    """It runs with what it says that it has, and has all that it asks for or says why not."""
    (told,) = pod["status"]["containerStatuses"]
    if not condition_is(pod, "Ready") or condition_is(pod, "PodResizeInProgress"):
        return False
    if in_runtime(node, pod) != linux_resources(told["resources"]):
        return False
    return is_settled(pod) != condition_is(pod, "PodResizePending")


def fits(pods: list[Object]) -> bool:
    """The node has given no more than it has; and who waits would not fit, or never will."""
    given = {name_of(pod): pod["status"]["containerStatuses"][0]["allocatedResources"] for pod in pods}
    cpu = {
        name: pod_requests({"spec": {"containers": [{"resources": {"requests": each}}]}})["cpu"]
        for name, each in given.items()
    }
    waiting = [pod for pod in pods if condition_is(pod, "PodResizePending")]
    return sum(cpu.values()) <= CPU_MAX and all(
        pod_requests({"spec": pod["spec"]})["cpu"] + sum(cpu.values()) - cpu[name_of(pod)] > CPU_MAX for pod in waiting
    )
