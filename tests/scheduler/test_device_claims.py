"""Pods with claims of devices: they wait for their devices, go where those are, and the claims say who uses them."""

from __future__ import annotations

from typing import Any

import pytest

from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand, trim_pod
from actors.scheduler.device_claims import RESOURCE
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.explain.why import explain
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object, key_of
from tests.scheduler.test_scheduler_actor import World
from tests.scheduler.worlds import cluster, make_node, make_pod


def in_zone(zone: str) -> Object:
    expression = {"key": "zone", "operator": "In", "values": [zone]}
    return {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def claim(name: str, allocation: Object | None = None, **metadata: Any) -> Object:
    status = {"allocation": allocation} if allocation is not None else {}
    return {"metadata": {"name": name, "namespace": "default", **metadata}, "spec": {}, "status": status}


def wanting(*names: str, **statuses: str | None) -> Object:
    """Claims by name; one that begins with `new` is made from a template, and `statuses` say what came of it."""
    entries = [
        {"name": name, "resourceClaimTemplateName": "t"} if name.startswith("new") else
        {"name": name, "resourceClaimName": name}
        for name in names
    ]  # fmt: skip
    pod = make_pod("p", resourceClaims=entries)
    pod["status"]["resourceClaimStatuses"] = [
        {"name": name, **({"resourceClaimName": made} if made else {})} for name, made in statuses.items()
    ]
    return trim_pod(pod)


def decided(pod: Object, *claims: Object) -> Decision | Unschedulable:
    state = cluster([make_node("a", labels={"zone": "a"}), make_node("b", labels={"zone": "b"})])
    for each in claims:
        state.devices.set(key_of(each), each)
    return SchedulingCycle(state, DEFAULT_PROFILE).decide(PodDemand(pod))


@pytest.mark.parametrize(
    ("pod", "claims", "why"),
    [
        (wanting("gpu"), [], 'resourceclaim "gpu" not found'),
        (wanting("gpu"), [claim("gpu")], "cannot allocate all claims"),
        (wanting("gpu"), [claim("gpu", {}, deletionTimestamp="t")], 'resourceclaim "gpu" is being deleted'),
        (wanting("new"), [], 'pod "default/p": ResourceClaim not created yet'),
        (
            wanting("new", new="p-gpu"),
            [claim("p-gpu", {})],
            "ResourceClaim default/p-gpu was not created for pod default/p (pod is not owner)",
        ),
        (
            wanting("gpu", "nic"),
            [claim("gpu", in_zone("a")), claim("nic", in_zone("b"))],
            "2 resourceclaim not available on the node",
        ),
    ],
)
def test_a_pod_waits_for_the_devices_of_all_its_claims(pod: Object, claims: list[Object], why: str) -> None:
    found = decided(pod, *claims)

    assert isinstance(found, Unschedulable)
    assert found.message.startswith(f"0/2 nodes are available: {why}. preemption: ")
    assert found.refused_by == ("DynamicResources",)


def test_it_goes_where_its_devices_can_be_used() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-p", "controller": True}
    own = claim("p-gpu", in_zone("b"), ownerReferences=[owner])

    assert decided(wanting("gpu"), claim("gpu", in_zone("b"))) == Decision("b")
    assert decided(wanting("gpu", "nic"), claim("gpu", in_zone("a")), claim("nic", {})) == Decision("a")
    assert decided(wanting("new", new="p-gpu"), own) == Decision("b")
    assert isinstance(decided(wanting("new", new=None)), Decision)  # it turned out that it needs none


def test_why_says_that_nobody_has_allocated_devices() -> None:
    snapshot = {"nodes": [make_node("a")], RESOURCE: [claim("gpu")]}

    found = explain(snapshot, wanting("gpu"), {"default-scheduler": DEFAULT_PROFILE})

    assert [remedy.text for remedy in found.altogether] == [
        "that somebody allocates devices to claim gpu: this scheduler does not"
    ]


async def test_a_pod_that_waits_is_placed_when_its_claim_has_devices_and_the_claim_says_who_uses_it() -> None:
    world = World()
    await world.start()
    try:
        world.create("nodes", make_node("a", labels={"zone": "a"}), make_node("b", labels={"zone": "b"}))
        pod = make_pod("p", resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}])
        world.create(RESOURCE, claim("gpu"))
        world.create("pods", pod)
        await world.until(lambda: world.condition("p") is not None)
        assert "cannot allocate all claims" in world.condition("p")["message"]

        stored = world.store.read(RESOURCE, "default", "gpu")
        other = {"resource": "pods", "name": "other", "uid": "uid-other"}
        status = {"allocation": in_zone("b"), "reservedFor": [other]}
        world.store.update(RESOURCE, {**stored, "status": status}, 0, "status")
        world.api.deliver()

        await world.until(lambda: world.node_of("p") == "b")
        used = world.store.read(RESOURCE, "default", "gpu")["status"]["reservedFor"]
        assert used == [other, {"resource": "pods", "name": "p", "uid": world.pod("p")["metadata"]["uid"]}]
    finally:
        await world.stop()
