"""The scheduler decides as the real kube-scheduler did on 300 random clusters: who may, who not and why, how good."""

from __future__ import annotations

import random
from typing import Any

import pytest

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.profile import DEFAULT_PROFILE
from tests.scheduler import fixtures


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_decides_as_kube_scheduler_did(part: int) -> None:
    clusters = fixtures.clusters()[part::3]

    wrong = [step["pod"]["metadata"]["name"] for cluster in clusters for step in wrong_answers(cluster)]

    assert clusters and wrong == []


def wrong_answers(recorded: dict[str, Any]) -> list[dict[str, Any]]:
    state, wrong = ClusterState(random.Random(1)), []
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)
    for node in recorded["nodes"]:
        state.set_node(node)
    for step in recorded["steps"]:
        if "remove" in step:
            state.remove_pod(fixtures.key_of_removed(recorded, step))
            continue
        pod = PodDemand(step["pod"], state.shapes)
        if not is_right(cycle, pod, step["answer"]):
            wrong.append(step)
        if step["place"]:
            state.assume(pod, step["place"])
    state.check()
    return wrong


def is_right(cycle: SchedulingCycle, pod: PodDemand, expected: dict[str, Any]) -> bool:
    decision, found = cycle.decide(pod), cycle.examine(pod)
    reasons = {node: f"{plugin}: {', '.join(refusal.reasons)}" for node, (plugin, refusal) in found.refusals.items()}
    same = (sorted(found.totals), reasons) == (sorted(expected["feasible"]), expected["reasons"])
    if not same or fixtures.difference(found.totals, expected["total"]) is None:
        return False
    if not expected["feasible"]:
        return not isinstance(decision, Decision) and decision.refusals.keys() == expected["reasons"].keys()
    best = max(expected["total"].values(), default=0)
    return isinstance(decision, Decision) and expected["total"].get(decision.node, 0) == best
