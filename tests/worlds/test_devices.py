"""Devices in three worlds: a pod gets one with its claim, the next one waits for it, and all of it goes.

And under faults: whatever happened, no two claims ever have the same device, and in the end everyone has one.
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
from protocols.objects import Object, name_of
from protocols.rules.conditions import condition_is
from protocols.rules.device_claims import CLAIMS, CLASSES, SLICES, TEMPLATES, Device, devices_taken
from tests.effort import examples
from tests.scheduler.devices import claim_spec, device, device_class, device_slice, exactly
from tests.worlds.goals import settles
from tests.worlds.user import User

SPEC = ClusterSpec(runtime="sim", nodes=2)
HOSTS = [host.name for host in cluster_hosts(SPEC)]


def template() -> Object:
    return {"metadata": {"name": "one", "namespace": "default"}, "spec": {"spec": claim_spec(exactly())}}


def pod(name: str) -> Object:
    container = {"name": "main", "image": "none", "command": ["serve"], "resources": {"claims": [{"name": "gpu"}]}}
    claims = [{"name": "gpu", "resourceClaimTemplateName": "one"}]
    spec = {"containers": [container], "resourceClaims": claims, "terminationGracePeriodSeconds": 1}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def offer(user: User, *names: str) -> None:
    await user.create(CLASSES, device_class("gpu"))
    await user.create(SLICES, device_slice("gpus", *(device(name) for name in names)))
    await user.create(TEMPLATES, template())


async def is_ready(user: User, name: str) -> bool:
    return condition_is(await user.get("pods", name) or {}, "Ready")


async def is_refused(user: User, name: str) -> bool:
    conditions = ((await user.get("pods", name) or {}).get("status") or {}).get("conditions") or ()
    return any("cannot allocate all claims" in (each.get("message") or "") for each in conditions)


async def taken(user: User) -> list[Device]:
    return [each for claim in await user.objects(CLAIMS) for each in devices_taken(claim)]


async def life_of_a_device(world: World) -> None:
    await world.boot_all(cluster_hosts(SPEC))
    user = User(await world.boot("user"))
    await user.create("pods", pod("first"))
    await offer(user, "d0")

    await world.until(lambda: is_ready(user, "first"), 60)
    assert [each.name for each in await taken(user)] == ["d0"]

    world.crash("scheduler")
    await world.restart("scheduler")
    await user.create("pods", pod("second"))
    await world.until(lambda: is_refused(user, "second"), 60)
    assert not await is_ready(user, "second")

    await user.delete("first", "pods")
    await world.until(lambda: is_ready(user, "second"), 60)
    await world.until(lambda: is_only_claim(user, "second-gpu-"), 60)

    await user.delete("second", "pods")
    await world.until(lambda: is_empty(user), 60)


async def is_only_claim(user: User, prefix: str) -> bool:
    claims = await user.objects(CLAIMS)
    return len(claims) == 1 and name_of(claims[0]).startswith(prefix)


async def is_empty(user: User) -> bool:
    return not await user.objects(CLAIMS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_a_device_lives_the_same_life_in_every_world(kind: str, tmp_path: Path) -> None:
    run_in(kind, life_of_a_device, tmp_path)


@pytest.mark.slow
@settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedules(HOSTS, for_s=20.0, lasting_s=8.0, faults_max=4), st.integers(0, 999))
def test_after_any_faults_every_pod_has_a_device_of_its_own(faults: list[Fault], seed: int) -> None:
    async def scenario(world: Simulation) -> None:
        await world.boot_all(cluster_hosts(SPEC))
        system = await world.boot("user")
        user = User(system)
        names = ("a", "b")
        await settles(world, system, faults, begin(world, user, names), lambda: all_well(user, names))
        for name in names:
            await user.delete(name, "pods")
        await world.until(lambda: is_empty(user), 400.0)

    run_in("sim", scenario, Path(), seed)


async def begin(world: Simulation, user: User, names: tuple[str, ...]) -> None:
    await offer(user, "d0", "d1")
    for name in names:
        await world.sleep(3.0)
        await user.create("pods", pod(name))


async def all_well(user: User, names: tuple[str, ...]) -> bool:
    """Every pod is ready, and has a device that is nobody else's."""
    devices: list[Any] = await taken(user)
    return len(set(devices)) == len(devices) == len(names) and all([await is_ready(user, name) for name in names])
