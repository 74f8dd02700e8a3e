"""Histograms: one list, one increment.

`Log2` counts by powers of two, integers such as microseconds; `Bounded` by bounds of its own, as Kubernetes does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from protocols.observe import Histogram

BUCKETS = 40  # 2**39 microseconds are six days


class Log2:
    """Bucket k counts values below 2**k and not below 2**(k-1); the last one also what is above."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.total = 0.0

    def count(self, value: int) -> None:
        self.counts[min(value.bit_length(), BUCKETS - 1)] += 1
        self.total += value

    def time(self, seconds: float, times: int = 1) -> None:
        """Something took so long, so many times."""
        self.counts[min(int(seconds * 1e6).bit_length(), BUCKETS - 1)] += times
        self.total += seconds * times

    def report(self) -> Histogram:
        """Without the empty buckets at the end."""
        used = next((k + 1 for k in range(BUCKETS - 1, -1, -1) if self.counts[k]), 0)
        return Histogram(tuple(self.counts[:used]), self.total)


class Bounded:
    """`bounds`: the upper ones, rising; what is above the last is counted as well."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many were at most that much), as Prometheus wants it."""
        bounds = [*(repr(float(bound)).removesuffix(".0") for bound in self._bounds), "+Inf"]
        return [(bound, float(count)) for bound, count in zip(bounds, accumulate(self._counts), strict=True)]

    def copy(self) -> Bounded:
        """What was counted until now."""
        other = Bounded(self._bounds)
        other._counts, other.total = list(self._counts), self.total
        return other


def exponential(first: float, factor: float, count: int) -> tuple[float, ...]:
    """So many bounds, each so many times the one before."""
    return tuple(accumulate([first] + [factor] * (count - 1), lambda bound, times: bound * times))


def quantile(histogram: Histogram, part: float) -> float:
    """An upper bound of what that part of the values stays below, in the buckets' unit; 0 when there are none."""
    wanted, seen = sum(histogram.counts) * part, 0
    for k, count in enumerate(histogram.counts):
        seen += count
        if count and seen >= wanted:
            return float(2**k)
    return 0.0
