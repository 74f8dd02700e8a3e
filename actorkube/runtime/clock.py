"""The decisions of a clock that its user controls: when virtual time may move, and how far. Pure.

Time stands still while anybody works on what has happened already, and moves from timer to timer: it is never beyond a
timer that has not fired. So whoever is late in real time is not late on this clock, and what a timer caused has
happened before the next one fires. A running clock follows real time at a rate, as far as that rule lets it; while it
goes to a goal (`advance`), it does not wait for real time at all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

RATE_MAX = 1e6


class Jump(NamedTuple):
    """Time is `to` now: fire the timers of that instant, and settle."""

    to: float


class Wait(NamedTuple):
    """Nothing is due for so many real seconds (forever: inf), unless something comes from outside."""

    real_s: float


class Arrived(NamedTuple):
    """The goal is reached, and everything that was due on the way is done."""


Decision = Jump | Wait | Arrived


class Clock:
    """`now` counts virtual seconds from its start. `real` is any monotonic clock of real seconds, always the same."""

    def __init__(self, real: float) -> None:
        self.now = 0.0
        self.rate = 1.0  # virtual seconds in a real one; 0: paused
        self.goal: float | None = None
        self._anchor = (real, 0.0)  # real and virtual time at which the rate began to count

    @property
    def paused(self) -> bool:
        return self.rate == 0

    def set_rate(self, rate: float, real: float) -> None:
        """0 pauses. What real time is ahead of a clock that could not follow is forgotten. Raises ValueError."""
        if not 0 <= rate <= RATE_MAX:
            raise ValueError(f"a clock runs at 0 to {RATE_MAX:.0f} times real time, not at {rate}")
        self.rate = rate
        self._anchor = (real, self.now)

    def go_to(self, goal: float) -> None:
        """Decisions lead to the goal now, and then to Arrived; afterwards the clock follows its rate again."""
        self.goal = max(goal, self.now)

    def give_up(self, real: float) -> None:
        """Stay where it got to."""
        self.goal = None
        self._anchor = (real, self.now)

    def catch_up(self, real: float, next_timer: float) -> None:
        """Something comes from outside: on a running clock it comes at this moment, between two timers."""
        if self.goal is None:
            self.now = max(self.now, min(self._target(real), next_timer))

    def decide(self, real: float, next_timer: float) -> Decision:
        """To be asked when nobody has anything to do; `next_timer` is in virtual time, inf if there is none."""
        if self.goal is not None:
            return self._towards(self.goal, real, next_timer)
        target = self._target(real)
        if next_timer <= target:
            return self._jump(next_timer)
        if self.paused or next_timer == math.inf:
            return Wait(math.inf)
        return Wait((next_timer - target) / self.rate)

    def _towards(self, goal: float, real: float, next_timer: float) -> Decision:
        to = min(goal, next_timer)
        if to > self.now or next_timer <= self.now:
            return self._jump(to)
        self.give_up(real)
        return Arrived()

    def _jump(self, to: float) -> Jump:
        self.now = max(self.now, to)
        return Jump(self.now)

    def _target(self, real: float) -> float:
        """Where the rate alone would have brought us; the difference of a long run is not lost in rounding."""
        real_began, began = self._anchor
        return began + (real - real_began) * self.rate if self.rate else self.now
