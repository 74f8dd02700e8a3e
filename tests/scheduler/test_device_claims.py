"""Pods with claims of devices: they wait for their devices, go where those are, and the claims say who uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.scheduler.attempts import reserve, unreserve
from actors.scheduler.counts import Counts
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand, trim_pod
from actors.scheduler.device_claims import DeviceClaims
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.explain.why import explain
from actors.scheduler.framework import Attempt
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.waiting_pods import WaitingPods
from protocols.api import Update
from protocols.errors import Conflict
from protocols.message import Message
from protocols.objects import Object, key_of
from protocols.rules.device_claims import CLAIMS, CLASSES, DELETE_PROTECTION, SLICES, devices_taken, users_of
from tests.scheduler.binding_api import once
from tests.scheduler.devices import DRIVER, claim_spec, device, device_class, device_slice, exactly
from tests.scheduler.test_scheduler_actor import World
from tests.scheduler.worlds import cluster, make_node, make_pod

ONE = claim_spec(exactly())


def in_zone(zone: str) -> Object:
    expression = {"key": "zone", "operator": "In", "values": [zone]}
    return {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def claim(name: str, allocation: Object | None = None, **metadata: Any) -> Object:
    status = {"allocation": allocation} if allocation is not None else {}
    return {"metadata": {"name": name, "namespace": "default", **metadata}, "spec": ONE, "status": status}


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
        state.devices.set(CLAIMS, key_of(each), each)
    return SchedulingCycle(state, DEFAULT_PROFILE).decide(PodDemand(pod))


@pytest.mark.parametrize(
    ("pod", "claims", "why"),
    [
        (wanting("gpu"), [], 'could not find ResourceClaim "default/gpu"'),
        (wanting("gpu"), [claim("gpu")], "request gpu: device class gpu does not exist"),
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
    assert found.message.startswith(f"0/2 nodes are available: {why}. ")
    assert found.refused_by == ("DynamicResources",)


def test_it_goes_where_its_devices_can_be_used() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-p", "controller": True}
    own = claim("p-gpu", in_zone("b"), ownerReferences=[owner])

    assert decided(wanting("gpu"), claim("gpu", in_zone("b"))) == Decision("b")
    assert decided(wanting("gpu", "nic"), claim("gpu", in_zone("a")), claim("nic", {})) == Decision("a")
    assert decided(wanting("new", new="p-gpu"), own) == Decision("b")
    assert isinstance(decided(wanting("new", new=None)), Decision)  # it turned out that it needs none


def test_two_pods_of_one_turn_do_not_get_the_same_device() -> None:
    state = cluster([make_node("a"), make_node("b")])
    for resource, obj in ((CLASSES, device_class("gpu")), (SLICES, device_slice("s", device("d0"), node="a"))):
        state.devices.set(resource, key_of(obj), obj)
    cycle, waiting = SchedulingCycle(state, DEFAULT_PROFILE), WaitingPods()
    attempts = []
    for name in ("x", "y"):
        state.devices.set(CLAIMS, f"default/{name}", claim(name))
        pod = make_pod(name, resourceClaims=[{"name": "gpu", "resourceClaimName": name}])
        attempts.append(Attempt(PodDemand(pod), "a", state, waiting))

    assert cycle.decide(attempts[0].pod) == Decision("a")
    assert reserve(DEFAULT_PROFILE, attempts[0], Counts()) is None
    refused = cycle.decide(attempts[1].pod)
    assert isinstance(refused, Unschedulable)
    assert refused.message.startswith("0/2 nodes are available: 2 cannot allocate all claims. ")

    unreserve(DEFAULT_PROFILE, attempts[0], Counts())
    assert cycle.decide(attempts[1].pod) == Decision("a")
    state.devices.check()


def test_a_claim_that_another_pod_is_about_to_get_devices_for_is_waited_for() -> None:
    state = cluster([make_node("a")])
    for resource, obj in ((CLASSES, device_class("gpu")), (SLICES, device_slice("s", device("d0"), device("d1")))):
        state.devices.set(resource, key_of(obj), obj)
    state.devices.set(CLAIMS, "default/gpu", claim("gpu"))
    attempt = Attempt(PodDemand(wanting("gpu")), "a", state, WaitingPods())
    assert reserve(DEFAULT_PROFILE, attempt, Counts()) is None

    refused = SchedulingCycle(state, DEFAULT_PROFILE).decide(PodDemand(make_pod("q", resourceClaims=wants("gpu"))))
    assert isinstance(refused, Unschedulable)
    assert "resource claim default/gpu is in the process of being allocated" in refused.message


async def test_who_shares_a_claim_follows_when_it_has_its_devices() -> None:
    async with a_world(device_slice("s", device("d0"))) as world:
        world.create(CLAIMS, claim("gpu"))
        await world.settled()
        world.create("pods", *(make_pod(name, resourceClaims=wants("gpu")) for name in ("p", "q")))

        await world.until(lambda: bool(world.node_of("p") and world.node_of("q")))
        assert sorted(user["name"] for user in users_of(world.store.read(CLAIMS, "default", "gpu"))) == ["p", "q"]


def test_no_devices_are_given_before_all_claims_have_been_seen() -> None:
    state = cluster([make_node("a")])
    for resource, obj in ((CLASSES, device_class("gpu")), (SLICES, device_slice("s", device("d0")))):
        state.devices.set(resource, key_of(obj), obj)
    state.devices.set(CLAIMS, "default/gpu", claim("gpu"))
    state.devices.all_seen = False
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)
    assert isinstance(cycle.decide(PodDemand(wanting("gpu"))), Unschedulable)

    assert state.devices.see_all()
    assert cycle.decide(PodDemand(wanting("gpu"))) == Decision("a")
    assert not state.devices.see_all()


def test_news_that_are_older_than_an_answer_change_nothing() -> None:
    claims = DeviceClaims()
    result = {"request": "gpu", "driver": "d", "pool": "p", "device": "d0"}
    has = claim("gpu", {"devices": {"results": [result]}}, uid="u", resourceVersion="7")
    claims.set(CLAIMS, "default/gpu", has)
    claims.set(CLAIMS, "default/gpu", claim("gpu", uid="u", resourceVersion="6"))

    assert [str(each) for each in claims.holdings.devices] == ["d/p/d0"]
    claims.check()


def wants(name: str) -> list[Object]:
    return [{"name": name, "resourceClaimName": name}]


@asynccontextmanager
async def a_world(*slices: Object) -> AsyncIterator[World]:
    world = World()
    world.store.create(CLASSES, device_class("gpu"))
    for each in slices:
        world.store.create(SLICES, each)
    await world.start()
    try:
        world.create("nodes", make_node("a", labels={"zone": "a"}), make_node("b", labels={"zone": "b"}))
        yield world
    finally:
        await world.stop()


async def test_a_claim_gets_its_devices_before_the_pod_is_bound() -> None:
    async with a_world(device_slice("s", device("d0"), node="b")) as world:
        world.create(CLAIMS, claim("gpu"))
        world.create("pods", make_pod("p", resourceClaims=wants("gpu")))

        await world.until(lambda: world.node_of("p") == "b")
        stored = world.store.read(CLAIMS, "default", "gpu")
        assert stored["metadata"]["finalizers"] == [DELETE_PROTECTION]
        assert [str(each) for each in devices_taken(stored)] == [f"{DRIVER}/b/d0"]
        assert [user["name"] for user in users_of(stored)] == ["p"]


@pytest.mark.parametrize("resource", [SLICES, CLASSES, CLAIMS])
async def test_a_pod_that_waits_for_devices_is_placed_when_there_are_some(resource: str) -> None:
    last = {"devices": {"results": [{"request": "gpu", "driver": DRIVER, "pool": "s", "device": "d0"}]}}
    async with a_world(device_slice("s", device("d0"))) as world:
        world.create(CLAIMS, claim("taken", last))
        name = "late" if resource == CLASSES else "gpu"
        world.create(CLAIMS, {**claim("gpu"), "spec": claim_spec(exactly("gpu", 1, deviceClassName=name))})
        world.create("pods", make_pod("p", resourceClaims=wants("gpu")))
        await world.until(lambda: world.condition("p") is not None)
        if resource != CLASSES:
            assert "2 cannot allocate all claims" in world.condition("p")["message"]
        else:
            assert "request gpu: device class late does not exist" in world.condition("p")["message"]

        if resource == CLAIMS:
            world.store.update(CLAIMS, {**world.store.read(CLAIMS, "default", "taken"), "status": {}}, 0, "status")
            world.api.deliver()
        else:
            world.create(SLICES, device_slice("more", device("d1")))
        if resource == CLASSES:
            world.create(CLASSES, device_class("late"))
        await world.until(lambda: world.node_of("p") != "")


async def test_a_pod_enters_the_queue_when_its_claim_comes() -> None:
    async with a_world(device_slice("s", device("d0"))) as world:
        world.create("pods", make_pod("p", resourceClaims=wants("gpu")))
        await world.until(lambda: world.condition("p") is not None)
        told = world.condition("p")
        assert (told["reason"], told["message"]) == (
            "Unschedulable",
            'could not find ResourceClaim "default/gpu"',
        )
        assert world.store.list("events") == []

        world.create(CLAIMS, claim("gpu"))
        await world.until(lambda: world.node_of("p") != "")


async def test_a_claim_whose_devices_are_out_of_reach_gets_others() -> None:
    """The node that it was allocated on is gone, say."""
    async with a_world(device_slice("s", device("d0"), node="b")) as world:
        gone = {
            "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gone"]}]}]
        }
        result = {"request": "gpu", "driver": DRIVER, "pool": "gone", "device": "d0"}
        allocation = {"devices": {"results": [result]}, "nodeSelector": gone}
        world.create(CLAIMS, claim("gpu", allocation))
        world.create("pods", make_pod("p", resourceClaims=wants("gpu")))

        await world.until(lambda: world.node_of("p") == "b")
        stored = world.store.read(CLAIMS, "default", "gpu")
        assert [str(each) for each in devices_taken(stored)] == [f"{DRIVER}/b/d0"]
        said = [event["message"] for event in world.store.list("events") if event["reason"] == "FailedScheduling"]
        assert "deallocation of ResourceClaim completed" in said[0]


@pytest.mark.parametrize("fault", ["doubt", "swallow", "conflict"])
async def test_an_allocation_whose_answer_is_lost_is_made_once(fault: str) -> None:
    async with a_world(device_slice("s", device("d0")), device_slice("t", device("d1"))) as world:
        wanted = once(lambda message: isinstance(message, Update) and message.subresource == "status")

        def refuse(message: Message) -> None:
            if wanted(message):
                raise Conflict("somebody was faster")

        if fault == "conflict":
            world.api.fail = refuse
        else:
            setattr(world.api, fault, wanted)
        world.create(CLAIMS, claim("gpu"))
        world.create("pods", make_pod("p", resourceClaims=wants("gpu")))

        await world.until(lambda: world.node_of("p") != "")
        stored = world.store.read(CLAIMS, "default", "gpu")
        assert len(list(devices_taken(stored))) == 1
        assert [user["name"] for user in users_of(stored)] == ["p"]


async def test_a_pod_that_waits_is_placed_when_its_claim_has_devices_and_the_claim_says_who_uses_it() -> None:
    async with a_world() as world:
        pod = make_pod("p", resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}])
        world.create(CLAIMS, claim("gpu"))
        world.create("pods", pod)
        await world.until(lambda: world.condition("p") is not None)
        assert "cannot allocate all claims" in world.condition("p")["message"]

        stored = world.store.read(CLAIMS, "default", "gpu")
        other = {"resource": "pods", "name": "other", "uid": "uid-other"}
        status = {"allocation": in_zone("b"), "reservedFor": [other]}
        world.store.update(CLAIMS, {**stored, "status": status}, 0, "status")
        world.api.deliver()

        await world.until(lambda: world.node_of("p") == "b")
        used = world.store.read(CLAIMS, "default", "gpu")["status"]["reservedFor"]
        assert used == [other, {"resource": "pods", "name": "p", "uid": world.pod("p")["metadata"]["uid"]}]


def test_nothing_is_freed_for_a_pod_that_would_not_be_helped() -> None:
    other = {"resource": "pods", "name": "other", "uid": "uid-other"}
    used = claim("gpu", in_zone("gone"))
    used["status"]["reservedFor"] = [other]

    found = decided(wanting("gpu"), used)

    assert isinstance(found, Unschedulable)
    assert found.message.startswith(
        "0/2 nodes are available: 2 resourceclaim not available on the node. still not schedulable, preemption: 0/2"
    )
    assert found.frees == ""


def test_why_says_who_has_the_devices_that_would_fit() -> None:
    result = {"request": "gpu", "driver": DRIVER, "pool": "a", "device": "d1"}
    big = f'device.attributes["{DRIVER}"].size > 1'
    asks = {**claim("gpu"), "spec": claim_spec(exactly("gpu", 1, big))}
    devices = [device("d0", attributes={"size": 1}), device("d1", attributes={"size": 2}), device("d2")]
    snapshot = {
        "nodes": [make_node("a"), make_node("b")],
        CLASSES: [device_class("gpu")],
        SLICES: [device_slice("a", *devices, node="a")],
        CLAIMS: [asks, claim("other", {"devices": {"results": [result]}})],
    }

    found = explain(snapshot, wanting("gpu"), {"default-scheduler": DEFAULT_PROFILE})

    said = {near.node: [remedy.text for each in near.obstacles for remedy in each.remedies] for near in found.nearest}
    assert said["a"] == [f"that claim default/other gives back device {DRIVER}/a/d1"]
    assert said["b"] == ["a device on b that the claims take: none of 0 there is one"]
