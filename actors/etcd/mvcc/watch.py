"""A watch is a cursor in the event log: the next revision to look at, and which keys.

Whether its reader is quick or slow shows in nothing but the cursor, so no watcher can hold up another, or the store. A
cursor never passes an event that was not handed over, and progress is only told from behind the cursor: what a client
has seen is always all there is up to some revision.
"""

from __future__ import annotations

from actors.etcd.mvcc.events import EventLog
from actors.etcd.mvcc.span import Span
from protocols.etcd import Event, WatchResponse

EVENTS_MAX = 256
BYTES_MAX = 1 << 20


class Watcher:
    """`start_revision` 0 is from now on; one that does not exist yet is waited for."""

    def __init__(self, span: Span, start_revision: int, log: EventLog, *, prev_kv: bool) -> None:
        self.cursor = max(start_revision, log.first) if start_revision else log.last + 1
        self._span = span
        self._prev_kv = prev_kv
        self._told = 0

    def established(self, log: EventLog) -> WatchResponse:
        """The first item: from here on, nothing is missed."""
        self._told = min(self.cursor - 1, log.last)
        return WatchResponse(self._told)

    def take(self, log: EventLog) -> WatchResponse | None:
        """The next events, of whole revisions; None if there are none (yet)."""
        found: list[Event] = []
        size = 0
        holds = self._span.holds
        last = log.last
        while self.cursor <= last and len(found) < EVENTS_MAX and size < BYTES_MAX:
            for event in log.at(self.cursor):
                if holds(event.kv.key):
                    found.append(event if self._prev_kv else Event(event.type, event.kv))
                    size += len(event.kv.value)
            self.cursor += 1
        if not found:
            return None
        self._told = self.cursor - 1
        return WatchResponse(self._told, tuple(found))

    def progress(self, log: EventLog) -> WatchResponse | None:
        """An item without events, if the watcher has seen all there is and was not told so."""
        if self.cursor != log.last + 1 or self._told >= log.last:
            return None
        self._told = log.last
        return WatchResponse(self._told)

    def lost(self, compacted: int) -> bool:
        """Whether events that it still needs are gone."""
        return self.cursor < compacted
