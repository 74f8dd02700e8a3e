"""What a member watches by itself: how long its history is, and how full its disk. Pure."""

from __future__ import annotations

from collections import deque

MARKS = 20  # so many moments are remembered within the age that is kept


class Compactor:
    """When the leader compacts: by count, by age, or both; whichever keeps less.

    `revisions_kept`: so many are left when it compacts, which it does at twice as many (0: no bound by count).

    `history_kept_s`: what is older goes, give or take a twentieth (0: no bound by age). Ages begin when this member
    starts to lead: it does not know when what it finds was written.
    """

    def __init__(self, revisions_kept: int, history_kept_s: float) -> None:
        self._revisions_kept = revisions_kept
        self._history_kept_s = history_kept_s
        self._marks: deque[tuple[float, int]] = deque()

    def start(self) -> None:
        self._marks.clear()

    def due(self, revision: int, compacted: int, now: float) -> int | None:
        """The revision to compact at, if it is time."""
        oldest = max(self._by_count(revision, max(compacted, 0)), self._by_age(revision, now))
        return oldest if oldest > max(compacted, 0) else None

    def _by_count(self, revision: int, compacted: int) -> int:
        oldest = revision - self._revisions_kept
        return oldest if self._revisions_kept and oldest > compacted + self._revisions_kept else 0

    def _by_age(self, revision: int, now: float) -> int:
        if not self._history_kept_s:
            return 0
        if not self._marks or now - self._marks[-1][0] >= self._history_kept_s / MARKS:
            self._marks.append((now, revision))
        oldest = 0
        while self._marks and now - self._marks[0][0] >= self._history_kept_s:
            oldest = self._marks.popleft()[1]
        return oldest


class Room:
    """Whether there is room, on the disk and in the quota (0: no bound).

    Too little on the disk is less than `least_bytes`, enough again is twice that; the quota is used up at all of it,
    and is not at nine tenths. So that an alarm does not come and go.
    """

    def __init__(self, least_bytes: int, quota_bytes: int) -> None:
        self._least_bytes = least_bytes
        self._quota_bytes = quota_bytes
        self.disk_is_low = False
        self.quota_is_used = False

    def look(self, free_bytes: int, in_use_bytes: int) -> None:
        self.disk_is_low = free_bytes < self._least_bytes * (2 if self.disk_is_low else 1)
        most = self._quota_bytes * 9 // 10 if self.quota_is_used else self._quota_bytes
        self.quota_is_used = bool(most) and in_use_bytes > most

    @property
    def is_low(self) -> bool:
        return self.disk_is_low or self.quota_is_used
