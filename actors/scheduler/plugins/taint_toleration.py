"""TaintToleration: refuse nodes with untolerated taints; prefer those with fewer untolerated PreferNoSchedule ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import (
    ClusterEvent,
    Cycle,
    Filter,
    NormalizeScore,
    Refusal,
    Score,
    normalize_by_max,
)
from actors.scheduler.node_state import NodeState
from protocols.rules.taints import PREFER_NO_SCHEDULE, untolerated

_REFUSAL = Refusal(("node(s) had untolerated taint(s)",), resolvable=False)


class TaintToleration(Filter, Score, NormalizeScore):
    name = "TaintToleration"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_TAINT

    def filter(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> Mapping[str, Refusal]:
        first = {node.name: next(untolerated(node.taints, pod.tolerations), None) for node in nodes if node.taints}
        return {name: _REFUSAL for name, taint in first.items() if taint is not None}

    def score(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> list[int]:
        soft = (PREFER_NO_SCHEDULE,)
        return [len(list(untolerated(node.taints, pod.tolerations, soft))) if node.taints else 0 for node in nodes]

    def normalize_score(self, cycle: Cycle, scores: Sequence[int]) -> list[int]:
        return normalize_by_max(scores, reverse=True)
