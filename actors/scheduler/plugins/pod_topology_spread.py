"""PodTopologySpread: keep the pods that a selector counts even over the domains of a topology label.

Hard constraints (DoNotSchedule) refuse nodes in domains that would hold more than maxSkew pods above the emptiest;
soft ones (ScheduleAnyway) prefer domains with few. A pod without constraints of its own has those of the profile, over
what its services and its controller select. Counting is done by `pod_counts.Domains`: nothing here looks at pods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.scheduler.columns import ALL, Bools, Floats, Ints, Rows
from actors.scheduler.framework import (
    SCORE_MAX,
    SKIP,
    ClusterEvent,
    Cycle,
    Filter,
    NormalizeScore,
    PreFilter,
    PreScore,
    Refusal,
    Score,
    Skip,
)
from actors.scheduler.plugins.node_affinity import eligible
from actors.scheduler.plugins.taint_toleration import tolerates
from actors.scheduler.pod_counts import Counts, Domains, Question, T
from actors.scheduler.pod_terms import PodSelector, Selector, matches, selector, with_label_keys
from protocols.rules.selectors import InvalidSelector

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
SYSTEM_DEFAULTS: tuple[Mapping[str, Any], ...] = (
    {"topologyKey": HOSTNAME, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"},
    {"topologyKey": ZONE, "maxSkew": 5, "whenUnsatisfiable": "ScheduleAnyway"},
)
_NO_LABEL, _TOO_MANY = 1, 2
_MESSAGE = "node(s) didn't match pod topology spread constraints"
_REFUSALS = (
    Refusal((f"{_MESSAGE} (missing required label)",), resolvable=False),
    Refusal((_MESSAGE,)),
)


class Constraint(NamedTuple):
    topology_key: str
    skew_max: int
    selector: Selector
    domains_min: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


class _Hard(NamedTuple):
    constraint: Constraint
    domains: Domains
    itself: int


class _Soft(NamedTuple):
    """`domains` counts on the node itself where the topology is the host."""

    constraint: Constraint
    domains: Domains


class PodTopologySpread(PreFilter, Filter, PreScore, Score, NormalizeScore):
    name = "PodTopologySpread"
    events = (
        ClusterEvent.NODE_ADDED
        | ClusterEvent.NODE_DELETED
        | ClusterEvent.GROUP
        | ClusterEvent.NODE_LABEL
        | ClusterEvent.NODE_TAINT
        | ClusterEvent.POD_DELETED
        | ClusterEvent.POD_ADDED
    )

    def __init__(self, defaults: Sequence[Mapping[str, Any]] | None = None) -> None:
        """`defaults`: the constraints of pods that have none; None is Kubernetes' own."""
        self._defaults = SYSTEM_DEFAULTS if defaults is None else tuple(defaults)
        self._system_defaults = defaults is None

    def pre_filter(self, cycle: Cycle) -> Skip | Refusal | None:
        try:
            hard = self._constraints(cycle, "DoNotSchedule")
        except (InvalidSelector, KeyError) as error:
            return Refusal((f"invalid topology spread constraint: {error}",), resolvable=False)
        if not hard:
            return SKIP
        keys = [constraint.topology_key for constraint in hard]
        cycle.memo[self.name] = [
            _Hard(c, _Eligible(cycle, c, keys), int(matches(c.selector, cycle.shape.labels))) for c in hard
        ]
        return None

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        numbers: Ints | None = None
        hard: list[_Hard] = cycle.memo[self.name]
        for constraint, domains, itself in hard:
            domains.follow()
            held = domains.sums.compress(domains.inhabited)
            least = float(held.min()) if len(held) >= constraint.domains_min else 0.0
            refused = np.multiply(domains.sums + itself - least > constraint.skew_max, np.int32(_TOO_MANY))
            refused[0] = _NO_LABEL
            here = domains.spread(refused, rows)
            numbers = here if numbers is None else np.where(numbers, numbers, here)
        assert numbers is not None
        return numbers

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSALS[number - 1]

    def pre_score(self, cycle: Cycle) -> Skip | None:
        soft = self._constraints(cycle, "ScheduleAnyway")
        if not soft:
            return SKIP
        own = bool(cycle.shape.spec.get("topologySpreadConstraints"))
        keys = [c.topology_key for c in soft] if own or not self._system_defaults else []
        cycle.memo["PodTopologySpread score"] = _SoftSpread(cycle, soft, keys)
        return None

    def score(self, cycle: Cycle, rows: Rows) -> Floats | None:
        """Raw scores need the feasible nodes, and are worked out when they are normalised."""
        return _NOT_YET

    def normalize_score(self, cycle: Cycle, scores: Floats, feasible: Bools) -> Floats | None:
        spread: _SoftSpread = cycle.memo["PodTopologySpread score"]
        candidates = spread.candidates(feasible)
        raw = spread.raw(candidates)
        chosen = raw.compress(candidates)
        if not len(chosen):
            return None
        least, most = float(chosen.min()), float(chosen.max())
        if most == 0:
            return None if not spread.keys else np.where(candidates, float(SCORE_MAX), 0.0)
        normal = np.floor(SCORE_MAX * (most + least - raw) / most)
        if len(chosen) == np.count_nonzero(feasible):
            return normal  # the others' do not matter
        return np.where(candidates, normal, 0.0) if spread.keys else normal

    def _constraints(self, cycle: Cycle, when: str) -> list[Constraint]:
        shape = cycle.shape
        own = shape.spec.get("topologySpreadConstraints")
        if own:
            return [_constraint(c, shape.labels) for c in own if c.get("whenUnsatisfiable") == when]
        chosen = cycle.state.groups.selector(shape)
        if not chosen:
            return []
        defaults = (_constraint(c, shape.labels) for c in self._defaults if c.get("whenUnsatisfiable") == when)
        return [c._replace(selector=chosen) for c in defaults]


