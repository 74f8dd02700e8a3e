"""Preemption: who has to go where is what the slow reference says, and those who wait for room keep it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand, trim_pod
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.framework import Nomination
from actors.scheduler.preemption import DryRun
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object, key_of
from tests.effort import examples
from tests.scheduler.random_clusters import NAMESPACES, Draw
from tests.scheduler.reference import Settings, answer
from tests.scheduler.reference_cluster import Cluster
from tests.scheduler.reference_preemption import harms
from tests.scheduler.worlds import cluster, make_node, make_pod

NODES = ("n0", "n1", "n2", "n3")
TIMES = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]


def budget(name: str, namespace: str, allowed: int, selector: dict[str, Any], disrupted: Any = ()) -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": selector},
        "status": {"disruptionsAllowed": allowed, "disruptedPods": dict.fromkeys(disrupted, TIMES[0])},
    }


class Preempting:
    """The same cluster twice, with pods of several priorities, budgets and nominations."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.cluster = Cluster()
        self.state = ClusterState(draw.chance)
        self.cycle = SchedulingCycle(self.state, DEFAULT_PROFILE)
        self.nominated: list[tuple[Object, str]] = []
        self.budgets: list[Object] = []
        self.plain = draw.now_and_then(0.5)
        for name in NODES[: draw.chance.randint(1, len(NODES))]:
            node = draw.node(name)
            self.cluster.set_node(node)
            self.state.set_node(node)
        self.cluster.sizes = {image: self.state.image_spread(image)[0] for image in self.state.image_sizes}

    def pod(self, name: str, priority: int) -> Object:
        """Half of the clusters have plain pods, so that room is all that counts."""
        pod = self.draw.pod(name)
        if self.plain:
            pod["spec"] = {"containers": [{**c, "ports": []} for c in pod["spec"]["containers"]]}
        return {**pod, "spec": {**pod["spec"], "priority": priority}}

    def place(self, pod: Object, node: str) -> None:
        started = {"startTime": self.draw.one_of(TIMES)} if self.draw.now_and_then(0.8) else {}
        self.cluster.place({**pod, "status": {**pod["status"], **started}}, node)
        self.state.set_pod(trim_pod(self.cluster.pods[key_of(pod)]))

    def set_budget(self, name: str) -> None:
        namespace, draw = self.draw.one_of(NAMESPACES), self.draw
        selector = draw.one_of([{}, {"matchLabels": {"app": "x"}}, {"matchLabels": {"tier": draw.one_of("xy")}}])
        disrupted = ["p1"] if draw.now_and_then(0.2) else []
        new = budget(name, namespace, draw.chance.randrange(3), selector, disrupted)
        self.budgets = [b for b in self.budgets if key_of(b) != key_of(new)] + [new]
        self.state.budgets.set(new)

    def nominate(self, pod: Object, node: str) -> None:
        self.nominated.append((pod, node))
        self.state.nominate(PodDemand(pod, self.state.shapes), node)

    def end(self, key: str) -> None:
        del self.cluster.pods[key]
        self.state.remove_pod(key)

    def ask(self, pod: Object) -> None:
        demand, wanted = PodDemand(pod, self.state.shapes), Settings()
        expected = harms(pod, self.cluster, wanted, self.budgets, self.nominated)
        decision = self.cycle.decide(demand)
        if isinstance(decision, Decision):
            assert decision.node in answer(pod, self.cluster, wanted).feasible
            return
        if any("plugin(s)" in r for refused in decision.refusals.values() for r in refused.reasons):
            return  # the reference does not look for pods that name their nodes
        if decision.verdicts is None:
            return
        dry = DryRun(self.cycle, demand)
        for name, harm in expected.items():
            found = dry.on(self.state.objects.row_of[name])
            assert frozenset(v.key for v in getattr(found, "victims", ())) == harm.victims, (name, found, harm)
        self.state.check()
        if not expected:
            assert decision.nomination is None
            return
        assert decision.nomination is not None, (decision.message, expected)
        chosen = expected[decision.nomination.node]
        assert frozenset(v.key for v in decision.nomination.victims) == chosen.victims
        assert not any(other.better_than(chosen) for other in expected.values())


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@given(st.integers(0, 10**9))
@example(506)  # one who waits there keeps others away
def test_who_has_to_go_where_is_what_the_reference_says(seed: int) -> None:
    draw = Draw(seed)
    world = Preempting(draw)
    for number in range(draw.chance.randint(2, 10)):
        world.place(world.pod(f"p{number}", draw.one_of([-5, 0, 1, 1, 7])), draw.one_of(sorted(world.cluster.nodes)))
    for number in range(draw.chance.randrange(3)):
        world.set_budget(f"b{number}")
    for number in range(draw.chance.choice([0, 0, 1, 2])):
        world.nominate(world.pod(f"w{number}", draw.one_of([1, 7, 9])), draw.one_of(sorted(world.cluster.nodes)))
    kind = world.pod("new", 7)
    for number in range(3):
        world.ask({**kind, "metadata": {**kind["metadata"], "name": f"new{number}", "uid": f"new{number}"}})
        if world.cluster.pods and draw.now_and_then(0.5):
            world.end(draw.one_of(sorted(world.cluster.pods)))
        if draw.now_and_then(0.3):
            world.set_budget("b0")
        if draw.now_and_then(0.3):
            world.place(world.pod(f"q{number}", draw.one_of([0, 1])), draw.one_of(sorted(world.cluster.nodes)))


