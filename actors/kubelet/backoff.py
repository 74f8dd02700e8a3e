"""How long something that failed waits before it is tried again. Containers: 10 s, doubled up to 5 min, forgotten after
10 quiet minutes, as in Kubernetes; the first crash is answered at once, it only makes the next one wait.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 10.0
MOST_S = 300.0


@dataclass(slots=True)
class Backoff:
    first_s: float = FIRST_S
    most_s: float = MOST_S
    delay_s: float = 0.0
    _last: float = 0.0

    def until(self, failed_at: float) -> float:
        """Do not try again before; a time that has passed means at once."""
        return failed_at if self._is_forgotten(failed_at) else failed_at + self.delay_s

    def tried(self, failed_at: float, now: float) -> None:
        """It is tried again now, after a failure at `failed_at`: the next failure waits (longer)."""
        fresh = self.delay_s == 0 or self._is_forgotten(failed_at)
        self.delay_s = self.first_s if fresh else min(2 * self.delay_s, self.most_s)
        self._last = now

    def _is_forgotten(self, failed_at: float) -> bool:
        return failed_at - self._last > 2 * self.most_s


@dataclass(slots=True)
class Retry:
    """Something that is tried until it works: when the next try is due."""

    backoff: Backoff
    due_at: float = 0.0
    failures: int = 0

    def failed(self, now: float) -> None:
        self.failures += 1
        self.backoff.tried(now, now)
        self.due_at = now + self.backoff.delay_s

    def succeeded(self, due_at: float = 0.0) -> None:
        """`due_at`: when it is to be done again."""
        self.backoff.delay_s, self.failures, self.due_at = 0.0, 0, due_at
