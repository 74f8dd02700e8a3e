"""NodeResourcesFit: refuse nodes without room for the pod's requests; prefer those with most room left.

The score is the LeastAllocated strategy over CPU and memory, and counts containers without requests as small ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import SCORE_MAX, ClusterEvent, Cycle, Filter, Refusal, Score
from actors.scheduler.node_state import NodeState

_SCORED_RESOURCES = ("cpu", "memory")
_FIRST = ("cpu", "memory", "ephemeral-storage")


class NodeResourcesFit(Filter, Score):
    name = "NodeResourcesFit"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_ALLOCATABLE | ClusterEvent.POD_DELETED

    def filter(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> Mapping[str, Refusal]:
        wanted = tuple((resource, amount) for resource, amount in pod.requests.items() if amount)
        key = ("missing", wanted)
        refusals = {}
        for node in nodes:
            missing: list[str] | None = node.memo.get(key)
            if missing is None:
                missing = node.remember(key, _missing(node, wanted))
            if missing or len(node.pods) >= node.pods_max:
                refusals[node.name] = _refusal(pod, node, missing)
        return refusals

    def score(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> list[int]:
        wanted = tuple(pod.footprint.scoring.get(resource, 0) for resource in _SCORED_RESOURCES)
        key = (self.name, wanted)
        return [
            known if (known := node.memo.get(key)) is not None else node.remember(key, _score(node, wanted))
            for node in nodes
        ]


def _missing(node: NodeState, wanted: Sequence[tuple[str, int]]) -> list[str]:
    allocatable, requested = node.allocatable, node.requested
    return [
        resource for resource, amount in wanted if amount > allocatable.get(resource, 0) - requested.get(resource, 0)
    ]


def _refusal(pod: PodDemand, node: NodeState, missing: Sequence[str]) -> Refusal:
    """All that is missing, in kube-scheduler's order; unresolvable when even the empty node is too small."""
    ordered = [*(r for r in _FIRST if r in missing), *sorted(r for r in missing if r not in _FIRST)]
    crowded = ["Too many pods"] if len(node.pods) >= node.pods_max else []
    resolvable = all(pod.requests[resource] <= node.allocatable.get(resource, 0) for resource in missing)
    return Refusal((*crowded, *(f"Insufficient {resource}" for resource in ordered)), resolvable)


def _score(node: NodeState, wanted: Sequence[int]) -> int:
    """The mean of what would stay free of each resource, in hundredths; one that the node has none of is left out."""
    parts = [
        max(0, capacity - node.scoring.get(resource, 0) - amount) * SCORE_MAX // capacity
        for resource, amount in zip(_SCORED_RESOURCES, wanted, strict=True)
        if (capacity := node.allocatable.get(resource, 0))
    ]
    return sum(parts) // len(parts) if parts else 0
