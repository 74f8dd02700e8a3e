"""What has happened to the requests of one flow schema in one priority level: numbers for metrics. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate

# Seconds: Kubernetes' buckets of apiserver_flowcontrol_request_*_duration_seconds.
BOUNDS_S = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)


class Durations:
    """A histogram of seconds."""

    __slots__ = ("_counts", "total_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many were at most that long), as Prometheus wants it."""
        bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
        return [(bound, float(count)) for bound, count in zip(bounds, accumulate(self._counts), strict=True)]


class Counts:
    __slots__ = ("dispatched", "executing", "lasted", "rejected", "seats", "waited", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.executing = 0
        self.seats = 0  # of those that are served
        self.dispatched = 0
        self.rejected: Counter[str] = Counter()  # by reason
        self.waited = Durations()
        self.lasted = Durations()

    def begin(self, seats: int, waited_s: float) -> None:
        self.executing += 1
        self.seats += seats
        self.dispatched += 1
        self.waited.observe(waited_s)

    def end(self, seats: int, lasted_s: float) -> None:
        self.executing -= 1
        self.seats -= seats
        self.lasted.observe(lasted_s)