# -- worked examples --------------------------------------------------------------------------------------------------


def preempted(pod: Object, state: ClusterState) -> tuple[str, list[str]]:
    found = SchedulingCycle(state, DEFAULT_PROFILE).decide(PodDemand(pod))
    assert isinstance(found, Unschedulable) and isinstance(found.nomination, Nomination), found
    return found.nomination.node, [victim.key for victim in found.nomination.victims]


def started(pod: Object, when: str) -> Object:
    return {**pod, "status": {"phase": "Running", "startTime": when}}


def test_nobody_goes_who_may_stay() -> None:
    pods = [
        make_pod(name, cpu, node="n0", priority=p) for name, cpu, p in [("a", "1", 1), ("b", "2", 2), ("c", "1", 3)]
    ]

    assert preempted(make_pod("new", "2", priority=9), cluster([make_node("n0", "4")], pods)) == ("n0", ["default/b"])


def test_the_node_whose_most_important_victim_is_the_least_is_taken() -> None:
    nodes = [make_node("n0", "4"), make_node("n1", "4")]
    pods = [
        make_pod("a", "4", node="n0", priority=5),
        *(make_pod(f"b{n}", "1", node="n1", priority=4) for n in range(4)),
    ]

    node, victims = preempted(make_pod("new", "4", priority=9), cluster(nodes, pods))

    assert (node, sorted(victims)) == ("n1", [f"default/b{n}" for n in range(4)])


def test_of_equal_ones_the_youngest_goes() -> None:
    nodes = [make_node(f"n{n}", "1") for n in range(3)]
    pods = [started(make_pod(f"p{n}", "1", node=f"n{n}"), TIMES[n]) for n in (2, 0, 1)]

    assert preempted(make_pod("new", "1", priority=9), cluster(nodes, pods)) == ("n2", ["default/p2"])


def test_a_budget_is_not_violated_where_another_way_is_left() -> None:
    nodes = [make_node("n0", "1"), make_node("n1", "1")]
    kept = make_pod("kept", "1", node="n0", priority=1)
    kept["metadata"]["labels"] = {"app": "kept"}
    state = cluster(nodes, [kept, make_pod("dear", "1", node="n1", priority=8)])
    state.budgets.set(budget("b", "default", 0, {"matchLabels": {"app": "kept"}}))

    cycle = SchedulingCycle(state, DEFAULT_PROFILE)

    def victim() -> str:
        found = cycle.decide(PodDemand(make_pod("new", "1", priority=9), state.shapes))
        assert isinstance(found, Unschedulable) and found.nomination is not None
        return found.nomination.victims[0].key

    assert victim() == "default/dear"
    state.budgets.set(budget("b", "default", 1, {"matchLabels": {"app": "kept"}}))
    assert victim() == "default/kept"
    state.budgets.set(budget("b", "default", 0, {"matchLabels": {"app": "kept"}}, disrupted=["kept"]))
    assert victim() == "default/kept"
    state.budgets.set(budget("b", "default", 0, {"matchLabels": {"app": "kept"}}))
    assert victim() == "default/dear"
    state.budgets.remove("default", "b")
    assert victim() == "default/kept"


