"""The scheduling cycle: one pod and the cluster in, a node out, or the reasons why there is none.

    decide   the feasible node with the highest total; of equal ones that of the highest rank
    fits     would one node do?
    examine  everything that can be known about it: feasible nodes, totals, scores of each plugin, refusals

The work is in `template.py`: pods of one shape share it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.columns import Ints
from actors.scheduler.conditions import not_scheduled_message
from actors.scheduler.counts import Counts, clock
from actors.scheduler.demand import PodDemand
from actors.scheduler.devices.needs import why_not_now
from actors.scheduler.diagnosis import NO_NODES, Unschedulable, explain, refuse_altogether
from actors.scheduler.framework import Helpless, Profile, Refusal
from actors.scheduler.node_answers import NodeAnswers
from actors.scheduler.node_state import Placed
from actors.scheduler.plugin_failure import PluginFailed, ask_plugin, names_plugin
from actors.scheduler.template import NEVER, Template, epoch

TEMPLATES_MAX = 256
TEMPLATES_OF_CLAIMS_MAX = 8


class Decision(NamedTuple):
    node: str


class Examination(NamedTuple):
    """`totals` and each plugin's weighted scores by feasible node. A plugin that finds all alike may say nothing."""

    totals: Mapping[str, int]
    by_plugin: Mapping[str, Mapping[str, int]]
    refusals: Mapping[str, tuple[str, Refusal]]


