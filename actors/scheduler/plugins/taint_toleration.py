"""TaintToleration: refuse nodes with untolerated taints; prefer those with fewer untolerated PreferNoSchedule ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from actors.scheduler.columns import Bools, Floats, Ints, Rows
from actors.scheduler.framework import (
    ClusterEvent,
    Cycle,
    Filter,
    NormalizeScore,
    Refusal,
    Scope,
    Score,
    normalize_by_max,
)
from protocols.rules.taints import PREFER_NO_SCHEDULE, Taint, untolerated

_REFUSAL = Refusal(("node(s) had untolerated taint(s)",), resolvable=False)


class TaintToleration(Filter, Score, NormalizeScore):
    name = "TaintToleration"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_TAINT
    scope = Scope.OBJECT

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        return cycle.state.objects.by_taints(lambda taints: not tolerates(cycle, taints))[rows].astype(np.int32)

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSAL

    def score(self, cycle: Cycle, rows: Rows) -> Floats | None:
        counts = cycle.state.objects.by_taints(lambda taints: _intolerable(cycle, taints))[rows]
        return counts.astype(np.float64) if counts.any() else None

    def normalize_score(self, cycle: Cycle, scores: Floats, feasible: Bools) -> Floats | None:
        return normalize_by_max(scores, feasible, reverse=True)


def tolerates(cycle: Cycle, taints: Sequence[Taint]) -> bool:
    """Does the pod tolerate every taint that keeps pods away?"""
    return next(untolerated(taints, cycle.shape.tolerations), None) is None


def _intolerable(cycle: Cycle, taints: Sequence[Taint]) -> int:
    return len(list(untolerated(taints, cycle.shape.tolerations, (PREFER_NO_SCHEDULE,))))
