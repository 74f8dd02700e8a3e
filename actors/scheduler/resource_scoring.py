"""How full a node would be, as a score: one formula for one row and for all, which give the same whole numbers.

Division is of floats, and exact: floor(a / b) of whole numbers is right as long as the quotient is at most 100 and
b is below 2^46 (64 TiB of memory); rows that have more are worked out one by one, in integers.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from actors.scheduler.columns import Bools, Column, Floats, Rows
from actors.scheduler.framework import SCORE_MAX, Cycle
from protocols.rules.resources import Amounts

EXACT_MAX = 2.0**46
_ALWAYS = ("cpu", "memory", "ephemeral-storage")


class Counted(NamedTuple):
    """A resource that a score counts: what the pod would add to what is taken."""

    amount: int
    weight: int
    allocatable: Column
    taken: Column


def counted(cycle: Cycle, resources: Mapping[str, int], amounts: Amounts, *, scoring: bool) -> list[Counted]:
    """Devices count only for pods that ask for them. `scoring`: small pods count as a bit larger than nothing."""
    found = []
    for name, weight in resources.items():
        if name in _ALWAYS or amounts.get(name):
            column = cycle.state.room.resource(name)
            taken = column.scoring if scoring else column.requested
            found.append(Counted(amounts.get(name, 0), weight, column.allocatable, taken))
    return found


class Strategy(ABC):
    """The weighted mean, over the resources that the node has, of what each is worth."""

    @abstractmethod
    def worth(self, taken: float, capacity: float) -> float:
        """0 to 100, a whole number; taken may be more than the capacity, which is not 0."""

    @abstractmethod
    def worth_all(self, taken: Floats, capacity: Floats) -> Floats:
        """The same for many."""

    def rate_one(self, resources: Sequence[Counted], row: int) -> float:
        total = weights = 0
        for amount, weight, allocatable, taken in resources:
            capacity = allocatable.at[row]
            if capacity:
                total += weight * int(self.worth(taken.at[row] + amount, capacity))
                weights += weight
        return total // weights if weights else 0

    def rate_all(self, resources: Sequence[Counted], rows: Rows, size: int) -> Floats:
        total: Any = 0.0
        weights: Any = 0.0
        large = False
        for amount, weight, allocatable, taken in resources:
            capacity = allocatable.values[rows]
            large = large or bool(capacity.max(initial=0.0) >= EXACT_MAX)
            there: Any = True
            if not capacity.all():
                there = capacity > 0
                capacity = np.where(there, capacity, 1.0)
            worth = self.worth_all(taken.values[rows] + amount, capacity)
            total = total + weight * worth * there
            weights = weights + weight * (there & self.counts(worth))
        if not resources:
            return np.zeros(len(np.arange(size)[rows]))
        result = self.mean(np.asarray(total), np.asarray(weights))
        return self._one_by_one(resources, rows, size, result) if large else result

    def mean(self, total: Floats, weights: Floats) -> Floats:
        return np.floor(total / np.maximum(weights, 1.0))

    def counts(self, worth: Floats) -> Bools | bool:
        """Does a resource that is worth this much take part in the mean?"""
        return True

    def _one_by_one(self, resources: Sequence[Counted], rows: Rows, size: int, result: Floats) -> Floats:
        for index, row in enumerate(np.arange(size)[rows].tolist()):
            if any(resource.allocatable.at[row] >= EXACT_MAX for resource in resources):
                result[index] = self.rate_one(resources, row)
        return result


class LeastAllocated(Strategy):
    """Most room left is best."""

    def worth(self, taken: float, capacity: float) -> float:
        return int(capacity - taken) * SCORE_MAX // int(capacity) if taken <= capacity else 0

    def worth_all(self, taken: Floats, capacity: Floats) -> Floats:
        return np.floor(np.maximum(capacity - taken, 0.0) * SCORE_MAX / capacity)


class MostAllocated(Strategy):
    """Least room left is best."""

    def worth(self, taken: float, capacity: float) -> float:
        return int(min(taken, capacity)) * SCORE_MAX // int(capacity)

    def worth_all(self, taken: Floats, capacity: Floats) -> Floats:
        return np.floor(np.minimum(taken, capacity) * SCORE_MAX / capacity)


class RequestedToCapacityRatio(Strategy):
    """Straight lines between points (utilization in percent, score from 0 to 10).

    A resource that is worth nothing does not count, and the mean is rounded, as in Kubernetes."""

    def __init__(self, shape: Sequence[tuple[int, int]]) -> None:
        self._by_percent = np.array([_on_lines(shape, percent) for percent in range(SCORE_MAX + 1)], np.float64)

    def worth(self, taken: float, capacity: float) -> float:
        percent = SCORE_MAX if taken > capacity else int(taken) * SCORE_MAX // int(capacity)
        return float(self._by_percent[percent])

    def worth_all(self, taken: Floats, capacity: Floats) -> Floats:
        return self._by_percent[np.floor(np.minimum(taken, capacity) * SCORE_MAX / capacity).astype(np.intp)]

    def rate_one(self, resources: Sequence[Counted], row: int) -> float:
        total = weights = 0.0
        for amount, weight, allocatable, taken in resources:
            if capacity := allocatable.at[row]:
                worth = self.worth(taken.at[row] + amount, capacity)
                total, weights = total + weight * worth, weights + weight * (worth > 0)
        return math.floor(total / weights + 0.5) if weights else 0

    def mean(self, total: Floats, weights: Floats) -> Floats:
        return np.floor(total / np.maximum(weights, 1.0) + 0.5)

    def counts(self, worth: Floats) -> Bools | bool:
        return worth > 0


def _on_lines(shape: Sequence[tuple[int, int]], percent: int) -> int:
    """Whole numbers, cut towards zero."""
    points = [(utilization, score * 10) for utilization, score in shape]
    if percent <= points[0][0]:
        return points[0][1]
    for (start, low), (end, high) in itertools.pairwise(points):
        if percent <= end:
            return low + int((high - low) * (percent - start) / (end - start))
    return points[-1][1]


LEAST_ALLOCATED = LeastAllocated()
