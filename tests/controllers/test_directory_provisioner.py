"""The provisioner of directories: a volume on the node that was chosen, and its directory gone before its object."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import directory_provisioner
from protocols.csi import DIRECTORY_DRIVER
from protocols.errors import ServiceUnavailable
from protocols.message import Message
from protocols.objects import Object, meta, name_of
from tests.controllers.volume_world import (
    CLAIMS,
    CLASSES,
    PROTECTED,
    VOLUMES,
    bound,
    claim,
    in_world,
    phase,
    storage_class,
    told,
)
from tests.controllers.world import World

ALL = (*PROTECTED, directory_provisioner.controller())
SELECTED = "volume.kubernetes.io/selected-node"


def node(name: str, zone: str = "a") -> Object:
    labels = {"kubernetes.io/hostname": f"host-{name}", "zone": zone}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def begin(world: World, policy: str = "Delete", mode: str = "WaitForFirstConsumer", **more: Any) -> None:
    world.create("nodes", node("one"))
    world.create("nodes", node("two", "b"))
    world.create(CLASSES, {**storage_class("standard", DIRECTORY_DRIVER, mode, policy), **more})


def choose(world: World, name: str, where: str) -> None:
    """As the scheduler does when it has placed a pod that uses the claim."""
    world.patch(CLAIMS, name, {"metadata": {"annotations": {SELECTED: where}}})


async def asked_on(world: World, where: str, **spec: Any) -> None:
    """A claim of the class, whose pod was placed there."""
    begin(world)
    world.create(CLAIMS, claim(storage_class="standard", **spec))
    choose(world, "data", where)
    await world.settled()


def only_volume(world: World) -> Object:
    [volume] = world.list(VOLUMES)
    return volume


def test_a_claim_gets_a_directory_on_the_node_that_was_chosen() -> None:
    async def scenario(world: World) -> None:
        begin(world)
        world.create(CLAIMS, claim(size="3Gi", storage_class="standard"))
        await world.settled()
        before = world.list(VOLUMES)
        choose(world, "data", "two")
        await world.settled()

        spec = only_volume(world)["spec"]
        [expression] = spec["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"]
        assert before == [] and bound(world) == {"data": name_of(only_volume(world))}
        assert spec["csi"]["volumeHandle"] == f"two/{name_of(only_volume(world))}"
        assert (expression["key"], expression["values"]) == ("kubernetes.io/hostname", ["host-two"])
        assert (spec["capacity"], spec["persistentVolumeReclaimPolicy"]) == ({"storage": "3Gi"}, "Delete")
        assert {"Provisioning", "ProvisioningSucceeded"} <= {reason for _, reason, _ in told(world, "data")}

    in_world(ALL, scenario)


def test_a_class_that_does_not_wait_takes_a_node_that_it_allows() -> None:
    async def scenario(world: World) -> None:
        terms = [{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}]
        begin(world, mode="Immediate", allowedTopologies=terms)
        world.create(CLAIMS, claim(storage_class="standard"))
        await world.settled()

        assert only_volume(world)["spec"]["csi"]["volumeHandle"].startswith("two/")

    in_world(ALL, scenario)


@pytest.mark.parametrize("spec", [{"accessModes": ["ReadWriteMany"]}, {"volumeMode": "Block"}])
def test_what_a_directory_cannot_be_is_refused(spec: dict[str, Any]) -> None:
    async def scenario(world: World) -> None:
        await asked_on(world, "one", **spec)

        assert world.list(VOLUMES) == [] and "ProvisioningFailed" in [reason for _, reason, _ in told(world, "data")]

    in_world(ALL, scenario)


def test_a_node_that_is_gone_is_chosen_no_more() -> None:
    async def scenario(world: World) -> None:
        await asked_on(world, "gone")

        assert SELECTED not in meta(world.get(CLAIMS, "data"))["annotations"]
        assert world.list(VOLUMES) == []

    in_world(ALL, scenario)


def test_the_object_of_a_volume_goes_after_its_directory() -> None:
    """While the node does not answer the object stays, and says why."""

    async def scenario(world: World) -> None:
        await asked_on(world, "one")
        volume = only_volume(world)
        handle = volume["spec"]["csi"]["volumeHandle"]
        world.api.fail = _refuse_to_throw_away
        world.delete(CLAIMS, "data")
        await asyncio.sleep(20)
        held, failed = world.list(VOLUMES), told(world, name_of(volume))
        world.api.fail = lambda message: None
        await world.settled()

        assert [each["status"]["phase"] for each in held] == ["Released"]
        assert "VolumeFailedDelete" in [reason for _, reason, _ in failed]
        assert (set(world.api.thrown_away), world.list(VOLUMES)) == ({handle}, [])

    in_world(ALL, scenario)


def _refuse_to_throw_away(message: Message) -> None:
    if type(message).__name__ == "DeleteVolume":
        raise ServiceUnavailable("the kubelet of node one does not answer")


def test_what_is_retained_stays_and_its_object_may_go() -> None:
    async def scenario(world: World) -> None:
        begin(world, policy="Retain")
        world.create(CLAIMS, claim(storage_class="standard"))
        choose(world, "data", "one")
        await world.settled()
        name = name_of(only_volume(world))
        world.delete(CLAIMS, "data")
        await world.settled()
        after = phase(world, VOLUMES, name)
        world.delete(VOLUMES, name, "")
        await world.settled()

        assert (after, world.list(VOLUMES), world.api.thrown_away) == ("Released", [], [])

    in_world(ALL, scenario)


def test_a_volume_of_a_node_that_is_gone_waits_for_it_or_for_its_own_end() -> None:
    async def scenario(world: World) -> None:
        begin(world)
        for name in ("a", "b"):
            world.create(CLAIMS, claim(name, storage_class="standard"))
            choose(world, name, "one")
        await world.settled()
        names = bound(world)
        world.delete("nodes", "one", "")
        for name in names:
            world.delete(CLAIMS, name)
        await world.settled()
        left = [name_of(each) for each in world.list(VOLUMES)]
        world.delete(VOLUMES, names["a"], "")
        await world.settled()
        world.create("nodes", node("one"))
        await world.settled()

        assert sorted(left) == sorted(names.values()) and world.list(VOLUMES) == []
        assert {handle.partition("/")[2] for handle in world.api.thrown_away} == {names["b"]}

    in_world(ALL, scenario)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(["one", "two"]), min_size=1, max_size=4))
def test_it_settles_after_any_unrest(seed: int, nodes: list[str]) -> None:
    async def scenario(world: World) -> None:
        begin(world)
        steps: list[Any] = []
        for number, where in enumerate(nodes):
            steps.append(lambda n=number: world.create(CLAIMS, claim(f"c{n}", storage_class="standard")))
            steps.append(lambda n=number, w=where: choose(world, f"c{n}", w))
        steps.append(lambda: world.delete(CLAIMS, "c0"))
        await world.unrest(20, steps)
        await world.settled()

        pairs = bound(world)
        assert sorted(pairs) == [f"c{n}" for n in range(1, len(nodes))]
        assert sorted(pairs.values()) == sorted(name_of(volume) for volume in world.list(VOLUMES))
        for number, where in list(enumerate(nodes))[1:]:
            volume = world.get(VOLUMES, pairs[f"c{number}"], "")
            assert volume["spec"]["csi"]["volumeHandle"] == f"{where}/{name_of(volume)}"

    in_world(ALL, scenario, seed)
