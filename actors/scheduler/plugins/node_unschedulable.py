"""NodeUnschedulable: a cordoned node takes only pods that tolerate the unschedulable taint."""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.framework import SKIP, ClusterEvent, Cycle, Filter, PreFilter, Refusal, Scope, Skip
from protocols.rules.taints import NO_SCHEDULE, UNSCHEDULABLE, tolerated

_CORDONED = {"key": UNSCHEDULABLE, "effect": NO_SCHEDULE}
_REFUSAL = Refusal(("node(s) were unschedulable",), resolvable=False)


class NodeUnschedulable(PreFilter, Filter):
    name = "NodeUnschedulable"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_TAINT
    scope = Scope.OBJECT

    def pre_filter(self, cycle: Cycle) -> Skip | None:
        return SKIP if tolerated(cycle.shape.tolerations, _CORDONED) else None

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        return cycle.state.objects.unschedulable[rows].astype(np.int32)

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSAL
