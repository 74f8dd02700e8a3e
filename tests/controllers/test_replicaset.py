"""The replica set controller: as many pods as asked for, the right ones, and a true status."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import replicaset
from actors.controllers.pod_summary import PodSummary, summarise_pod
from actors.controllers.scale_down import pods_to_delete
from protocols.objects import Object, meta, name_of, uid_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples

NOW = 1_700_000_000.0


def replica_set(name: str = "web", replicas: int = 3, **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            **spec,
        },
    }


def replication_controller(name: str = "web", replicas: int = 3) -> Object:
    made = replica_set(name, replicas, selector={"app": name})
    return {**made, "apiVersion": "v1", "kind": "ReplicationController"}


def pod(name: str, labels: dict[str, str] | None = None) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "labels": labels or {"app": "web"}}, "spec": {}}


def in_world(scenario: Any) -> None:
    async def play() -> None:
        async with World(replicaset.controller(replicaset.REPLICA_SET)) as world:
            await scenario(world)

    run(play())


def test_creates_the_pods_that_are_missing_and_says_so() -> None:
    async def scenario(world: World) -> None:
        owner = world.create("replicasets.apps", replica_set())
        await world.settled()

        pods = world.active_pods()
        assert len(pods) == 3
        for each in pods:
            reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid_of(owner)}
            assert meta(each)["ownerReferences"] == [{**reference, "controller": True, "blockOwnerDeletion": True}]
            assert meta(each)["labels"] == {"app": "web"}
        counts = dict.fromkeys(("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"), 3)
        assert world.get("replicasets.apps", "web")["status"] == {
            **counts,
            "observedGeneration": 1,
            "terminatingReplicas": 0,
        }
        events = sorted(e["message"] for e in world.list("events"))
        assert events == sorted(f"Created pod: {name_of(each)}" for each in pods)

    in_world(scenario)


def test_pods_that_are_to_go_are_counted_until_they_have_ended() -> None:
    def pod(deleting: bool, terminated: bool, **labels: str) -> PodSummary:
        state = ("u", "owner", "n", "Running", deleting, terminated, None, 0.0, 0, 0, (), "")
        return PodSummary("default/p", "p", *state, labels, ())

    pods = [pod(False, False, app="web"), pod(True, False, app="web"), pod(True, True, app="web"), pod(True, False)]

    assert replicaset.terminating(replica_set(), pods) == 1


def test_deletes_the_pods_that_are_too_many() -> None:
    async def scenario(world: World) -> None:
        world.create("replicasets.apps", replica_set(replicas=5))
        await world.settled()
        world.patch("replicasets.apps", "web", {"spec": {"replicas": 2}})
        await world.settled()

        assert len(world.list("pods")) == 2
        assert world.get("replicasets.apps", "web")["status"]["replicas"] == 2

    in_world(scenario)


def test_replaces_a_pod_that_was_deleted_by_one_of_another_name() -> None:
    async def scenario(world: World) -> None:
        world.create("replicasets.apps", replica_set(replicas=2))
        await world.settled()
        before = {name_of(each) for each in world.list("pods")}
        victim = sorted(before)[0]
        world.delete("pods", victim)
        await world.settled()

        after = {name_of(each) for each in world.list("pods")}
        assert len(after) == 2
        assert victim not in after

    in_world(scenario)


def test_a_name_that_was_used_lately_is_not_given_again() -> None:
    async def scenario(world: World) -> None:
        world.create("replicasets.apps", replica_set(replicas=1))
        await world.settled()
        [before] = world.list("pods")
        world.store.delete("pods", "default", name_of(before), grace=0)
        world.api.deliver()
        await world.settled()

        [after] = world.list("pods")
        assert name_of(after) != name_of(before)

    in_world(scenario)


def test_does_not_wait_for_a_pod_that_is_going() -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 1e6
        world.create("replicasets.apps", replica_set(replicas=2))
        await world.settled()
        world.delete("pods", name_of(world.list("pods")[0]))
        await world.settled()

        assert (len(world.list("pods")), len(world.active_pods())) == (3, 2)
        assert world.get("replicasets.apps", "web")["status"]["replicas"] == 2

    in_world(scenario)


def test_replaces_a_pod_that_failed_and_leaves_it_to_be_looked_at() -> None:
    async def scenario(world: World) -> None:
        world.create("replicasets.apps", replica_set(replicas=1))
        await world.settled()
        failed = name_of(world.list("pods")[0])
        world.patch("pods", failed, {"status": {"phase": "Failed"}}, subresource="status")
        await world.settled()

        assert len(world.list("pods")) == 2
        assert world.get("replicasets.apps", "web")["status"]["replicas"] == 1

    in_world(scenario)


def test_adopts_orphans_that_match_and_counts_them() -> None:
    async def scenario(world: World) -> None:
        world.create("pods", pod("lonely"))
        world.create("pods", pod("stranger", {"app": "other"}))
        owner = world.create("replicasets.apps", replica_set(replicas=2))
        await world.settled()

        assert meta(world.get("pods", "lonely"))["ownerReferences"][0]["uid"] == uid_of(owner)
        assert "ownerReferences" not in meta(world.get("pods", "stranger"))
        assert len(world.list("pods")) == 3

    in_world(scenario)


def test_releases_a_pod_that_no_longer_matches_and_replaces_it() -> None:
    async def scenario(world: World) -> None:
        world.create("replicasets.apps", replica_set(replicas=1))
        await world.settled()
        name = name_of(world.list("pods")[0])
        world.patch("pods", name, {"metadata": {"labels": {"app": "debug"}}})
        await world.settled()

        assert meta(world.get("pods", name)).get("ownerReferences") in (None, [])
        assert len(world.list("pods")) == 2

    in_world(scenario)


def test_a_set_that_is_being_deleted_neither_creates_nor_adopts() -> None:
    async def scenario(world: World) -> None:
        world.create("pods", pod("lonely"))
        dying = replica_set()
        dying["metadata"]["finalizers"] = ["foregroundDeletion"]
        world.store.create("replicasets.apps", dying)
        world.delete("replicasets.apps", "web")
        await world.settled()

        assert [name_of(each) for each in world.list("pods")] == ["lonely"]
        assert not meta(world.get("pods", "lonely")).get("ownerReferences")

    in_world(scenario)


def test_does_not_adopt_for_a_set_that_is_deleted_behind_its_back() -> None:
    async def scenario(world: World) -> None:
        dying = replica_set(replicas=1)
        dying["metadata"]["finalizers"] = ["orphan"]
        world.create("replicasets.apps", dying)
        await world.settled()
        world.api.watches = {o: (w, p) for o, (w, p) in world.api.watches.items() if w.resource == "pods"}
        world.delete("replicasets.apps", "web")
        name = name_of(world.list("pods")[0])
        world.patch("pods", name, {"metadata": {"ownerReferences": None}})
        await asyncio.sleep(20)

        assert not meta(world.get("pods", name)).get("ownerReferences")

    in_world(scenario)


def test_a_refused_pod_shows_as_a_condition_and_an_event_until_it_works() -> None:
    async def scenario(world: World) -> None:
        world.store.refusals["pods"] = "exceeded quota: pods=0"
        world.create("replicasets.apps", replica_set(replicas=1))
        await asyncio.sleep(2)
        (condition,) = world.get("replicasets.apps", "web")["status"]["conditions"]
        assert (condition["type"], condition["status"]) == ("ReplicaFailure", "True")
        assert (condition["reason"], condition["message"]) == ("FailedCreate", "exceeded quota: pods=0")
        assert {e["message"] for e in world.list("events")} == {"Error creating: exceeded quota: pods=0"}

        world.store.refusals.clear()
        await world.settled()
        assert "conditions" not in world.get("replicasets.apps", "web")["status"]
        assert len(world.list("pods")) == 1

    in_world(scenario)


def test_pods_are_available_only_after_min_ready_seconds() -> None:
    async def scenario(world: World) -> None:
        world.create("replicasets.apps", replica_set(replicas=2, minReadySeconds=10))
        await asyncio.sleep(5)
        status = world.get("replicasets.apps", "web")["status"]
        assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (2, 0)

        await asyncio.sleep(10)
        assert world.get("replicasets.apps", "web")["status"]["availableReplicas"] == 2

    in_world(scenario)


@pytest.mark.slow
def test_a_thousand_pods_cost_few_passes() -> None:
    async def scenario(world: World) -> None:
        world.create("replicasets.apps", replica_set(replicas=1000))
        await world.settled()

        assert len(world.list("pods")) == 1000
        (activity,) = await world.activity()
        assert activity.writes <= 1000 + 60
        assert activity.passes <= 100

    in_world(scenario)


# -- which pods go first ----------------------------------------------------------------------------------------------


def summary(name: str, **changes: Any) -> PodSummary:
    base = summarise_pod(pod(name))._replace(
        node="n1", phase="Running", ready_since=NOW - 1000, created=NOW - 2000, uid=name
    )
    return base._replace(**changes)


GOOD = summary("good")


@pytest.mark.parametrize(
    ("worse", "why"),
    [
        (GOOD._replace(node=""), "not bound"),
        (GOOD._replace(phase="Pending"), "pending"),
        (GOOD._replace(phase="Unknown"), "unknown"),
        (GOOD._replace(ready_since=None), "not ready"),
        (GOOD._replace(deletion_cost=-1), "cheap"),
        (GOOD._replace(node="crowded"), "on a crowded node"),
        (GOOD._replace(ready_since=NOW - 10), "ready for a short time"),
        (GOOD._replace(restarts=3), "restarted often"),
        (GOOD._replace(created=NOW - 100), "young"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_less_useful_pod_goes_first(worse: PodSummary, why: str) -> None:
    worse = worse._replace(name="worse", uid="zzz")

    for order in ([GOOD, worse], [worse, GOOD]):
        assert pods_to_delete(order, 1, {"crowded": 5, "n1": 1}, NOW) == [worse]


def test_the_first_difference_decides() -> None:
    pending_but_dear = summary("a", phase="Pending", deletion_cost=100, ready_since=None)
    running_but_cheap = summary("b", deletion_cost=-100)

    assert pods_to_delete([running_but_cheap, pending_but_dear], 1, {}, NOW) == [pending_but_dear]


# -- settle -----------------------------------------------------------------------------------------------------------

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(0, 8)),
        st.tuples(st.just("kill"), st.integers(0, 7)),
        st.tuples(st.just("fail"), st.integers(0, 7)),
        st.tuples(st.just("relabel"), st.integers(0, 7)),
        st.tuples(st.just("orphan"), st.integers(0, 2)),
    ),
    max_size=6,
)


def test_a_replication_controller_has_a_plain_map_of_labels_and_does_the_same() -> None:
    async def play() -> None:
        async with World(*map(replicaset.controller, replicaset.SORTS.values())) as world:
            world.create("pods", pod("orphan"))
            owner = world.create("replicationcontrollers", replication_controller())
            await world.settled()

            reference = {"apiVersion": "v1", "kind": "ReplicationController", "name": "web", "uid": uid_of(owner)}
            pods = world.active_pods()
            assert len(pods) == 3 and "orphan" in map(name_of, pods)
            for each in pods:
                assert meta(each)["ownerReferences"] == [{**reference, "controller": True, "blockOwnerDeletion": True}]
            counts = dict.fromkeys(("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"), 3)
            status = world.get("replicationcontrollers", "web")["status"]
            assert {**status, "fullyLabeledReplicas": 3} == {**counts, "observedGeneration": 1}
            about = {each["involvedObject"]["kind"] for each in world.list("events")}
            assert about == {"ReplicationController"}

            world.patch("pods", "orphan", {"metadata": {"labels": {"app": "other"}}})
            world.patch("replicationcontrollers", "web", {"spec": {"replicas": 1}})
            await world.settled()
            assert [is_ours(each) for each in world.active_pods()].count(True) == 1
            assert not meta(world.get("pods", "orphan"))["ownerReferences"]

    run(play())


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 2**32), OPERATIONS)
def test_settles_on_as_many_pods_as_asked_for(seed: int, operations: list[tuple[str, int]]) -> None:
    async def play() -> None:
        async with World(replicaset.controller(replicaset.REPLICA_SET), seed=seed) as world:
            world.create("replicasets.apps", replica_set(replicas=4))
            await world.unrest(40, [lambda o=o: operate(world, *o) for o in operations])  # type: ignore[misc]
            await world.settled()

            desired = world.get("replicasets.apps", "web")["spec"]["replicas"]
            active = [
                p for p in world.active_pods() if is_ours(p) and (p.get("status") or {}).get("phase") == "Running"
            ]
            assert len(active) == desired
            status = world.get("replicasets.apps", "web")["status"]
            assert (status["replicas"], status.get("availableReplicas", 0)) == (desired, desired)

            revision = world.revision()
            await asyncio.sleep(600)
            assert world.revision() == revision

    run(play())


def is_ours(each: Object) -> bool:
    return meta(each)["labels"].get("app") == "web"


def operate(world: World, operation: str, number: int) -> None:
    pods = world.list("pods")
    target = name_of(pods[number % len(pods)]) if pods else ""
    match operation:
        case "scale":
            world.patch("replicasets.apps", "web", {"spec": {"replicas": number}})
        case "kill" if target:
            world.delete("pods", target)
        case "fail" if target:
            world.patch("pods", target, {"status": {"phase": "Failed"}}, subresource="status")
        case "relabel" if target:
            world.patch("pods", target, {"metadata": {"labels": {"app": "debug"}}})
        case "orphan" if not world.find("pods", f"orphan-{number}"):
            world.create("pods", pod(f"orphan-{number}"))
