"""Where those who are nominated leave a pod too little room, kept up to date row by row.

Somebody who waits for a node counts there against pods of its own or a lower priority, as far as filters of NODE scope
look: room, ports. What they say beside all who wait there is worked out once, and again for rows that change, so that a
decision costs the same however many wait. Who looks at other nodes too (CLUSTER scope) is asked in `cycle.py`, about
those of the best rows where anybody waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from actors.scheduler.columns import Ints
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import Cycle, Filter
from actors.scheduler.node_state import Placed
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit


class Crowding:
    """`verdicts`: for each row 0, or the first of the filters that refuses a pod of this priority beside those who wait
    there; only meant for rows that take the pod otherwise."""

    def __init__(self, cycle: Cycle, filters: Sequence[tuple[Filter, int]], priority: int) -> None:
        self._cycle = cycle
        self._filters = filters
        self._priority = priority
        alone = filters[0][0] if len(filters) == 1 else None
        self._fit = alone if type(alone) is NodeResourcesFit else None  # what derives from it may look at more
        self._head = -1
        self.verdicts: Ints = np.zeros(cycle.state.rows, np.int32)

    def refresh(self) -> None:
        changes = self._cycle.state.room.changes
        if changes.head == self._head:
            return
        changed = changes.since(self._head) if self._head >= 0 else None
        if changed is None:
            self.verdicts[:] = 0
            changed = [node.row for node in map(self._cycle.state.nodes.get, self._nominated_nodes()) if node]
        self._work_out(set(changed))
        self._head = changes.head  # pods that were put there and lifted again have changed nothing

    def _nominated_nodes(self) -> Iterable[str]:
        return self._cycle.state.nominations.nodes()

    def _work_out(self, rows: Iterable[int]) -> None:
        state, crowds = self._cycle.state, {}
        for row in rows:
            crowd = state.nominations.as_important(self._priority, state.names[row])
            if crowd and state.objects.present[row]:
                crowds[row] = crowd
            else:
                self.verdicts[row] = 0
        if not crowds:
            return
        at = list(crowds)
        self.verdicts[at] = 0
        if self._fit is not None:
            numbers = self._fit.filter(self._cycle, np.array(at), list(crowds.values()))
            self.verdicts[at] = np.where(numbers != 0, self._filters[0][1] | numbers, 0)
        else:
            for row, crowd in crowds.items():
                self.verdicts[row] = self._tried(row, crowd)

    def _tried(self, row: int, crowd: Sequence[PodDemand]) -> int:
        """With them on the node."""
        state, node = self._cycle.state, self._cycle.state.names[row]
        for other in crowd:
            state.put(other.key, Placed(other.uid, other.footprint), node)
        try:
            found = ((code, plugin.filter_one(self._cycle, row)) for plugin, code in self._filters)
            return next((code | number for code, number in found if number), 0)
        finally:
            for other in crowd:
                state.lift(other.key)
