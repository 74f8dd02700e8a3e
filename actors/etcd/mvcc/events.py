"""The event log: what each revision changed, since the last compaction. Watchers are cursors in it."""

from __future__ import annotations

from collections.abc import Iterable

from protocols.etcd import Event


class EventLog:
    """Revisions without a gap: `first` is the oldest kept, `last` the newest."""

    def __init__(self, last: int) -> None:
        self.first = last + 1
        self._revisions: list[tuple[Event, ...]] = []

    @property
    def last(self) -> int:
        return self.first + len(self._revisions) - 1

    def append(self, events: tuple[Event, ...]) -> None:
        """One more revision. Events carry their previous pair; who did not ask for it is given them without."""
        self._revisions.append(events)

    def at(self, revision: int) -> tuple[Event, ...]:
        assert revision >= self.first, f"the events of revision {revision} are compacted, the oldest are {self.first}"
        return self._revisions[revision - self.first]

    def all(self) -> tuple[tuple[Event, ...], ...]:
        return tuple(self._revisions)

    def load(self, last: int, revisions: Iterable[tuple[Event, ...]]) -> None:
        """What `all` gave, when the newest revision was `last`."""
        self._revisions = list(revisions)
        self.first = last + 1 - len(self._revisions)

    def take_before(self, revision: int) -> list[tuple[Event, ...]]:
        """Forget older revisions; returns what they changed."""
        count = max(0, min(revision - self.first, len(self._revisions)))
        taken, self._revisions[:count] = self._revisions[:count], []
        self.first += count
        return taken
