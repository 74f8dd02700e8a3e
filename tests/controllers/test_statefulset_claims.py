"""The claims of a stateful set: there before their pod, the same ones for the next, and whose they are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.controllers.statefulset_claims import Place, owners_for
from protocols.objects import Object, meta, uid_of
from protocols.rules.owners import owner_references
from tests.controllers.stateful_world import (
    CLAIMS,
    SETS,
    history_of,
    in_world,
    names,
    rolling,
    set_image,
    stateful_set,
    status,
    told,
    with_garbage_collector,
)
from tests.controllers.world import World
from tests.effort import examples

RETAIN = {"whenDeleted": "Retain", "whenScaled": "Retain"}
SET_UID, POD_UID = "set-uid", "pod-uid"


def policy(when_deleted: str, when_scaled: str) -> dict[str, Any]:
    return {"whenDeleted": when_deleted, "whenScaled": when_scaled}


def with_policy(when_deleted: str, when_scaled: str, **spec: Any) -> Object:
    chosen = policy(when_deleted, when_scaled)
    return stateful_set(claims=("data",), persistentVolumeClaimRetentionPolicy=chosen, **spec)


def test_a_pods_claims_are_made_before_it_and_are_its_volumes() -> None:
    async def scenario(world: World) -> None:
        volumes = [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
        made = stateful_set(replicas=1, claims=("data", "logs"))
        made["spec"]["template"]["spec"]["volumes"] = volumes
        world.create(SETS, made)
        await world.settled()

        assert names(world.list(CLAIMS)) == ["data-web-0", "logs-web-0"]
        claim = world.get(CLAIMS, "data-web-0")
        assert meta(claim)["labels"] == {"app": "web", "tier": "data"}
        assert claim["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
        assert not owner_references(claim)
        assert world.get("pods", "web-0")["spec"]["volumes"] == [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}},
            {"name": "logs", "persistentVolumeClaim": {"claimName": "logs-web-0"}},
            {"name": "tmp", "emptyDir": {}},
        ]
        order = [resource for resource, _ in world.store.log if resource in (CLAIMS, "pods")]
        assert order[:3] == [CLAIMS, CLAIMS, "pods"]
        assert told(world)[0] == (
            "Normal",
            "SuccessfulCreate",
            "Create Claim data-web-0 Pod web-0 in StatefulSet web success",
        )

    in_world(scenario)


def test_the_next_pod_of_a_name_finds_the_claim_of_the_last() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(claims=("data",)))
        await world.settled()
        uids = [uid_of(claim) for claim in world.list(CLAIMS)]
        world.patch(SETS, "web", {"spec": {"replicas": 1}})
        await world.settled()
        world.patch(SETS, "web", {"spec": {"replicas": 3}})
        set_image(world, "two")
        await world.settled()
        world.delete(SETS, "web")
        await world.settled()

        assert [uid_of(claim) for claim in world.list(CLAIMS)] == uids
        assert not world.list("pods")

    with_garbage_collector(scenario)


def test_a_claim_that_is_refused_is_complained_about_and_its_pod_waits() -> None:
    async def scenario(world: World) -> None:
        world.store.refusals[CLAIMS] = "exceeded quota"
        world.create(SETS, stateful_set(replicas=1, claims=("data",)))
        await asyncio.sleep(10)
        why = "Create Claim data-web-0 for Pod web-0 in StatefulSet web failed error: exceeded quota"
        assert set(told(world)) == {("Warning", "FailedCreate", why)}
        assert not world.list("pods")

        world.store.refusals.clear()
        await world.settled()
        assert status(world)["readyReplicas"] == 1

    in_world(scenario)


def test_in_parallel_a_claim_that_is_refused_keeps_only_its_own_pod_waiting() -> None:
    async def scenario(world: World) -> None:
        for number in (0, 2):
            world.create(CLAIMS, {"metadata": {"name": f"data-web-{number}", "namespace": "default"}, "spec": {}})
        world.store.refusals[CLAIMS] = "exceeded quota"
        world.create(SETS, stateful_set(claims=("data",), podManagementPolicy="Parallel"))
        await asyncio.sleep(10)

        assert names(world.list("pods")) == ["web-0", "web-2"]

    in_world(scenario)


def test_a_claim_that_goes_is_waited_for() -> None:
    async def scenario(world: World) -> None:
        old = {"name": "data-web-0", "namespace": "default", "finalizers": ["kubernetes.io/pvc-protection"]}
        before = world.create(CLAIMS, {"metadata": old, "spec": {}})
        world.delete(CLAIMS, "data-web-0")
        world.create(SETS, stateful_set(replicas=1, claims=("data",)))
        await world.settled()
        why = "Create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted"
        assert ("Warning", "FailedCreate", why) in told(world)
        assert not world.list("pods")

        world.patch(CLAIMS, "data-web-0", {"metadata": {"finalizers": None}})
        await world.settled()
        assert uid_of(world.get(CLAIMS, "data-web-0")) != uid_of(before)
        assert status(world)["readyReplicas"] == 1

    in_world(scenario)


def test_a_pending_pod_gets_a_claim_that_somebody_deleted_again() -> None:
    async def scenario(world: World) -> None:
        world.never_ready = lambda pod: True
        world.create(SETS, stateful_set(replicas=1, claims=("data",)))
        await world.settled()
        world.delete(CLAIMS, "data-web-0")
        await world.settled()

        assert names(world.list(CLAIMS)) == ["data-web-0"]

    in_world(scenario)


# -- whose they are ---------------------------------------------------------------------------------------------------


def reference(kind: str, name: str, uid: str, controls: bool = True) -> dict[str, Any]:
    version = "v1" if kind == "Pod" else "apps/v1"
    found = {"apiVersion": version, "kind": kind, "name": name, "uid": uid}
    return {**found, "controller": True, "blockOwnerDeletion": True} if controls else found


OURS, POD = reference("StatefulSet", "web", SET_UID), reference("Pod", "web-1", POD_UID)
OLD_SET, OLD_POD = reference("StatefulSet", "web", "before"), reference("Pod", "web-1", "before")
OTHER, OPERATOR = reference("Pod", "other", "x", controls=False), reference("ReplicaSet", "operator", "y")


@pytest.mark.parametrize(
    ("when_deleted", "when_scaled", "given_up", "owners", "expected"),
    [
        ("Retain", "Retain", False, [], []),
        ("Retain", "Retain", True, [], []),
        ("Retain", "Retain", False, [OURS], []),
        ("Retain", "Retain", False, [OPERATOR], [OPERATOR]),
        ("Delete", "Retain", False, [], [OURS]),
        ("Delete", "Retain", True, [], [OURS]),
        ("Delete", "Retain", True, [OTHER, POD], [OTHER, OURS]),
        ("Retain", "Delete", False, [POD], []),
        ("Retain", "Delete", True, [], [POD]),
        ("Delete", "Delete", False, [POD], [OURS]),
        ("Delete", "Delete", True, [OURS], [POD]),
        ("Delete", "Delete", True, [OURS, OTHER], [OTHER, POD]),
        ("Delete", "Delete", False, [OURS, OTHER], [OURS, OTHER]),
        ("Delete", "Retain", False, [reference("StatefulSet", "web", SET_UID, controls=False)], [OURS]),
        ("Delete", "Retain", False, [OLD_SET], [OLD_SET]),
        ("Delete", "Delete", True, [OLD_POD], [OLD_POD]),
        ("Delete", "Delete", False, [OPERATOR], [OPERATOR]),
        ("Delete", "Delete", False, [OPERATOR, OURS], [OPERATOR]),
    ],
)
def test_who_owns_a_claim_follows_from_the_policy(
    when_deleted: str, when_scaled: str, given_up: bool, owners: list[Any], expected: list[Any]
) -> None:
    made = with_policy(when_deleted, when_scaled)
    made["metadata"]["uid"] = SET_UID

    assert owners_for(owners, Place(made, 1, POD_UID, given_up)) == expected


def test_claims_go_with_the_set_where_the_policy_says_so() -> None:
    async def scenario(world: World) -> None:
        made = world.create(SETS, with_policy("Delete", "Retain"))
        await world.settled()
        world.patch(SETS, "web", {"spec": {"replicas": 2}})
        await world.settled()
        assert [[r["uid"] for r in owner_references(each)] for each in world.list(CLAIMS)] == [[uid_of(made)]] * 3

        world.delete(SETS, "web")
        await world.settled()
        assert not world.list(CLAIMS)

    with_garbage_collector(scenario)


def test_claims_go_with_the_pods_that_are_too_many_where_the_policy_says_so() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, with_policy("Retain", "Delete"))
        await world.settled()
        set_image(world, "two")
        await world.settled()
        assert len(world.list(CLAIMS)) == 3
        world.patch(SETS, "web", {"spec": {"replicas": 1}})
        await world.settled()
        assert names(world.list(CLAIMS)) == ["data-web-0"]

        world.patch(SETS, "web", {"spec": {"replicas": 2}})
        await world.settled()
        assert names(world.list(CLAIMS)) == ["data-web-0", "data-web-1"]
        world.delete(SETS, "web")
        await world.settled()
        assert names(world.list(CLAIMS)) == ["data-web-0", "data-web-1"]

    with_garbage_collector(scenario)


def test_a_new_pod_does_not_take_the_claim_that_goes_with_an_earlier_one() -> None:
    async def scenario(world: World) -> None:  # without a garbage collector: nothing happens to it
        stale = {"name": "data-web-0", "namespace": "default", "ownerReferences": [reference("Pod", "web-0", "before")]}
        world.create(CLAIMS, {"metadata": stale, "spec": {}})
        world.create(SETS, with_policy("Retain", "Delete"))
        await world.settled()
        assert not world.list("pods")

        world.delete(CLAIMS, "data-web-0")
        await world.settled()
        assert len(world.list("pods")) == 3

    in_world(scenario)


def test_a_policy_that_changes_is_followed_and_told() -> None:
    async def scenario(world: World) -> None:
        made = world.create(SETS, with_policy("Retain", "Retain", replicas=1))
        await world.settled()
        world.patch(SETS, "web", {"spec": {"persistentVolumeClaimRetentionPolicy": policy("Delete", "Retain")}})
        await world.settled()
        assert owner_references(world.get(CLAIMS, "data-web-0"))[0]["uid"] == uid_of(made)
        assert ("Normal", "SuccessfulUpdate", "Update Pod web-0 in StatefulSet web successful") in told(world)

        world.patch(SETS, "web", {"spec": {"persistentVolumeClaimRetentionPolicy": RETAIN}})
        await world.settled()
        assert not owner_references(world.get(CLAIMS, "data-web-0"))

    in_world(scenario)


def test_a_claim_that_somebody_else_controls_is_left_to_them_and_said_to_be() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, with_policy("Delete", "Retain", replicas=1))
        await world.settled()
        theirs = reference("ReplicaSet", "operator", "y")
        ours = {**owner_references(world.get(CLAIMS, "data-web-0"))[0], "controller": False}
        world.patch(CLAIMS, "data-web-0", {"metadata": {"ownerReferences": [ours, theirs]}})
        await world.settled()

        assert owner_references(world.get(CLAIMS, "data-web-0")) == [theirs]
        assert "ConflictingController" in [reason for _, reason, _ in told(world)]

    in_world(scenario)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(0, 4)),
        st.tuples(st.just("image"), st.integers(0, 2)),
        st.tuples(st.just("kill"), st.integers(0, 4)),
        st.tuples(st.just("lose"), st.integers(0, 4)),
    ),
    max_size=6,
)
POLICIES = st.tuples(st.sampled_from(("Retain", "Delete")), st.sampled_from(("Retain", "Delete")))


@pytest.mark.slow
@settings(max_examples=examples(10), deadline=None)
@given(st.integers(0, 2**32), POLICIES, st.sampled_from(("OrderedReady", "Parallel")), OPERATIONS)
@example(1, ("Delete", "Delete"), "Parallel", [("image", 0), ("scale", 0)])
def test_after_any_unrest_claims_are_those_that_the_policy_keeps(
    seed: int, chosen: tuple[str, str], management: str, operations: list[tuple[str, int]]
) -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, with_policy(*chosen, podManagementPolicy=management, updateStrategy=rolling()))
        await world.unrest(60, [lambda o=o: operate(world, *o) for o in operations])  # type: ignore[misc]
        await world.settled(within_s=600)

        wanted = {f"data-web-{n}" for n in range(world.get(SETS, "web")["spec"]["replicas"])}
        there = set(names(world.list(CLAIMS)))
        assert there >= wanted
        # That of a pod which was not there when it became one too many stays: nobody's, or the set's until it goes.
        abandoned = [world.get(CLAIMS, name) for name in there - wanted]
        owners = {owner["kind"] for claim in abandoned for owner in owner_references(claim)}
        assert chosen[1] == "Retain" or owners <= {"StatefulSet"}
        if chosen[1] == "Retain":
            lost = {f"data-web-{n}" for operation, n in operations if operation == "lose"}
            assert {name for what, name in history_of(world, CLAIMS) if what != "came"} <= lost

        world.delete(SETS, "web")
        await world.settled()
        assert bool(world.list(CLAIMS)) == (bool(there) and chosen[0] == "Retain") or not wanted

    with_garbage_collector(scenario, seed)


def operate(world: World, operation: str, number: int) -> None:
    match operation:
        case "scale":
            world.patch(SETS, "web", {"spec": {"replicas": number}})
        case "image":
            set_image(world, f"image-{number}")
        case "kill" if world.find("pods", f"web-{number}"):
            world.delete("pods", f"web-{number}")
        case "lose" if world.find(CLAIMS, f"data-web-{number}") and not world.find("pods", f"web-{number}"):
            world.delete(CLAIMS, f"data-web-{number}")
