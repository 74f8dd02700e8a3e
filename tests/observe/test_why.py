"""Why did it happen: from a pod back to the request that caused it, through every component, in every world."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.kube.why import Why, choose, way_back, why
from actorkube.runtime import System
from actorkube.sim import World as SimWorld
from actorkube.testing import WORLDS, World, run_in
from actors.cluster import ClusterSpec, cluster_hosts
from protocols.api import Origin, Patch
from protocols.errors import NotFound
from protocols.objects import encode_object
from protocols.observe import SpanReport
from tests.worlds.user import User

SPEC = ClusterSpec(runtime="sim", nodes=1, etcd=1)


async def deployed(world: World) -> tuple[System, str]:
    """A cluster that is followed, and a deployment's running pod in it: its name."""
    world.follow()
    await world.boot_all(cluster_hosts(SPEC))
    system = await world.boot("user", listens=False)
    user = User(system)
    await user.deploy("web", 1)
    await world.until(lambda: running(user), within_s=60)
    (name,) = await user.names("pods")
    return system, name


async def running(user: User) -> bool:
    """And everybody knows: what follows has no other cause than what the test does then."""
    deployment = await user.get("deployments.apps", "web")
    status = (deployment or {}).get("status", {})
    generation = (deployment or {}).get("metadata", {}).get("generation")
    return (status.get("readyReplicas"), status.get("observedGeneration")) == (1, generation)


def hops(found: Why) -> list[str]:
    """Component and object, without the parts of names that nobody can foresee."""
    return [f"{hop.actor.partition('/')[0]} {hop.what.split(' ')[0]}" for hop in found.hops]


@pytest.mark.parametrize("kind", WORLDS)
def test_a_pod_is_there_because_somebody_asked_for_a_deployment(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system, name = await deployed(world)

        found = await why(system, "pod", name, "default")

        assert found.complete
        assert hops(found) == [
            "apiserver Create",  # the pod
            "controller-manager replicaset-controller",
            "apiserver Create",  # its ReplicaSet
            "controller-manager deployment-controller",
            "apiserver Create",  # the deployment: asked for by the user
        ]
        assert [hop.notes["object"].split()[0] for hop in found.hops[::2]] == [
            "pods",
            "replicasets.apps",
            "deployments.apps",
        ]
        assert found.caused_by("deployments.apps default/web")
        assert not found.caused_by("services default/web")
        assert found.caused_by("pods", "replicaset-controller default/" + found.hops[2].notes["object"].split("/")[1])
        assert found.caused_by("replicasets.apps", "deployment-controller default/web", "deployments.apps")
        assert not found.caused_by("deployments.apps", "replicasets.apps")
        assert not found.caused_by("deployments.apps", "deployments.apps")

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_pod_runs_because_it_was_scheduled_because_it_was_created(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system, name = await deployed(world)

        found = await why(system, "pod", name, "default", latest=True)

        assert found.complete
        way = hops(found)
        assert way[0] == "apiserver Update"
        assert way[1] == "node-1-kubelet status"
        scheduled = way.index("scheduler schedule")
        assert way[scheduled - 1 : scheduled + 3] == [
            "apiserver Create",  # the binding
            "scheduler schedule",
            "apiserver Create",  # the pod
            "controller-manager replicaset-controller",
        ]
        assert way[-1] == "apiserver Create"
        assert found.hops[-1].notes["object"] == "deployments.apps default/web"

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_pod_goes_because_the_deployment_was_scaled(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system, name = await deployed(world)
        user = User(system)
        patch = Patch("deployments.apps", "web", "merge", encode_object({"spec": {"replicas": 0}}), "default")
        await system.ask(system.ref("apiserver/api"), patch)
        await world.until(lambda: no_pods(user), within_s=60)

        created = await why(system, "pod", name, "default")
        gone = await why(system, "pod", name, "default", latest=True)

        assert gone.origin.deleted
        assert "controller-manager replicaset-controller" in hops(gone)
        assert (gone.hops[-1].what, gone.hops[-1].notes["object"]) == ("Patch", "deployments.apps default/web")
        assert created.hops[-1].what == "Create"

    run_in(kind, scenario, tmp_path)


async def no_pods(user: User) -> bool:
    return not await user.objects("pods")


@pytest.mark.slow
def test_pods_move_because_their_node_fell_silent() -> None:
    """The cause survives the timers in between: the grace period of a node, the toleration of a pod."""

    async def scenario(world: SimWorld) -> None:
        world.follow()
        spec = ClusterSpec(runtime="sim", nodes=2, node_monitor_grace_s=10.0, eviction_timeout_s=30.0)
        await world.boot_all(cluster_hosts(spec))
        system = await world.boot("user", listens=False)
        user = User(system)
        await user.deploy("web", 1)
        await world.until(lambda: running(user), within_s=60)
        (pod,) = await user.objects("pods")
        first, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
        for host in (f"{node}-kubelet", f"{node}-runtime", f"{node}-proxy"):
            world.crash(host)
        await world.until(lambda: moved(user, first), within_s=300)
        (second,) = [pod["metadata"]["name"] for pod in await user.objects("pods") if pod["metadata"]["name"] != first]

        found = await why(system, "pod", second, "default")

        assert "controller-manager taint-eviction-controller" in hops(found)
        assert found.caused_by(f"nodes {node}")

    async def moved(user: User, first: str) -> bool:
        return any(pod["metadata"]["name"] != first for pod in await user.objects("pods"))

    SimWorld.run_sync(scenario, seed=3)


@pytest.mark.parametrize("kind", ["local", "sim"])
def test_what_nobody_followed_is_said_to_be_unknown(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.boot_all(cluster_hosts(SPEC))
        system = await world.boot("user", listens=False)
        await User(system).deploy("web", 0)

        with pytest.raises(NotFound, match="--trace"):
            await why(system, "deploy", "web", "default")
        with pytest.raises(NotFound, match="--trace"):
            await why(system, "deploy", "never-there", "default")

    run_in(kind, scenario, tmp_path)


# -- what is chosen ---------------------------------------------------------------------------------------------------


def origins(*marks: str) -> list[Origin]:
    return [Origin(n + 1, mark == "deleted", "", n + 1) for n, mark in enumerate(marks)]


@pytest.mark.parametrize(
    ("marks", "creation"),
    [
        (["created"], 1),
        (["created", "changed", "changed"], 1),
        (["created", "deleted"], 1),
        (["created", "deleted", "created", "changed"], 3),
        (["deleted", "created", "deleted"], 2),
    ],
)
def test_the_creation_is_that_of_the_last_object_of_its_name(marks: list[str], creation: int) -> None:
    origin = choose(origins(*marks), 0, latest=False)

    assert origin is not None
    assert origin.revision == creation


def test_a_revision_that_is_not_known_is_no_other() -> None:
    assert choose(origins("created"), 7, latest=False) is None
    assert choose([], 0, latest=True) is None
    assert choose(origins("created", "changed"), 2, latest=False) == origins("created", "changed")[1]


def test_a_way_back_ends_where_nothing_is_known_and_never_goes_in_circles() -> None:
    def span(number: int, parent: int) -> SpanReport:
        return SpanReport("0" * 31 + "1", number, parent, "a", "a/b", "M", 0.0, 0.0, "", {})

    assert [hop.span_id for hop in way_back([span(3, 2), span(2, 1)], 3)] == [3, 2]
    assert len(way_back([span(1, 1)], 1)) < 2000
