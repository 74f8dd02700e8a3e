"""The store: what the log's commands mean. Deterministic: no clock, no chance, nothing that only this replica knows.

Revisions count the commands that changed a key; an empty store is at revision 1, as etcd's. All that one command
changes has one revision.

History is kept from `compacted` on: for reads at that revision or later, and for watches from it or later.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TypeAlias

from actors.etcd.commands import Command, ExpireLeases
from actors.etcd.mvcc.events import EventLog
from actors.etcd.mvcc.keys import Keyspace
from actors.etcd.mvcc.leases import Leases
from actors.etcd.mvcc.span import Span
from actors.etcd.mvcc.txn import holds
from protocols.errors import Answer
from protocols.etcd import (
    Compact,
    Compacted,
    Event,
    FutureRevision,
    KeyValue,
    LeaseExists,
    LeaseGrant,
    LeaseGranted,
    LeaseNotFound,
    LeaseRevoke,
    Op,
    OpResponse,
    Range,
    RangeResponse,
    TooLarge,
    Txn,
    TxnResponse,
)
from protocols.message import Done

Result: TypeAlias = TxnResponse | LeaseGranted | Done | Answer

FIRST_REVISION = 1
ANSWER_BYTES_MAX = 6 << 20  # keys and values in one answer or one event: what is larger does not fit a frame
_NOTHING = OpResponse()


class Store:
    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.compacted = 0
        self.leases = Leases()
        self.events = EventLog(FIRST_REVISION)
        self.keyspace = Keyspace()
        self._changes: list[Event] = []

    # -- writing --------------------------------------------------------------------------------------------------

    def apply(self, command: Command) -> Result:
        """Carry out one command of the log. Refusals are results too, and the same on every replica."""
        match command:
            case Txn():
                return self._txn(command)
            case LeaseGrant():
                return self._grant(command)
            case LeaseRevoke():
                return self._revoke(command.lease)
            case Compact():
                return self._compact(command.revision)
            case ExpireLeases():
                for lease in command.leases:
                    self._revoke(lease)
                return Done()

    def _txn(self, txn: Txn) -> Result:
        succeeded = self._holds(txn)
        ops = txn.success if succeeded else txn.failure
        for op in ops:
            if op.lease and self.leases.get(op.lease) is None:
                return LeaseNotFound(f"lease {op.lease} not found")
        responses = tuple([self._run(op) for op in ops])
        self._seal()
        return TxnResponse(succeeded, self.revision, responses)

    def _holds(self, txn: Txn) -> bool:
        return not txn.compare or all(holds(compare, self.keyspace.get(compare.key)) for compare in txn.compare)

    def _run(self, op: Op) -> OpResponse:
        if op.kind == "put":
            return self._put(op.key, op.value, op.lease)
        span = Span.of(op.key, op.range_end)
        if op.kind == "delete":
            deleted = tuple([self._delete(key) for key in list(self.keyspace.keys(span))])
            return OpResponse(deleted, len(deleted))
        return OpResponse(self._read(span, op.limit), self.keyspace.count(span))

    def _put(self, key: bytes, value: bytes, lease: int) -> OpResponse:
        new, previous = self.keyspace.put(key, value, lease, self.revision + 1)
        self._changes.append(Event("put", new, previous))
        if previous is None:
            if lease:
                self.leases.move(key, 0, lease)
            return _NOTHING
        if previous.lease != lease:
            self.leases.move(key, previous.lease, lease)
        return OpResponse((previous,), 1)

    def _delete(self, key: bytes) -> KeyValue:
        deleted = self.keyspace.delete(key, self.revision + 1)
        assert deleted is not None, f"{key!r} was there a moment ago"
        tombstone, previous = deleted
        self._changes.append(Event("delete", tombstone, previous))
        self.leases.move(key, previous.lease, 0)
        return previous

    def _seal(self) -> None:
        """What was changed becomes one revision."""
        if self._changes:
            self.revision += 1
            self.events.append(tuple(self._changes))
            self._changes.clear()

    def _grant(self, grant: LeaseGrant) -> Result:
        lease = grant.lease or self.leases.free_number()
        if self.leases.get(lease) is not None:
            return LeaseExists(f"lease {lease} exists already")
        self.leases.grant(lease, grant.ttl_s)
        return LeaseGranted(lease, grant.ttl_s)

    def _revoke(self, lease: int) -> Result:
        keys = self.leases.revoke(lease)
        if keys is None:
            return LeaseNotFound(f"lease {lease} not found")
        for key in keys:
            self._delete(key)
        self._seal()
        return Done()

    def _compact(self, revision: int) -> Result:
        if revision > self.revision:
            return self._future(revision)
        if revision <= self.compacted:
            return self._too_old(revision)
        for seen in range(self.events.first, revision + 1):
            for event in self.events.at(seen):
                self.keyspace.forget(event.kv.key, revision)
        self.events.forget_before(revision)  # those at it stay: a watch may start where a read may
        self.compacted = revision
        return Done()

    # -- reading --------------------------------------------------------------------------------------------------

    def range(self, request: Range) -> RangeResponse:
        """Raises Compacted, FutureRevision, or TooLarge when a limit is needed."""
        span = Span.of(request.key, request.range_end)
        revision = request.revision or self.revision
        if revision > self.revision:
            raise self._future(revision)
        if revision < self.compacted:
            raise self._too_old(revision)
        count = self.keyspace.count(span) if revision == self.revision else self._count_at(span, revision)
        if request.count_only:
            return RangeResponse(self.revision, (), count)
        if revision == self.revision:
            kvs = self._read(span, request.limit)
        else:
            kvs = self._read_at(span, request.limit, revision)
        if request.keys_only:
            kvs = tuple([_without_value(kv) for kv in kvs])
        _check_size(kvs)
        return RangeResponse(self.revision, kvs, count, count > len(kvs))

    def read(self, txn: Txn) -> TxnResponse:
        """A transaction that writes nothing; it need not go through the log."""
        succeeded = self._holds(txn)
        responses = tuple([self._run(op) for op in (txn.success if succeeded else txn.failure)])
        assert not self._changes
        _check_size([kv for response in responses for kv in response.kvs])
        return TxnResponse(succeeded, self.revision, responses)

    def check_deletions(self, txn: Txn) -> None:
        """Raises TooLarge when the pairs that a range deletion would remove now do not fit an answer, or an event."""
        for op in (*txn.success, *txn.failure):
            if op.kind == "delete" and op.range_end:
                _check_size(self._read(Span.of(op.key, op.range_end), 0))

    def _read(self, span: Span, limit: int) -> tuple[KeyValue, ...]:
        get = self.keyspace.get
        found = [kv for key in islice(self.keyspace.keys(span), limit or None) if (kv := get(key)) is not None]
        return tuple(found)

    def _read_at(self, span: Span, limit: int, revision: int) -> tuple[KeyValue, ...]:
        get_at = self.keyspace.get_at
        found = (kv for key in self.keyspace.keys_ever(span) if (kv := get_at(key, revision)) is not None)
        return tuple(islice(found, limit or None))

    def _count_at(self, span: Span, revision: int) -> int:
        """Today's count, corrected by what has changed since: pages of a long list cost no walk over the keys."""
        changed = {
            event.kv.key: None
            for later in range(max(revision + 1, self.events.first), self.revision + 1)
            for event in self.events.at(later)
            if span.holds(event.kv.key)
        }
        then = sum(self.keyspace.get_at(key, revision) is not None for key in changed)
        now = sum(self.keyspace.get(key) is not None for key in changed)
        return self.keyspace.count(span) + then - now

    def _future(self, revision: int) -> FutureRevision:
        return FutureRevision(f"revision {revision} does not exist yet, the newest is {self.revision}")

    def _too_old(self, revision: int) -> Compacted:
        return compacted_answer(revision, self.compacted)

    def check(self) -> None:
        assert not self._changes
        assert self.events.last == self.revision, (self.events.last, self.revision)
        assert self.events.first <= max(self.compacted, FIRST_REVISION + 1), (self.events.first, self.compacted)
        self.keyspace.check()
        for lease in self.leases.all():
            for key in lease.keys:
                attached = self.keyspace.get(key)
                assert attached is not None and attached.lease == lease.lease, (lease.lease, key)


def compacted_answer(revision: int, compacted: int) -> Compacted:
    return Compacted(
        f"revision {revision} has been compacted, the oldest that is kept is {compacted}",
        {"compact_revision": compacted},
    )


def _check_size(kvs: Sequence[KeyValue]) -> None:
    size = sum([len(kv.key) + len(kv.value) for kv in kvs])
    if size > ANSWER_BYTES_MAX:
        raise TooLarge(f"{len(kvs)} keys with {size} bytes do not fit one answer: ask for fewer at a time")


def _without_value(kv: KeyValue) -> KeyValue:
    return KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease)
