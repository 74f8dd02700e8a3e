"""NodeName: a pod that names its node fits no other."""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.framework import SKIP, ClusterEvent, Cycle, Filter, PreFilter, Refusal, Scope, Skip

_REFUSAL = Refusal(("node(s) didn't match the requested node name",), resolvable=False)


class NodeName(PreFilter, Filter):
    name = "NodeName"
    events = ClusterEvent.NODE_ADDED
    scope = Scope.OBJECT

    def pre_filter(self, cycle: Cycle) -> Skip | None:
        return None if cycle.shape.spec.get("nodeName") else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        others = np.ones(cycle.state.rows, np.int32)
        row = cycle.state.objects.row_of.get(cycle.shape.spec["nodeName"])
        if row is not None:
            others[row] = 0
        return others[rows]

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSAL
