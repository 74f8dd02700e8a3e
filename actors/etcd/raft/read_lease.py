"""Reads by clock: until when a leader may be sure that nobody else leads (dissertation, 6.4.1).

A member that answered a heartbeat votes for nobody for as long as the shortest election timeout; it counts from when
the heartbeat came, the leader from when it left, which is earlier. So nothing has to be assumed of clocks but how much
faster one may run than another, and that is taken off the lease. A leader that has told somebody to take over has no
lease any more in its term: that wish may be delivered whenever.
"""

from __future__ import annotations

from collections import deque

BEATS_MAX = 64


class ReadLease:
    """`round`: reads of all rounds up to it need no confirmation."""

    def __init__(self, lease_s: float) -> None:
        self.round = 0
        self._lease_s = lease_s
        self._until = 0.0
        self._beats: deque[tuple[int, float]] = deque(maxlen=BEATS_MAX)  # the round of a heartbeat, when it left
        self._asked = False

    def beat(self, number: int, now: float) -> None:
        self._beats.append((number, now))

    def ask(self, now: float, confirmed: int) -> None:
        """Reads begin; a majority has answered the heartbeats up to the round `confirmed`."""
        while self._beats and self._beats[0][0] <= confirmed:
            self._until = self._beats.popleft()[1] + self._lease_s
        self._asked = now < self._until

    def covers(self, number: int) -> bool:
        """Whether the reads that began belong to a round that needs no confirmation; once."""
        if self._asked:
            self.round = number
        asked, self._asked = self._asked, False
        return asked
