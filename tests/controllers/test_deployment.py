"""The deployment controller, with the replica set controller beside it: rollouts as kubectl sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import deployment, replicaset
from protocols.objects import Object, decode_object, meta, name_of, uid_of
from protocols.rules.conditions import find_condition
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples


def web(replicas: int = 3, image: str = "v1", **spec: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            "strategy": strategy,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


def in_world(scenario: Any, **options: Any) -> None:
    async def play() -> None:
        async with World(deployment.controller(), replicaset.controller(replicaset.REPLICA_SET), **options) as world:
            await scenario(world)

    run(play())


def set_image(world: World, image: str) -> None:
    containers = [{"name": "c", "image": image}]
    world.patch("deployments.apps", "web", {"spec": {"template": {"spec": {"containers": containers}}}})


def scale(world: World, replicas: int) -> None:
    world.patch("deployments.apps", "web", {"spec": {"replicas": replicas}})


def images(world: World) -> list[str]:
    return sorted(p["spec"]["containers"][0]["image"] for p in world.active_pods())


def status(world: World) -> Any:
    return world.get("deployments.apps", "web")["status"]


def condition(world: World, type: str) -> Any:
    return find_condition(status(world)["conditions"], type)


def sets(world: World) -> dict[str, Object]:
    return {s["spec"]["template"]["spec"]["containers"][0]["image"]: s for s in world.list("replicasets.apps")}


def revision(obj: Object) -> str:
    return str(meta(obj)["annotations"]["deployment.kubernetes.io/revision"])


def test_a_new_deployment_gets_one_set_with_a_hash_and_says_when_it_is_done() -> None:
    async def scenario(world: World) -> None:
        owner = world.create("deployments.apps", web())
        await world.settled()

        (replica_set,) = world.list("replicasets.apps")
        digest = meta(replica_set)["labels"]["pod-template-hash"]
        assert name_of(replica_set) == f"web-{digest}"
        assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": digest}
        assert meta(replica_set)["ownerReferences"][0]["uid"] == uid_of(owner)
        assert meta(replica_set)["annotations"] == {
            "deployment.kubernetes.io/revision": "1",
            "deployment.kubernetes.io/desired-replicas": "3",
            "deployment.kubernetes.io/max-replicas": "4",
        }
        numbers = {field: value for field, value in status(world).items() if field != "conditions"}
        assert numbers == {
            "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
            "terminatingReplicas": 0,
        }  # fmt: skip
        assert condition(world, "Available")["reason"] == "MinimumReplicasAvailable"
        assert condition(world, "Progressing")["reason"] == "NewReplicaSetAvailable"
        message = f'ReplicaSet "web-{digest}" has successfully progressed.'
        assert condition(world, "Progressing")["message"] == message
        told = [e["message"] for e in world.list("events") if e["involvedObject"]["kind"] == "Deployment"]
        assert told == [f"Scaled up replica set web-{digest} from 0 to 3"]
        assert revision(world.get("deployments.apps", "web")) == "1"

    in_world(scenario)


def test_a_new_set_begins_without_updated_pods() -> None:
    """So that the first of them is progress, as with a real controller, which tells of the set before it has pods."""

    async def scenario(world: World) -> None:
        world.create("deployments.apps", web())
        await world.settled()
        set_image(world, "v2")
        await world.settled()

        written = [decode_object(e.body) for resource, e in world.store.log if resource == "deployments.apps"]
        told = [
            (find_condition(o["status"].get("conditions"), "Progressing"), o["status"])
            for o in written
            if "status" in o
        ]
        begun = [status for progress, status in told if progress and progress["reason"] == "NewReplicaSetCreated"]
        assert [status.get("updatedReplicas", 0) for status in begun] == [0] * len(begun)
        assert len(begun) >= 2
        assert [progress["reason"] for progress, _ in told if progress].count("ReplicaSetUpdated") > 0

    in_world(scenario)


def test_a_rolling_update_stays_within_surge_and_availability() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(10))
        await world.settled()
        total, ready = [], []

        def watch() -> None:
            pods = world.active_pods()
            total.append(len(pods))
            ready.append(sum(p.get("status", {}).get("phase") == "Running" for p in pods))
            live()

        live = world.store.on_commit
        world.store.on_commit = watch
        set_image(world, "v2")
        await world.settled()

        assert images(world) == ["v2"] * 10
        assert max(total) <= 13
        assert min(ready) >= 8
        assert max(total) > 10
        assert {image: s["spec"]["replicas"] for image, s in sets(world).items()} == {"v1": 0, "v2": 10}

    in_world(scenario)


def test_recreate_has_no_old_pod_left_when_the_first_new_one_comes() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(3, strategy={"type": "Recreate"}))
        await world.settled()
        mixed = []

        def watch() -> None:
            mixed.append(len({p["spec"]["containers"][0]["image"] for p in world.list("pods")}))
            live()

        live = world.store.on_commit
        world.store.on_commit = watch
        set_image(world, "v2")
        await world.settled()

        assert images(world) == ["v2"] * 3
        assert max(mixed) == 1

    in_world(scenario)


def test_undo_makes_the_old_set_the_new_one_with_the_next_revision() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web())
        await world.settled()
        set_image(world, "v2")
        await world.settled()
        assert (revision(sets(world)["v1"]), revision(sets(world)["v2"])) == ("1", "2")

        set_image(world, "v1")
        await world.settled()

        assert images(world) == ["v1"] * 3
        assert len(sets(world)) == 2
        assert (revision(sets(world)["v1"]), revision(sets(world)["v2"])) == ("3", "2")
        assert meta(sets(world)["v1"])["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
        assert revision(world.get("deployments.apps", "web")) == "3"

    in_world(scenario)


def test_history_is_kept_to_its_limit_oldest_first() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(1, revisionHistoryLimit=2))
        await world.settled()
        for number in range(2, 7):
            set_image(world, f"v{number}")
            await world.settled()

        assert sorted(sets(world)) == ["v4", "v5", "v6"]

    in_world(scenario)


def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web())
        await world.settled()
        world.patch("deployments.apps", "web", {"spec": {"paused": True}})
        set_image(world, "v2")
        scale(world, 5)
        await world.settled()

        assert images(world) == ["v1"] * 5
        assert condition(world, "Progressing")["reason"] == "DeploymentPaused"

        world.patch("deployments.apps", "web", {"spec": {"paused": False}})
        await world.settled()
        assert images(world) == ["v2"] * 5
        assert condition(world, "Progressing")["reason"] == "NewReplicaSetAvailable"

    in_world(scenario)


def test_a_rollout_that_does_not_progress_says_so_after_the_deadline() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(4, progressDeadlineSeconds=60))
        await world.settled()
        world.never_ready = lambda pod: pod["spec"]["containers"][0]["image"] == "broken"
        set_image(world, "broken")
        await asyncio.sleep(55)
        assert condition(world, "Progressing")["status"] == "True"

        await asyncio.sleep(30)
        progressing = condition(world, "Progressing")
        assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
        assert status(world)["availableReplicas"] == 3

        set_image(world, "v3")
        await world.settled()
        assert images(world) == ["v3"] * 4
        assert condition(world, "Progressing")["reason"] == "NewReplicaSetAvailable"

    in_world(scenario)


def test_a_refused_replica_set_is_told_and_made_when_it_may_be() -> None:
    async def scenario(world: World) -> None:
        world.store.refusals["replicasets.apps"] = "exceeded quota"
        world.create("deployments.apps", web(1))
        await asyncio.sleep(3)
        progressing = condition(world, "Progressing")
        assert (progressing["status"], progressing["reason"]) == ("False", "ReplicaSetCreateError")

        world.store.refusals.clear()
        await world.settled()
        assert status(world)["availableReplicas"] == 1
        assert condition(world, "Progressing")["reason"] == "NewReplicaSetAvailable"

    in_world(scenario)


def test_a_replica_set_of_somebody_else_in_the_way_is_a_collision_that_is_stepped_around() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(1))
        await world.settled()
        (mine,) = world.list("replicasets.apps")
        world.delete("deployments.apps", "web")
        world.create("deployments.apps", web(2))
        await world.settled()

        assert status(world)["collisionCount"] == 1
        assert len(world.list("replicasets.apps")) == 2
        assert status(world)["availableReplicas"] == 2
        assert name_of(mine) in {name_of(s) for s in world.list("replicasets.apps")}

    in_world(scenario)


def test_scaling_during_a_rollout_keeps_the_proportions_and_ends() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(10))
        await world.settled()
        world.never_ready = lambda pod: pod["spec"]["containers"][0]["image"] == "slow"
        set_image(world, "slow")
        await asyncio.sleep(10)
        before = {image: s["spec"]["replicas"] for image, s in sets(world).items()}
        assert before == {"v1": 8, "slow": 5}
        scale(world, 20)
        await asyncio.sleep(10)

        sizes = {image: s["spec"]["replicas"] for image, s in sets(world).items()}
        assert sum(sizes.values()) == 25
        assert sizes["v1"] > sizes["slow"] > 5

    in_world(scenario)


def test_a_set_scaled_behind_the_deployments_back_is_put_right() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(3))
        await world.settled()
        world.patch("replicasets.apps", name_of(world.list("replicasets.apps")[0]), {"spec": {"replicas": 7}})
        await world.settled()

        assert len(world.active_pods()) == 3

    in_world(scenario)


def test_annotations_follow_the_deployment_to_its_new_set_only() -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(1))
        await world.settled()
        world.patch("deployments.apps", "web", {"metadata": {"annotations": {"kubernetes.io/change-cause": "to v2"}}})
        set_image(world, "v2")
        await world.settled()

        assert meta(sets(world)["v2"])["annotations"]["kubernetes.io/change-cause"] == "to v2"

    in_world(scenario)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(0, 6)),
        st.tuples(st.just("image"), st.integers(1, 3)),
        st.tuples(st.just("pause"), st.integers(0, 1)),
        st.tuples(st.just("kill"), st.integers(0, 7)),
        st.tuples(st.just("strategy"), st.integers(0, 1)),
    ),
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 2**32), OPERATIONS)
def test_settles_on_the_template_and_replicas_asked_for(seed: int, operations: list[tuple[str, int]]) -> None:
    async def scenario(world: World) -> None:
        world.create("deployments.apps", web(3))
        await world.unrest(40, [lambda o=o: operate(world, *o) for o in operations])  # type: ignore[misc]
        world.patch("deployments.apps", "web", {"spec": {"paused": None}})
        await world.settled()

        spec = world.get("deployments.apps", "web")["spec"]
        image = spec["template"]["spec"]["containers"][0]["image"]
        assert images(world) == [image] * spec["replicas"]
        assert status(world).get("availableReplicas", 0) == spec["replicas"]
        assert status(world)["observedGeneration"] == meta(world.get("deployments.apps", "web"))["generation"]
        assert condition(world, "Progressing")["reason"] == "NewReplicaSetAvailable"

        before = world.revision()
        await asyncio.sleep(3600)
        assert world.revision() == before

    in_world(scenario, seed=seed)


def operate(world: World, operation: str, number: int) -> None:
    pods = world.list("pods")
    match operation:
        case "scale":
            scale(world, number)
        case "image":
            set_image(world, f"v{number}")
        case "pause":
            world.patch("deployments.apps", "web", {"spec": {"paused": bool(number)}})
        case "kill" if pods:
            world.delete("pods", name_of(pods[number % len(pods)]))
        case "strategy":
            strategy: dict[str, Any] = {"type": "Recreate", "rollingUpdate": None}
            if number:
                strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
            world.patch("deployments.apps", "web", {"spec": {"strategy": strategy}})
