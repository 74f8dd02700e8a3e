"""A hash of all keys as they were at one revision, taken in slices while the store goes on.

It covers what a read at that revision sees, and nothing else: not what a replica still keeps of the past, which is its
own affair. So it is equal on all replicas that applied the same commands.
"""

from __future__ import annotations

import zlib

import msgspec

from actors.etcd.mvcc.store import Store

SLICE_MAX = 256  # keys
SLICE_BYTES_MAX = 1 << 20

_encode = msgspec.msgpack.Encoder().encode


class HashWalk:
    """Close it, or the store keeps its past for ever."""

    def __init__(self, store: Store, revision: int) -> None:
        """Raises Compacted, FutureRevision."""
        store.check_revision(revision)
        self.revision = revision
        self.hash = 0
        self.done = False
        self._keyspace = store.keyspace
        self._after = b""
        self._keyspace.hold()

    def step(self) -> None:
        """One slice."""
        size = 0
        keys = self._keyspace.some_keys_ever(self._after, SLICE_MAX)
        self.done = not keys
        for key in keys:
            self._after = key + b"\0"
            found = self._keyspace.get_at(key, self.revision)
            if found is not None:
                self.hash = zlib.crc32(_encode(found), self.hash)
                size += len(found.value)
            if size > SLICE_BYTES_MAX:
                return

    def close(self) -> None:
        self._keyspace.release()