def test_one_who_keeps_others_away_has_to_go_though_there_is_room() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "new"}}}
    away = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    hermit, other = make_pod("hermit", node="n0", affinity=away), make_pod("other", node="n0")
    new = make_pod("new", priority=1)
    new["metadata"]["labels"] = {"app": "new"}

    state = cluster([make_node("n0", labels={"kubernetes.io/hostname": "n0"})], [hermit, other])

    assert preempted(new, state) == ("n0", ["default/hermit"])


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (make_pod("new", "9", priority=9), "0/1 nodes are available: 1 Preemption is not helpful for scheduling."),
        (make_pod("new", "2", priority=0), "0/1 nodes are available: 1 No preemption victims found for incoming pod."),
        (make_pod("new", "3", priority=2), "0/1 nodes are available: 1 Insufficient cpu."),
        (make_pod("new", "2", priority=9, preemptionPolicy="Never"), "not eligible due to preemptionPolicy=Never."),
    ],
)
def test_it_says_why_nobody_can_be_preempted(pod: Object, why: str) -> None:
    pods = [make_pod("a", "2", node="n0", priority=5), make_pod("b", "2", node="n0", priority=1)]

    found = SchedulingCycle(cluster([make_node("n0", "4")], pods), DEFAULT_PROFILE).decide(PodDemand(pod))

    assert isinstance(found, Unschedulable) and found.nomination is None
    assert found.message.endswith(f". no new claims to deallocate, preemption: {why}")


# -- nominations ------------------------------------------------------------------------------------------------------


def nominated() -> tuple[ClusterState, SchedulingCycle, PodDemand]:
    """n0 has room for one pod, and `first` waits for it."""
    state = cluster([make_node("n0", "1")])
    first = PodDemand(make_pod("first", "1", priority=5))
    state.nominate(first, "n0")
    return state, SchedulingCycle(state, DEFAULT_PROFILE), first


def test_room_that_a_pod_waits_for_is_kept_from_those_who_are_not_more_important() -> None:
    state, cycle, _ = nominated()

    for priority in (0, 5):
        found = cycle.decide(PodDemand(make_pod("other", "1", priority=priority)))
        assert isinstance(found, Unschedulable) and "1 Insufficient cpu" in found.message
        assert found.refused_by == ("NodeResourcesFit",)
    assert cycle.decide(PodDemand(make_pod("other", "1", priority=6))) == Decision("n0")
    state.withdraw("default/first")
    assert cycle.decide(PodDemand(make_pod("other", "1"))) == Decision("n0")
    state.check()


def test_it_goes_where_it_waited_for_room_though_another_node_is_better_by_now() -> None:
    state, cycle, first = nominated()
    state.set_node(make_node("n1", "64"))

    assert cycle.decide(first) == Decision("n0")


def test_what_another_of_its_kind_finds_where_it_waits_does_not_hold_for_the_pod_itself() -> None:
    """Its victim did not go, and meanwhile the other was told that there is no room beside it."""
    state = cluster([make_node("n0", "1")], [make_pod("low", "1", node="n0")])
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)
    first, other = (PodDemand(make_pod(name, "1", priority=5), state.shapes) for name in ("first", "other"))

    def finds(pod: PodDemand) -> Nomination | None:
        found = cycle.decide(pod)
        assert isinstance(found, Unschedulable)
        return found.nomination

    nomination = finds(first)
    state.nominate(first, "n0")

    assert [finds(pod) for pod in (other, first, other, first)] == [None, nomination, None, nomination]
    assert nomination is not None


