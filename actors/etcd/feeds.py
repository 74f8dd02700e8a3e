"""Watches on their way out: each a watcher (the cursor) and an outlet (the credit that its reader granted).

A turn visits every feed that can take something; one without credit is skipped, and comes back when credit does.
"""

from __future__ import annotations

from collections.abc import Callable

from actorkube.runtime import Outlet
from actors.etcd.mvcc.span import Span
from actors.etcd.mvcc.store import Store, compacted_answer
from actors.etcd.mvcc.watch import Watcher
from protocols.etcd import WatchKeys


class Feed:
    def __init__(self, watcher: Watcher, outlet: Outlet) -> None:
        self.watcher = watcher
        self.outlet = outlet
        self.established = False

    def pump(self, store: Store) -> None:
        """Hand over all that there is and that credit allows."""
        if self.watcher.lost(store.compacted):
            self.outlet.end(compacted_answer(self.watcher.cursor, store.compacted))
            return
        if not self.established and self.outlet.credit > 0:
            self.established = True
            self.outlet.send(self.watcher.established(store.events))
        while self.outlet.credit > 0 and not self.outlet.closed:
            response = self.watcher.take(store.events)
            if response is None:
                return
            self.outlet.send(response)

    def tell_progress(self, store: Store) -> None:
        if self.established and self.outlet.credit > 0:
            response = self.watcher.progress(store.events)
            if response is not None:
                self.outlet.send(response)


class Feeds:
    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self._feeds: dict[Feed, None] = {}
        self._pumped_at = 0  # the revision that every feed with credit has seen; 0: look at all again

    def restore(self, store: Store) -> None:
        """Another member's state has taken the store's place: cursors go on in it, or are lost."""
        self._store = store
        self._pumped_at = 0

    def open(self, request: WatchKeys, outlet: Outlet) -> None:
        """Raises Compacted."""
        store = self._store
        if 0 < request.start_revision < store.compacted:
            raise compacted_answer(request.start_revision, store.compacted)
        span = Span.of(request.key, request.range_end)
        watcher = Watcher(span, request.start_revision, store.events, prev_kv=request.prev_kv)
        feed = Feed(watcher, outlet)
        outlet.on_ready = self._credit_came
        outlet.on_closed = lambda: self._close(feed)
        self._feeds[feed] = None
        feed.pump(store)

    def pump(self) -> None:
        """Once per turn; costs nothing when nothing has changed."""
        if self._pumped_at == self._store.revision:
            return
        self._pumped_at = self._store.revision
        for feed in list(self._feeds):
            feed.pump(self._store)

    def tell_progress(self) -> None:
        for feed in list(self._feeds):
            feed.tell_progress(self._store)

    def _credit_came(self) -> None:
        self._pumped_at = 0
        self._wake()

    def _close(self, feed: Feed) -> None:
        self._feeds.pop(feed, None)
