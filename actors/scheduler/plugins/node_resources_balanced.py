"""NodeResourcesBalancedAllocation: prefer nodes on which CPU and memory would be used evenly.

Since Kubernetes 1.36 the score is how much the pod changes the balance: 75 leaves it as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import SCORE_MAX, SKIP, Cycle, PreScore, Score, Skip
from actors.scheduler.node_state import NodeState

_RESOURCES = ("cpu", "memory")


class NodeResourcesBalancedAllocation(PreScore, Score):
    name = "NodeResourcesBalancedAllocation"

    def pre_score(self, cycle: Cycle, pod: PodDemand) -> Skip | None:
        return None if any(pod.requests.get(resource) for resource in _RESOURCES) else SKIP

    def score(self, cycle: Cycle, pod: PodDemand, node: NodeState) -> int:
        half = SCORE_MAX // 2
        return half + (half + balance(node, pod.requests) - balance(node, {})) // 2


def balance(node: NodeState, extra: Mapping[str, int]) -> int:
    """100 minus the standard deviation of the used fractions, in hundredths; resources the node lacks do not count."""
    fractions = [
        min(1.0, (node.requested.get(resource, 0) + extra.get(resource, 0)) / capacity)
        for resource in _RESOURCES
        if (capacity := node.allocatable.get(resource, 0))
    ]
    return int((1 - _deviation(fractions)) * SCORE_MAX)


def _deviation(fractions: list[float]) -> float:
    if len(fractions) < 2:
        return 0.0
    if len(fractions) == 2:
        return abs(fractions[0] - fractions[1]) / 2
    mean = sum(fractions) / len(fractions)
    return math.sqrt(sum((fraction - mean) ** 2 for fraction in fractions) / len(fractions))
