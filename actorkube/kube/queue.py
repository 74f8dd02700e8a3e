"""The work queue: stingy, delaying, rate-limited, single-worker-per-key. Pure: time is an argument.

A key that is added while it waits is queued once. A key that is added while somebody works on it is queued again when
that work is `done`. Keys whose work failed come back later and later (5 ms doubling to 1000 s, as client-go's), until
`forget`. With a spacing, two passes over one key start at least that far apart, so a burst of events costs one pass.
"""

from __future__ import annotations

import heapq
from collections import deque


class WorkQueue:
    def __init__(self, *, base_delay_s: float = 0.005, delay_max_s: float = 1000.0, spacing_s: float = 0.0) -> None:
        self._base_delay_s = base_delay_s
        self._delay_max_s = delay_max_s
        self._spacing_s = spacing_s
        self._ready: deque[str] = deque()
        self._queued: dict[str, None] = {}  # what is in _ready
        self._working: dict[str, bool] = {}  # key -> added again meanwhile
        self._failures: dict[str, int] = {}
        self._due: dict[str, float] = {}  # delayed keys
        self._wishes: dict[str, None] = {}  # those of them that only wish to be looked at again some day
        self._heap: list[tuple[float, str]] = []  # entries that _due does not confirm are stale
        self._next_start: dict[str, float] = {}
        self._next_start_max = 1024
        self.adds = 0  # keys that became ready
        self.retries = 0

    def add(self, key: str, now: float) -> None:
        """The key needs a look."""
        if key in self._working:
            self._working[key] = True
            return
        if key in self._queued:
            return
        not_before = self._next_start.get(key, 0.0)
        if not_before > now:
            self._delay(key, not_before, wish=False)
        else:
            self._make_ready(key)

    def add_after(self, key: str, delay_s: float, now: float, *, wish: bool = True) -> None:
        """Add the key when that time has passed. A `wish` (a timer, not a retry) does not count as unsettled work."""
        self._delay(key, now + delay_s, wish=wish)

    def retry(self, key: str, now: float) -> float:
        """Add the key after its back-off, which this call doubles; returns the delay."""
        self.retries += 1
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s: float = min(self._base_delay_s * 2 ** min(failures, 60), self._delay_max_s)
        self.add_after(key, delay_s, now, wish=False)
        return delay_s

    def rest(self, key: str, delay_s: float, now: float) -> None:
        """Whatever adds the key (but a retry), it is not ready before that time."""
        self._next_start[key] = max(now + delay_s, self._next_start.get(key, 0.0))

    def forget(self, key: str) -> None:
        """Its work succeeded: the next failure starts again at the shortest delay."""
        self._failures.pop(key, None)

    def failures(self, key: str) -> int:
        return self._failures.get(key, 0)

    def get(self, now: float) -> str | None:
        """The next key to work on; call `done` afterwards. None: nothing is ready."""
        self._promote(now)
        if not self._ready:
            return None
        key = self._ready.popleft()
        del self._queued[key]
        self._working[key] = False
        if self._spacing_s:
            self._next_start[key] = now + self._spacing_s
        return key

    def done(self, key: str, now: float) -> None:
        if self._working.pop(key):
            self.add(key, now)

    def next_due(self) -> float | None:
        """When a delayed key becomes ready; None: no key is delayed."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    @property
    def is_empty(self) -> bool:
        """No key is ready, nor will be by time alone."""
        return not (self._ready or self._heap)

    @property
    def ready(self) -> int:
        return len(self._ready)

    @property
    def working(self) -> int:
        return len(self._working)

    @property
    def delayed(self) -> int:
        return len(self._due)

    @property
    def settled(self) -> bool:
        """Nothing to do, nobody at it, and nothing delayed but timers."""
        return not self._ready and not self._working and len(self._due) == len(self._wishes)

    def _make_ready(self, key: str) -> None:
        self.adds += 1
        self._queued[key] = None
        self._ready.append(key)

    def _delay(self, key: str, when: float, *, wish: bool) -> None:
        """The earliest time wins. A wish that a retry overtakes is forgotten: the retry's pass wishes again."""
        known = self._due.get(key)
        if not wish:
            self._wishes.pop(key, None)
        elif known is None:
            self._wishes[key] = None
        if known is None or when < known:
            self._due[key] = when
            heapq.heappush(self._heap, (when, key))

    def _promote(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            if self._due.get(key) == when:
                del self._due[key]
                self._wishes.pop(key, None)
                self._next_start.pop(key, None)
                self.add(key, now)
        if len(self._next_start) > self._next_start_max:
            self._next_start = {key: start for key, start in self._next_start.items() if start > now}
            self._next_start_max = max(1024, 2 * len(self._next_start))

    def _drop_stale(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
