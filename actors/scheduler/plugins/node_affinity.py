"""NodeAffinity: refuse nodes outside the pod's nodeSelector or required affinity; prefer those it prefers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import (
    SKIP,
    ClusterEvent,
    Cycle,
    Filter,
    NormalizeScore,
    OnlyNodes,
    PreFilter,
    PreScore,
    Refusal,
    Score,
    Skip,
    normalize_by_max,
)
from actors.scheduler.node_state import NodeState
from protocols.rules.affinity import node_affinity, node_eligible, preference_weight, preferred_terms

_REFUSAL = Refusal(("node(s) didn't match Pod's node affinity/selector",), resolvable=False)
_CONFLICT = Refusal(("pod affinity terms conflict",), resolvable=False)


class NodeAffinity(PreFilter, Filter, PreScore, Score, NormalizeScore):
    name = "NodeAffinity"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABEL

    def pre_filter(self, cycle: Cycle, pod: PodDemand) -> Skip | OnlyNodes | Refusal | None:
        required = node_affinity(pod.pod).get("requiredDuringSchedulingIgnoredDuringExecution")
        if required is None:
            return None if pod.spec.get("nodeSelector") else SKIP
        names = _named_nodes(required)
        if names is None:
            return None
        return OnlyNodes(names) if names else _CONFLICT

    def filter(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> Mapping[str, Refusal]:
        return {node.name: _REFUSAL for node in nodes if not node_eligible(pod.pod, node.node or {})}

    def pre_score(self, cycle: Cycle, pod: PodDemand) -> Skip | None:
        return None if preferred_terms(pod.pod) else SKIP

    def score(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> list[int]:
        return [preference_weight(pod.pod, node.node or {}) for node in nodes]

    def normalize_score(self, cycle: Cycle, scores: Sequence[int]) -> list[int]:
        return normalize_by_max(scores)


def _named_nodes(required: Mapping[str, Any]) -> frozenset[str] | None:
    """The nodes that required terms name by metadata.name, as a daemon's pods do; None if a term leaves them open."""
    names: frozenset[str] = frozenset()
    for term in required.get("nodeSelectorTerms") or ():
        named = [
            frozenset(field.get("values") or ())
            for field in term.get("matchFields") or ()
            if field.get("key") == "metadata.name" and field.get("operator") == "In"
        ]
        if not named:
            return None
        names |= frozenset.intersection(*named)
    return names if required.get("nodeSelectorTerms") else None
