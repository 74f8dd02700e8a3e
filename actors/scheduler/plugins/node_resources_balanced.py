"""NodeResourcesBalancedAllocation: prefer nodes on which CPU and memory would be used evenly.

Since Kubernetes 1.36 the score is how much the pod changes the balance: 75 leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import SCORE_MAX, SKIP, Cycle, PreScore, Score, Skip
from actors.scheduler.node_state import NodeState

_RESOURCES = ("cpu", "memory")


class NodeResourcesBalancedAllocation(PreScore, Score):
    name = "NodeResourcesBalancedAllocation"

    def pre_score(self, cycle: Cycle, pod: PodDemand) -> Skip | None:
        return None if any(pod.requests.get(resource) for resource in _RESOURCES) else SKIP

    def score(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> list[int]:
        before, after, half = balances(nodes, {}), balances(nodes, pod.requests), SCORE_MAX // 2
        return [half + (half + new - old) // 2 for old, new in zip(before, after, strict=True)]


def balances(nodes: Sequence[NodeState], extra: Mapping[str, int]) -> list[int]:
    """100 minus the standard deviation of the used fractions, in hundredths; of two it is half their difference."""
    columns = [_used_fractions(nodes, resource, extra.get(resource, 0)) for resource in _RESOURCES]
    return [
        int((1 - abs(cpu - memory) / 2) * SCORE_MAX) if cpu >= 0 and memory >= 0 else SCORE_MAX
        for cpu, memory in zip(*columns, strict=True)
    ]


def _used_fractions(nodes: Sequence[NodeState], resource: str, extra: int) -> list[float]:
    """How much of a resource would be used on each node; -1 where there is none of it, which does not count."""
    return [
        min(1.0, (node.requested.get(resource, 0) + extra) / capacity)
        if (capacity := node.allocatable.get(resource, 0))
        else -1.0
        for node in nodes
    ]
