"""Supervision as in Erlang/OTP: what happens when an actor crashes. The decision is pure; the system carries it out.

Each group of actors has a `Supervision`: a strategy, a restart intensity (more than `intensity` restarts within
`period_s` is a sign that restarting does not help: escalate) and a back-off between restarts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delay before restart n within the period: first, first * 2, ... up to most."""

    first_s: float = 0.05
    most_s: float = 5.0

    def delay_s(self, restarts: int) -> float:
        return float(min(self.first_s * 2**restarts, self.most_s))


@dataclass(frozen=True, slots=True)
class Supervision:
    strategy: Strategy = "one_for_one"
    intensity: int = 8
    period_s: float = 60.0
    backoff: Backoff = Backoff()


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop `children` from last to first, wait, and start them from first to last."""

    children: tuple[str, ...]
    delay_s: float


@dataclass(frozen=True, slots=True)
class Escalate:
    """Restarting did not help: the whole system must fail."""

    child: str
    restarts: int


@dataclass(slots=True)
class Supervisor:
    """One group's memory: its children in start order and when they crashed."""

    supervision: Supervision = field(default_factory=Supervision)
    children: list[str] = field(default_factory=list)
    _crashes: deque[float] = field(default_factory=deque)

    def crashed(self, child: str, now: float) -> Restart | Escalate:
        while self._crashes and self._crashes[0] <= now - self.supervision.period_s:
            self._crashes.popleft()
        restarts = len(self._crashes)
        self._crashes.append(now)
        if restarts >= self.supervision.intensity:
            return Escalate(child, restarts)
        return Restart(self._affected(child), self.supervision.backoff.delay_s(restarts))

    def _affected(self, child: str) -> tuple[str, ...]:
        match self.supervision.strategy:
            case "one_for_one":
                return (child,)
            case "rest_for_one":
                return tuple(self.children[self.children.index(child) :])
            case "one_for_all":
                return tuple(self.children)