_NOT_YET: Floats = np.zeros(0)


def _constraint(value: Mapping[str, Any], labels: Mapping[str, str]) -> Constraint:
    chosen = selector(value.get("labelSelector"))
    return Constraint(
        value["topologyKey"],
        value.get("maxSkew") or 1,
        with_label_keys(chosen, value.get("matchLabelKeys") or (), labels),
        value.get("minDomains") or 1,
        (value.get("nodeAffinityPolicy") or "Honor") == "Honor",
        value.get("nodeTaintsPolicy") == "Honor",
    )


def _counts(cycle: Cycle, constraint: Constraint) -> Counts:
    """Pods of the same namespace that stay; an empty selector counts none of them."""
    if constraint.selector == ():
        return Counts()
    pods = PodSelector(frozenset((cycle.shape.namespace,)), None, constraint.selector)
    return cycle.state.counts.ask(Question((pods,), terminating_too=False))


class _Eligible(Domains):
    """Domains over the nodes that a constraint takes into account: with all keys, and as its policies say."""

    def __init__(self, cycle: Cycle, constraint: Constraint, keys: Sequence[str]) -> None:
        super().__init__(cycle.state.objects, _counts(cycle, constraint), constraint.topology_key)
        self._cycle = cycle
        self._constraint = constraint
        self._keys = keys

    def eligible(self) -> Bools:
        nodes = self._cycle.state.objects
        result = _with_keys(self._cycle, self._keys)
        if self._constraint.honor_affinity:
            result = result & eligible(nodes, self._cycle.shape)
        if self._constraint.honor_taints:
            result = result & (nodes.by_taints(lambda taints: tolerates(self._cycle, taints)) > 0)
        return result


def _with_keys(cycle: Cycle, keys: Sequence[str]) -> Bools:
    nodes = cycle.state.objects
    result = nodes.present
    for key in keys:
        result = result & (nodes.label(key).ids > 0)
    return result


class _SoftSpread:
    """The raw scores of soft constraints: pods in the node's domain, weighted by how many domains there are.

    `keys`: the labels without which a node is not looked at.
    """

    def __init__(self, cycle: Cycle, soft: Sequence[Constraint], keys: Sequence[str]) -> None:
        self.keys = keys
        self._cycle = cycle
        self._soft = [_Soft(c, self._domains(c)) for c in soft]
        self._version = -1
        self._with_keys: Bools = np.zeros(0, np.bool_)
        self._sized_for = b""
        self._weights: list[float] = []

    def candidates(self, feasible: Bools) -> Bools:
        nodes = self._cycle.state.objects
        if self._version != nodes.version:
            self._version, self._sized_for = nodes.version, b""
            self._with_keys = _with_keys(self._cycle, self.keys)
        return feasible & self._with_keys

    def raw(self, candidates: Bools) -> Floats:
        weights = self._weigh(candidates)
        total: Floats | None = None
        for (constraint, domains), weight in zip(self._soft, weights, strict=True):
            by_domain = domains.sums * weight + (constraint.skew_max - 1)
            if not self.keys:  # a node without the label is looked at, and this constraint does not count there
                by_domain[0] = 0.0 if constraint.topology_key == HOSTNAME else by_domain[0]
                labels = self._cycle.state.objects.label(constraint.topology_key).ids
                here = np.where(labels > 0, domains.spread(by_domain), 0.0)
            else:
                here = domains.spread(by_domain)
            total = here if total is None else total + here
        assert total is not None
        return np.floor(total + 0.5)

    def _weigh(self, candidates: Bools) -> list[float]:
        """ln(domains + 2), of the domains in which there are candidates; kept while the candidates stay the same."""
        for _, domains in self._soft:
            domains.follow()
        same = candidates.tobytes()
        if same != self._sized_for:
            self._sized_for = same
            self._weights = [math.log(self._size(c, candidates) + 2) for c, _ in self._soft]
        return self._weights

    def _size(self, constraint: Constraint, candidates: Bools) -> int:
        if constraint.topology_key == HOSTNAME:
            return int(np.count_nonzero(candidates))
        column = self._cycle.state.objects.label(constraint.topology_key)
        inhabited = np.bincount(column.ids.compress(candidates), minlength=1) > 0
        return int(np.count_nonzero(inhabited))  # nodes without the label are one, where they are looked at

    def _domains(self, constraint: Constraint) -> Domains:
        """On a host everything counts that is there; in other topologies what the policies let in."""
        if constraint.topology_key == HOSTNAME:
            return PerNode(self._cycle, _counts(self._cycle, constraint))
        return _Eligible(self._cycle, constraint, self.keys)


class PerNode(Domains):
    """Each node is a domain of its own, whatever its labels say."""

    def __init__(self, cycle: Cycle, counts: Counts) -> None:
        super().__init__(cycle.state.objects, counts, HOSTNAME)

    def _add_up(self) -> None:
        self._version = self._nodes.version
        rows = len(self._nodes.objects)
        self.ids = self._counted = np.arange(1, rows + 1, dtype=np.intp)
        self.sums = np.zeros(rows + 1)
        self.inhabited = np.ones(rows + 1, np.bool_)
        for row, number in self.counts.on.items():
            self.sums[row + 1] = number

    def spread(self, values: NDArray[T], rows: Rows = ALL) -> NDArray[T]:
        return values[1:][rows]
