"""A store as it was at one moment: taken out in slices while the store goes on, and made into a store again.

Versions of keys never change, so the state of a past revision can be read later, as long as nothing it needs is
forgotten: while a dump is open, the store keeps what it would have compacted away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from actors.etcd.mvcc.span import EVERYTHING
from actors.etcd.mvcc.store import Store
from protocols.etcd import Event, KeyValue
from protocols.etcd_auth import AuthTable
from protocols.etcd_maintenance import Alarm

SLICE_MAX = 256  # keys or revisions
SLICE_BYTES_MAX = 1 << 20


class Dump:
    """Close it, or the store keeps its past for ever."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.revision = store.revision
        self.compacted = store.compacted
        self.last_lease = store.leases.last_number
        self.cluster = store.cluster
        self.leases = tuple(sorted((lease.lease, lease.ttl_s, lease.left_s) for lease in store.leases.all()))
        self.alarms = tuple(store.alarms)
        self.auth = store.auth.table()
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
                versions = keyspace.versions(key, self.compacted, self.revision)
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
    """All that makes a store. `keys` are slices of them, each key with its versions, oldest first. A lease is its
    number, its time to live, and what its last checkpoint left it."""

    revision: int
    compacted: int
    last_lease: int
    leases: Sequence[tuple[int, ...]]
    keys: Iterable[Sequence[Sequence[KeyValue]]]
    events: Iterable[tuple[Event, ...]]
    alarms: Sequence[Alarm] = ()
    cluster: int = 0
    auth: AuthTable = AuthTable()

    def store(self) -> Store:
        store = Store()
        store.revision, store.compacted, store.cluster = self.revision, self.compacted, self.cluster
        store.alarms = dict.fromkeys(self.alarms)
        store.auth.load(self.auth)
        for lease in self.leases:
            store.leases.grant(*lease)
        store.leases.last_number = self.last_lease
        store.keyspace.load(self.keys)
        if self.leases:
            for kv in store.keyspace.pairs(EVERYTHING):
                if kv.lease:
                    store.leases.move(kv.key, 0, kv.lease)
        store.events.load(self.revision, (_shared(events, store) for events in self.events))
        return store


def _shared(events: Sequence[Event], store: Store) -> tuple[Event, ...]:
    """The same events, made of the pairs that the keyspace holds: memory for each is needed once."""
    get, get_at = store.keyspace.get, store.keyspace.get_at
    found = []
    for event in events:
        kv, previous = event.kv, event.prev_kv
        newest = get(kv.key)
        if newest is None or newest.mod_revision != kv.mod_revision:  # the one of most events is what there is now
            newest = get_at(kv.key, kv.mod_revision) or kv
        if previous is not None:
            previous = get_at(kv.key, kv.mod_revision - 1) or previous
        found.append(Event(event.type, newest, previous))
    return tuple(found)
