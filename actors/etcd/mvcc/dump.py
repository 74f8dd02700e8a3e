"""A store as it was at one moment: taken out in slices while the store goes on, and made into a store again.

Versions of keys never change, so the state of a past revision can be read later, as long as nothing it needs is
forgotten: while a dump is open, the store keeps what it would have compacted away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from actors.etcd.mvcc.store import Store
from protocols.etcd import Event, KeyValue

SLICE_MAX = 256  # keys or revisions
SLICE_BYTES_MAX = 1 << 20


class Dump:
    """Close it, or the store keeps its past for ever."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.revision = store.revision
        self.compacted = store.compacted
        self.last_lease = store.leases.last_number
        self.leases = tuple(sorted((lease.lease, lease.ttl_s) for lease in store.leases.all()))
        self._events = store.events.all()
        store.keyspace.hold()

    def close(self) -> None:
        self._store.keyspace.release()

    def key_slices(self) -> Iterator[tuple[tuple[KeyValue, ...], ...]]:
        """All keys that have versions, each with those, oldest first."""
        keyspace, after = self._store.keyspace, b""
        while keys := keyspace.some_keys_ever(after, SLICE_MAX):
            found: list[tuple[KeyValue, ...]] = []
            size = 0
            for key in keys:
                after = key + b"\0"
                versions = keyspace.versions(key, self.revision)
                size += sum([len(version.key) + len(version.value) for version in versions])
                if versions:
                    found.append(versions)
                if size > SLICE_BYTES_MAX:
                    break
            yield tuple(found)

    def event_slices(self) -> Iterator[tuple[tuple[Event, ...], ...]]:
        """What each revision since the last compaction has changed."""
        for start in range(0, len(self._events), SLICE_MAX):
            yield self._events[start : start + SLICE_MAX]


class Image(NamedTuple):
    """All that makes a store."""

    revision: int
    compacted: int
    last_lease: int
    leases: Sequence[tuple[int, int]]
    keys: Sequence[Sequence[KeyValue]]
    events: Sequence[tuple[Event, ...]]

    def store(self) -> Store:
        store = Store()
        store.revision, store.compacted = self.revision, self.compacted
        store.events.load(self.revision, self.events)
        for number, ttl_s in self.leases:
            store.leases.grant(number, ttl_s)
        store.leases.last_number = self.last_lease
        store.keyspace.load(self.keys)
        for versions in self.keys:
            if versions[-1].lease:
                store.leases.move(versions[-1].key, 0, versions[-1].lease)
        return store
