"""Watches on their way out: each a watcher (the cursor) and an outlet (the credit that its reader granted).

A turn visits those whose keys have changed, and those that are behind and can take something; ten thousand that wait
for other keys cost it nothing. A feed is in step (it has seen everything that concerns it, its cursor is moved only
when it must be looked at), or behind; one without credit stays behind and is not visited before credit comes.
"""

from __future__ import annotations

from collections.abc import Callable

from actorkube.runtime import Outlet
from actors.etcd.mvcc.interest import Interest
from actors.etcd.mvcc.state import compacted_answer
from actors.etcd.mvcc.store import Store
from actors.etcd.mvcc.watch import Watcher
from protocols.etcd import EmptyKey, WatchKeys

PROGRESS_MAX = 500  # feeds that are told of progress at one time


class Feed:
    def __init__(self, watcher: Watcher, outlet: Outlet) -> None:
        self.watcher = watcher
        self.outlet = outlet
        self.established = False
        self.in_step = False

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
                self.in_step = True
                return
            self.outlet.send(response)

    def tell_progress(self, store: Store) -> None:
        if self.in_step and self.outlet.credit > 0:
            self.watcher.skip_to(store.revision + 1)
            response = self.watcher.progress(store.events)
            if response is not None:
                self.outlet.send(response)


class Feeds:
    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self._feeds: dict[Feed, None] = {}
        self._interest: Interest[Feed] = Interest()
        self._ready: dict[Feed, None] = {}  # behind, and perhaps with credit
        self._to_tell: dict[Feed, None] = {}  # of progress, whose turn is next first
        self._seen = store.revision  # up to there, feeds in step have seen everything
        self._compacted = store.compacted

    @property
    def count(self) -> int:
        return len(self._feeds)

    def restore(self, store: Store) -> None:
        """Another member's state has taken the store's place: cursors go on in it, or are lost."""
        self._fall_behind()
        self._store = store
        self._seen = store.revision

    def open(self, request: WatchKeys, outlet: Outlet) -> None:
        """Raises Compacted, EmptyKey."""
        store = self._store
        if not request.key:
            raise EmptyKey("key is not provided")
        if 0 < request.start_revision < store.compacted:
            raise compacted_answer(request.start_revision, store.compacted)
        self.add(Watcher(request, store.events), outlet, progress=request.progress_notify)

    def add(self, watcher: Watcher, outlet: Outlet, *, progress: bool) -> None:
        feed = Feed(watcher, outlet)
        outlet.on_ready = lambda: self._credit_came(feed)
        outlet.on_closed = lambda: self._close(feed)
        self._feeds[feed] = None
        self._interest.add(watcher.span, feed)
        if progress:
            self._to_tell[feed] = None
        feed.pump(self._store)

    def pump(self) -> None:
        """Once per turn; costs nothing when nothing has changed."""
        store = self._store
        if self._seen != store.revision:
            self._look_for_news()
        if self._ready:
            ready, self._ready = self._ready, {}
            for feed in ready:
                feed.pump(store)
        if self._compacted != store.compacted:
            self._compacted = store.compacted
            for feed in [feed for feed in self._feeds if not feed.in_step]:
                feed.pump(store)

    def _look_for_news(self) -> None:
        """Those in step that are concerned fall behind, at the revision that concerns them."""
        events = self._store.events
        if not self._feeds:
            self._seen = events.last
            return
        if events.first > self._seen + 1:
            self._fall_behind()  # what is compacted cannot be looked at: each finds out whether it has lost something
        for revision in range(max(self._seen + 1, events.first), events.last + 1):
            for event in events.at(revision):
                for feed in self._interest.find(event.kv.key):
                    if feed.in_step and revision >= feed.watcher.cursor:
                        feed.watcher.skip_to(revision)
                        feed.in_step = False
                        self._ready[feed] = None
        self._seen = events.last

    def _fall_behind(self) -> None:
        for feed in self._feeds:
            if feed.in_step:
                feed.watcher.skip_to(self._seen + 1)
                feed.in_step = False
            self._ready[feed] = None

    def tell_progress(self) -> None:
        for feed in list(self._to_tell)[:PROGRESS_MAX] if self._to_tell else ():
            feed.tell_progress(self._store)
            if self._to_tell.pop(feed, feed) is None:  # it may have closed
                self._to_tell[feed] = None

    def _credit_came(self, feed: Feed) -> None:
        if not feed.in_step:
            self._ready[feed] = None
            self._wake()

    def _close(self, feed: Feed) -> None:
        self._feeds.pop(feed, None)
        self._to_tell.pop(feed, None)
        self._ready.pop(feed, None)
        self._interest.remove(feed.watcher.span, feed)
