"""A watch is a cursor in the event log: the next revision to look at, and which keys.

Whether its reader is quick or slow shows in nothing but the cursor, so no watcher can hold up another, or the store. A
cursor never passes an event that was not handed over, and progress is only told from behind the cursor: what a client
has seen is always all there is up to some revision.
"""

from __future__ import annotations

from actors.etcd.mvcc.events import EventLog
from actors.etcd.mvcc.span import Span
from protocols.etcd import Event, WatchKeys, WatchResponse

EVENTS_MAX = 256
BYTES_MAX = 1 << 20  # no further revision is begun, and one is cut where fragments are wanted
REVISION_BYTES_MAX = 4 << 20  # one is cut where they are not: what is larger, with one more event, does not fit a frame
EVENT_BYTES = 64  # what an event takes beside keys and values


class Watcher:
    """`start_revision` 0 is from now on; one that does not exist yet is waited for."""

    def __init__(self, request: WatchKeys, log: EventLog) -> None:
        start = request.start_revision
        self.cursor = max(start, log.first) if start > 0 else log.last + 1
        self.span = Span.of(request.key, request.range_end)
        self._prev_kv = request.prev_kv
        self._unwanted = [kind for kind, no in (("put", request.no_put), ("delete", request.no_delete)) if no]
        self._cut_at = BYTES_MAX if request.fragment else REVISION_BYTES_MAX
        self._offset = 0  # so many events of the revision at the cursor have been handed over
        self._told = 0

    def established(self, log: EventLog) -> WatchResponse:
        """The first item: from here on, nothing is missed."""
        self._told = min(self.cursor - 1, log.last)
        return WatchResponse(self._told)

    def take(self, log: EventLog) -> WatchResponse | None:
        """The next events; None if there are none (yet)."""
        found: list[Event] = []
        size = 0
        last = log.last
        while self.cursor <= last and len(found) < EVENTS_MAX and size < BYTES_MAX:
            size = self._take_revision(log.at(self.cursor), found, size)
            if self._offset:
                return WatchResponse(self.cursor - 1, tuple(found), fragment=True)
            self.cursor += 1
        if not found:
            return None
        self._told = self.cursor - 1
        return WatchResponse(self._told, tuple(found))

    def _take_revision(self, events: tuple[Event, ...], found: list[Event], size: int) -> int:
        """Take what is wanted, up to where it must be cut: that is the new offset, or 0. Returns the size so far."""
        holds, unwanted = self.span.holds, self._unwanted
        for position in range(self._offset, len(events)):
            event = events[position]
            if not holds(event.kv.key) or (unwanted and event.type in unwanted):
                continue
            if size >= self._cut_at:
                self._offset = position
                return size
            size += EVENT_BYTES + len(event.kv.key) + len(event.kv.value)
            if not self._prev_kv:
                event = Event(event.type, event.kv)
            elif event.prev_kv is not None:
                size += len(event.prev_kv.key) + len(event.prev_kv.value)
            found.append(event)
        self._offset = 0
        return size

    def skip_to(self, revision: int) -> None:
        """Nothing before that revision concerns this watcher, unless its cursor is there already."""
        self.cursor = max(self.cursor, revision)

    def progress(self, log: EventLog) -> WatchResponse | None:
        """An item without events, if the watcher has seen all there is and was not told so."""
        if self.cursor != log.last + 1 or self._told >= log.last:
            return None
        self._told = log.last
        return WatchResponse(self._told)

    def lost(self, compacted: int) -> bool:
        """Whether events that it still needs are gone."""
        return self.cursor < compacted
