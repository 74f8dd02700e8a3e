"""A gang that does not fit ends less important pods, if all of it fits then; otherwise nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorkube.sim import World
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.gang_preemption import Rooms, make_rooms
from actors.scheduler.gangs import POD_GROUPS, WORKLOADS, Gang
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object
from tests.effort import examples
from tests.scheduler.sim_cluster import Cluster
from tests.scheduler.test_gangs import in_workload, pod_group, run, workload
from tests.scheduler.worlds import cluster, make_node, make_pod

GANG = Gang(WORKLOADS, "default", "w", "workers")


class Small(NamedTuple):
    """A cluster of whole CPUs. `pods`: (node, cpu, priority); a gang of `size` pods of `cpu` each wants `wants`."""

    nodes: list[int]
    pods: list[tuple[int, int, int]]
    size: int
    wants: int
    cpu: int


smalls = st.builds(
    Small,
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.sampled_from([0, 5, 20])), max_size=8),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 2),
)


def placed_pods(small: Small) -> dict[str, tuple[int, int, int]]:
    """Those that there is room for, by name."""
    left = list(small.nodes)
    found = {}
    for number, (node, cpu, priority) in enumerate(small.pods):
        row = node % len(left)
        if left[row] >= cpu:
            left[row] -= cpu
            found[f"p{number}"] = (row, cpu, priority)
    return found


def world_of(small: Small, budgets: Sequence[Object] = ()) -> tuple[ClusterState, list[PodDemand]]:
    state = cluster(make_node(f"n{row}", cpu=str(cpu)) for row, cpu in enumerate(small.nodes))
    for budget in budgets:
        state.budgets.set(budget)
    state.gangs.set_owner(WORKLOADS, workload("w", workers=small.wants))
    for name, (row, cpu, priority) in placed_pods(small).items():
        pod = make_pod(name, str(cpu), node=f"n{row}", priority=priority)
        pod["metadata"]["labels"] = {"app": name}
        state.set_pod(pod)
    gang = [in_workload(f"g{number}", "w", cpu=str(small.cpu)) for number in range(small.size)]
    for pod in gang:
        pod["spec"]["priority"] = 10
        state.set_pod(pod)
    return state, [PodDemand(pod, state.shapes) for pod in gang]


def decided(state: ClusterState, demands: Sequence[PodDemand]) -> Rooms | None:
    """As the scheduler does: those that find nodes have them."""
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)
    refused = []
    for demand in demands:
        decision = cycle.decide(demand)
        if isinstance(decision, Decision):
            state.assume(demand, decision.node)
        else:
            refused.append(demand)
    before = dict(state._placed)
    rooms = make_rooms(state, GANG, refused, lambda demand: cycle)
    state.check()
    assert state._placed == before, "a trial has changed the state"
    return rooms


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@given(smalls)
@example(Small([1, 1], [(0, 1, 0), (1, 1, 0)], 2, 2, 1))
@example(Small([1, 1], [(0, 1, 0), (1, 1, 20)], 2, 2, 1))
@example(Small([2, 2], [(0, 1, 0), (0, 1, 5), (1, 1, 20)], 3, 2, 1))
@example(Small([3], [(0, 2, 0), (0, 1, 0)], 2, 2, 1))  # the second pod's victim leaves room for the first one's
def test_a_gang_gets_room_exactly_if_all_that_it_wants_fit_without_less_important_pods(small: Small) -> None:
    """Pods of one size: then each node takes as many as there is room for beside the more important ones."""
    state, demands = world_of(small)
    pods = placed_pods(small)

    rooms = decided(state, demands)

    fits, would_fit = 0, 0
    for row, cpu in enumerate(small.nodes):
        fits += (cpu - sum(c for r, c, _ in pods.values() if r == row)) // small.cpu
        would_fit += (cpu - sum(c for r, c, priority in pods.values() if r == row and priority > 10)) // small.cpu
    alone, all_of_them = min(fits, small.size), min(would_fit, small.size)
    assert (rooms is not None) == (alone < small.wants <= all_of_them)
    if rooms is not None:
        assert len(rooms.nodes) == small.wants
        check_rooms(small, rooms)


def check_rooms(small: Small, rooms: Rooms) -> None:
    """Everybody fits, only less important pods end, and none of them could have stayed."""
    pods = placed_pods(small)
    victims = {victim.key.partition("/")[2] for _, nomination in rooms.ends for victim in nomination.victims}
    assert len(victims) == sum(len(nomination.victims) for _, nomination in rooms.ends) > 0
    left = defaultdict(int, enumerate(small.nodes))
    for name, (row, cpu, _) in pods.items():
        left[row] -= 0 if name in victims else cpu
    for node in rooms.nodes.values():
        left[int(node[1:])] -= small.cpu
    assert min(left.values()) >= 0
    for name in victims:
        row, cpu, priority = pods[name]
        assert priority < 10 and left[row] < cpu


def test_what_a_budget_allows_goes_to_the_victims_of_one_pod_of_the_gang_only() -> None:
    """Three nodes: the budget of p0 and p1 allows one end, that of p2 as many as are wanted."""
    small = Small([1, 1, 1], [(0, 1, 0), (1, 1, 0), (2, 1, 5)], 2, 2, 1)
    budget = {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["p0", "p1"]}]}},
        "status": {"disruptionsAllowed": 1},
    }
    state, demands = world_of(small, [budget])

    rooms = decided(state, demands)

    assert rooms is not None
    victims = {victim.key for _, nomination in rooms.ends for victim in nomination.victims}
    assert "default/p2" in victims and len(victims) == 2


def filled(victims: int, priority: int = 0) -> list[Object]:
    return [make_pod(f"v{n}", "1", node=f"n{n}", priority=priority, phase="Running") for n in range(victims)]


def important(name: str, workload_name: str = "w") -> Object:
    pod = in_workload(name, workload_name)
    pod["spec"]["priority"] = 10
    return pod


def test_a_gang_waits_for_the_room_of_its_victims_and_is_bound_as_a_whole() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.store.pod_grace_s = 30
        cluster.add(WORKLOADS, workload("w", workers=3))
        cluster.add("nodes", make_node("n2", cpu="1"))
        cluster.add("pods", *filled(2))
        cluster.add("pods", *(important(f"g{n}") for n in range(3)))
        await cluster.check_rests()
        waits = {cluster.pod(f"g{n}")["status"].get("nominatedNodeName") for n in range(3)}
        leaving = [
            pod["metadata"]["name"] for pod in cluster.store.list("pods") if "deletionTimestamp" in pod["metadata"]
        ]
        assert not cluster.bound
        assert waits == {"n0", "n1", "n2"} and leaving == ["v0", "v1"]

        cluster.add("pods", make_pod("thief", "1"))  # does not get the one node that is free
        await cluster.world.sleep(5)
        await cluster.check_rests()
        cluster.delete("v0")
        await cluster.world.sleep(5)
        await cluster.check_rests()
        assert not cluster.bound
        assert {cluster.pod(f"g{n}")["status"].get("nominatedNodeName") for n in range(3)} == waits
        cluster.delete("v1")
        await cluster.world.until(lambda: len(cluster.bound) == 3)
        cluster.check_believes_the_truth()

        assert not cluster.node_of("thief")

    run(story)


@pytest.mark.parametrize(("wants", "priority"), [(3, 0), (2, 10)])
def test_nobody_ends_for_a_gang_that_would_not_fit_even_then(wants: int, priority: int) -> None:
    async def story(cluster: Cluster) -> None:
        cluster.store.pod_grace_s = 30
        cluster.add(WORKLOADS, workload("w", workers=wants))
        cluster.add("pods", *filled(2, priority))
        cluster.add("pods", *(important(f"g{n}") for n in range(3)))
        await cluster.check_rests()

        assert not any("deletionTimestamp" in pod["metadata"] for pod in cluster.store.list("pods"))
        assert not any(cluster.pod(f"g{n}")["status"].get("nominatedNodeName") for n in range(3))

    run(story)


def grouped(name: str, group: str, node: str = "", priority: int = 0) -> Object:
    on = {"node": node, "phase": "Running"} if node else {}
    return make_pod(name, "1", schedulingGroup={"podGroupName": group}, priority=priority, **on)


def whole(name: str, least: int, priority: int = 0) -> Object:
    """A PodGroup whose pods end together."""
    group = pod_group(name, least)
    group["spec"] |= {"disruptionMode": "PodGroup", "priority": priority}
    return group


def rooms_for(
    gang: Sequence[Object], least: int, groups: Sequence[Object], placed: Sequence[Object], nodes: int
) -> Rooms | None:
    state = cluster([make_node(f"n{n}", cpu="1") for n in range(nodes)], [*placed, *gang])
    for group in (pod_group("g", least), *groups):
        state.gangs.set_owner(POD_GROUPS, group)
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)
    demands = [PodDemand(pod, state.shapes) for pod in gang]
    refused = [demand for demand in demands if not isinstance(cycle.decide(demand), Decision)]
    rooms = make_rooms(state, Gang(POD_GROUPS, "default", "g"), refused, lambda demand: cycle)
    state.check()
    return rooms


def victims_of(rooms: Rooms | None) -> set[str]:
    return {victim.key.partition("/")[2] for _, found in (rooms.ends if rooms else ()) for victim in found.victims}


@pytest.mark.parametrize("together", [True, False])
def test_a_group_of_pods_ends_as_a_whole_if_it_says_so(together: bool) -> None:
    placed = [grouped(f"low{n}", "low", f"n{n}") for n in range(3)]
    low = whole("low", 1) if together else pod_group("low", 1)

    rooms = rooms_for([grouped("g0", "g", priority=9), grouped("g1", "g", priority=9)], 2, [low], placed, 3)

    assert rooms is not None
    assert len(victims_of(rooms)) == (3 if together else 2)
    assert rooms.gangs == ([Gang(POD_GROUPS, "default", "low")] if together else [])


def test_the_priority_of_a_group_that_ends_as_a_whole_counts_for_all_its_pods() -> None:
    placed = [grouped(f"low{n}", "low", f"n{n}") for n in range(2)]
    gang = [grouped(f"g{n}", "g", priority=9) for n in range(2)]

    assert victims_of(rooms_for(gang, 2, [whole("low", 1, priority=8)], placed, 2)) == {"low0", "low1"}
    assert rooms_for(gang, 2, [whole("low", 1, priority=9)], placed, 2) is None


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=6), st.integers(1, 4), st.integers(0, 2))
def test_of_a_group_that_ends_as_a_whole_all_end_or_none_and_nobody_without_need(
    owners: list[str], size: int, free: int
) -> None:
    """One pod a node: of single pods and of two groups."""
    placed = [grouped(f"p{n}", owner, f"n{n}") if owner else make_pod(f"p{n}", "1", node=f"n{n}")
              for n, owner in enumerate(owners)]  # fmt: skip
    gang = [grouped(f"g{n}", "g", priority=9) for n in range(size)]

    rooms = rooms_for(gang, size, [whole("a", 1), whole("b", 1)], placed, len(owners) + free)

    victims = {int(name[1:]) for name in victims_of(rooms)}
    for owner in "ab":
        assert len({n in victims for n, each in enumerate(owners) if each == owner}) < 2
    if rooms is not None and rooms.ends:
        assert len(victims) >= size - free
        taken = {int(node[1:]) for node in rooms.nodes.values()}
        for owner in "ab":
            members = {n for n in victims if owners[n] == owner}
            assert not members or taken & members
        assert taken >= {n for n in victims if not owners[n]}


def test_a_group_that_ends_is_told_so_and_the_one_that_comes_when_it_is_scheduled() -> None:
    def conditions(cluster: Cluster, group: str) -> dict[str, tuple[str, str, str]]:
        status = cluster.store.read(POD_GROUPS, "default", group).get("status") or {}
        return {c["type"]: (c["status"], c["reason"], c["message"]) for c in status.get("conditions") or ()}

    async def story(cluster: Cluster) -> None:
        cluster.store.pod_grace_s = 30
        cluster.add(POD_GROUPS, whole("low", 1), pod_group("g", 1))
        cluster.add("pods", *(grouped(f"low{n}", "low", f"n{n}") for n in range(2)))
        cluster.add("pods", grouped("g0", "g", priority=9))
        await cluster.check_rests()
        waits = conditions(cluster, "g")["PodGroupScheduled"]
        ended = conditions(cluster, "low")["DisruptionTarget"]
        cluster.delete("low0")
        cluster.delete("low1")
        await cluster.world.until(lambda: bool(cluster.bound))
        await cluster.check_rests()

        assert waits == ("False", "Unschedulable", "minCount (1) cannot be satisfied: 0 scheduled, 0 remaining")
        assert ended[:2] == ("True", "PreemptionByScheduler")
        assert conditions(cluster, "g")["PodGroupScheduled"] == ("True", "Scheduled", "")

    run(story)


def test_a_gang_that_never_preempts_ends_nobody() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.store.pod_grace_s = 30
        cluster.add(WORKLOADS, workload("w", workers=2))
        cluster.add("pods", *filled(2))
        for number in range(2):
            pod = important(f"g{number}")
            pod["spec"]["preemptionPolicy"] = "Never"
            cluster.add("pods", pod)
        await cluster.check_rests()

        assert not any("deletionTimestamp" in pod["metadata"] for pod in cluster.store.list("pods"))

    run(story)


def test_a_scheduler_that_comes_while_victims_end_keeps_their_room_for_the_gang() -> None:
    async def story(world: World) -> None:
        cluster = Cluster(world)
        cluster.store.pod_grace_s = 30
        await cluster.start()
        cluster.add(WORKLOADS, workload("w", workers=2))
        cluster.add("pods", *filled(2))
        cluster.add("pods", important("g0"), important("g1"))
        await cluster.check_rests()
        world.crash("scheduler")
        cluster.add("pods", make_pod("a-thief", "1"))
        cluster.delete("v0")
        await world.restart("scheduler")
        await cluster.check_rests()
        assert not cluster.bound
        cluster.delete("v1")
        await world.until(lambda: len(cluster.bound) == 2)

        assert not cluster.node_of("a-thief")

    World.run_sync(story)
