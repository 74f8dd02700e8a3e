"""Room that others wait for: each decision leaves it to them as the slow reference does, however many they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object, key_of
from tests.effort import examples
from tests.scheduler.random_clusters import Draw
from tests.scheduler.reference import Settings, answer, refusal
from tests.scheduler.reference_preemption import fits, priority
from tests.scheduler.test_preemption import Preempting
from tests.scheduler.worlds import make_node, make_pod


class Crowded(Preempting):
    """The same cluster twice, in which many wait for nodes."""

    def decide(self, pod: Object) -> None:
        demand = PodDemand(pod, self.state.shapes)
        best = self.expected(pod)
        decision = self.cycle.decide(demand)
        if best:
            assert decision == Decision(best)
            self.nominated = [each for each in self.nominated if key_of(each[0]) != demand.key]
            self.cluster.place(pod, best)
            self.state.assume(demand, best)
        else:
            assert isinstance(decision, Unschedulable)
            self.agree_on_reasons(pod, decision)

    def expected(self, pod: Object) -> str:
        """Where it waited, if it fits there; otherwise the best node that takes it without and with those who wait."""
        fit = [name for name, node in self.cluster.nodes.items()
               if fits(pod, node, self.cluster, set(), self.crowd(pod, name), Settings())]  # fmt: skip
        own = self.state.nominations.node_of(key_of(pod))
        if own in fit:
            return own
        totals = answer(pod, self.cluster).totals
        rank = {name: self.state.rank.at[self.state.nodes[name].row] for name in fit}
        return max(fit, key=lambda name: (totals[name], rank[name]), default="")

    def agree_on_reasons(self, pod: Object, found: Unschedulable) -> None:
        for name, node in self.cluster.nodes.items():
            together = replace(self.cluster, pods=dict(self.cluster.pods))
            for other in self.crowd(pod, name):
                together.place(other, name)
            alone = refusal(pod, node, self.cluster, Settings())
            why = alone or refusal(pod, node, together, Settings())
            reasons = ", ".join(found.refusals[name].reasons)
            assert "plugin(s)" in reasons or why.partition(": ")[2] == reasons, name

    def crowd(self, pod: Object, name: str) -> list[Object]:
        return [
            other for other, where in self.nominated
            if where == name and priority(other) >= priority(pod) and key_of(other) != key_of(pod)
        ]  # fmt: skip

    def wait(self, pod: Object, node: str) -> None:
        self.nominated = [each for each in self.nominated if key_of(each[0]) != key_of(pod)]
        self.nominate(pod, node)

    def withdraw(self, pod: Object) -> None:
        self.nominated = [each for each in self.nominated if key_of(each[0]) != key_of(pod)]
        self.state.withdraw(key_of(pod))

    def live(self) -> None:
        draw, nodes = self.draw, sorted(self.cluster.nodes)
        kinds = [self.pod("kind", draw.one_of([0, 1, 1, 7])) for _ in range(2)]
        for number in range(draw.chance.randint(1, 8)):
            self.wait(named(draw.one_of(kinds), f"w{number}"), draw.one_of(nodes))
        for number in range(draw.chance.randint(3, 8)):
            waiting = draw.one_of([pod for pod, _ in self.nominated] or [None])
            match draw.one_of(["new", "new", "own", "wait", "withdraw", "end"]):
                case "own" if waiting is not None:
                    self.decide(waiting)
                case "wait":
                    self.wait(waiting or named(draw.one_of(kinds), f"v{number}"), draw.one_of(nodes))
                case "withdraw" if waiting is not None:
                    self.withdraw(waiting)
                case "end" if self.cluster.pods:
                    self.end(draw.one_of(sorted(self.cluster.pods)))
                case _:
                    self.decide(named(draw.one_of(kinds), f"new{number}"))
        self.state.check()


def named(pod: Object, name: str) -> Object:
    return {**pod, "metadata": {**pod["metadata"], "name": name, "uid": name}}


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 10**9))
@example(24)  # spread or affinity count who waits
@example(192)  # one that waits does not fit where it waits
def test_room_that_others_wait_for_is_left_as_the_reference_leaves_it(seed: int) -> None:
    Crowded(Draw(seed)).live()


@pytest.mark.slow
@pytest.mark.timeout(1500)
@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 10**9))
def test_room_that_others_wait_for_is_left_in_many_more_clusters(seed: int) -> None:
    Crowded(Draw(seed)).live()


# -- however many wait ------------------------------------------------------------------------------------------------


def test_a_decision_tries_nothing_out_however_many_wait_for_room() -> None:
    """On each of the better nodes somebody waits for all the room; there is some where nobody does. Rows are noted
    when pods are put there and lifted again: none is."""
    state = ClusterState()
    for number in range(200):
        state.set_node(make_node(f"n{number:03}", "8"))
    state.set_node(make_node("small", "1"))
    for number in range(200):
        state.nominate(PodDemand(make_pod(f"w{number}", "8", priority=5), state.shapes), f"n{number:03}")
    cycle, pod = SchedulingCycle(state, DEFAULT_PROFILE), PodDemand(make_pod("new", "1"), state.shapes)
    head = state.room.changes.head

    assert cycle.decide(pod) == Decision("small")
    assert state.room.changes.head == head


@pytest.mark.parametrize("port", [None, 80])
def test_what_is_known_of_those_who_wait_follows_them(port: int | None) -> None:
    """By numbers, and by asking several filters."""
    ports = [{"hostPort": port}] if port else []
    state = ClusterState()
    state.set_node(make_node("n0", "2"))
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)

    def of(name: str, priority: int) -> PodDemand:
        pod = make_pod(name, "1", priority=priority)
        pod["spec"]["containers"] = [{**c, "ports": ports} for c in pod["spec"]["containers"]]
        return PodDemand(pod, state.shapes)

    first, second, new = of("first", 5), of("second", 3), of("new", 3)

    def fits() -> bool:
        return cycle.decide(new) == Decision("n0")

    seen = [fits()]
    for do in (
        lambda: state.nominate(second, "n0"),
        lambda: state.nominate(first, "n0"),
        lambda: state.withdraw(second.key),
        lambda: state.withdraw(first.key),
        lambda: state.nominate(of("least", 2), "n0"),
    ):
        do()
        seen.append(fits())

    assert seen == [True, not port, False, not port, True, True]
