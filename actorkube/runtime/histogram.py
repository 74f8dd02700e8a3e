"""Histograms by powers of two: one list, one increment. What is counted is an integer, such as microseconds."""

from __future__ import annotations

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


def quantile(histogram: Histogram, part: float) -> float:
    """An upper bound of what that part of the values stays below, in the buckets' unit; 0 when there are none."""
    wanted, seen = sum(histogram.counts) * part, 0
    for k, count in enumerate(histogram.counts):
        seen += count
        if count and seen >= wanted:
            return float(2**k)
    return 0.0
