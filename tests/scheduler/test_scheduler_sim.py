"""The scheduler in the simulated world: packets lost and late, hosts that crash and pause, and then a healed network.

Always: no pod has two nodes. While the scheduler itself lives: no node has more than it can carry. In the end: every
pod that can be placed is, the scheduler believes what the API server knows, and it stops writing.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorkube.sim import Fault, World, play
from actorkube.sim.faults import Drop
from actorkube.sim.strategies import schedules
from protocols.api import Get
from protocols.errors import InternalError
from protocols.message import Message
from tests.effort import examples
from tests.scheduler.binding_api import is_binding, once
from tests.scheduler.sim_cluster import HOSTS, NODES, PODS_PER_NODE, Cluster

steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 1.1, 5.0, 12.0]),
        st.sampled_from(["create", "delete"]),
        st.integers(0, 3).map(lambda n: f"p{n}"),
    ),
    min_size=5,
    max_size=25,
)
lags_s = st.sampled_from([0.0, 0.5])
seeds = st.integers(0, 99)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    steps,
    schedules(HOSTS, for_s=15, disks=False, messages=["Create", "Bind", "BindOutcomes", "Stored"]),
    lags_s,
    st.integers(0, 99),
)
def test_places_what_fits_once_and_rests_whatever_happens(
    users: list[tuple[float, str, str]], faults: list[Fault], lag_s: float, seed: int
) -> None:
    World.run_sync(lambda world: scenario(world, users, faults, lag_s), seed)


async def scenario(world: World, users: list[tuple[float, str, str]], faults: list[Fault], lag_s: float) -> None:
    cluster = Cluster(world, lag_s)
    await cluster.start()
    for at_s, deed, name in users:
        world.loop.call_later(at_s, cluster.create if deed == "create" else cluster.delete, name)
    await play(world, faults)
    await world.sleep(20)
    await world.recover()
    cluster.deliver()

    await world.converges(cluster.is_done, within_s=100)

    await cluster.check_rests()
    cluster.check_believes_the_truth()
    cluster.check_not_overcommitted()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(steps, st.integers(0, 99), st.integers(1, 4), st.integers(0, 5))
def test_lost_answers_overcommit_no_node(users: list[tuple[float, str, str]], seed: int, times: int, skip: int) -> None:
    async def answers_get_lost(world: World) -> None:
        cluster = Cluster(world, lag_s=0.5)
        await cluster.start()
        world.always("no node is overcommitted", cluster.check_not_overcommitted)
        world.drop("Stored", src="apiserver", times=times, skip=skip)
        for at_s, deed, name in users:
            world.loop.call_later(at_s, cluster.create if deed == "create" else cluster.delete, name)
        await world.sleep(30)
        await world.converges(cluster.is_done, within_s=100)
        cluster.check_believes_the_truth()

    World.run_sync(answers_get_lost, seed)


moments_s = st.sampled_from([0.0, 0.3, 2.0, 6.0])
classes = st.lists(st.tuples(moments_s, st.sampled_from([0, 0, 5, 9])), min_size=3, max_size=9)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(classes, schedules(HOSTS, for_s=15, disks=False, messages=["Delete", "Patch", "Stored"]), lags_s, seeds)
@example([(0, 9), (0, 5), (0.3, 9), (0.3, 9)], [Drop(0, 0, "Delete", 4), Drop(0.1, 0, "Stored", 1)], 0, 0)
def test_in_the_end_the_most_important_have_the_room_whatever_happens(
    users: list[tuple[float, int]], faults: list[Fault], lag_s: float, seed: int
) -> None:
    async def some_have_to_go(world: World) -> None:
        cluster = Cluster(world, lag_s)
        cluster.store.pod_grace_s = 1
        await cluster.start()
        cluster.end_who_was_told_to()
        for number, (at_s, priority) in enumerate(users):
            world.loop.call_later(at_s, cluster.create, f"p{number}", priority)
        await play(world, faults)
        await world.sleep(20)
        await world.recover()
        cluster.deliver()

        def the_first_are_placed() -> bool:
            wanted = sorted((priority for _, priority in users), reverse=True)[: len(NODES) * PODS_PER_NODE]
            pods = cluster.store.list("pods")
            placed = [p["spec"]["priority"] for p in pods if p["spec"].get("nodeName")]
            return sorted(placed, reverse=True) == wanted

        await world.converges(the_first_are_placed, within_s=400)

        await cluster.check_rests()
        cluster.check_believes_the_truth()
        cluster.check_not_overcommitted()

    World.run_sync(some_have_to_go, seed)


def test_a_refused_binding_is_forgotten_and_tried_again() -> None:
    async def the_store_is_out_for_lunch(world: World) -> None:
        cluster = Cluster(world)
        await cluster.start()
        refuse = once(is_binding)

        def fail(message: Message) -> None:
            if refuse(message):
                raise InternalError("etcd is out for lunch")

        cluster.api.fail = fail
        cluster.create("p")
        await world.until(lambda: cluster.bound)
        await world.until(lambda: len(cluster.store.list("events")) == 2)

        told = [(event["reason"], event["message"]) for event in cluster.store.list("events")]
        assert ("FailedScheduling", "binding rejected: etcd is out for lunch") in told
        assert ("Scheduled", f"Successfully assigned default/p to {cluster.bound[0][1]}") in told

    World.run_sync(the_store_is_out_for_lunch)


def test_a_binding_that_never_arrived_is_made_after_looking() -> None:
    async def it_is_swallowed(world: World) -> None:
        cluster = Cluster(world)
        await cluster.start()
        cluster.api.swallow = once(is_binding)
        cluster.create("p")
        await world.until(lambda: cluster.bound)

        asked = [type(m).__name__ for m in cluster.api.asked if is_binding(m) or isinstance(m, Get)]
        assert asked == ["Create", "Get", "Create"]

    World.run_sync(it_is_swallowed)


def test_the_same_seed_gives_the_same_run() -> None:
    users = [(number / 10, "create", f"p{number % 9}") for number in range(9)]

    World.check(lambda world: scenario(world, users, [], 0.5), 7)
