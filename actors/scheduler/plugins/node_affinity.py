"""NodeAffinity: refuse nodes outside the pod's nodeSelector or required affinity; prefer those it prefers.

`addedAffinity` of the configuration is asked of every pod, besides its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from actors.scheduler.columns import Bools, Floats, Ints, Rows
from actors.scheduler.demand import Shape
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
    Scope,
    Score,
    Skip,
    normalize_by_max,
)
from actors.scheduler.node_objects import NodeObjects
from protocols.rules.affinity import node_affinity, preferred_terms

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REFUSALS = (
    Refusal(("node(s) didn't match scheduler-enforced node affinity",), resolvable=False),
    Refusal(("node(s) didn't match Pod's node affinity/selector",), resolvable=False),
)
_CONFLICT = Refusal(("pod affinity terms conflict",), resolvable=False)


class NodeAffinity(PreFilter, Filter, PreScore, Score, NormalizeScore):
    name = "NodeAffinity"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABEL
    scope = Scope.OBJECT

    def __init__(self, added: Mapping[str, Any] | None = None) -> None:
        self._added = added or {}

    def pre_filter(self, cycle: Cycle) -> Skip | OnlyNodes | Refusal | None:
        required = node_affinity(cycle.shape.pod).get(_REQUIRED)
        if required is None:
            return None if cycle.shape.spec.get("nodeSelector") or self._added.get(_REQUIRED) else SKIP
        names = _named_nodes(required)
        if names is None:
            return None
        return OnlyNodes(names) if names else _CONFLICT

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        nodes = cycle.state.objects
        numbers = np.where(eligible(nodes, cycle.shape), 0, 2)
        if (enforced := self._added.get(_REQUIRED)) is not None:
            numbers = np.where(nodes.matching_selector(enforced), numbers, 1)
        return numbers[rows].astype(np.int32)

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSALS[number - 1]

    def pre_score(self, cycle: Cycle) -> Skip | None:
        return None if self._preferences(cycle) else SKIP

    def score(self, cycle: Cycle, rows: Rows) -> Floats:
        nodes = cycle.state.objects
        total = np.zeros(cycle.state.rows)
        for entry in self._preferences(cycle):
            total += entry.get("weight", 0) * nodes.matching_term(entry.get("preference") or {})
        return total[rows]

    def normalize_score(self, cycle: Cycle, scores: Floats, feasible: Bools) -> Floats | None:
        return normalize_by_max(scores, feasible)

    def _preferences(self, cycle: Cycle) -> list[Mapping[str, Any]]:
        return [*preferred_terms(cycle.shape.pod), *(self._added.get(_PREFERRED) or ())]


def eligible(nodes: NodeObjects, shape: Shape) -> Bools:
    """Rows that meet the pod's nodeSelector and its required node affinity."""
    wanted = (shape.spec.get("nodeSelector") or {}).items()
    result = nodes.matching([{"key": key, "operator": "In", "values": [value]} for key, value in wanted])
    required = node_affinity(shape.pod).get(_REQUIRED)
    return result if required is None else result & nodes.matching_selector(required)


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
