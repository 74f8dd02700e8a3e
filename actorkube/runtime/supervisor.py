"""Supervision as in Erlang/OTP: what a crash leads to. A pure decision; time and chance are handed in.

Each group of actors has a `Supervision`: a strategy, a restart intensity (more than `intensity` restarts within
`period_s` is a sign that restarting does not help: escalate) and a back-off between restarts. Which children are
halted and started in which order, and what happens when more crashes come meanwhile, is in group_state.py.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delay before restart n within the period: first, first * 2, ... up to most; up to `jitter` of it is left off,
    by chance, so that many who crashed together do not come back together."""

    first_s: float = 0.05
    most_s: float = 5.0
    jitter: float = 0.2

    def delay_s(self, restarts: int, chance: random.Random | None = None) -> float:
        delay_s = float(min(self.first_s * 2 ** min(restarts, 64), self.most_s))
        return delay_s if chance is None else delay_s * (1 - self.jitter * chance.random())


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a group answers crashes. The default is the right one for actors that do not depend on each other's state."""

    strategy: Strategy = "one_for_one"
    intensity: int = 8
    period_s: float = 60.0
    backoff: Backoff = Backoff()


@dataclass(frozen=True, slots=True)
class Restart:
    """Halt `children` from last to first, wait, and start them from first to last."""

    children: tuple[str, ...]
    delay_s: float


@dataclass(frozen=True, slots=True)
class Escalate:
    """Restarting did not help: whoever the group belongs to must fail."""

    child: str
    restarts: int


class Consequence(Exception):
    """A crash that follows from another one, which was reported where it happened."""


class GaveUp(Consequence):
    """Why an actor or a group crashed whose children were restarted in vain."""


@dataclass(slots=True)
class Supervisor:
    """One group's memory: its children in start order and when they crashed."""

    supervision: Supervision = field(default_factory=Supervision)
    children: list[str] = field(default_factory=list)
    chance: random.Random | None = None
    _crashes: list[float] = field(default_factory=list)  # at most intensity + 1

    def crashed(self, child: str, now: float) -> Restart | Escalate:
        self._crashes = [at for at in self._crashes if at > now - self.supervision.period_s]
        restarts = len(self._crashes)
        if restarts >= self.supervision.intensity:
            return Escalate(child, restarts)
        self._crashes.append(now)
        return Restart(self._affected(child), self.supervision.backoff.delay_s(restarts, self.chance))

    def _affected(self, child: str) -> tuple[str, ...]:
        match self.supervision.strategy:
            case "one_for_one":
                return (child,)
            case "rest_for_one":
                return tuple(self.children[self.children.index(child) :])
            case "one_for_all":
                return tuple(self.children)
