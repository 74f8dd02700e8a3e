"""A host's clocks: a monotonic one, which may run fast or slow, and a wall clock, which may be set ahead or back.

All timers of the host, and `loop.time()` as its actors see it, follow the monotonic clock. `ctx.now` is the wall clock,
but never goes back: after a step back it stands still until the wall clock has caught up.
"""

from __future__ import annotations

import math


class Clock:
    """Both clocks of one host as functions of the world's time. They outlive the host's crashes."""

    def __init__(self) -> None:
        self.rate = 1.0
        self.is_true = True  # the monotonic clock has never run at another rate
        self.is_right = True  # nor has the wall clock been set
        self._since_s = 0.0  # when the rate was last changed, in the world's time
        self._shown_s = 0.0  # what was shown then
        self._ahead_s = 0.0
        self._latest_s = -math.inf

    def time(self, world_s: float) -> float:
        """What the monotonic clock shows at that time of the world."""
        return self._shown_s + (world_s - self._since_s) * self.rate

    def due(self, own_s: float) -> float:
        """When the monotonic clock shows at least that."""
        if own_s == math.inf:
            return own_s
        world_s = self._since_s + (own_s - self._shown_s) / self.rate
        while self.time(world_s) < own_s:  # or a timer would find that it is not due yet, for ever
            world_s = math.nextafter(world_s, math.inf)
        return world_s

    def wall(self, world_s: float) -> float:
        """Seconds since the world began, as the host believes."""
        now = (world_s if self.is_true else self.time(world_s)) + self._ahead_s
        if now > self._latest_s:
            self._latest_s = now
        return self._latest_s

    def set_rate(self, rate: float, world_s: float) -> None:
        if rate <= 0:
            raise ValueError(f"a clock's rate is more than 0, not {rate}")
        self._shown_s, self._since_s = self.time(world_s), world_s
        self.rate = rate
        self.is_true = self.is_true and rate == 1.0
        self.is_right = self.is_right and self.is_true

    def set_wall(self, ahead_s: float, world_s: float) -> None:
        """Step the wall clock: it is now so far ahead of the world's time, behind if negative."""
        self.wall(world_s)  # below which it does not go
        self._ahead_s = ahead_s - (self.time(world_s) - world_s)
        self.is_right = self.is_right and ahead_s == 0
