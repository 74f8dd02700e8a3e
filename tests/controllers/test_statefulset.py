"""The stateful set controller: pods with names that stay, in order, of the right revision, and a true status."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocols.objects import meta, name_of, uid_of
from protocols.rules.owners import owner_references
from tests.controllers.stateful_world import (
    CLAIMS,
    REVISIONS,
    SETS,
    history_of,
    images,
    in_world,
    names,
    revisions_of_pods,
    rolling,
    set_image,
    stateful_set,
    status,
    template,
    told,
    with_garbage_collector,
)
from tests.controllers.world import World
from tests.effort import examples


def test_pods_come_one_after_the_other_each_with_an_identity_of_its_own() -> None:
    async def scenario(world: World) -> None:
        made = world.create(SETS, stateful_set())
        await world.settled()

        pods = world.list("pods")
        assert history_of(world) == [("came", "web-0"), ("came", "web-1"), ("came", "web-2")]
        [revision] = world.list(REVISIONS)
        for number, pod in enumerate(pods):
            assert meta(pod)["labels"] == {
                "app": "web",
                "controller-revision-hash": name_of(revision),
                "statefulset.kubernetes.io/pod-name": f"web-{number}",
                "apps.kubernetes.io/pod-index": str(number),
            }
            assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == (f"web-{number}", "nginx")
            assert [(r["kind"], r["uid"], r["controller"]) for r in owner_references(pod)] == [
                ("StatefulSet", uid_of(made), True)
            ]
        assert told(world) == [
            ("Normal", "SuccessfulCreate", f"Create Pod {name} in StatefulSet web successful") for name in names(pods)
        ]

    in_world(scenario)


def test_a_pod_comes_when_the_one_before_it_is_ready_and_no_sooner() -> None:
    async def scenario(world: World) -> None:
        world.never_ready = lambda pod: name_of(pod) == "web-1"
        world.create(SETS, stateful_set())
        await world.settled()

        assert names(world.list("pods")) == ["web-0", "web-1"]
        told_of = status(world)
        assert (told_of["replicas"], told_of["readyReplicas"], told_of["currentReplicas"]) == (2, 1, 2)

    in_world(scenario)


def test_in_parallel_all_come_at_once_and_go_at_once() -> None:
    async def scenario(world: World) -> None:
        world.never_ready = lambda pod: name_of(pod) == "web-0"
        world.create(SETS, stateful_set(podManagementPolicy="Parallel"))
        await world.settled()
        assert names(world.list("pods")) == ["web-0", "web-1", "web-2"]

        world.patch(SETS, "web", {"spec": {"replicas": 1}})
        await world.settled()
        going = [name for what, name in history_of(world) if what == "going"]
        assert sorted(going) == ["web-1", "web-2"]
        assert names(world.list("pods")) == ["web-0"]

    in_world(scenario)


def test_numbers_begin_where_the_spec_says() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=2, ordinals={"start": 5}))
        await world.settled()
        assert names(world.list("pods")) == ["web-5", "web-6"]

        world.patch(SETS, "web", {"spec": {"ordinals": {"start": 6}}})
        await world.settled()
        assert names(world.list("pods")) == ["web-6", "web-7"]

    in_world(scenario)


def test_too_many_go_one_by_one_the_highest_first() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=4))
        await world.settled()
        world.patch(SETS, "web", {"spec": {"replicas": 1}})
        await world.settled()

        ends = [(what, name) for what, name in history_of(world) if what != "came"]
        assert ends == [(what, f"web-{n}") for n in (3, 2, 1) for what in ("going", "gone")]
        assert told(world)[-1] == ("Normal", "SuccessfulDelete", "Delete Pod web-1 in StatefulSet web successful")
        assert status(world)["replicas"] == 1

    in_world(scenario)


def test_a_pod_that_was_deleted_is_waited_for_and_comes_again_under_its_name() -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 50.0
        world.create(SETS, stateful_set(replicas=2))
        await world.settled()
        before = uid_of(world.get("pods", "web-0"))
        world.delete("pods", "web-0")
        await asyncio.sleep(40)
        assert uid_of(world.get("pods", "web-0")) == before

        await asyncio.sleep(20)
        assert history_of(world)[-3:] == [("going", "web-0"), ("gone", "web-0"), ("came", "web-0")]
        assert uid_of(world.get("pods", "web-0")) != before

    in_world(scenario)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_is_over_is_replaced(phase: str) -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=2))
        await world.settled()
        before = uid_of(world.get("pods", "web-1"))
        world.patch("pods", "web-1", {"status": {"phase": phase}}, subresource="status")
        await world.settled()

        assert uid_of(world.get("pods", "web-1")) != before
        assert status(world)["readyReplicas"] == 2

    in_world(scenario)


def test_a_pod_counts_only_when_it_was_ready_for_long_enough() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=2, minReadySeconds=20))
        await asyncio.sleep(15)
        assert names(world.list("pods")) == ["web-0"]
        assert (status(world)["readyReplicas"], status(world)["availableReplicas"]) == (1, 0)

        await asyncio.sleep(60)
        assert (status(world)["readyReplicas"], status(world)["availableReplicas"]) == (2, 2)

    in_world(scenario)


# -- revisions --------------------------------------------------------------------------------------------------------


def test_a_changed_template_replaces_pods_from_the_highest_down_each_when_the_last_is_ready() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set())
        await world.settled()
        first = status(world)["currentRevision"]
        set_image(world, "two")
        await asyncio.sleep(1)
        told_of = status(world)
        assert (told_of["currentRevision"], told_of["updateRevision"] != first) == (first, True)

        await world.settled()
        assert history_of(world)[3:] == [(what, f"web-{n}") for n in (2, 1, 0) for what in ("going", "gone", "came")]
        told_of = status(world)
        assert told_of["currentRevision"] == told_of["updateRevision"] != first
        assert (told_of["currentReplicas"], told_of["updatedReplicas"]) == (3, 3)
        assert set(images(world).values()) == {"two"}

    in_world(scenario)


def test_below_the_partition_pods_keep_and_get_again_the_revision_that_they_have() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(updateStrategy=rolling(partition=2)))
        await world.settled()
        set_image(world, "two")
        await world.settled()
        assert images(world) == {"web-0": "one", "web-1": "one", "web-2": "two"}

        world.delete("pods", "web-0")
        await world.settled()
        assert images(world)["web-0"] == "one"
        told_of = status(world)
        assert (told_of["currentReplicas"], told_of["updatedReplicas"]) == (2, 1)
        assert told_of["currentRevision"] != told_of["updateRevision"]

        world.patch(SETS, "web", {"spec": {"updateStrategy": rolling(partition=0)}})
        await world.settled()
        assert set(images(world).values()) == {"two"}
        assert status(world)["currentRevision"] == status(world)["updateRevision"]

    in_world(scenario)


def test_a_partition_counts_from_the_first_number_on() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(ordinals={"start": 7}, updateStrategy=rolling(partition=2)))
        await world.settled()
        set_image(world, "two")
        await world.settled()

        assert images(world) == {"web-7": "one", "web-8": "one", "web-9": "two"}

    in_world(scenario)


def test_as_many_as_may_be_unavailable_are_replaced_together() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=4, updateStrategy=rolling(maxUnavailable=2)))
        await world.settled()
        set_image(world, "two")
        await world.settled()

        went = [name for what, name in history_of(world) if what == "going"]
        assert went == ["web-3", "web-2", "web-1", "web-0"]
        assert history_of(world)[4:6] == [("going", "web-3"), ("going", "web-2")]
        assert set(images(world).values()) == {"two"}

    in_world(scenario)


def test_on_delete_pods_are_replaced_when_their_user_deletes_them() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(updateStrategy={"type": "OnDelete"}))
        await world.settled()
        set_image(world, "two")
        await world.settled()
        assert set(images(world).values()) == {"one"}

        world.delete("pods", "web-1")
        await world.settled()
        assert images(world) == {"web-0": "one", "web-1": "two", "web-2": "one"}

    in_world(scenario)


def test_a_template_that_was_there_before_becomes_the_newest_revision_again() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set())
        await world.settled()
        first = status(world)["currentRevision"]
        set_image(world, "two")
        await world.settled()
        set_image(world, "one")
        await world.settled()

        assert sorted(each["revision"] for each in world.list(REVISIONS)) == [2, 3]
        assert status(world)["currentRevision"] == first
        assert set(revisions_of_pods(world).values()) == {first}

    in_world(scenario)


def test_no_more_revisions_are_kept_than_asked_for_but_those_of_pods() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(revisionHistoryLimit=1, updateStrategy=rolling(partition=3)))
        await world.settled()
        for number in range(4):
            set_image(world, f"image-{number}")
            await world.settled()

        kept = {each["revision"] for each in world.list(REVISIONS)}
        assert kept == {1, 4, 5}  # of all pods; the one that is allowed; of the template

    in_world(scenario)


def test_a_name_that_another_revision_has_is_counted_as_a_collision() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=1))
        await world.settled()
        [revision] = world.list(REVISIONS)
        world.delete(SETS, "web", propagation="Orphan")
        world.delete("pods", "web-0")
        await world.settled()
        foreign = {**meta(revision), "ownerReferences": [], "labels": {"app": "other"}}
        world.delete(REVISIONS, name_of(revision))
        world.create(REVISIONS, {**revision, "metadata": foreign, "data": {}})
        world.create(SETS, stateful_set(replicas=1))
        await world.settled()

        assert status(world)["collisionCount"] == 1
        assert status(world)["currentRevision"] != name_of(revision)

    with_garbage_collector(scenario)


def test_while_a_template_cannot_be_stored_all_stays_as_it_is() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set())
        await world.settled()
        world.store.refusals[REVISIONS] = "no room"
        set_image(world, "two")
        await asyncio.sleep(30)
        assert set(images(world).values()) == {"one"}
        assert status(world)["observedGeneration"] == 1

        world.store.refusals.clear()
        await world.settled()
        assert set(images(world).values()) == {"two"}

    in_world(scenario)


# -- whose is a pod ---------------------------------------------------------------------------------------------------


def orphan(name: str, **labels: str) -> dict[str, Any]:
    spec = template()["spec"]
    return {"metadata": {"name": name, "namespace": "default", "labels": {"app": "web", **labels}}, "spec": spec}


def test_adopts_pods_with_a_name_that_it_gives_and_completes_their_labels() -> None:
    async def scenario(world: World) -> None:
        kept = world.create("pods", orphan("web-0"))
        world.create("pods", orphan("web-zero"))
        made = world.create(SETS, stateful_set(replicas=1, updateStrategy={"type": "OnDelete"}))
        await world.settled()

        adopted = world.get("pods", "web-0")
        assert (uid_of(adopted), owner_references(adopted)[0]["uid"]) == (uid_of(kept), uid_of(made))
        assert meta(adopted)["labels"]["statefulset.kubernetes.io/pod-name"] == "web-0"
        assert ("Normal", "SuccessfulUpdate", "Update Pod web-0 in StatefulSet web successful") in told(world)
        assert not owner_references(world.get("pods", "web-zero"))

    in_world(scenario)


def test_releases_a_pod_that_matches_no_more_and_waits_until_its_name_is_free() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=1))
        await world.settled()
        world.patch("pods", "web-0", {"metadata": {"labels": {"app": "debug"}}})
        await world.settled()
        assert not owner_references(world.get("pods", "web-0"))
        why = 'Create Pod web-0 in StatefulSet web failed error: pods "web-0" already exists'
        assert ("Warning", "FailedCreate", why) in told(world)

        world.delete("pods", "web-0")
        await asyncio.sleep(30)
        assert meta(world.get("pods", "web-0"))["labels"]["app"] == "web"

    in_world(scenario)


def test_a_pod_that_is_refused_is_complained_about_and_tried_again() -> None:
    async def scenario(world: World) -> None:
        world.store.refusals["pods"] = "exceeded quota: pods=0"
        world.create(SETS, stateful_set(replicas=1))
        await asyncio.sleep(10)
        why = "Create Pod web-0 in StatefulSet web failed error: exceeded quota: pods=0"
        assert set(told(world)) == {("Warning", "FailedCreate", why)}

        world.store.refusals.clear()
        await world.settled()
        assert status(world)["readyReplicas"] == 1

    in_world(scenario)


def test_a_set_that_is_being_deleted_only_tells() -> None:
    async def scenario(world: World) -> None:
        dying = stateful_set(replicas=2)
        dying["metadata"]["finalizers"] = ["example.com/wait"]
        world.create(SETS, dying)
        await world.settled()
        world.delete(SETS, "web")
        world.delete("pods", "web-1")
        set_image(world, "two")
        await world.settled()

        assert images(world) == {"web-0": "one"}
        assert status(world)["replicas"] == 1
        assert len(world.list(REVISIONS)) == 1

    in_world(scenario)


def test_pods_and_revisions_outlive_a_set_that_orphans_them_and_are_the_next_ones() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set())
        await world.settled()
        uids = [uid_of(pod) for pod in world.list("pods")]
        world.delete(SETS, "web", propagation="Orphan")
        await world.settled()
        made = world.create(SETS, stateful_set())
        await world.settled()

        assert [uid_of(pod) for pod in world.list("pods")] == uids
        assert {owner_references(pod)[0]["uid"] for pod in world.list("pods")} == {uid_of(made)}
        assert len(world.list(REVISIONS)) == 1
        assert status(world)["updatedReplicas"] == 3

    with_garbage_collector(scenario)


def test_the_pods_of_an_earlier_set_of_that_name_are_waited_for_in_silence() -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 30.0
        world.create(SETS, stateful_set())
        await world.settled()
        world.delete(SETS, "web")
        await asyncio.sleep(10)
        made = world.create(SETS, stateful_set())
        await world.settled()
        assert len(world.list("pods")) == 3
        await asyncio.sleep(120)

        assert {owner_references(pod)[0]["uid"] for pod in world.list("pods")} == {uid_of(made)}
        assert status(world)["readyReplicas"] == 3
        assert "FailedCreate" not in [reason for _, reason, _ in told(world)]

    with_garbage_collector(scenario)


@pytest.mark.slow
def test_six_hundred_pods_in_parallel_cost_few_passes() -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=600, podManagementPolicy="Parallel"))
        await world.settled()

        assert len(world.list("pods")) == 600
        (activity,) = await world.activity()
        assert activity.writes <= 600 + 80
        assert activity.passes <= 120

    in_world(scenario)


# -- settle -----------------------------------------------------------------------------------------------------------

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(0, 5)),
        st.tuples(st.just("image"), st.integers(0, 2)),
        st.tuples(st.just("partition"), st.integers(0, 3)),
        st.tuples(st.just("kill"), st.integers(0, 5)),
        st.tuples(st.just("fail"), st.integers(0, 5)),
        st.tuples(st.just("relabel"), st.integers(0, 5)),
        st.tuples(st.just("orphan"), st.integers(0, 5)),
    ),
    max_size=6,
)


@settings(max_examples=examples(25), deadline=None)
@example(0, "OrderedReady", [("scale", 0), ("scale", 0), ("scale", 1), ("orphan", 0), ("partition", 1)])
@given(st.integers(0, 2**32), st.sampled_from(("OrderedReady", "Parallel")), OPERATIONS)
def test_after_any_unrest_there_are_as_many_as_asked_for_of_the_right_revisions(
    seed: int, policy: str, operations: list[tuple[str, int]]
) -> None:
    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=2, claims=("data",), podManagementPolicy=policy))
        await world.unrest(60, [lambda o=o: operate(world, *o) for o in operations])  # type: ignore[misc]
        await world.settled(within_s=600)

        spec = world.get(SETS, "web")["spec"]
        ours = [pod for pod in world.list("pods") if owner_references(pod)]
        assert names(ours) == [f"web-{n}" for n in range(spec["replicas"])]
        told_of = status(world)
        assert (told_of["replicas"], told_of["availableReplicas"]) == (spec["replicas"],) * 2
        updated = told_of["updateRevision"]
        late = ours[spec["updateStrategy"]["rollingUpdate"]["partition"] :]
        assert {meta(pod)["labels"]["controller-revision-hash"] for pod in late} <= {updated}
        assert not [what for what, _ in history_of(world, CLAIMS) if what != "came"]
        assert set(names(world.list(CLAIMS))) >= {f"data-{name}" for name in names(ours)}

        revision = world.revision()
        await asyncio.sleep(600)
        assert world.revision() == revision

    in_world(scenario, seed=seed)


def operate(world: World, operation: str, number: int) -> None:
    name = f"web-{number}"
    there = world.find("pods", name) is not None
    match operation:
        case "scale":
            world.patch(SETS, "web", {"spec": {"replicas": number}})
        case "image":
            set_image(world, f"image-{number}")
        case "partition":
            world.patch(SETS, "web", {"spec": {"updateStrategy": rolling(partition=number)}})
        case "kill" if there:
            world.delete("pods", name)
        case "fail" if there:
            world.patch("pods", name, {"status": {"phase": "Failed"}}, subresource="status")
        case "relabel" if there:
            world.patch("pods", name, {"metadata": {"labels": {"statefulset.kubernetes.io/pod-name": "other"}}})
        case "orphan" if not there:
            if world.find(CLAIMS, f"data-{name}") is None:  # without it no node would run the pod
                world.create(CLAIMS, {"metadata": {"name": f"data-{name}", "namespace": "default"}, "spec": {}})
            world.create("pods", {**orphan(name), "spec": orphan_spec(name)})


def orphan_spec(name: str) -> dict[str, Any]:
    """With the claim that it should have: volumes are not changed once a pod is there."""
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{name}"}}
    return {**template()["spec"], "volumes": [volume]}
