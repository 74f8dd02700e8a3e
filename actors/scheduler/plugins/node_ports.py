"""NodePorts: refuse nodes on which a host port that the pod wants is taken."""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.framework import (
    SKIP,
    ClusterEvent,
    Cycle,
    Filter,
    PreFilter,
    Refusal,
    Scope,
    Skip,
    row_numbers,
)

_REFUSAL = Refusal(("node(s) didn't have free ports for the requested pod ports",))


class NodePorts(PreFilter, Filter):
    name = "NodePorts"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.POD_DELETED
    scope = Scope.NODE
    shared = True

    def pre_filter(self, cycle: Cycle) -> Skip | None:
        return None if cycle.shape.footprint.ports else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        return np.array([self.filter_one(cycle, row) for row in row_numbers(cycle, rows)], np.int32)

    def filter_one(self, cycle: Cycle, row: int) -> int:
        node = cycle.state.nodes.get(cycle.state.names[row])
        if node is None or not node.ports:
            return 0
        wanted = cycle.shape.footprint.ports
        return int(any(port.conflicts(used) for port in wanted for used in node.ports))

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSAL
