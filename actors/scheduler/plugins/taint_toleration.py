"""TaintToleration: refuse nodes with untolerated taints; prefer those with fewer untolerated PreferNoSchedule ones."""

from __future__ import annotations

from collections.abc import Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import (
    ClusterEvent,
    Cycle,
    Filter,
    NormalizeScore,
    PreScore,
    Refusal,
    Score,
    normalize_by_max,
)
from actors.scheduler.node_state import NodeState
from protocols.rules.taints import PREFER_NO_SCHEDULE, untolerated


class TaintToleration(Filter, PreScore, Score, NormalizeScore):
    name = "TaintToleration"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_TAINT

    def filter(self, cycle: Cycle, pod: PodDemand, node: NodeState) -> Refusal | None:
        if not node.taints:
            return None
        taint = next(untolerated(node.taints, pod.tolerations), None)
        if taint is None:
            return None
        reason = f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value') or ''}}}"
        return Refusal((reason,), resolvable=False)

    def pre_score(self, cycle: Cycle, pod: PodDemand) -> None:
        cycle.memo[self.name] = [
            toleration for toleration in pod.tolerations if toleration.get("effect") in (None, "", PREFER_NO_SCHEDULE)
        ]

    def score(self, cycle: Cycle, pod: PodDemand, node: NodeState) -> int:
        if not node.taints:
            return 0
        return sum(1 for _ in untolerated(node.taints, cycle.memo[self.name], (PREFER_NO_SCHEDULE,)))

    def normalize_score(self, cycle: Cycle, scores: Sequence[int]) -> list[int]:
        return normalize_by_max(scores, reverse=True)
