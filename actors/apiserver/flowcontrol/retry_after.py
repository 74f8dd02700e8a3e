"""How long who is sent away should stay away: the longer, the more are. Pure; times are whole seconds.

Source: kube-apiserver's: it doubles while at least three were dropped for each second of it, and shrinks again by one.
"""

from __future__ import annotations

from collections import deque

_LONGEST_S = 32
_DROPPED_PER_S = 3


class RetryAfter:
    """Of one priority level."""

    def __init__(self) -> None:
        self._seconds = 1
        self._changed_s = 0
        self._this_s = 0
        self._this_count = 0
        self._past: deque[tuple[int, int]] = deque(maxlen=_LONGEST_S)  # (second, how many)

    def dropped(self, now_s: int) -> int:
        """A request is sent away; the seconds after which it may come again."""
        if now_s == self._this_s:
            self._this_count += 1
        else:
            self._past.append((self._this_s, self._this_count))
            self._this_s, self._this_count = now_s, 1
            self._amend(now_s)
        return self._seconds

    def _amend(self, now_s: int) -> None:
        dropped = sum(count for second, count in self._past if now_s - second <= self._seconds)
        if now_s - self._changed_s >= self._seconds and dropped >= _DROPPED_PER_S * self._seconds:
            self._seconds = min(2 * self._seconds, _LONGEST_S)
            self._changed_s = now_s
        elif dropped < self._seconds and self._seconds > 1:
            self._seconds -= 1
