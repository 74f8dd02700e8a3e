"""NodeResourcesFit: refuse nodes without room for the pod's requests; prefer those with most room left.

The score is the LeastAllocated strategy over CPU and memory, and counts containers without requests as small ones.
"""

from __future__ import annotations

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import SCORE_MAX, ClusterEvent, Cycle, Filter, Refusal, Score
from actors.scheduler.node_state import NodeState

_SCORED_RESOURCES = ("cpu", "memory")
_FIRST = ("cpu", "memory", "ephemeral-storage")


class NodeResourcesFit(Filter, Score):
    name = "NodeResourcesFit"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_ALLOCATABLE | ClusterEvent.POD_DELETED

    def filter(self, cycle: Cycle, pod: PodDemand, node: NodeState) -> Refusal | None:
        crowded = len(node.pods) >= node.pods_max
        for resource, wanted in pod.footprint.requests.items():
            if wanted and wanted > node.allocatable.get(resource, 0) - node.requested.get(resource, 0):
                return _refusal(pod, node, crowded)
        return _refusal(pod, node, crowded) if crowded else None

    def score(self, cycle: Cycle, pod: PodDemand, node: NodeState) -> int:
        """The mean of what stays free of each resource, in whole hundredths; resources the node lacks do not count."""
        total = count = 0
        for resource in _SCORED_RESOURCES:
            capacity = node.allocatable.get(resource, 0)
            if capacity:
                used = node.scoring.get(resource, 0) + pod.footprint.scoring.get(resource, 0)
                total += max(0, capacity - used) * SCORE_MAX // capacity
                count += 1
        return total // count if count else 0


def _refusal(pod: PodDemand, node: NodeState, crowded: bool) -> Refusal:
    """All that is missing, in kube-scheduler's order; unresolvable when even the empty node is too small."""
    requests = pod.footprint.requests
    ordered = [*(r for r in _FIRST if r in requests), *sorted(r for r in requests if r not in _FIRST)]
    missing = [
        resource
        for resource in ordered
        if requests[resource]
        and requests[resource] > node.allocatable.get(resource, 0) - node.requested.get(resource, 0)
    ]
    reasons = (["Too many pods"] if crowded else []) + [f"Insufficient {resource}" for resource in missing]
    resolvable = all(requests[resource] <= node.allocatable.get(resource, 0) for resource in missing)
    return Refusal(tuple(reasons), resolvable)
