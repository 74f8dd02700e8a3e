"""Claims and volumes find each other as Kubernetes binds them, and part as their reclaim policy says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.objects import Object, meta, name_of
from protocols.rules.quantity import parse_quantity
from tests.controllers.volume_world import (
    BINDER,
    CLAIMS,
    CLASSES,
    PROTECTED,
    VOLUMES,
    bound,
    claim,
    in_world,
    phase,
    pod,
    storage_class,
    told,
    volume,
)
from tests.controllers.world import World


@pytest.mark.parametrize(
    ("volumes", "asked", "expected"),
    [
        ([volume("small", "1Gi"), volume("large", "9Gi")], claim(size="500Mi"), "small"),
        ([volume("small", "1Gi"), volume("large", "9Gi")], claim(size="2Gi"), "large"),
        ([volume("small", "1Gi")], claim(size="2Gi"), ""),
        ([volume("b"), volume("a")], claim(), "a"),
        ([volume("fast", storage_class="fast"), volume("none")], claim(), "none"),
        ([volume("fast", storage_class="fast"), volume("none")], claim(storage_class="fast"), "fast"),
        ([volume("once")], claim(accessModes=["ReadWriteMany"]), ""),
        ([volume("both", accessModes=["ReadWriteMany", "ReadWriteOnce"])], claim(), "both"),
        ([volume("block", volumeMode="Block")], claim(), ""),
        ([volume("block", volumeMode="Block")], claim(volumeMode="Block"), "block"),
        ([volume("a"), volume("b")], claim(selector={"matchLabels": {"name": "b"}}), "b"),
        ([volume("a"), volume("b")], claim(volumeName="b"), "b"),
        ([volume("a"), volume("mine", "9Gi", claimRef={"namespace": "default", "name": "data"})], claim(), "mine"),
        ([volume("others", claimRef={"namespace": "default", "name": "other"})], claim(), ""),
        ([volume("others", claimRef={"namespace": "other", "name": "data"})], claim(), ""),
    ],
)
def test_a_claim_gets_the_smallest_volume_that_suits(volumes: list[Object], asked: Object, expected: str) -> None:
    async def scenario(world: World) -> None:
        for each in volumes:
            world.create(VOLUMES, each)
        world.create(CLAIMS, asked)
        await world.settled()

        assert bound(world) == ({"data": expected} if expected else {})
        assert all(phase(world, VOLUMES, name_of(each)) == "Available" for each in volumes if name_of(each) != expected)

    in_world(BINDER, scenario)


def test_what_is_written_when_they_are_bound() -> None:
    async def scenario(world: World) -> None:
        world.create(VOLUMES, volume("pv", "5Gi"))
        world.create(CLAIMS, claim())
        await world.settled()

        asked, given_ = world.get(CLAIMS, "data"), world.get(VOLUMES, "pv", "")
        assert asked["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"}}
        assert meta(asked)["annotations"] == {
            "pv.kubernetes.io/bind-completed": "yes",
            "pv.kubernetes.io/bound-by-controller": "yes",
        }
        assert given_["status"]["phase"] == "Bound"
        assert meta(given_)["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}

    in_world(BINDER, scenario)


def test_what_a_user_paired_is_not_marked_as_bound_by_a_controller() -> None:
    async def scenario(world: World) -> None:
        world.create(VOLUMES, volume("pv", claimRef={"namespace": "default", "name": "data"}))
        world.create(CLAIMS, claim(volumeName="pv"))
        await world.settled()

        assert bound(world) == {"data": "pv"}
        assert "annotations" not in meta(world.get(VOLUMES, "pv", ""))
        assert list(meta(world.get(CLAIMS, "data"))["annotations"]) == ["pv.kubernetes.io/bind-completed"]

    in_world(BINDER, scenario)


def test_a_volume_that_comes_later_is_found() -> None:
    async def scenario(world: World) -> None:
        world.create(CLAIMS, claim(size="2Gi"))
        world.create(CLAIMS, claim("named", volumeName="own"))
        await world.settled()
        before = bound(world)
        world.create(VOLUMES, volume("own", "1Gi"))
        world.create(VOLUMES, volume("pv", "2Gi"))
        await world.settled()

        assert (before, bound(world)) == ({}, {"data": "pv", "named": "own"})

    in_world(BINDER, scenario)


@pytest.mark.parametrize(
    ("objects", "asked", "expected"),
    [
        (
            [],
            claim(),
            ("Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
        ),
        (
            [],
            claim(storage_class="fast"),
            ("Warning", "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'),
        ),
        (
            [(CLASSES, storage_class("fast", "kubernetes.io/no-provisioner"))],
            claim(storage_class="fast"),
            ("Warning", "ProvisioningFailed", "no volume plugin matched name: kubernetes.io/no-provisioner"),
        ),
        (
            [(CLASSES, storage_class("fast", "x", "WaitForFirstConsumer"))],
            claim(storage_class="fast"),
            ("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
        ),
        (
            [(CLASSES, storage_class("fast", "x", "WaitForFirstConsumer")), ("pods", pod("web", "data"))],
            claim(storage_class="fast"),
            ("Normal", "WaitForPodScheduled", "waiting for pod web to be scheduled"),
        ),
        (
            [(VOLUMES, volume("pv", "1Gi"))],
            claim(size="2Gi", volumeName="pv"),
            ("Warning", "VolumeMismatch", 'Cannot bind to requested volume "pv": requested PV is too small'),
        ),
        (
            [(VOLUMES, volume("pv", storage_class="fast"))],
            claim(volumeName="pv"),
            ("Warning", "VolumeMismatch", 'Cannot bind to requested volume "pv": storageClassName does not match'),
        ),
        (
            [(VOLUMES, volume("pv", claimRef={"namespace": "default", "name": "other"}))],
            claim(volumeName="pv"),
            ("Warning", "FailedBinding", 'volume "pv" already bound to a different claim.'),
        ),
    ],
)
def test_a_claim_that_waits_says_what_for(
    objects: list[tuple[str, Object]], asked: Object, expected: tuple[str, str, str]
) -> None:
    async def scenario(world: World) -> None:
        world.nodes = []
        for resource, obj in objects:
            world.create(resource, obj)
        world.create(CLAIMS, asked)
        await world.settled()

        assert told(world, "data")[-1] == expected
        assert phase(world, CLAIMS, "data") == "Pending"

    in_world(BINDER, scenario)


def test_a_provisioner_is_asked_at_once_or_when_the_node_is_known() -> None:
    async def scenario(world: World) -> None:
        world.create(CLASSES, storage_class("now", "example.com/disks"))
        world.create(CLASSES, storage_class("late", "example.com/disks", "WaitForFirstConsumer"))
        world.create(CLAIMS, claim("one", storage_class="now"))
        world.create(CLAIMS, claim("two", storage_class="late"))
        await world.settled()
        asked = [name for name in ("one", "two") if "annotations" in meta(world.get(CLAIMS, name))]
        world.patch(CLAIMS, "two", {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "a"}}})
        await world.settled()

        key = "volume.kubernetes.io/storage-provisioner"
        assert asked == ["one"]
        assert [meta(world.get(CLAIMS, each))["annotations"][key] for each in ("one", "two")] == 2 * [
            "example.com/disks"
        ]
        assert told(world, "two")[-1][1] == "ExternalProvisioning"

    in_world(BINDER, scenario)


@pytest.mark.parametrize(
    ("policy", "made_by", "expected"),
    [("Retain", "", "Released"), ("Delete", "", "Failed"), ("Delete", "x", "Released"), ("Recycle", "", "Failed")],
)
def test_a_volume_whose_claim_is_gone_is_released(policy: str, made_by: str, expected: str) -> None:
    async def scenario(world: World) -> None:
        made = volume("pv", policy=policy)
        if made_by:
            meta(made)["annotations"] = {"pv.kubernetes.io/provisioned-by": made_by}
        world.create(VOLUMES, made)
        world.create(CLAIMS, claim())
        await world.settled()
        world.delete(CLAIMS, "data")
        await world.settled()
        after = phase(world, VOLUMES, "pv")
        world.create(CLAIMS, claim())  # another one of that name is not the one that it belonged to
        await world.settled()

        assert (after, phase(world, VOLUMES, "pv"), phase(world, CLAIMS, "data")) == (expected, expected, "Pending")

    in_world(BINDER, scenario)


def test_a_claim_without_its_volume_is_lost() -> None:
    async def scenario(world: World) -> None:
        world.create(VOLUMES, volume("pv"))
        world.create(CLAIMS, claim())
        await world.settled()
        world.delete(VOLUMES, "pv", "")
        await world.settled()

        assert world.get(CLAIMS, "data")["status"] == {"phase": "Lost"}
        assert "ClaimLost" in [reason for _, reason, _ in told(world, "data")]

    in_world(BINDER, scenario)


def test_a_volume_that_was_kept_for_a_claim_is_free_when_that_got_another() -> None:
    async def scenario(world: World) -> None:
        world.create(VOLUMES, volume("a"))
        asked = world.create(CLAIMS, claim(volumeName="a"))
        await world.settled()
        reference = {"namespace": "default", "name": "data", "uid": meta(asked)["uid"]}
        ours = volume("ours", claimRef=reference)
        meta(ours)["annotations"] = {"pv.kubernetes.io/bound-by-controller": "yes"}
        world.create(VOLUMES, ours)
        world.create(VOLUMES, volume("users", claimRef=reference))
        await world.settled()

        assert bound(world) == {"data": "a"}
        assert "claimRef" not in world.get(VOLUMES, "ours", "")["spec"]
        assert world.get(VOLUMES, "users", "")["spec"]["claimRef"] == {"namespace": "default", "name": "data"}
        assert [phase(world, VOLUMES, name) for name in ("ours", "users")] == ["Available", "Available"]

    in_world(BINDER, scenario)


def test_a_claim_goes_when_the_last_pod_that_uses_it_is_gone_and_then_its_volume() -> None:
    async def scenario(world: World) -> None:
        world.create(VOLUMES, volume("pv"))
        world.create(CLAIMS, claim())
        world.create("pods", pod("web", "data", node="a"))
        await world.settled()
        world.delete(VOLUMES, "pv", "")
        world.delete(CLAIMS, "data")
        await world.settled()
        held = world.find(CLAIMS, "data"), world.find(VOLUMES, "pv", "")
        world.delete("pods", "web")
        await world.settled()

        assert all(held)
        assert (world.find(CLAIMS, "data"), world.find(VOLUMES, "pv", "")) == (None, None)

    in_world(PROTECTED, scenario)


def test_a_pod_that_has_no_node_yet_does_not_hold_a_claim() -> None:
    async def scenario(world: World) -> None:
        world.nodes = []
        world.create(CLAIMS, claim())
        world.create("pods", pod("web", "data"))
        await world.settled()
        world.delete(CLAIMS, "data")
        await world.settled()

        assert world.find(CLAIMS, "data") is None

    in_world(PROTECTED, scenario)


def test_a_pod_that_the_view_does_not_show_yet_holds_a_claim() -> None:
    """Watches are late: that no pod uses the claim is asked of the API server."""

    async def scenario(world: World) -> None:
        world.create(CLAIMS, claim())
        await world.settled()
        world.store.create("pods", pod("web", "data", node="a"))
        world.api.muted = True
        world.store.delete(CLAIMS, "default", "data")
        protected = world.store.read(CLAIMS, "default", "data")
        # The answer to its own write is all that the controller hears: as though only that watch were late.
        for ref in world.refs:
            view = world.systems[1].actor(ref.address.actor)._views[CLAIMS]  # type: ignore[union-attr]
            view.wrote(world.store.get(CLAIMS, "default", "data"), world.store.clock())
        await asyncio.sleep(30)

        assert "deletionTimestamp" in meta(protected)
        assert world.find(CLAIMS, "data") is not None
        world.api.muted = False
        world.api.deliver()

    in_world(PROTECTED, scenario)


SIZES_OF_SOME = st.lists(st.sampled_from(("1Gi", "2Gi", "3Gi")), max_size=5)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), SIZES_OF_SOME, SIZES_OF_SOME)
def test_it_settles_after_any_unrest(seed: int, sizes: list[str], asked: list[str]) -> None:
    """As many claims are bound as can be by the sizes, each to a volume of its own that is large enough."""

    async def scenario(world: World) -> None:
        steps: list[Any] = [
            lambda i=i, size=size: world.create(VOLUMES, volume(f"pv-{i}", size)) for i, size in enumerate(sizes)
        ]
        steps += [lambda i=i, size=size: world.create(CLAIMS, claim(f"c-{i}", size)) for i, size in enumerate(asked)]
        world.random.shuffle(steps)
        await world.unrest(20, steps)
        await world.settled()

        pairs = bound(world)
        assert len(set(pairs.values())) == len(pairs)
        free = {name_of(each) for each in world.list(VOLUMES)} - set(pairs.values())
        for each in world.list(CLAIMS):
            wanted = parse_quantity(each["spec"]["resources"]["requests"]["storage"])
            if name_of(each) in pairs:
                assert _size(world, pairs[name_of(each)]) >= wanted
            else:
                assert all(_size(world, name) < wanted for name in free)
        assert all(phase(world, VOLUMES, name) == "Available" for name in free)
        revision = world.revision()
        await world.settled()
        assert world.revision() == revision

    in_world(PROTECTED, scenario, seed)


def _size(world: World, name: str) -> int:
    return parse_quantity(world.get(VOLUMES, name, "")["spec"]["capacity"]["storage"])
