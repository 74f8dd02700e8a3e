"""What has happened to the requests of one flow schema in one priority level: numbers for metrics. Pure."""

from __future__ import annotations

from collections import Counter

from actorkube.runtime.histogram import Bounded

# Seconds: Kubernetes' buckets of apiserver_flowcontrol_request_*_duration_seconds.
BOUNDS_S = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)


class Counts:
    __slots__ = ("dispatched", "executing", "lasted", "rejected", "seats", "waited", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.executing = 0
        self.seats = 0  # of those that are served
        self.dispatched = 0
        self.rejected: Counter[str] = Counter()  # by reason
        self.waited = Bounded(BOUNDS_S)
        self.lasted = Bounded(BOUNDS_S)

    def begin(self, seats: int, waited_s: float) -> None:
        self.executing += 1
        self.seats += seats
        self.dispatched += 1
        self.waited.observe(waited_s)

    def end(self, seats: int, lasted_s: float) -> None:
        self.executing -= 1
        self.seats -= seats
        self.lasted.observe(lasted_s)
