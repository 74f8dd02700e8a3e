"""The scheduling cycle: one pod and the cluster in, a node out, or the reasons why there is none.

    decide   the feasible node with the highest total; of equal ones that of the highest rank
    fits     would one node do?
    examine  everything that can be known about it: feasible nodes, totals, scores of each plugin, refusals

The work is in `template.py`: pods of one shape share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.demand import PodDemand
from actors.scheduler.diagnosis import NO_NODES, Unschedulable, explain, refuse_altogether
from actors.scheduler.framework import Profile, Refusal
from actors.scheduler.plugin_failure import PluginFailed, names_plugin
from actors.scheduler.pod_terms import Selector
from actors.scheduler.template import NEVER, Template, epoch

TEMPLATES_MAX = 256


class Decision(NamedTuple):
    node: str


class Examination(NamedTuple):
    """`totals` and each plugin's weighted scores by feasible node. A plugin that finds all alike may say nothing."""

    totals: Mapping[str, int]
    by_plugin: Mapping[str, Mapping[str, int]]
    refusals: Mapping[str, tuple[str, Refusal]]


class SchedulingCycle:
    def __init__(self, state: ClusterState, profile: Profile) -> None:
        self.state = state
        self.profile = profile
        self._templates: dict[tuple[bytes, Selector], Template] = {}
        self._epoch = epoch(state)

    def decide(self, pod: PodDemand) -> Decision | Unschedulable:
        """Raises PluginFailed."""
        try:
            return self._decide(pod)
        except PluginFailed:
            self._templates.clear()  # what the plugin has left half done
            raise

    @names_plugin
    def _decide(self, pod: PodDemand) -> Decision | Unschedulable:
        if not self.state.nodes:
            return Unschedulable(NO_NODES, [plugin.name for plugin in self.profile.filter])
        template = self._template(pod)
        if template.refusal is not None:
            return refuse_altogether(pod, self.state, *template.refusal)
        row = template.best()
        return Decision(self.state.names[row]) if row >= 0 else explain(pod, self.state, template)

    def fits(self, pod: PodDemand, node: str) -> bool:
        """Would every filter let the pod run on this one node now?"""
        row = self.state.objects.row_of.get(node)
        return row is not None and self._template(pod).fits(row)

    def may_fit(self, pod: PodDemand, node: str) -> bool:
        """Something changed on this node: would the pod fit, there or where that counts? Who cannot tell may say so
        when the pod is tried."""
        row = self.state.objects.row_of.get(node)
        try:
            return row is not None and self._may_fit(pod, row)
        except PluginFailed:
            self._templates.clear()
            return True

    @names_plugin
    def _may_fit(self, pod: PodDemand, row: int) -> bool:
        return self._template(pod).may_fit(row)

    def examine(self, pod: PodDemand) -> Examination:
        template, state = self._template(pod), self.state
        if template.refusal is not None:
            return Examination({}, {}, dict.fromkeys(state.nodes, template.refusal))
        totals = template.totals()
        feasible = totals > NEVER
        names = {name: row for name, row in state.objects.row_of.items() if feasible[row]}
        by_plugin = template.scores_by_plugin(feasible)
        verdicts = template.all_verdicts()
        return Examination(
            {name: int(np.floor(totals[row])) for name, row in names.items()},
            {plugin: {name: int(scores[row]) for name, row in names.items()} for plugin, scores in by_plugin.items()},
            {n: template.meaning(int(verdicts[row])) for n, row in state.objects.row_of.items() if not feasible[row]},
        )

    def _template(self, pod: PodDemand) -> Template:
        """The oldest is forgotten when there are too many."""
        now = epoch(self.state)
        if self._epoch != now:
            self._templates.clear()
            self._epoch = now
        key = (pod.shape.key, self.state.groups.selector(pod.shape))
        template = self._templates.get(key)
        if template is None:
            template = Template(self.state, pod.shape, self.profile)
            if template.epoch != epoch(self.state):  # too many questions: asking the last has ended the first
                template = Template(self.state, pod.shape, self.profile)
            if len(self._templates) >= TEMPLATES_MAX:
                del self._templates[next(iter(self._templates))]
            self._templates[key] = template
        return template


def gate(pod: PodDemand, profile: Profile) -> Refusal | None:
    """Why the pod may not enter the queue yet. A plugin that fails lets nobody in."""
    for plugin in profile.pre_enqueue:
        try:
            refusal = names_plugin(plugin.pre_enqueue)(pod)
        except PluginFailed as failure:
            return Refusal((str(failure),))
        if refusal is not None:
            return refusal
    return None
