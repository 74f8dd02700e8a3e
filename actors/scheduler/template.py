"""What was worked out for pods of one shape, for all nodes, kept up to date row by row.

`verdicts` says for each row which filter of OBJECT or NODE scope refuses the pod, and `base` is the sum of those
scores that can be added up for a row alone, minus infinity where it is refused. A decision for the next such pod first
works out anew the rows that changed (mostly one, where the last pod went), then adds what depends on other nodes:
filters and scores of CLUSTER scope, and scores that are normalised over the feasible nodes.
A row's rank, below 1, is part of `base`: it decides between equals, and only there, because scores are whole numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, MutableMapping, Sequence
from typing import NamedTuple

import numpy as np

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.columns import ALL, Bools, Floats, Ints, Rows
from actors.scheduler.crowding import Crowding
from actors.scheduler.demand import Shape
from actors.scheduler.framework import (
    Cycle,
    Filter,
    NormalizeScore,
    OnlyNodes,
    Plugin,
    Profile,
    Refusal,
    Scope,
    Score,
    Skip,
)
from actors.scheduler.node_answers import ONE_BY_ONE_MAX, NodeAnswers, judged
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit

NEVER = float("-inf")
NOBODY = -1  # the verdict of a row that no node has
_PLUGIN_SHIFT = 20  # a verdict is plugin << 20 | number
_ELSEWHERE = 1


class Weighted(NamedTuple):
    plugin: Score
    weight: int


class Template:
    """`refusal`: a plugin that refuses such pods altogether, and why."""

    def __init__(
        self, state: ClusterState, shape: Shape, profile: Profile, answers: MutableMapping[Hashable, NodeAnswers]
    ) -> None:
        """`answers`: those of other shapes, by what shapes must have in common to share them."""
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
        self._answers = self._common(answers)
        self._crowding: Crowding | None = None
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
        return not self.verdict(row)

    def verdict(self, row: int) -> int:
        """0, or the first filter that refuses this row: a number that `meaning` explains."""
        self.refresh()
        verdict = int(self.verdicts[row])
        if not verdict:
            for plugin in self._cluster_filters:
                if number := plugin.filter_one(self.cycle, row):
                    return self._code(plugin) | number
        return verdict

    def crowded(self, priority: int) -> Ints:
        """For each row that takes such pods 0, or the filter of NODE scope that refuses them beside those who wait
        there and have this priority or a higher one."""
        if self._crowding is None:
            self._crowding = self._answers.crowding(priority)
        self._crowding.refresh()
        return self._crowding.verdicts

    def looks_elsewhere(self) -> bool:
        """Do filters of CLUSTER scope have anything to say about such pods now?"""
        return any(plugin.filter(self.cycle, ALL) is not None for plugin in self._cluster_filters)

    def fit_by_room_alone(self) -> NodeResourcesFit | None:
        """The filter, if nothing else about a node's pods, or about other nodes, can refuse such pods."""
        if len(self._node_filters) == 1 and isinstance(self._node_filters[0], NodeResourcesFit):
            if not self.looks_elsewhere():
                return self._node_filters[0]
        return None

    def may_fit(self, rows: Sequence[int]) -> bool:
        """One of these rows. No rows: any."""
        return any(self.fits(row) for row in rows) if rows else self.best() >= 0

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
        plugin = self._profile.filter[index - 1]
        return plugin.name, plugin.refusal(self.cycle, number)

    def objections(self, row: int) -> list[tuple[str, Refusal]]:
        """Every filter that refuses this row, not only the first, and what it says."""
        self.refresh()
        numbers = [(plugin, plugin.filter_one(self.cycle, row)) for plugin in self._filters]
        found = [(plugin.name, plugin.refusal(self.cycle, number)) for plugin, number in numbers if number]
        elsewhere = self._only is not None and self._state.names[row] not in self._only
        return [self.meaning(_ELSEWHERE)] if elsewhere and not found else found

    def refusing(self) -> Ints:
        """How many filters refuse each row."""
        self.refresh()
        total = np.zeros(self._state.rows, np.int32)
        for plugin in self._filters:
            numbers = plugin.filter(self.cycle, ALL)
            if numbers is not None:
                total += numbers != 0
        return total

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
        self._answers.refresh()
        changes = self._state.room.changes
        head = changes.head
        is_new = self._version != self._state.objects.version
        if head - self._head < 2 and not is_new:
            if head > self._head:  # mostly the node that the last pod got
                self._work_out_one(changes.latest)
                self._head = head
            return
        changed = changes.since(self._head) if not is_new else None
        if changed is None or 4 * len(changed) > self._state.rows:
            self._work_out_all()
        elif len(changed) <= ONE_BY_ONE_MAX:
            for row in {*changed}:
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
            objections = judged(plugin.filter(self.cycle, ALL), self._code(plugin), objections)
        self._objections = np.where(present, objections, NOBODY)
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
        objections = self._objections[rows]
        verdicts = np.where(objections == 0, self._answers.verdicts[rows], objections)
        self.verdicts[rows] = verdicts
        self.base[rows] = np.where(verdicts == 0, self._object_sum[rows] + self._answers.sums[rows], NEVER)
        if not isinstance(rows, slice):
            for scorer, raw in self._raw_of_nodes:
                raw[rows] = scorer.score(self.cycle, rows)

    def _work_out_one(self, row: int) -> None:
        self.verdicts[row] = verdict = self._objections[row] or self._answers.verdicts[row]
        self.base[row] = NEVER if verdict else self._object_sum[row] + self._answers.sums[row]
        for scorer, raw in self._raw_of_nodes:
            raw[row] = scorer.score_one(self.cycle, row)

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
        self._codes = {plugin.name: (index + 1) << _PLUGIN_SHIFT for index, plugin in enumerate(self._profile.filter)}
        self._object_filters = [plugin for plugin in self._filters if plugin.scope is Scope.OBJECT]
        self._node_filters = [plugin for plugin in self._filters if plugin.scope is Scope.NODE]
        self._cluster_filters = [plugin for plugin in self._filters if plugin.scope is Scope.CLUSTER]

    def _pre_score(self) -> None:
        skipped = {p.name for p in self._profile.pre_score if isinstance(p.pre_score(self.cycle), Skip)}
        self._scores = [
            Weighted(plugin, weight) for plugin, weight in self._profile.score if plugin.name not in skipped
        ]
        stretched = [w for w in self._scores if isinstance(w.plugin, NormalizeScore)]
        self._stretched = [w for w in stretched if w.plugin.scope is not Scope.CLUSTER]
        summed = [w for w in self._scores if w not in stretched]
        self._object_scores = [w for w in summed if w.plugin.scope is Scope.OBJECT]
        self._node_scores = [w for w in summed if w.plugin.scope is Scope.NODE]
        self._cluster_scores = [w for w in self._scores if w.plugin.scope is Scope.CLUSTER]

    def _common(self, answers: MutableMapping[Hashable, NodeAnswers]) -> NodeAnswers:
        """The answers of NODE scope: another shape's that is the same in all that matters to them, or new ones."""
        plugins: list[Plugin] = [*self._node_filters, *(weighted.plugin for weighted in self._node_scores)]
        key: Hashable = self.cycle.shape.key
        if all(vars(type(plugin)).get("shared") for plugin in plugins):  # what derives from one may look at more
            key = (self.cycle.shape.footprint.amounts_key, *(plugin.name for plugin in plugins))
        found = answers.get(key)
        if found is None:
            filters = [(plugin, self._code(plugin)) for plugin in self._node_filters]
            found = answers[key] = NodeAnswers(self.cycle, filters, self._node_scores)
        return found


def epoch(state: ClusterState) -> tuple[int, int]:
    """When this changes, templates are of no use any more: columns were replaced, counts are not kept."""
    return state.rows, state.counts.epoch