def test_while_its_victims_end_it_preempts_no_others() -> None:
    state = cluster([make_node("n0", "1"), make_node("n1", "1")], [make_pod(n, "1", node=n) for n in ("n0", "n1")])
    cycle, pod = SchedulingCycle(state, DEFAULT_PROFILE), PodDemand(make_pod("new", "1", priority=1))
    found = cycle.decide(pod)
    assert isinstance(found, Unschedulable) and found.nomination is not None
    state.nominate(pod, found.nomination.node)
    state.leave(*found.nomination.victims[0])

    again = cycle.decide(pod)

    assert isinstance(again, Unschedulable) and again.nomination is None and again.waits
    assert again.message.endswith("preemption: not eligible due to a terminating pod on the nominated node.")
    state.remove_pod(found.nomination.victims[0].key)
    assert cycle.decide(pod) == Decision(found.nomination.node)


def test_it_does_not_wait_for_a_node_that_will_not_take_it_any_more() -> None:
    state = cluster([make_node("n0", "1"), make_node("n1", "1")], [make_pod(n, "1", node=n) for n in ("n0", "n1")])
    cycle, pod = SchedulingCycle(state, DEFAULT_PROFILE), PodDemand(make_pod("new", "1", priority=1))
    first = cycle.decide(pod)
    assert isinstance(first, Unschedulable) and first.nomination is not None
    state.nominate(pod, first.nomination.node)
    state.leave(*first.nomination.victims[0])
    state.set_node(make_node(first.nomination.node, "1", unschedulable=True))

    again = cycle.decide(pod)

    assert isinstance(again, Unschedulable) and again.nomination is not None
    assert again.nomination.node != first.nomination.node


def test_what_is_known_of_a_node_is_used_until_it_changes() -> None:
    nodes = [make_node(f"n{n}", "2") for n in range(3)]
    pods = [make_pod(f"n{n}-{k}", "1", node=f"n{n}", priority=n) for n in range(3) for k in range(2)]
    state = cluster(nodes, pods)
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)
    taken = []
    for number in range(3):
        pod = PodDemand(make_pod(f"new{number}", "2", priority=9), state.shapes)
        found = cycle.decide(pod)
        assert isinstance(found, Unschedulable) and found.nomination is not None
        state.nominate(pod, found.nomination.node)
        taken.append(found.nomination.node)

    last = cycle.decide(PodDemand(make_pod("new4", "2", priority=9), state.shapes))

    assert taken == ["n0", "n1", "n2"]
    assert isinstance(last, Unschedulable) and last.nomination is None
    assert last.message.endswith("preemption: 0/3 nodes are available: 3 Insufficient cpu.")


def test_the_search_goes_on_where_the_last_one_stopped() -> None:
    """Of 200 nodes a hundred are as many candidates as are looked for: the next search begins behind them."""
    numbers = range(200)
    # The nodes that are looked at last have the least important pods, and two early ones have some that must stay.
    pods = [make_pod(f"n{n}", "1", node=f"n{n}", priority=20 if n in (3, 70) else n < 150) for n in numbers]
    state = cluster([make_node(f"n{n}", "1") for n in numbers], pods)
    cycle, taken = SchedulingCycle(state, DEFAULT_PROFILE), []

    for number in range(198):
        pod = PodDemand(make_pod(f"new{number}", "1", priority=9), state.shapes)
        found = cycle.decide(pod)
        assert isinstance(found, Unschedulable) and found.nomination is not None
        ((victim, _),) = found.nomination.victims
        assert victim == f"default/{found.nomination.node}"
        state.remove_pod(victim)
        state.assume(pod, found.nomination.node)
        taken.append(int(found.nomination.node[1:]))

    assert sorted(taken) == [n for n in numbers if n not in (3, 70)]
    assert max(taken[:40]) < 150  # though those behind have less important ones: they were not looked at yet
    last = cycle.decide(PodDemand(make_pod("last", "1", priority=9), state.shapes))
    assert isinstance(last, Unschedulable) and last.nomination is None
