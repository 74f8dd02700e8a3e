"""What the scheduler has done, in numbers, with kube-scheduler's labels and bounds (1.36). Pure; `exposition.py` writes
them down.

`clock` is what durations are measured with: it measures, and nothing is decided by it.
"""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

from actorkube.runtime.histogram import Bounded, exponential

K = TypeVar("K")

clock = time.perf_counter


class Result(enum.StrEnum):
    """What came of an attempt."""

    SCHEDULED = "scheduled"
    UNSCHEDULABLE = "unschedulable"
    ERROR = "error"


ATTEMPT_S = exponential(0.001, 2, 15)
SLI_S = exponential(0.01, 2, 20)
POINT_S = exponential(0.0001, 2, 12)
ATTEMPTS = exponential(1, 2, 5)
VICTIMS = exponential(1, 2, 7)
_ATTEMPTS_TOLD_MAX = 15


class Counts:
    """`attempts` by (result, profile), `waits` by how many attempts it took, `points` by (point, status, profile),
    `permits` by result."""

    def __init__(self) -> None:
        self.attempts: dict[tuple[str, str], Bounded] = {}
        self.waits: dict[str, Bounded] = {}
        self.points: dict[tuple[str, str, str], Bounded] = {}
        self.permits: dict[str, Bounded] = {}
        self.algorithm = Bounded(ATTEMPT_S)
        self.attempts_of_pods = Bounded(ATTEMPTS)
        self.victims = Bounded(VICTIMS)
        self.preemptions = 0

    def attempt(self, result: Result, profile: str, took_s: float) -> None:
        """One is over: a pod was bound, found no node, or something went wrong."""
        key = result, profile
        found = self.attempts.get(key) or self.attempts.setdefault(key, Bounded(ATTEMPT_S))
        found.observe(took_s)

    def scheduled(self, attempts: int, waited_s: float) -> None:
        """A pod has its node, so long after it first came into the queue."""
        told = str(attempts) if attempts < _ATTEMPTS_TOLD_MAX else f"{_ATTEMPTS_TOLD_MAX}+"
        found = self.waits.get(told) or self.waits.setdefault(told, Bounded(SLI_S))
        found.observe(waited_s)
        self.attempts_of_pods.observe(attempts)

    def point(self, point: str, status: str, profile: str, began: float) -> None:
        """The plugins of an extension point were asked, since `began` by the clock."""
        key = point, status, profile
        found = self.points.get(key) or self.points.setdefault(key, Bounded(POINT_S))
        found.observe(clock() - began)

    def permitted(self, let_go: bool, waited_s: float) -> None:
        """A pod waited at Permit, and waits no more."""
        self.permits.setdefault("Success" if let_go else "Unschedulable", Bounded(ATTEMPT_S)).observe(waited_s)

    def copy(self) -> Counts:
        """What was counted until now."""
        other = Counts()
        other.attempts, other.waits = _copies(self.attempts), _copies(self.waits)
        other.points, other.permits = _copies(self.points), _copies(self.permits)
        other.algorithm, other.attempts_of_pods = self.algorithm.copy(), self.attempts_of_pods.copy()
        other.victims, other.preemptions = self.victims.copy(), self.preemptions
        return other


def _copies(histograms: Mapping[K, Bounded]) -> dict[K, Bounded]:
    return {key: each.copy() for key, each in histograms.items()}


Incoming = Counter[tuple[str, str]]  # (queue, event) -> how many pods came into that queue because of it
