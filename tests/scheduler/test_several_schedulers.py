"""Several schedulers of which one leads: whoever is lost is followed by another, and nothing is bound twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.kube.elected import Elected
from actorkube.kube.election import LEASES, LeaderElection
from actorkube.runtime import System
from actorkube.sim import Fault, World, play
from actorkube.sim.strategies import schedules
from actors.scheduler.actor import Scheduler
from protocols.message import Message
from tests.effort import examples
from tests.scheduler.binding_api import is_binding
from tests.scheduler.sim_cluster import Cluster
from tests.scheduler.worlds import make_node, make_pod

SCHEDULERS = ("scheduler-1", "scheduler-2")
ELECTION = LeaderElection("kube-scheduler")


class Several(Cluster):
    """Two schedulers; room for twenty pods."""

    async def start(self) -> None:
        self.store.create("nodes", make_node("big", cpu="20"))
        await self.world.boot("apiserver", self.boot_api)
        for host in SCHEDULERS:
            await self.world.boot(host, self.boot_candidate)
        self.world.always("each pod is bound once", self.check_bound_once)

    def boot_candidate(self, system: System) -> None:
        system.spawn(lambda: Elected(lambda: Scheduler(profiles=self.profiles), ELECTION), "scheduler")

    def leaders(self) -> list[str]:
        return [host for host in SCHEDULERS if self.world.is_up(host) and self.leads(host)]

    def leads(self, host: str) -> bool:
        try:
            return self.elected(host).leads
        except KeyError:  # its host is being stopped, and it has ended
            return False

    def elected(self, host: str) -> Elected:
        actor = self.world.system(host).actor("scheduler")
        assert isinstance(actor, Elected)
        return actor

    def holder(self) -> str:
        lease = self.store.find(LEASES, "kube-system", ELECTION.name)
        return lease["spec"]["holderIdentity"].partition("_")[0] if lease is not None else ""

    def everything_is_bound(self) -> bool:
        return all(self.placed().values())

    def check_one_leads(self) -> None:
        assert len(self.leaders()) <= 1, self.leaders()

    def other(self, leader: str) -> str:
        return next(host for host in SCHEDULERS if host != leader)


async def led(world: World) -> tuple[Several, str]:
    cluster = Several(world)
    await cluster.start()
    await world.until(lambda: len(cluster.leaders()) == 1)
    return cluster, cluster.leaders()[0]


def test_one_of_them_leads_and_schedules() -> None:
    async def story(world: World) -> None:
        cluster, leader = await led(world)
        cluster.add("pods", *(make_pod(f"p{n}", "1") for n in range(5)))
        await world.until(cluster.everything_is_bound)
        await world.sleep(60)

        assert cluster.leaders() == [leader] == [cluster.holder()]

    World.run_sync(story)


def test_when_the_leader_crashes_in_the_middle_of_bindings_the_other_goes_on_and_binds_nothing_twice() -> None:
    async def story(world: World) -> None:
        cluster, leader = await led(world)
        bindings = 0

        def some_happen_some_do_not(message: Message) -> bool:
            nonlocal bindings
            bindings += is_binding(message)
            return is_binding(message) and bindings % 2 == 0

        cluster.api.swallow = some_happen_some_do_not
        cluster.add("pods", *(make_pod(f"p{n}", "1") for n in range(9)))
        await world.until(lambda: len(cluster.bound) >= 2)
        world.crash(leader)
        cluster.api.swallow = lambda message: False
        left = 9 - len(cluster.bound)
        assert left > 0

        await world.until(cluster.everything_is_bound)
        assert cluster.leaders() == [cluster.other(leader)]
        assert len(cluster.bound) == 9

    World.run_sync(story)


def test_a_leader_that_is_stopped_is_followed_before_its_lease_would_be_over() -> None:
    async def story(world: World) -> None:
        cluster, leader = await led(world)
        world.always("one leads at most", cluster.check_one_leads)
        cluster.add("pods", *(make_pod(f"p{n}", "1") for n in range(5)))
        await world.stop(leader)
        released = cluster.holder()
        await world.until(lambda: cluster.leaders() == [cluster.other(leader)], within_s=5)
        await world.until(cluster.everything_is_bound)

        assert released == ""

    World.run_sync(story)


def test_a_leader_that_is_stopped_while_nobody_answers_does_not_wait_for_long() -> None:
    async def story(world: World) -> None:
        cluster, leader = await led(world)
        world.partition([leader], ["apiserver"])
        before = world.now
        await world.stop(leader)

        assert world.now - before < 3
        assert cluster.holder() == leader

    World.run_sync(story)


def test_a_leader_that_is_cut_off_gives_up_before_the_other_begins() -> None:
    async def story(world: World) -> None:
        cluster, leader = await led(world)
        world.always("one leads at most", cluster.check_one_leads)
        world.partition([leader], ["apiserver"])
        cluster.add("pods", *(make_pod(f"p{n}", "1") for n in range(5)))
        await world.until(lambda: cluster.leaders() == [cluster.other(leader)])
        await world.until(cluster.everything_is_bound)
        world.heal()
        await world.sleep(60)

        assert cluster.leaders() == [cluster.other(leader)]

    World.run_sync(story)


def test_what_a_leader_sent_before_it_was_cut_off_is_refused_when_another_was_faster() -> None:
    """Its bindings arrive when all is over, as from a leader that slept: the API server has bound the pods by then."""

    async def story(world: World) -> None:
        cluster, leader = await led(world)
        cluster.add("pods", *(make_pod(f"p{n}", "1") for n in range(5)))
        world.pause(leader)
        await world.until(lambda: cluster.holder() == cluster.other(leader), within_s=60)
        await world.until(cluster.everything_is_bound)
        world.resume(leader)
        await world.sleep(60)

        assert len(cluster.bound) == 5
        assert cluster.leaders() == [cluster.other(leader)]

    World.run_sync(story)


def test_who_waits_is_settled_and_asks_for_nothing_but_the_lease() -> None:
    async def story(world: World) -> None:
        cluster, _ = await led(world)
        await world.sleep(5)
        before = len(cluster.api.asked)
        await world.sleep(60)

        asked = {getattr(message, "resource", "") for message in cluster.api.asked[before:]}
        assert asked == {LEASES}

    World.run_sync(story)


moments = st.lists(st.sampled_from([0.0, 1.0, 3.0, 8.0, 20.0]), min_size=3, max_size=12)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(
    moments,
    schedules(
        ("apiserver", *SCHEDULERS),
        for_s=60,
        disks=False,
        messages=["Create", "Bind", "BindOutcomes", "Update", "Stored"],
    ),
    st.integers(0, 99),
)
def test_whatever_happens_nothing_is_bound_twice_and_in_the_end_everything_is_bound(
    users: list[float], faults: list[Fault], seed: int
) -> None:
    async def story(world: World) -> None:
        cluster = Several(world)
        await cluster.start()
        for number, at_s in enumerate(users):
            world.loop.call_later(at_s, cluster.create, f"p{number}")
        await play(world, faults)
        await world.sleep(20)
        await world.recover()
        cluster.deliver()

        await world.converges(cluster.everything_is_bound, within_s=200)
        await world.converges(lambda: len(cluster.leaders()) == 1, within_s=100)

    World.run_sync(story, seed)
