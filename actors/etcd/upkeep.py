"""When a store's leader compacts by itself: by count, by age, or both; whichever keeps less. Pure."""

from __future__ import annotations

from collections import deque

MARKS = 20  # so many moments are remembered within the age that is kept


class Compactor:
    """`revisions_kept`: so many are left when it compacts, which it does at twice as many (0: no bound by count).

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
        oldest = max(self._by_count(revision, compacted), self._by_age(revision, now))
        return oldest if oldest > compacted else None

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
