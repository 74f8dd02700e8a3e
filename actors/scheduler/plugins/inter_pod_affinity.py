"""InterPodAffinity: pods that want to be, or never to be, in the same domain as others; both ways.

Required terms refuse nodes, preferred ones rate them, and so do the terms of pods that are placed already. Counting is
done by `pod_counts`: what matters here is which counts concern a pod of this shape, and how much each is worth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from actors.scheduler.columns import Bools, Floats, Ints, Rows
from actors.scheduler.framework import (
    SCORE_MAX,
    ClusterEvent,
    Cycle,
    Filter,
    NormalizeScore,
    PreFilter,
    Refusal,
    Score,
)
from actors.scheduler.pod_counts import Counts, Domains, Owned, Question
from actors.scheduler.pod_terms import Term

_NOT_WITH, _AGAINST, _UNWANTED = 1, 2, 3
_REFUSALS = (
    Refusal(("node(s) didn't match pod affinity rules",), resolvable=False),
    Refusal(("node(s) didn't match pod anti-affinity rules",)),
    Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",)),
)


class InterPodAffinity(PreFilter, Filter, Score, NormalizeScore):
    name = "InterPodAffinity"
    events = (
        ClusterEvent.NODE_ADDED
        | ClusterEvent.NODE_LABEL
        | ClusterEvent.POD_DELETED
        | ClusterEvent.POD_ADDED
        | ClusterEvent.NAMESPACE_LABEL
    )

    def __init__(self, hard_weight: int = 1, ignore_preferences_of_existing_pods: bool = False) -> None:
        """`hard_weight`: what a required affinity term of a placed pod is worth, as if it were preferred."""
        self._hard_weight = hard_weight
        self._ignore_existing = ignore_preferences_of_existing_pods

    def pre_filter(self, cycle: Cycle) -> Refusal | None:
        if cycle.shape.terms.error:
            return Refusal((cycle.shape.terms.error,), resolvable=False)
        cycle.memo[self.name] = _Concerns(cycle, self._hard_weight, self._ignore_existing)
        return None

    def filter(self, cycle: Cycle, rows: Rows) -> Ints | None:
        concerns: _Concerns = cycle.memo[self.name]
        concerns.update()
        numbers: Ints | None = None
        for number, refused in concerns.refused(rows):
            if numbers is None:
                numbers = np.multiply(refused, np.int32(number))
            else:
                numbers = np.where((numbers == 0) & refused, np.int32(number), numbers)
        return numbers

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSALS[number - 1]

    def score(self, cycle: Cycle, rows: Rows) -> Floats | None:
        concerns: _Concerns = cycle.memo[self.name]
        concerns.update()
        return concerns.worth(rows)

    def normalize_score(self, cycle: Cycle, scores: Floats, feasible: Bools) -> Floats | None:
        chosen = scores.compress(feasible)
        if not len(chosen):
            return None
        least, most = float(chosen.min()), float(chosen.max())
        if most == least:
            return None
        return np.trunc(SCORE_MAX * ((scores - least) / (most - least)))


class _Weighted(NamedTuple):
    weight: int
    domains: Domains


class _Concerns:
    """The counts that concern pods of one shape. Terms of placed pods join as pods with new terms come."""

    def __init__(self, cycle: Cycle, hard_weight: int, ignore_existing: bool) -> None:
        self._cycle = cycle
        self._shape = cycle.shape
        self._hard_weight = hard_weight
        self._owned = cycle.state.counts.owned_about(cycle.shape.namespace)
        self._read = (0, 0)
        terms, shape = cycle.shape.terms, cycle.shape
        self._ignore_existing = ignore_existing and not terms.wishes
        together = cycle.state.counts.ask(Question(tuple(term.pods for term in terms.required)))
        self._with = [self._domains(term.topology_key, together) for term in terms.required]
        labels = cycle.state.namespace_labels(shape.namespace)
        self._is_first = all(term.pods.selects(shape.namespace, labels, shape.labels) for term in terms.required)
        self._against = [self._own(term) for term in terms.required_anti]
        self._unwanted: list[Domains] = []
        self._worth = [_Weighted(wish.weight, self._own(wish.term)) for wish in terms.wishes]

    def update(self) -> None:
        by_name, anywhere = self._owned
        read = (len(by_name), len(anywhere))
        if read == self._read:
            return
        labels = self._cycle.state.namespace_labels(self._shape.namespace)
        for owned in (*by_name[self._read[0] :], *anywhere[self._read[1] :]):
            if owned.term.pods.selects(self._shape.namespace, labels, self._shape.labels):
                self._add(owned)
        self._read = read

    def refused(self, rows: Rows) -> Iterable[tuple[int, Bools]]:
        """The number of a refusal and the rows that it is for, in the order in which they are looked at."""
        if self._with:
            yield _NOT_WITH, ~self._held(rows)
        for domains in self._against:
            yield _AGAINST, _taken(domains, rows)
        for domains in self._unwanted:
            if domains.counts.on:
                yield _UNWANTED, _taken(domains, rows)

    def worth(self, rows: Rows) -> Floats | None:
        total: Floats | None = None
        for weight, domains in self._worth:
            if weight and domains.counts.on:
                domains.follow()
                here = domains.spread(domains.sums * weight, rows)
                total = here if total is None else total + here
        return total

    def _held(self, rows: Rows) -> Bools:
        """Where each required term has its pod; where none has any, the first of its kind may go anywhere."""
        for domains in self._with:
            domains.follow()
        nowhere = self._is_first and not any(domains.sums.any() for domains in self._with)
        result: Bools | None = None
        for domains in self._with:
            held = np.ones(len(domains.sums), np.bool_) if nowhere else domains.sums > 0
            held[0] = False
            here = domains.spread(held, rows)
            result = here if result is None else result & here
        assert result is not None
        return result

    def _add(self, owned: Owned) -> None:
        domains = self._domains(owned.term.topology_key, owned.counts)
        match owned.rule:
            case "required anti":
                self._unwanted.append(domains)
            case "required":
                self._worth.append(_Weighted(self._hard_weight, domains))
            case "preferred" if not self._ignore_existing:
                self._worth.append(_Weighted(1, domains))

    def _own(self, term: Term) -> Domains:
        return self._domains(term.topology_key, self._cycle.state.counts.ask(Question((term.pods,))))

    def _domains(self, key: str, counts: Counts) -> Domains:
        return Domains(self._cycle.state.objects, counts, key)


def _taken(domains: Domains, rows: Rows) -> Bools:
    domains.follow()
    return domains.spread(domains.sums > 0, rows)
