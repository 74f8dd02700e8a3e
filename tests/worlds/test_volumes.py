"""Claims in three worlds: a pod gets its volume where it is placed, the next one follows it, and all of it goes.

And under faults: whatever happened, claims end up bound to one volume each, on the node of the pod that uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorkube.sim import Fault
from actorkube.sim import World as Simulation
from actorkube.sim.strategies import schedules
from actorkube.testing import WORLDS
from actorkube.testing.world import World, run_in
from actors.cluster import ClusterSpec, cluster_hosts
from protocols.objects import Object, name_of, uid_of
from protocols.rules.conditions import condition_is
from tests.effort import examples
from tests.worlds.goals import settles
from tests.worlds.user import User

SPEC = ClusterSpec(runtime="sim", nodes=2)
HOSTS = [host.name for host in cluster_hosts(SPEC)]
CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"


def claim(name: str) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def pod(name: str, claim: str) -> Object:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    mounts = [{"name": "data", "mountPath": "/data"}]
    container = {"name": "main", "image": "none", "command": ["serve"], "volumeMounts": mounts}
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def node_of_ready(user: User, name: str) -> str:
    """The node of the pod once it is ready, "" before."""
    found: dict[str, Any] = await user.get("pods", name) or {}
    return str(found["spec"]["nodeName"]) if condition_is(found, "Ready") else ""


async def volumes(user: User) -> list[Object]:
    return await user.objects(VOLUMES, "")


async def life_of_a_claim(world: World) -> None:
    await world.boot_all(cluster_hosts(SPEC))
    user = User(await world.boot("user"))

    await user.create(CLAIMS, claim("data"))
    await user.create("pods", pod("first", "data"))
    await world.until(lambda: node_of_ready(user, "first"), 60)
    node = await node_of_ready(user, "first")
    [volume] = await volumes(user)
    assert (await user.get(CLAIMS, "data") or {})["spec"]["volumeName"] == name_of(volume)
    assert volume["spec"]["csi"]["volumeHandle"] == f"{node}/{name_of(volume)}"

    world.crash("scheduler")
    await world.restart("scheduler")
    await user.delete("first", "pods")
    await user.create("pods", pod("second", "data"))
    await world.until(lambda: node_of_ready(user, "second"), 60)
    assert await node_of_ready(user, "second") == node

    await user.delete("data", CLAIMS)
    assert await user.get(CLAIMS, "data") is not None  # a pod uses it
    await user.delete("second", "pods")
    await world.until(lambda: is_empty(user), 60)


async def life_of_a_volume_of_a_pods_own(world: World) -> None:
    await world.boot_all(cluster_hosts(SPEC))
    user = User(await world.boot("user"))
    asked = pod("web", "")
    template = {"spec": claim("")["spec"]}
    asked["spec"]["volumes"] = [{"name": "data", "ephemeral": {"volumeClaimTemplate": template}}]

    await user.create("pods", asked)
    await world.until(lambda: node_of_ready(user, "web"), 60)
    [own], [volume] = await user.objects(CLAIMS), await volumes(user)
    assert name_of(own) == "web-data" and own["spec"]["volumeName"] == name_of(volume)
    await user.delete("web", "pods")
    await world.until(lambda: is_empty(user), 60)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_a_volume_of_a_pods_own_goes_with_it_in_every_world(kind: str, tmp_path: Path) -> None:
    run_in(kind, life_of_a_volume_of_a_pods_own, tmp_path)


async def is_empty(user: User) -> bool:
    return not await user.objects(CLAIMS) and not await volumes(user)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_a_claim_lives_the_same_life_in_every_world(kind: str, tmp_path: Path) -> None:
    run_in(kind, life_of_a_claim, tmp_path)


@pytest.mark.slow
@settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedules(HOSTS, for_s=20.0, lasting_s=8.0, faults_max=4), st.integers(0, 999))
def test_after_any_faults_every_claim_has_its_volume_where_its_pod_is(faults: list[Fault], seed: int) -> None:
    async def scenario(world: Simulation) -> None:
        await world.boot_all(cluster_hosts(SPEC))
        system = await world.boot("user")
        user = User(system)
        names = ("a", "b")
        await settles(world, system, faults, begin(world, user, names), lambda: all_well(user, names))
        for name in names:
            await user.delete(name, "pods")
            await user.delete(name, CLAIMS)
        await world.until(lambda: is_empty(user), 400.0)

    run_in("sim", scenario, Path(), seed)


async def begin(world: Simulation, user: User, names: tuple[str, ...]) -> None:
    for name in names:
        await world.sleep(3.0)
        await user.create(CLAIMS, claim(name))
        await user.create("pods", pod(name, name))


async def all_well(user: User, names: tuple[str, ...]) -> bool:
    """Every pod is ready on the node of its claim's volume, which is nobody else's; and there is no other volume."""
    found = {name_of(volume): volume for volume in await volumes(user)}
    for name in names:
        asked: dict[str, Any] = await user.get(CLAIMS, name) or {}
        volume = found.pop((asked.get("spec") or {}).get("volumeName", ""), None)
        if volume is None or volume["spec"]["claimRef"]["uid"] != uid_of(asked):
            return False
        if volume["spec"]["csi"]["volumeHandle"].partition("/")[0] != await node_of_ready(user, name):
            return False
    return not found
