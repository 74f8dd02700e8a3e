"""NodeResourcesFit: refuse nodes without room for the pod's requests; rate the others by what is, or is not, left.

Strategies: LeastAllocated spreads (the default), MostAllocated packs, RequestedToCapacityRatio follows a shape. They
count containers without requests as small ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from actors.scheduler.columns import Floats, Ints, Rows
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import ClusterEvent, Cycle, Filter, PreFilter, PreScore, Refusal, Scope, Score
from actors.scheduler.resource_scoring import LEAST_ALLOCATED, Counted, Strategy, counted
from actors.scheduler.room import Resource
from protocols.rules.resources import is_extended, rated_requests

_FIRST = ("cpu", "memory", "ephemeral-storage")
_UNRESOLVABLE = 2
_TOO_MANY = 1


class Wanted(NamedTuple):
    """A resource that the pod asks for; `bit` is what says in a number that it is insufficient."""

    name: str
    amount: int
    column: Resource
    bit: int


class NodeResourcesFit(PreFilter, Filter, PreScore, Score):
    """Numbers of refusals are bits: too many pods, too small even if empty, and one for each resource."""

    name = "NodeResourcesFit"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_ALLOCATABLE | ClusterEvent.POD_DELETED
    scope = Scope.NODE
    shared = True

    def __init__(
        self,
        strategy: Strategy = LEAST_ALLOCATED,
        resources: Mapping[str, int] | None = None,
        ignored: Sequence[str] = (),
        ignored_groups: Sequence[str] = (),
    ) -> None:
        """`resources`: what scores count, with weights. `ignored`: resources that are somebody else's to look at."""
        self._strategy = strategy
        self._resources = dict(resources or {"cpu": 1, "memory": 1})
        self._ignored = frozenset(ignored)
        self._ignored_groups = frozenset(ignored_groups)

    def ignoring(self, more: Collection[str]) -> NodeResourcesFit:
        """The same, but for these resources, which are somebody else's to look at."""
        ignored, groups = [*self._ignored, *more], list(self._ignored_groups)
        return NodeResourcesFit(self._strategy, self._resources, ignored, groups)

    def pre_filter(self, cycle: Cycle) -> None:
        requests = cycle.shape.requests
        names = [name for name, amount in requests.items() if amount > 0 and not self._ignores(name)]
        ordered = [*(n for n in _FIRST if n in names), *sorted(n for n in names if n not in _FIRST)]
        room = cycle.state.room
        cycle.memo["NodeResourcesFit"] = [
            Wanted(name, requests[name], room.resource(name), 4 << index) for index, name in enumerate(ordered[:16])
        ]

    def wanted(self, cycle: Cycle) -> Sequence[Wanted]:
        """The resources that the pod asks for here, after `pre_filter`."""
        wanted: list[Wanted] = cycle.memo["NodeResourcesFit"]
        return wanted

    def filter(self, cycle: Cycle, rows: Rows, crowds: Sequence[Sequence[PodDemand]] = ()) -> Ints:
        """`crowds`: for each row pods that are to be counted there as if they were placed."""
        room = cycle.state.room
        pods = room.pods.values[rows]
        if crowds:
            pods = pods + [len(crowd) for crowd in crowds]
        numbers = (pods >= room.pods_max.values[rows]).astype(np.int32)
        for name, amount, column, bit in self.wanted(cycle):
            most, used = column.allocatable.values[rows], column.requested.values[rows]
            if crowds:
                used = used + [sum(pod.requests.get(name, 0) for pod in crowd) for crowd in crowds]
            numbers |= np.where(amount > most - used, bit, 0)
            numbers |= np.where(amount > most, _UNRESOLVABLE, 0)
        return numbers

    def filter_one(self, cycle: Cycle, row: int) -> int:
        room = cycle.state.room
        number = int(room.pods.at[row] >= room.pods_max.at[row])
        for _, amount, column, bit in cycle.memo["NodeResourcesFit"]:
            most = column.allocatable.at[row]
            if amount > most - column.requested.at[row]:
                number |= bit if amount <= most else bit | _UNRESOLVABLE
        return number

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        """All that is missing, in kube-scheduler's order; unresolvable when even the empty node is too small."""
        wanted = self.wanted(cycle)
        crowded = ["Too many pods"] if number & _TOO_MANY else []
        missing = [f"Insufficient {resource.name}" for resource in wanted if number & resource.bit]
        return Refusal((*crowded, *missing), not number & _UNRESOLVABLE)

    def pre_score(self, cycle: Cycle) -> None:
        shape = cycle.shape
        amounts = rated_requests(shape.pod) if shape.spec.get("resources") else shape.footprint.scoring
        cycle.memo["NodeResourcesFit score"] = counted(cycle, self._resources, amounts, scoring=True)

    def score(self, cycle: Cycle, rows: Rows) -> Floats:
        found: list[Counted] = cycle.memo["NodeResourcesFit score"]
        return self._strategy.rate_all(found, rows, cycle.state.rows)

    def score_one(self, cycle: Cycle, row: int) -> float:
        return self._strategy.rate_one(cycle.memo["NodeResourcesFit score"], row)

    def _ignores(self, name: str) -> bool:
        """Only of extended resources: what Kubernetes itself counts is looked at, whatever the configuration says."""
        chosen = name in self._ignored or name.partition("/")[0] in self._ignored_groups
        return chosen and is_extended(name)
