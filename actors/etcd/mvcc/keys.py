"""Every key, as it is and as it was since the last compaction.

Most reads are of the newest revision, so that has a structure of its own: `live`, sorted, which counts a range by rank.
What was superseded lies beside it, per key, oldest first; a deletion is kept as a version 0 (a tombstone).
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sortedcontainers import SortedDict, SortedList

from actors.etcd.mvcc.span import Span
from protocols.etcd import KeyValue

VERSION_BYTES = 200  # what a version takes in memory beside its key and value; a rough figure, the same everywhere


class Keyspace:
    """`bytes` is what all versions that are kept take, about: what a quota is about."""

    def __init__(self) -> None:
        self.bytes = 0
        self._live: Any = SortedDict()  # key -> newest version
        self._past: dict[bytes, list[KeyValue]] = {}  # key -> superseded versions and tombstones
        self._dead: Any = SortedList()  # keys that have a past, but are not live
        self._holds = 0

    def __len__(self) -> int:
        """How many keys there are now."""
        return len(self._live)

    # -- writing --------------------------------------------------------------------------------------------------

    def put(self, key: bytes, value: bytes, lease: int, revision: int) -> tuple[KeyValue, KeyValue | None]:
        """Returns the new version and the one before it."""
        previous: KeyValue | None = self._live.get(key)
        if previous is not None:
            new = KeyValue(key, value, previous.create_revision, revision, previous.version + 1, lease)
            self._past.setdefault(key, []).append(previous)
            dict.__setitem__(self._live, key, new)  # its place in the order stays
        else:
            new = KeyValue(key, value, revision, revision, 1, lease)
            if key in self._past:
                self._dead.remove(key)
            self._live[key] = new
        self.bytes += len(key) + len(value) + VERSION_BYTES
        return new, previous

    def delete(self, key: bytes, revision: int) -> tuple[KeyValue, KeyValue] | None:
        """Returns the tombstone and what was there; None if nothing was."""
        previous: KeyValue | None = self._live.pop(key, None)
        if previous is None:
            return None
        tombstone = KeyValue(key, b"", 0, revision, 0)
        self._past.setdefault(key, []).extend((previous, tombstone))
        self._dead.add(key)
        self.bytes += len(key) + VERSION_BYTES
        return tombstone, previous

    def forget(self, key: bytes, revision: int) -> None:
        """Drop the versions of one key that no read at `revision` or later can see."""
        versions = self._past.get(key)
        if versions is None:
            return
        newest: KeyValue | None = self._live.get(key)
        if newest is not None and newest.mod_revision <= revision:
            unseen = len(versions)
        else:
            seen = 0  # counted, not searched for: but for one, what is counted is dropped
            for version in versions:
                if version.mod_revision > revision:
                    break
                seen += 1
            unseen = seen - 1 if seen and versions[seen - 1].version else seen
        for version in versions[:unseen]:
            self.bytes -= len(version.value)
        self.bytes -= unseen * (len(key) + VERSION_BYTES)
        if unseen < len(versions):
            del versions[:unseen]
            return
        del self._past[key]
        if newest is None:
            self._dead.remove(key)

    # -- keeping the past -----------------------------------------------------------------------------------------

    def hold(self) -> None:
        """From now on nothing may be forgotten, until `release`."""
        self._holds += 1

    def release(self) -> None:
        self._holds -= 1

    @property
    def is_held(self) -> bool:
        return self._holds > 0

    def versions(self, key: bytes, first: int, last: int) -> tuple[KeyValue, ...]:
        """All versions of a key that reads at the revisions from `first` to `last` can see, oldest first."""
        past = self._past.get(key, ())
        newest: KeyValue | None = self._live.get(key)
        found = past[: bisect_right(past, last, key=_mod_revision)]
        if newest is not None and newest.mod_revision <= last:
            found = [*found, newest]
        return tuple(found[_unseen(found, first) :])

    def load(self, slices: Iterable[Sequence[Sequence[KeyValue]]]) -> None:
        """Into an empty keyspace: slices of keys, each key with its versions, oldest first."""
        live: dict[bytes, KeyValue] = {}
        dead: list[bytes] = []
        for found in slices:
            newest = [versions[-1] for versions in found]
            keys = [kv.key for kv in newest]
            self.bytes += sum(map(len, keys)) + sum([len(kv.value) for kv in newest]) + VERSION_BYTES * len(keys)
            live.update(zip(keys, newest, strict=True))
            if max(map(len, found), default=1) > 1 or not all(kv.version for kv in newest):
                self._load_past(found, live, dead)
        self._live.update(live)
        self._dead.update(dead)

    def _load_past(self, found: Sequence[Sequence[KeyValue]], live: dict[bytes, KeyValue], dead: list[bytes]) -> None:
        """What most keys do not have: superseded versions, and a deletion as their last."""
        for *past, newest in found:
            self.bytes += sum([len(kv.key) + len(kv.value) + VERSION_BYTES for kv in past])
            if not newest.version:
                past.append(newest)
                dead.append(newest.key)
                del live[newest.key]
            if past:
                self._past[newest.key] = past

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> KeyValue | None:
        version: KeyValue | None = self._live.get(key)
        return version

    def get_at(self, key: bytes, revision: int) -> KeyValue | None:
        newest: KeyValue | None = self._live.get(key)
        if newest is not None and newest.mod_revision <= revision:
            return newest
        versions = self._past.get(key, ())
        seen = bisect_right(versions, revision, key=_mod_revision)
        if seen == 0 or versions[seen - 1].version == 0:
            return None
        return versions[seen - 1]

    def keys(self, span: Span, *, reverse: bool = False) -> Iterator[bytes]:
        found: Iterator[bytes] = self._live.irange(span.low, span.high, (True, False), reverse)
        return found

    def pairs(self, span: Span, *, reverse: bool = False) -> Iterator[KeyValue]:
        return map(self._live.__getitem__, self.keys(span, reverse=reverse))

    def keys_ever(self, span: Span, *, reverse: bool = False) -> Iterator[bytes]:
        """Live keys and those deleted since the last compaction, in order."""
        dead = self._dead.irange(span.low, span.high, (True, False), reverse)
        return heapq.merge(self.keys(span, reverse=reverse), dead, reverse=reverse)

    def some_keys_ever(self, start: bytes, count: int) -> list[bytes]:
        """The next so many, from `start` on."""
        return list(islice(self.keys_ever(Span(start, None)), count))

    def count(self, span: Span) -> int:
        end: int = len(self._live) if span.high is None else self._live.bisect_left(span.high)
        start: int = self._live.bisect_left(span.low)
        return max(0, end - start)

    def check(self) -> None:
        dead = [key for key in sorted(self._past) if key not in self._live]
        assert dead == list(self._dead), (dead, list(self._dead))
        kept = [kv for versions in self._past.values() for kv in versions] + list(self._live.values())
        assert self.bytes == sum(len(kv.key) + len(kv.value) + VERSION_BYTES for kv in kept)
        for key, versions in self._past.items():
            revisions = [version.mod_revision for version in versions]
            assert revisions and revisions == sorted(revisions), (key, revisions)
            assert (key in self._live) or versions[-1].version == 0, key


def _unseen(versions: Sequence[KeyValue], revision: int) -> int:
    """How many of these, the oldest, no read at `revision` or later can see, if no newer one is seen before them."""
    seen = bisect_right(versions, revision, key=_mod_revision)
    return seen - 1 if seen and versions[seen - 1].version else seen


def _mod_revision(version: KeyValue) -> int:
    return version.mod_revision
