"""What filters and scores of NODE scope say about each node, kept up to date row by row, for several shapes of pods.

Most pods differ in labels and selectors but ask for the same amounts. The default plugins of NODE scope look at
amounts and ports and nothing else (`Plugin.shared`), so such shapes have their answers in common: a node that changed
is worked out once, not once for each shape that is asked about afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakValueDictionary

import numpy as np

from actors.scheduler.columns import ALL, Floats, Ints, Rows
from actors.scheduler.crowding import Crowding
from actors.scheduler.framework import Cycle, Filter, Score

ONE_BY_ONE_MAX = 12


class NodeAnswers:
    """`verdicts`: for each row 0, or the first filter that refuses it; `sums`: of the weighted scores where none does.

    `filters` come with what marks their numbers in a verdict."""

    def __init__(
        self, cycle: Cycle, filters: Sequence[tuple[Filter, int]], scores: Sequence[tuple[Score, int]]
    ) -> None:
        self._cycle = cycle
        self._filters = filters
        self._scores = scores
        self._head = -1
        self._crowding: WeakValueDictionary[int, Crowding] = WeakValueDictionary()  # as long as templates are
        self.verdicts: Ints = np.zeros(cycle.state.rows, np.int32)
        self.sums: Floats = np.zeros(cycle.state.rows)

    def crowding(self, priority: int) -> Crowding:
        """What the filters say beside those who are nominated and have this priority or a higher one."""
        found = self._crowding.get(priority)
        if found is None:
            found = self._crowding[priority] = Crowding(self._cycle, self._filters, priority)
        return found

    def refresh(self) -> None:
        changes = self._cycle.state.room.changes
        head = changes.head
        if head == self._head:
            return
        if head == self._head + 1 > 0:  # mostly the node that the last pod got
            self._work_out_one(changes.latest)
            self._head = head
            return
        changed = changes.since(self._head) if self._head >= 0 else None
        if changed is None or 4 * len(changed) > self._cycle.state.rows:
            self._work_out(ALL)
        elif len(changed) <= ONE_BY_ONE_MAX:
            for row in {*changed}:
                self._work_out_one(row)
        else:
            self._work_out(np.array(list(set(changed)), np.intp))
        self._head = head

    def _work_out(self, rows: Rows) -> None:
        verdicts: Ints = np.zeros_like(self.verdicts[rows])
        for plugin, code in self._filters:
            verdicts = judged(plugin.filter(self._cycle, rows), code, verdicts)
        sums: Floats = np.zeros(len(verdicts))
        for scorer, weight in self._scores:
            scores = scorer.score(self._cycle, rows)
            if scores is not None:
                sums = sums + weight * scores
        self.verdicts[rows] = verdicts
        self.sums[rows] = sums

    def _work_out_one(self, row: int) -> None:
        cycle, verdict = self._cycle, 0
        for plugin, code in self._filters:
            if number := plugin.filter_one(cycle, row):
                verdict = code | number
                break
        self.verdicts[row] = verdict
        if not verdict:
            total = 0.0
            for scorer, weight in self._scores:
                total += weight * scorer.score_one(cycle, row)
            self.sums[row] = total


def judged(numbers: Ints | None, code: int, before: Ints) -> Ints:
    """The verdicts after one more filter: whom an earlier one has refused stays with that."""
    if numbers is None:
        return before
    return np.where((before == 0) & (numbers != 0), code | numbers, before).astype(np.int32, copy=False)
