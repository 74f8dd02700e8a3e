"""NodeResourcesBalancedAllocation: prefer nodes on which CPU and memory would be used evenly.

Since Kubernetes 1.36 the score is how much the pod changes the balance: 75 leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import SCORE_MAX, SKIP, Cycle, PreScore, Score, Skip
from actors.scheduler.node_state import NodeState

_RESOURCES = ("cpu", "memory")


class NodeResourcesBalancedAllocation(PreScore, Score):
    name = "NodeResourcesBalancedAllocation"

    def pre_score(self, cycle: Cycle, pod: PodDemand) -> Skip | None:
        return None if any(pod.requests.get(resource) for resource in _RESOURCES) else SKIP

    def score(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> list[int]:
        cpu, memory = (pod.requests.get(resource, 0) for resource in _RESOURCES)
        key = (self.name, cpu, memory)
        return [
            known if (known := node.memo.get(key)) is not None else node.remember(key, _score(node, cpu, memory))
            for node in nodes
        ]


def _score(node: NodeState, cpu: int, memory: int) -> int:
    half = SCORE_MAX // 2
    return half + (half + balance(node, cpu, memory) - balance(node, 0, 0)) // 2


def balance(node: NodeState, cpu: int, memory: int) -> int:
    """100 minus the standard deviation of the used fractions, in hundredths; of two it is half their difference."""
    cpu_used, memory_used = _used_fraction(node, "cpu", cpu), _used_fraction(node, "memory", memory)
    if cpu_used < 0 or memory_used < 0:
        return SCORE_MAX
    return int((1 - abs(cpu_used - memory_used) / 2) * SCORE_MAX)


def _used_fraction(node: NodeState, resource: str, extra: int) -> float:
    """How much of a resource would be used; -1 where there is none of it, which does not count."""
    capacity = node.allocatable.get(resource, 0)
    return min(1.0, (node.requested.get(resource, 0) + extra) / capacity) if capacity else -1.0
