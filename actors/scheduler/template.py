"""What was worked out for pods of one shape, for all nodes, kept up to date row by row.

`verdicts` says for each row which filter of OBJECT or NODE scope refuses the pod, and `base` is the sum of those
scores that can be added up for a row alone, minus infinity where it is refused. A decision for the next such pod first
works out anew the rows that changed (mostly one, where the last pod went), then adds what depends on other nodes:
filters and scores of CLUSTER scope, and scores that are normalised over the feasible nodes.
A row's rank, below 1, is part of `base`: it decides between equals, and only there, because scores are whole numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.columns import ALL, Bools, Floats, Ints, Rows
from actors.scheduler.demand import Shape
from actors.scheduler.framework import (
    Cycle,
    Filter,
    NormalizeScore,
    OnlyNodes,
    PreScore,
    Profile,
    Refusal,
    Scope,
    Score,
    Skip,
)

NEVER = float("-inf")
_ONE_BY_ONE_MAX = 12
_PLUGIN_SHIFT = 20  # a verdict is plugin << 20 | number
_ELSEWHERE = 1


class Weighted(NamedTuple):
    plugin: Score
    weight: int


class Template:
    """`refusal`: a plugin that refuses such pods altogether, and why."""

    def __init__(self, state: ClusterState, shape: Shape, profile: Profile) -> None:
        self.refusal: tuple[str, Refusal] | None = None
        self.cycle = Cycle(state, shape)
        self.epoch = epoch(state)
        self._state = state
        self._profile = profile
        self._version = -1
        self._head = 0
        self._pre_filter()
        if self.refusal is not None:
            return
        self._pre_score()
        self.verdicts: Ints = np.zeros(0, np.int32)
        self.base: Floats = np.zeros(0)
        self._objections: Ints = self.verdicts  # of OBJECT scope
        self._raw: list[Floats | None] = []  # scores to be normalised, in the order of `_stretched`
        self._raw_of_nodes: list[tuple[Score, Floats]] = []  # those of them that change with the pods of a node

    # -- a decision -----------------------------------------------------------------------------------------------

    def best(self) -> int:
        """The row of the best node, -1 if there is none."""
        totals = self.totals()
        row = int(totals.argmax())
        return row if totals[row] > NEVER else -1

    def totals(self) -> Floats:
        """The rank and the sum of weighted scores of each row, minus infinity where the pod cannot run."""
        self.refresh()
        totals = self.base
        if self._cluster_filters:
            for plugin in self._cluster_filters:
                numbers = plugin.filter(self.cycle, ALL)
                if numbers is not None:
                    totals = np.where(numbers == 0, totals, NEVER)
        left = self._not_summed()
        if not left:
            return totals
        feasible = totals > NEVER
        for (scorer, weight), raw in left:
            scores = self._normal(scorer, raw, feasible)
            if scores is not None:
                totals = totals + (scores if weight == 1 else weight * scores)
        return totals

    def fits(self, row: int) -> bool:
        """Would every filter let the pod run on this node now?"""
        if self.refusal is not None:
            return False
        self.refresh()
        if self.verdicts[row]:
            return False
        return not any(plugin.filter_one(self.cycle, row) for plugin in self._cluster_filters)

    def may_fit(self, row: int) -> bool:
        """What changed on this node concerns it alone, unless a filter looks at others too."""
        if self.refusal is not None:
            return False
        if any(plugin.filter(self.cycle, ALL) is not None for plugin in self._cluster_filters):
            return self.best() >= 0
        return self.fits(row)

    # -- looking at it --------------------------------------------------------------------------------------------

    def all_verdicts(self) -> Ints:
        """For each row 0, or the first filter that refuses it: a number that `meaning` explains."""
        self.refresh()
        verdicts = self.verdicts
        for plugin in self._cluster_filters:
            numbers = plugin.filter(self.cycle, ALL)
            if numbers is not None:
                verdicts = np.where((verdicts == 0) & (numbers != 0), self._code(plugin) | numbers, verdicts)
        return verdicts

    def meaning(self, verdict: int) -> tuple[str, Refusal]:
        """The plugin behind a verdict, and what it says."""
        index, number = verdict >> _PLUGIN_SHIFT, verdict & ((1 << _PLUGIN_SHIFT) - 1)
        if index == 0:
            reason = f"node(s) didn't satisfy plugin(s) [{' '.join(self.narrowed_by)}]"
            return self.narrowed_by[0], Refusal((reason,), resolvable=False)
        plugin = self._filters[index - 1]
        return plugin.name, plugin.refusal(self.cycle, number)

    def scores_by_plugin(self, feasible: Bools) -> dict[str, Floats]:
        """Each plugin's weighted scores, for all rows."""
        found = [(weighted, weighted.plugin.score(self.cycle, ALL)) for weighted in self._scores]
        result = {}
        for (plugin, weight), raw in found:
            scores = self._normal(plugin, raw, feasible)
            if scores is not None:
                result[plugin.name] = weight * scores
        return result

    # -- keeping up -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        changes = self._state.room.changes
        head = changes.head
        if head == self._head and self._version == self._state.objects.version:
            return
        changed = changes.since(self._head) if self._version == self._state.objects.version else None
        if changed is None or 4 * len(changed) > self._state.rows:
            self._work_out_all()
        elif len(changed) <= _ONE_BY_ONE_MAX:
            for row in changed:
                self._work_out_one(row)
        else:
            self._work_out(np.array(list(set(changed)), np.intp))
        self._head = head

    def _work_out_all(self) -> None:
        state, present = self._state, self._state.objects.present
        self._version = state.objects.version
        objections = np.zeros(state.rows, np.int32)
        if self._only is not None:
            rows = [row for name in self._only if (row := state.objects.row_of.get(name)) is not None]
            objections[:] = _ELSEWHERE
            objections[rows] = 0
        for plugin in self._object_filters:
            objections = self._judged(plugin, ALL, objections)
        self._objections = np.where(present, objections, -1)
        self._object_sum = state.rank.values.copy()
        for scorer, weight in self._object_scores:
            scores = scorer.score(self.cycle, ALL)
            if scores is not None:
                self._object_sum += weight * scores
        self._raw = [plugin.score(self.cycle, ALL) for plugin, _ in self._stretched]
        raw_of = zip(self._stretched, self._raw, strict=True)
        self._raw_of_nodes = [(w.plugin, raw) for w, raw in raw_of if w.plugin.scope is Scope.NODE and raw is not None]
        self.verdicts = np.empty(state.rows, np.int32)
        self.base = np.empty(state.rows)
        self._work_out(ALL)

    def _work_out(self, rows: Rows) -> None:
        verdicts = self._objections[rows]
        for plugin in self._node_filters:
            verdicts = self._judged(plugin, rows, verdicts)
        totals = self._object_sum[rows]
        for scorer, weight in self._node_scores:
            scores = scorer.score(self.cycle, rows)
            if scores is not None:
                totals = totals + weight * scores
        self.verdicts[rows] = verdicts
        self.base[rows] = np.where(verdicts == 0, totals, NEVER)
        if not isinstance(rows, slice):
            for scorer, raw in self._raw_of_nodes:
                raw[rows] = scorer.score(self.cycle, rows)

    def _work_out_one(self, row: int) -> None:
        cycle, verdict = self.cycle, int(self._objections[row])
        if verdict == 0:
            for plugin in self._node_filters:
                if number := plugin.filter_one(cycle, row):
                    verdict = self._code(plugin) | number
                    break
        self.verdicts[row] = verdict
        if verdict:
            self.base[row] = NEVER
        else:
            total = float(self._object_sum[row])
            for scorer, weight in self._node_scores:
                total += weight * scorer.score_one(cycle, row)
            self.base[row] = total
        for scorer, raw in self._raw_of_nodes:
            raw[row] = scorer.score_one(cycle, row)

    def _judged(self, plugin: Filter, rows: Rows, before: Ints) -> Ints:
        numbers = plugin.filter(self.cycle, rows)
        if numbers is None:
            return before
        return np.where((before == 0) & (numbers != 0), self._code(plugin) | numbers, before).astype(np.int32)

    def _normal(self, plugin: Score, raw: Floats | None, feasible: Bools) -> Floats | None:
        if raw is None or not isinstance(plugin, NormalizeScore):
            return raw
        return plugin.normalize_score(self.cycle, raw, feasible)

    def _code(self, plugin: Filter) -> int:
        return self._codes[plugin.name]

    def _not_summed(self) -> list[tuple[Weighted, Floats]]:
        """What must be looked at anew for each decision."""
        found = [(weighted, raw) for weighted, raw in zip(self._stretched, self._raw, strict=True) if raw is not None]
        for weighted in self._cluster_scores:
            scores = weighted.plugin.score(self.cycle, ALL)
            if scores is not None:
                found.append((weighted, scores))
        return found

    # -- once for a shape -----------------------------------------------------------------------------------------

    def _pre_filter(self) -> None:
        skipped: set[str] = set()
        self._only: frozenset[str] | None = None
        narrowed_by = []
        for plugin in self._profile.pre_filter:
            match plugin.pre_filter(self.cycle):
                case Skip():
                    skipped.add(plugin.name)
                case OnlyNodes(names):
                    self._only = names if self._only is None else self._only & names
                    narrowed_by.append(plugin.name)
                case Refusal() as refusal:
                    self.refusal = (plugin.name, refusal)
                    return
        self.narrowed_by = tuple(sorted(narrowed_by))
        self._filters = [plugin for plugin in self._profile.filter if plugin.name not in skipped]
        self._codes = {plugin.name: (index + 1) << _PLUGIN_SHIFT for index, plugin in enumerate(self._filters)}
        self._object_filters = [plugin for plugin in self._filters if plugin.scope is Scope.OBJECT]
        self._node_filters = [plugin for plugin in self._filters if plugin.scope is Scope.NODE]
        self._cluster_filters = [plugin for plugin in self._filters if plugin.scope is Scope.CLUSTER]

    def _pre_score(self) -> None:
        self._scores = [Weighted(plugin, weight) for plugin, weight in self._profile.score if self._takes_part(plugin)]
        stretched = [w for w in self._scores if isinstance(w.plugin, NormalizeScore)]
        self._stretched = [w for w in stretched if w.plugin.scope is not Scope.CLUSTER]
        summed = [w for w in self._scores if w not in stretched]
        self._object_scores = [w for w in summed if w.plugin.scope is Scope.OBJECT]
        self._node_scores = [w for w in summed if w.plugin.scope is Scope.NODE]
        self._cluster_scores = [w for w in self._scores if w.plugin.scope is Scope.CLUSTER]

    def _takes_part(self, plugin: Score) -> bool:
        return not (isinstance(plugin, PreScore) and isinstance(plugin.pre_score(self.cycle), Skip))


def epoch(state: ClusterState) -> tuple[int, int]:
    """When this changes, templates are of no use any more: columns were replaced, counts are not kept."""
    return state.rows, state.counts.epoch
