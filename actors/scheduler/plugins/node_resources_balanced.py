"""NodeResourcesBalancedAllocation: prefer nodes on which their resources would be used evenly.

Since Kubernetes 1.36 the score is how much the pod changes the balance: 75 leaves it as it is. Balance is 100 minus
the standard deviation of the used fractions, in hundredths; of two it is half their difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from actors.scheduler.columns import Bools, Floats, Rows
from actors.scheduler.framework import SCORE_MAX, SKIP, Cycle, PreScore, Scope, Score, Skip
from actors.scheduler.resource_scoring import Counted, counted

_HALF = SCORE_MAX // 2


class NodeResourcesBalancedAllocation(PreScore, Score):
    name = "NodeResourcesBalancedAllocation"
    scope = Scope.NODE
    shared = True

    def __init__(self, resources: Sequence[str] = ("cpu", "memory")) -> None:
        self._resources = dict.fromkeys(resources, 1)

    def pre_score(self, cycle: Cycle) -> Skip | None:
        requests = cycle.shape.requests
        if not any(requests.get(resource) for resource in self._resources):
            return SKIP
        cycle.memo[self.name] = counted(cycle, self._resources, requests, scoring=False)
        return None

    def score(self, cycle: Cycle, rows: Rows) -> Floats:
        """A resource that a node has none of does not count."""
        found: list[Counted] = cycle.memo[self.name]
        capacities = [resource.allocatable.values[rows] for resource in found]
        taken = [resource.taken.values[rows] for resource in found]
        has = [capacity > 0 for capacity in capacities]
        some = [np.where(there, capacity, 1.0) for there, capacity in zip(has, capacities, strict=True)]
        before = [np.minimum(1.0, t / c) for t, c in zip(taken, some, strict=True)]
        after = [np.minimum(1.0, (t + r.amount) / c) for t, r, c in zip(taken, found, some, strict=True)]
        return _HALF + np.floor((_HALF + _balance_all(after, has) - _balance_all(before, has)) / 2)

    def score_one(self, cycle: Cycle, row: int) -> float:
        found: list[Counted] = cycle.memo[self.name]
        if len(found) == 2:
            first, second = found
            most, most_second = first.allocatable.at[row], second.allocatable.at[row]
            if most and most_second:
                taken, taken_second = first.taken.at[row], second.taken.at[row]
                before = taken / most, taken_second / most_second
                after = (taken + first.amount) / most, (taken_second + second.amount) / most_second
                return _HALF + (_HALF + _balance_of_two(*after) - _balance_of_two(*before)) // 2
        with_pod, without = [], []
        for resource in found:
            capacity = resource.allocatable.at[row]
            if capacity:
                taken = resource.taken.at[row]
                with_pod.append(min(1.0, (taken + resource.amount) / capacity))
                without.append(min(1.0, taken / capacity))
        return _HALF + (_HALF + _balance(with_pod) - _balance(without)) // 2


def _balance_of_two(one: float, other: float) -> int:
    """The usual case, as fast as it goes."""
    one, other = one if one < 1.0 else 1.0, other if other < 1.0 else 1.0
    return int((1 - abs(one - other) / 2) * SCORE_MAX)


def _balance(fractions: Sequence[float]) -> int:
    if len(fractions) == 2:
        return _balance_of_two(*fractions)
    if len(fractions) < 2:
        return SCORE_MAX
    mean = sum(fractions) / len(fractions)
    squares = sum((fraction - mean) * (fraction - mean) for fraction in fractions)
    return int((1 - math.sqrt(squares / len(fractions))) * SCORE_MAX)


def _balance_all(fractions: Sequence[Floats], has: Sequence[Bools]) -> Floats:
    """The same for many rows."""
    if len(fractions) == 2:
        balance = np.trunc((1 - np.abs(fractions[0] - fractions[1]) / 2) * SCORE_MAX)
        return np.where(has[0] & has[1], balance, float(SCORE_MAX))
    return np.array([_balance(here) for here in _of_each_row(fractions, has)], np.float64)


def _of_each_row(fractions: Sequence[Floats], has: Sequence[Bools]) -> Iterator[list[float]]:
    """Three and more resources are few pods' and worked out one by one."""
    for values, there in zip(np.transpose(fractions).tolist(), np.transpose(has).tolist(), strict=True):
        yield [value for value, counts in zip(values, there, strict=True) if counts]