class SchedulingCycle:
    def __init__(self, state: ClusterState, profile: Profile, counts: Counts | None = None) -> None:
        self.counts = counts or Counts()
        self.state = state
        self.profile = profile
        self._templates: dict[Hashable, Template] = {}
        self._of_claims: dict[Hashable, Template] = {}
        self._answers: WeakValueDictionary[Hashable, NodeAnswers] = WeakValueDictionary()  # as long as templates are
        self._epoch = epoch(state)

    def decide(self, pod: PodDemand) -> Decision | Unschedulable:
        """Raises PluginFailed."""
        try:
            return self._decide(pod)
        except PluginFailed:
            self._renew()  # what the plugin has left half done
            raise

    @names_plugin
    def _decide(self, pod: PodDemand) -> Decision | Unschedulable:
        if not self.state.nodes:
            return Unschedulable(NO_NODES, [plugin.name for plugin in self.profile.filter])
        template = self._template(pod)
        if template.refusal is not None:
            return self.after_filters(pod, refuse_altogether(self.state, *template.refusal))
        row, crowded = self._best(pod, template)
        if row >= 0:
            return Decision(self.state.names[row])
        return self.after_filters(pod, explain(self.state, template, crowded))

    def _best(self, pod: PodDemand, template: Template) -> tuple[int, Ints | None]:
        """The best row, -1 if there is none; and the verdicts of those that only nominated pods make unfit, None if
        they make none so.

        A pod that was nominated goes where it waited for room, if there is room now. A row that somebody is nominated
        for must do without and with those who wait for it; which other nodes matter is asked only of the best rows."""
        nominations = self.state.nominations
        if not nominations:
            return template.best(), None
        own = nominations.node_of(pod.key)
        if own and self.why_not(pod, own, nominations.against(pod, own)) is None:
            return self.state.objects.row_of[own], None
        crowded = template.crowded(pod.priority).copy()
        own_row = self.state.objects.row_of.get(own, -1)
        if own_row >= 0:
            crowded[own_row] = 0  # it counts itself there
        totals = np.where(crowded == 0, template.totals(), NEVER)
        elsewhere = template.looks_elsewhere()
        while totals[row := int(totals.argmax())] > NEVER:
            beside = nominations.against(pod, self.state.names[row])
            matters = row == own_row or elsewhere or any(other.footprint.sort.terms.required_anti for other in beside)
            verdict = self._verdict_beside(pod, self.state.names[row], beside) if beside and matters else 0
            if not verdict:
                return row, crowded
            totals[row], crowded[row] = NEVER, verdict
        return -1, crowded

    @names_plugin
    def candidates(self, pod: PodDemand) -> dict[str, float]:
        """The feasible nodes and their totals, for who has a word to say beside the plugins. Raises PluginFailed."""
        template = self._template(pod)
        if template.refusal is not None:
            return {}
        totals, nominations = template.totals(), self.state.nominations
        if nominations:
            crowded = template.crowded(pod.priority).copy()
            if (own := self.state.objects.row_of.get(nominations.node_of(pod.key))) is not None:
                crowded[own] = 0
            totals = np.where(crowded == 0, totals, NEVER)
        return {self.state.names[row]: float(totals[row]) for row in np.flatnonzero(totals > NEVER).tolist()}

    def after_filters(self, pod: PodDemand, found: Unschedulable) -> Unschedulable:
        """PostFilter: the first plugin that can do something about it is believed."""
        if not self.profile.post_filter:
            return found
        began, said = clock(), ""
        for plugin in self.profile.post_filter:
            self.counts.preemptions += plugin.preempts
            answer = plugin.post_filter(self, pod, found)
            if isinstance(answer, Helpless):
                said = f"{said}, {answer.why}" if said else answer.why
                found.waits = found.waits or answer.waits
                found.frees = found.frees or answer.frees
                if answer.final:
                    break
            elif answer is not None:
                found.nomination = answer
                if plugin.preempts:
                    self.counts.victims.observe(len(answer.victims))
                break
        if found.nomination is None and said:
            found.message = f"{found.message} {said}" if found.message else said
        status = "Success" if found.nomination is not None else "Unschedulable"
        self.counts.point("PostFilter", status, self.profile.name, began)
        return found

    def why_not(self, pod: PodDemand, node: str, beside: Sequence[PodDemand] = ()) -> tuple[str, ...] | None:
        """Why the pod does not fit the node, alone or with those who are nominated for it. None: it does."""
        row = self.state.objects.row_of.get(node)
        if row is None:
            return ("the node is gone",)
        template = self._template(pod)
        if template.refusal is not None:
            return template.refusal[1].reasons
        verdict = template.verdict(row) or (self._verdict_beside(pod, node, beside) if beside else 0)
        return template.meaning(verdict)[1].reasons if verdict else None

    def _verdict_beside(self, pod: PodDemand, node: str, beside: Sequence[PodDemand]) -> int:
        """With these pods on the node: what `Template.verdict` says."""
        state = self.state
        for other in beside:
            state.put(other.key, Placed(other.uid, other.footprint), node)
        try:
            return self._template(pod).verdict(state.objects.row_of[node])
        finally:
            for other in beside:
                state.lift(other.key)

    def fits(self, pod: PodDemand, node: str) -> bool:
        """Would every filter let the pod run on this one node now?"""
        row = self.state.objects.row_of.get(node)
        return row is not None and self._template(pod).fits(row)

    def may_fit_on(self, pod: PodDemand, nodes: Collection[str]) -> bool:
        """Something changed on these nodes: would the pod fit one of them? "" among them: or any other. Who cannot tell
        may say so when the pod is tried."""
        row_of = self.state.objects.row_of
        rows = [row_of[node] for node in nodes if node in row_of]
        try:
            return ("" in nodes or bool(rows)) and self._may_fit(pod, [] if "" in nodes else rows)
        except PluginFailed:
            self._renew()
            return True

    @names_plugin
    def _may_fit(self, pod: PodDemand, rows: Sequence[int]) -> bool:
        """Also true where it is told something else than holds now: the next try says what it waits for."""
        template = self._template(pod)
        if template.refusal is not None:
            told = not_scheduled_message(pod.pod)
            return bool(told) and ", ".join(template.refusal[1].reasons) not in told
        return template.may_fit(rows)

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

    def template(self, pod: PodDemand) -> Template:
        """What is known about pods of this shape, for those who explain a decision."""
        return self._template(pod)

    def _renew(self) -> None:
        self._templates.clear()
        self._of_claims.clear()
        self._answers.clear()

    def _template(self, pod: PodDemand) -> Template:
        """The oldest is forgotten when there are too many. That of a pod with claims of volumes is good until something
        happens to any such claim. Of those there are few, and of those for pods that cannot use their claims of
        devices: mostly each pod has claims of its own, and they must not push out what is known about others."""
        now = epoch(self.state)
        if self._epoch != now:
            self._renew()
            self._epoch = now
        shape, state = pod.shape, self.state
        why_not = why_not_now(state, shape.pod, shape.device_claims) if shape.device_claims else ""
        version = state.volumes.version if shape.claims else 0
        key = (shape.key_beside_devices, state.groups.selector(shape), why_not, version)
        if why_not or shape.claims:
            template = self._kept(self._of_claims, TEMPLATES_OF_CLAIMS_MAX, key, pod)
        else:
            template = self._kept(self._templates, TEMPLATES_MAX, key, pod)
        template.cycle.shape = shape  # it has claims of devices of its own
        return template

    def _kept(self, templates: dict[Hashable, Template], templates_max: int, key: Hashable, pod: PodDemand) -> Template:
        template = templates.get(key)
        if template is None:
            template = self._new_template(pod)
            if len(templates) >= templates_max:
                del templates[next(iter(templates))]
            templates[key] = template
        return template

    def _new_template(self, pod: PodDemand) -> Template:
        template = Template(self.state, pod.shape, self.profile, self._answers)
        if template.epoch != epoch(self.state):  # too many questions: asking the last has ended the first
            template = Template(self.state, pod.shape, self.profile, self._answers)
        return template


def gate(pod: PodDemand, profile: Profile, state: ClusterState) -> Refusal | None:
    """Why the pod may not enter the queue yet. A plugin that fails lets nobody in."""
    for plugin in profile.pre_enqueue:
        try:
            refusal = ask_plugin(plugin.pre_enqueue, pod, state)
        except PluginFailed as failure:
            return Refusal((str(failure),))
        if refusal is not None:
            return refusal
    return None
