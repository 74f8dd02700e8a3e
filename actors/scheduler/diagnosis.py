"""Why a pod is pending: the reasons of every node, and the sentence that `kubectl describe pod` shows.

`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: ...`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.columns import Ints
from actors.scheduler.framework import Nomination, Refusal
from actors.scheduler.template import NOBODY, Template

if TYPE_CHECKING:
    from actors.scheduler.preemption import Candidate

NO_NODES = "no nodes available to schedule pods"


class Unschedulable:
    """No node fits. `refused_by`: the plugins whose events may change that.
    `nomination`: who would have to go for it. `candidates`: on which nodes who would, of which that is the best; asked
    in the same turn.

    `verdicts`: for each row a number that `meanings` explains; rows that are nobody's are not in `names`.
    """

    nomination: Nomination | None = None
    candidates: Callable[[], Sequence[Candidate]] = tuple
    waits = False  # for victims that were ended already
    frees = ""  # a claim that is to give back its devices
    by_others = 0  # nodes that no filter refuses, but extenders do

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
        self._rows = rows or {}

    @property
    def resolvable(self) -> list[int]:
        """The verdicts that other pods' end could change."""
        return [number for number, refusal in self._meanings.items() if refusal.resolvable]

    @cached_property
    def refusals(self) -> Mapping[str, Refusal]:
        """Node -> why not; to be asked for before nodes come or go."""
        if self.verdicts is None:
            return {}
        verdicts = self.verdicts.tolist()
        return {name: self._meanings[verdicts[row]] for name, row in self._rows.items() if verdicts[row]}

    @cached_property
    def counts(self) -> Counter[str]:
        """Reason -> number of nodes."""
        return Counter(reason for refusal in self.refusals.values() for reason in refusal.reasons)


def explain(state: ClusterState, template: Template, crowded: Ints | None = None) -> Unschedulable:
    """No node fits: the first filter that refuses each of them.

    `crowded`: the verdicts of rows that only those who are nominated there make unfit."""
    verdicts = template.all_verdicts()
    verdicts = np.where(verdicts == 0, crowded, verdicts) if crowded is not None else verdicts.copy()
    reasons: dict[str, int] = {}
    meanings: dict[int, Refusal] = {}
    refused_by = list(template.narrowed_by)
    for number, nodes in count(verdicts, len(state.objects.row_of)).items():
        plugin, refusal = template.meaning(number)
        refused_by.append(plugin)
        meanings[number] = refusal
        for reason in refusal.reasons:
            reasons[reason] = reasons.get(reason, 0) + nodes
    message = _sentence(len(state.nodes), in_words(reasons))
    return Unschedulable(message, refused_by, verdicts, meanings, state.objects.row_of)


def refused_by_others(state: ClusterState, template: Template, name: str, failed: Mapping[str, str]) -> Unschedulable:
    """Filters refuse some nodes; what `name` stands for refuses all others, for these reasons."""
    verdicts = template.all_verdicts().copy()
    meanings: dict[int, Refusal] = {}
    reasons, refused_by = Counter(failed.values()), [name]
    for number, nodes in count(verdicts, len(state.objects.row_of)).items():
        if number:
            plugin, refusal = template.meaning(number)
            refused_by.append(plugin)
            meanings[number] = refusal
            for reason in refusal.reasons:
                reasons[reason] += nodes
    message = _sentence(len(state.nodes), in_words(reasons))
    found = Unschedulable(message, refused_by, verdicts, meanings, state.objects.row_of)
    found.by_others = len(failed)
    return found


def refuse_altogether(state: ClusterState, plugin: str, refusal: Refusal) -> Unschedulable:
    """A plugin refused the pod before looking at nodes."""
    return Unschedulable(_sentence(len(state.nodes), ", ".join(refusal.reasons)), [plugin])


def refuse_one(plugin: str, refusal: Refusal) -> Unschedulable:
    """A plugin refused the node that was chosen, at Reserve or later; kube-scheduler counts that one node then."""
    return Unschedulable(_sentence(1, in_words(Counter(refusal.reasons))), [plugin])


def count(verdicts: Ints, nodes: int) -> dict[int, int]:
    """How often each verdict occurs on that many nodes; few verdicts, many rows, some of which are nobody's."""
    counted: dict[int, int] = {}
    while nodes:
        first = int(verdicts[0])
        differ = verdicts != first
        if first != NOBODY:
            counted[first] = len(verdicts) - int(np.count_nonzero(differ))
            nodes -= counted[first]
        if nodes:
            verdicts = verdicts[differ]
    return counted


def in_words(reasons: Mapping[str, int]) -> str:
    """Equal reasons counted; sorted as text, as kube-scheduler does ("1 a, 10 b, 2 c")."""
    return ", ".join(sorted(f"{number} {reason}" for reason, number in reasons.items()))


def _sentence(nodes: int, why: str) -> str:
    return f"0/{nodes} nodes are available: {why}."
