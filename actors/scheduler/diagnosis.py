"""Why a pod is pending: the reasons of every node, and the sentence that `kubectl describe pod` shows.

`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: ...`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.columns import Ints
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import Refusal
from actors.scheduler.template import Template

NO_NODES = "no nodes available to schedule pods"
_NO_VICTIMS = "No preemption victims found for incoming pod"
_NOT_HELPFUL = "Preemption is not helpful for scheduling"
_NOT_SUPPORTED = "Preemption of lower-priority pods is not supported"


class Unschedulable:
    """No node fits. `refused_by`: the plugins whose events may change that.

    `verdicts`: for each row a number that `meanings` explains; rows that are nobody's are not in `names`.
    """

    def __init__(
        self,
        message: str,
        refused_by: Iterable[str],
        verdicts: Ints | None = None,
        meanings: Mapping[int, Refusal] | None = None,
        rows: Mapping[str, int] | None = None,
    ) -> None:
        self.message = message
        self.refused_by = tuple(sorted(set(refused_by)))
        self.verdicts = verdicts
        self._meanings = meanings or {}
        self._rows = dict(rows or {}) if verdicts is not None else {}

    @cached_property
    def refusals(self) -> Mapping[str, Refusal]:
        """Node -> why not."""
        if self.verdicts is None:
            return {}
        verdicts = self.verdicts.tolist()
        return {name: self._meanings[verdicts[row]] for name, row in self._rows.items() if verdicts[row]}

    @cached_property
    def counts(self) -> Counter[str]:
        """Reason -> number of nodes."""
        return Counter(reason for refusal in self.refusals.values() for reason in refusal.reasons)


def explain(pod: PodDemand, state: ClusterState, template: Template) -> Unschedulable:
    """No node fits: the first filter that refuses each of them."""
    verdicts, present = template.all_verdicts().copy(), state.objects.present
    reasons: Counter[str] = Counter()
    preemption: Counter[str] = Counter()
    meanings: dict[int, Refusal] = {}
    refused_by = list(template.narrowed_by)
    for number, nodes in count(verdicts[present]).items():
        plugin, refusal = template.meaning(number)
        refused_by.append(plugin)
        meanings[number] = refusal
        for reason in refusal.reasons:
            reasons[reason] += nodes
        if not refusal.resolvable:
            preemption[_NOT_HELPFUL] += nodes
            continue
        lower = state.room.lowest_priority.values < pod.priority
        above = int(np.count_nonzero((verdicts == number) & lower & present))
        preemption += Counter({_NOT_SUPPORTED: above, _NO_VICTIMS: nodes - above})
    message = _sentence(pod, len(state.nodes), in_words(reasons), preemption)
    return Unschedulable(message, refused_by, verdicts, meanings, state.objects.row_of)


def refuse_altogether(pod: PodDemand, state: ClusterState, plugin: str, refusal: Refusal) -> Unschedulable:
    """A plugin refused the pod before looking at nodes."""
    nodes = len(state.nodes)
    return Unschedulable(_sentence(pod, nodes, ", ".join(refusal.reasons), Counter({_NOT_HELPFUL: nodes})), [plugin])


def count(verdicts: Ints) -> dict[int, int]:
    """How often each number occurs; few numbers, many rows."""
    counted: dict[int, int] = {}
    while len(verdicts):
        first = int(verdicts[0])
        others = verdicts[verdicts != first]
        counted[first] = len(verdicts) - len(others)
        verdicts = others
    return counted


def in_words(reasons: Counter[str]) -> str:
    """Equal reasons counted; sorted as text, as kube-scheduler does ("1 a, 10 b, 2 c")."""
    return ", ".join(sorted(f"{number} {reason}" for reason, number in reasons.items()))


def _sentence(pod: PodDemand, nodes: int, why: str, preemption: Counter[str]) -> str:
    beginning = f"0/{nodes} nodes are available: "
    if pod.spec.get("preemptionPolicy") == "Never":
        after = "not eligible due to preemptionPolicy=Never."
    else:
        after = f"{beginning}{in_words(preemption)}."
    return f"{beginning}{why}. preemption: {after}"
