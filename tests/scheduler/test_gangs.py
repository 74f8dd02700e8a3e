"""Gangs: at least as many of a group as it wants at once, or none; whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.sim import Fault, World, play
from actorkube.sim.strategies import schedules
from actors.scheduler.gangs import (
    MIN_LABEL,
    NAME_LABEL,
    POD_GROUPS,
    WORKLOADS,
    Gang,
    Gangs,
    gang_of,
    not_of_one_scheduler,
)
from protocols.errors import InternalError
from protocols.message import Message
from protocols.objects import Object
from tests.effort import examples
from tests.scheduler.binding_api import is_binding, once
from tests.scheduler.sim_cluster import HOSTS, Cluster
from tests.scheduler.worlds import make_node, make_pod


def in_workload(name: str, workload: str, group: str = "workers", replica: str = "", cpu: str = "1") -> Object:
    reference = {"name": workload, "podGroup": group, **({"podGroupReplicaKey": replica} if replica else {})}
    return make_pod(name, cpu, workloadRef=reference)


def workload(name: str, **wants: int) -> Object:
    """A group for each argument; 0 wants no gang."""
    groups = [
        {"name": group, "policy": {"gang": {"minCount": least}} if least else {"basic": {}}}
        for group, least in wants.items()
    ]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"podGroups": groups}}


def in_group(name: str, group: str) -> Object:
    return make_pod(name, "1", schedulingGroup={"podGroupName": group})


def pod_group(name: str, least: int) -> Object:
    policy = {"gang": {"minCount": least}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"schedulingPolicy": policy}}


def labelled(name: str, group: str, least: int) -> Object:
    pod = make_pod(name, "1")
    pod["metadata"]["labels"] = {NAME_LABEL: group, MIN_LABEL: str(least)}
    return pod


def run(story: Callable[[Cluster], Awaitable[None]]) -> None:
    """Two nodes with room for one pod each."""

    async def started(world: World) -> None:
        cluster = Cluster(world)
        await cluster.start()
        await story(cluster)

    World.run_sync(started)


def placed(cluster: Cluster, *names: str) -> list[str]:
    return [name for name in names if cluster.node_of(name)]


@pytest.mark.parametrize(
    ("pod", "gang"),
    [
        (make_pod("p"), None),
        (in_workload("p", "w"), Gang(WORKLOADS, "default", "w", "workers")),
        (in_workload("p", "w", replica="2"), Gang(WORKLOADS, "default", "w", "workers", "2")),
        (in_group("p", "g"), Gang(POD_GROUPS, "default", "g")),
        (labelled("p", "g", 3), Gang("", "default", "g")),
    ],
)
def test_a_pod_says_which_gang_it_is_of(pod: Object, gang: Gang | None) -> None:
    assert gang_of(pod) == gang


def test_pods_of_a_pod_group_are_of_one_scheduler() -> None:
    pods = [make_pod(f"p{number}", schedulerName=name) for number, name in enumerate(("a", "a", "b"))]
    rule = "all pods in a single pod group should have the same .spec.schedulerName set"

    assert not_of_one_scheduler(Gang(POD_GROUPS, "default", "g"), pods) == f'{rule}, got: "b" and "a"'
    assert not_of_one_scheduler(Gang(POD_GROUPS, "default", "g"), pods[:2]) == ""
    assert not_of_one_scheduler(Gang("", "default", "g"), pods) == ""


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["set", "remove"]), st.sampled_from("abc")), max_size=30))
def test_who_is_of_a_gang_is_known_whoever_comes_and_goes(steps: list[tuple[int, str, str]]) -> None:
    gangs, model = Gangs(), {}
    for number, deed, name in steps:
        pod = in_workload(f"p{number}", name)
        if deed == "set":
            gangs.set_pod(pod)
            model[f"default/p{number}"] = name
        else:
            gangs.remove_pod(f"default/p{number}")
            model.pop(f"default/p{number}", None)
        gangs.check()
    for name in "abc":
        members = set(gangs.members(Gang(WORKLOADS, "default", name, "workers")))
        assert members == {key for key, of in model.items() if of == name}


def test_a_gang_that_fits_is_placed_and_one_that_does_not_leaves_the_room_to_others() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add(WORKLOADS, workload("big", workers=3), workload("small", workers=2))
        cluster.add("pods", *(in_workload(f"big-{n}", "big") for n in range(3)))
        await cluster.check_rests()
        assert not cluster.bound
        reasons = [message for n in range(3) for _, message in cluster.events(f"big-{n}")]
        assert sum("1 minCount (3) cannot be satisfied: 2 scheduled, 0 remaining." in reason for reason in reasons) == 2
        assert sum("2 Insufficient cpu" in reason for reason in reasons) == 1

        cluster.add("pods", *(in_workload(f"small-{n}", "small") for n in range(2)))
        await cluster.world.until(lambda: len(cluster.bound) == 2)
        assert placed(cluster, "small-0", "small-1") == ["small-0", "small-1"]

    run(story)


def test_a_gang_that_waits_is_placed_when_there_is_room_for_it() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add(WORKLOADS, workload("w", workers=3))
        cluster.add("pods", *(in_workload(f"p{n}", "w") for n in range(3)))
        await cluster.check_rests()
        cluster.add("nodes", make_node("n2", cpu="1"))
        await cluster.world.until(lambda: len(cluster.bound) == 3)

    run(story)


def test_pods_wait_outside_the_queue_for_their_workload_and_for_one_another() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add("pods", in_workload("p0", "w"))
        await cluster.check_rests()
        (condition,) = cluster.pod("p0")["status"]["conditions"]
        assert condition["reason"] == "SchedulingGated"
        assert condition["message"] == 'waiting for pod\'s workload "w" to appear in scheduling queue'

        cluster.add(WORKLOADS, workload("w", workers=2))
        await cluster.check_rests()
        assert not cluster.bound
        cluster.add("pods", in_workload("p1", "w"))
        await cluster.world.until(lambda: len(cluster.bound) == 2)

    run(story)


def test_a_gang_that_wants_fewer_is_tried_again() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add(POD_GROUPS, pod_group("g", 3))
        cluster.add("pods", in_group("p0", "g"), in_group("p1", "g"), in_group("p2", "g"))
        await cluster.check_rests()
        assert not cluster.bound
        cluster.store.update(POD_GROUPS, pod_group("g", 2))
        cluster.deliver()
        await cluster.world.until(lambda: len(cluster.bound) == 2)

    run(story)


def test_gangs_by_labels_need_no_object() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add("pods", labelled("p0", "g", 2))
        await cluster.check_rests()
        assert not cluster.bound
        cluster.add("pods", labelled("p1", "g", 2))
        await cluster.world.until(lambda: len(cluster.bound) == 2)

    run(story)


def test_replicas_of_a_group_are_gangs_of_their_own_and_basic_groups_are_none() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add(WORKLOADS, workload("w", workers=2, driver=0))
        cluster.add("pods", in_workload("a0", "w", replica="a"), in_workload("b0", "w", replica="b"))
        cluster.add("pods", in_workload("d", "w", group="driver", cpu="500m"))
        await cluster.world.until(lambda: bool(cluster.node_of("d")))
        await cluster.check_rests()

        assert placed(cluster, "a0", "b0") == []

    run(story)


def test_when_one_of_a_gang_cannot_be_bound_its_room_is_kept_for_it() -> None:
    async def story(cluster: Cluster) -> None:
        fail = once(is_binding)

        def refuse(message: Message) -> None:
            if fail(message):
                raise InternalError("etcd is out for lunch")

        cluster.api.fail = refuse
        cluster.add(WORKLOADS, workload("w", workers=2))
        cluster.add("pods", in_workload("p0", "w"), in_workload("p1", "w"), make_pod("thief", "1"))
        await cluster.world.until(lambda: len(cluster.bound) == 2)

        assert placed(cluster, "p0", "p1", "thief") == ["p0", "p1"]

    run(story)


def test_a_scheduler_that_comes_after_a_crash_keeps_the_room_of_those_not_bound_yet() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add("pods", make_pod("thief-of-the-past", "1", schedulerName="nobody"))
        only_first = once(is_binding)
        cluster.api.swallow = lambda message: is_binding(message) and not only_first(message)
        cluster.add(WORKLOADS, workload("w", workers=2))
        cluster.add("pods", in_workload("z0", "w"), in_workload("z1", "w"))
        await cluster.world.until(lambda: len(cluster.bound) == 1)
        cluster.world.crash("scheduler")
        cluster.api.swallow = lambda message: False
        cluster.add("pods", make_pod("a-thief", "1"))
        await cluster.world.restart("scheduler")
        await cluster.world.until(lambda: len(cluster.bound) == 2)

        assert placed(cluster, "z0", "z1", "a-thief") == ["z0", "z1"]

    run(story)


def test_a_promise_to_a_gang_that_is_no_more_is_taken_back_at_the_start() -> None:
    async def story(world: World) -> None:
        cluster = Cluster(world)
        left = in_workload("left", "w")
        left["status"]["nominatedNodeName"] = "n0"
        cluster.store.create(WORKLOADS, workload("w", workers=2))
        for pod in (left, make_pod("q0", "1"), make_pod("q1", "1")):
            cluster.store.create("pods", pod)
        await cluster.start()
        await world.until(lambda: len(cluster.bound) == 2)

        assert placed(cluster, "left", "q0", "q1") == ["q0", "q1"]

    World.run_sync(story)


class Users:
    """Gangs of some sizes and pods of nobody's, more than there is room for; gangs of 2, 3 and 4."""

    SIZES = (2, 3, 4, 2)

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        for number, size in enumerate(self.SIZES):
            cluster.store.create(WORKLOADS, workload(f"w{number}", workers=size))

    def create(self, what: int) -> None:
        cluster = self.cluster
        gang, member = divmod(what, 4)
        pod = in_workload(f"w{gang}-{member}", f"w{gang}") if gang < 4 else make_pod(f"single-{member}", "1")
        if cluster.store.find("pods", "default", pod["metadata"]["name"]) is None:
            cluster.add("pods", pod)

    def end(self, what: int) -> None:
        self.cluster.delete(f"single-{what % 4}")

    def bound(self) -> dict[int, int]:
        names = [name for name, node in self.cluster.placed().items() if node and name.startswith("w")]
        return Counter(int(name[1]) for name in names)

    def check_all_or_none(self) -> bool:
        return all(count >= self.SIZES[gang] for gang, count in self.bound().items())


deeds = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.2, 1.0, 4.0, 9.0]), st.sampled_from(["create"] * 5 + ["end"]), st.integers(0, 19)
    ),
    min_size=8,
    max_size=30,
)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    deeds,
    schedules(HOSTS, for_s=15, disks=False, messages=["Create", "Bind", "BindOutcomes", "Patch", "Stored"]),
    st.integers(0, 99),
)
def test_no_part_of_a_gang_stays_bound_while_the_rest_cannot_be_whatever_happens(
    users: list[tuple[float, str, int]], faults: list[Fault], seed: int
) -> None:
    async def some_fit(world: World) -> None:
        cluster = Cluster(world)
        population = Users(cluster)
        await cluster.start()
        cluster.add("nodes", make_node("n2", cpu="1"), make_node("n3", cpu="2"))
        for at_s, deed, what in users:
            world.loop.call_later(at_s, getattr(population, deed), what)
        await play(world, faults)
        await world.sleep(20)
        await world.recover()
        cluster.deliver()

        await world.converges(population.check_all_or_none, within_s=400)

        await cluster.check_rests()
        assert population.check_all_or_none()
        cluster.check_believes_the_truth()

    World.run_sync(some_fit, seed)
