"""Devices in the simulated world: claims made, given devices, used and let go, while messages get lost and hosts fail.

Always: no two claims have the same device. In the end: who can have a device has one, and nobody writes any more.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorkube.kube import ControllerActor
from actorkube.runtime import System
from actorkube.sim import Fault, World, play
from actorkube.sim.faults import Crash
from actorkube.sim.strategies import schedules
from actors.controllers import garbage_collector, resourceclaim
from protocols.objects import Object, name_of
from protocols.rules.device_claims import CLAIMS, CLASSES, SLICES, TEMPLATES, devices_taken, users_of
from tests.effort import examples
from tests.scheduler.devices import claim_spec, device, device_class, device_slice, exactly
from tests.scheduler.sim_cluster import Cluster
from tests.scheduler.worlds import make_pod

HOSTS = ("apiserver", "scheduler", "controllers")
DEVICES = 3


class DeviceCluster(Cluster):
    async def start(self) -> None:
        self.store.create(CLASSES, device_class("gpu"))
        slices = [device_slice(f"n{n}", device("d0"), node=f"n{n}") for n in range(2)]
        for each in (*slices, device_slice("shared", device("d0"))):
            self.store.create(SLICES, each)
        self.store.create(TEMPLATES, {"metadata": {"name": "one", "namespace": "default"}, "spec": {"spec": GPU}})
        self.store.create(CLAIMS, {"metadata": {"name": "shared", "namespace": "default"}, "spec": GPU})
        await super().start()
        await self.world.boot("controllers", self.boot_controllers)
        self.world.always("no device is two claims'", self.check_devices)

    def boot_controllers(self, system: System) -> None:
        controllers = [resourceclaim.controller(), garbage_collector.controller()]
        system.spawn(lambda: ControllerActor(controllers), "controllers")

    def create(self, name: str, priority: int = 0) -> None:
        """Those whose names begin with s share a claim; others get one of their own."""
        how = {"resourceClaimName": "shared"} if name.startswith("s") else {"resourceClaimTemplateName": "one"}
        if self.store.find("pods", "default", name) is None:
            self.store.create("pods", make_pod(name, "0", resourceClaims=[{"name": "gpu", **how}]))
            self.deliver()

    def check_devices(self) -> None:
        owners = Counter(each for claim in self.store.list(CLAIMS) for each in devices_taken(claim))
        assert all(count == 1 for count in owners.values()), owners

    def is_done(self) -> bool:
        """Who waits does so because all devices are others'; and nobody holds one for nothing."""
        pods = {pod["metadata"]["uid"]: pod for pod in self.store.list("pods")}
        held = 0
        for claim in self.store.list(CLAIMS):
            users = {user["uid"] for user in users_of(claim)}
            held += len(list(devices_taken(claim)))
            if not users <= pods.keys() or (not users and list(devices_taken(claim))):
                return False
            if name_of(claim) != "shared" and claim["metadata"]["ownerReferences"][0]["uid"] not in pods:
                return False
        waiting = [pod for pod in pods.values() if not pod["spec"].get("nodeName")]
        return not waiting or held == DEVICES

    def check_not_overcommitted(self) -> None:
        for pod in self.store.list("pods"):
            if pod["spec"].get("nodeName"):
                used = [c for c in self.store.list(CLAIMS) if pod["metadata"]["uid"] in str(users_of(c))]
                assert [list(devices_taken(claim)) for claim in used if devices_taken(claim)], name_of(pod)


GPU: Object = claim_spec(exactly())
deeds = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 3.0, 8.0]),
        st.sampled_from(["create", "create", "delete"]),
        st.sampled_from(["p0", "p1", "p2", "p3", "s0", "s1"]),
    ),
    min_size=4,
    max_size=16,
)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(
    deeds,
    schedules(HOSTS, for_s=12, disks=False, messages=["Create", "Update", "Patch", "Bind", "Stored"]),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 99),
)
@example(
    [(0.0, "create", "p0"), (0.1, "create", "p2"), (8.0, "create", "p1")],
    [Crash(1.0, 8.0, "scheduler"), Crash(4.5, 5.8, "apiserver")],
    0.5,
    0,
)  # p1 was tried before all claims had been seen
def test_every_device_is_one_claims_whatever_happens(
    users: list[tuple[float, str, str]], faults: list[Fault], lag_s: float, seed: int
) -> None:
    async def scenario(world: World) -> None:
        cluster = DeviceCluster(world, lag_s)
        await cluster.start()
        for at_s, deed, name in users:
            world.loop.call_later(at_s, cluster.create if deed == "create" else cluster.delete, name)
        await play(world, faults)
        await world.sleep(20)
        await world.recover()
        cluster.deliver()

        await world.converges(cluster.is_done, within_s=200)

        await cluster.check_rests()
        cluster.check_believes_the_truth()
        cluster.check_not_overcommitted()
        cluster.scheduler._state.devices.check()

    World.run_sync(scenario, seed)


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(deeds, st.integers(0, 99), st.integers(1, 4), st.integers(0, 12))
@example([(0.0, "create", "p0"), (1.0, "create", "s1"), (1.0, "create", "s0")], 0, 1, 0)  # s0 was not told
@example(
    [
        *((0.0, "create", "p0"), (0.0, "create", "s0")),
        *((1.0, "create", "p1"), (1.0, "delete", "p0"), (1.0, "delete", "s0")),
    ],
    72,
    2,
    3,
)  # a claim was given its device, gave it back, and was given it again, when another had it
@example(
    [
        *((1.0, "create", each) for each in ("s0", "s1")),
        (0.1, "create", "p0"),
        (0.1, "create", "p2"),
        (0.0, "create", "p3"),
    ],
    2,
    4,
    7,
)  # a device is not known to be given, nor not to be
def test_a_lost_answer_gives_no_device_away_twice(
    users: list[tuple[float, str, str]], seed: int, times: int, skip: int
) -> None:
    async def scenario(world: World) -> None:
        cluster = DeviceCluster(world, lag_s=0.5)
        await cluster.start()
        world.drop("Stored", src="apiserver", times=times, skip=skip)
        for at_s, deed, name in users:
            world.loop.call_later(at_s, cluster.create if deed == "create" else cluster.delete, name)
        await world.sleep(40)
        await world.converges(cluster.is_done, within_s=200)
        cluster.scheduler._state.devices.check()

    World.run_sync(scenario, seed)
