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
        wanted = [(resource, amount) for resource, amount in pod.requests.items() if amount]
        refusals = {}
        for node in nodes:
            missing = _missing(node, wanted)
            if missing or len(node.pods) >= node.pods_max:
                refusals[node.name] = _refusal(pod, node, missing)
        return refusals

    def score(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> list[int]:
        columns = [_free_hundredths(pod, nodes, resource) for resource in _SCORED_RESOURCES]
        return [_mean(parts) for parts in zip(*columns, strict=True)]


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


def _free_hundredths(pod: PodDemand, nodes: Sequence[NodeState], resource: str) -> list[int]:
    """How much of a resource would stay free on each node; -1 where there is none of it, which does not count."""
    wanted = pod.footprint.scoring.get(resource, 0)
    return [
        max(0, capacity - node.scoring.get(resource, 0) - wanted) * SCORE_MAX // capacity
        if (capacity := node.allocatable.get(resource, 0))
        else -1
        for node in nodes
    ]


def _mean(parts: Sequence[int]) -> int:
    counted = [part for part in parts if part >= 0]
    return sum(counted) // len(counted) if counted else 0
