"""What a store holds at one moment, and how it is read: the newest state, or that of any revision that is kept.

Revisions count the commands that changed a key; an empty store is at revision 1, as etcd's. History is kept from
`compacted` on: for reads at that revision or later, and for watches from it or later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from actors.etcd.mvcc.auth import Auth
from actors.etcd.mvcc.events import EventLog
from actors.etcd.mvcc.keys import Keyspace
from actors.etcd.mvcc.leases import Leases
from actors.etcd.mvcc.span import Span
from actors.etcd.mvcc.txn import path, taken
from protocols.etcd import (
    Compacted,
    EmptyKey,
    Event,
    FutureRevision,
    KeyValue,
    Op,
    OpResponse,
    Range,
    RangeResponse,
    TooLarge,
    Txn,
    TxnResponse,
)
from protocols.etcd_maintenance import Alarm

FIRST_REVISION = 1
NEVER_COMPACTED = -1  # so that a compaction at 0, which forgets nothing, is one, as etcd counts
ANSWER_BYTES_MAX = 6 << 20  # keys and values in one answer: what is larger does not fit a frame

_sort_keys: dict[str, Callable[[KeyValue], Any]] = {
    "key": lambda kv: kv.key,
    "version": lambda kv: kv.version,
    "create": lambda kv: kv.create_revision,
    "mod": lambda kv: kv.mod_revision,
    "value": lambda kv: kv.value,
}


class State:
    """`cluster` is the number of the cluster that a restored copy founded; 0 for one that began empty."""

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.compacted = NEVER_COMPACTED
        self.cluster = 0
        self.leases = Leases()
        self.alarms: dict[Alarm, None] = {}
        self.auth = Auth()
        self.events = EventLog(FIRST_REVISION)
        self.keyspace = Keyspace()
        self._changes: list[Event] = []  # of the command that is being carried out: they have no revision yet

    def range(self, request: Range) -> RangeResponse:
        """Raises EmptyKey, Compacted, FutureRevision, or TooLarge when a limit is needed."""
        if not request.key:
            raise EmptyKey("key is not provided")
        kvs, count, more = self.find(request)
        if len(kvs) > 1:  # one fits
            check_size(kvs)
        return RangeResponse(self.revision, kvs, count, more)

    def find(self, request: Range) -> tuple[tuple[KeyValue, ...], int, bool]:
        """The pairs, how many keys there are, and whether `limit` left some out. Raises Compacted, FutureRevision."""
        if request.revision:
            self.check_revision(request.revision)
        if not request.range_end and (not request.revision or self._is_newest(request.revision)):
            return self._find_one(request)
        span = Span.of(request.key, request.range_end)
        past = 0 if self._is_newest(request.revision) else request.revision
        count = self._count_at(span, past) if past else self.keyspace.count(span)
        if request.count_only:
            return (), count, False
        kvs, more = self._page(request, span, past)
        if request.keys_only:
            kvs = [_without_value(kv) for kv in kvs]
        return tuple(kvs), count, more

    def _find_one(self, request: Range) -> tuple[tuple[KeyValue, ...], int, bool]:
        """As `find`, of one key as it is now: by far the most."""
        kv = self.keyspace.get(request.key)
        if kv is None:
            return (), 0, False
        if request.count_only or ((bounds := _bounds(request)) is not None and not bounds(kv)):
            return (), 1, False
        return (_without_value(kv) if request.keys_only else kv,), 1, False

    def check_revision(self, revision: int) -> None:
        """Raises Compacted, FutureRevision; 0, as what is less, is the newest."""
        if revision > 0:
            self.check_revision_in_txn(revision)

    def check_revision_in_txn(self, revision: int) -> None:
        """As `check_revision`, but nothing less than 0 is meant to be the newest: etcd takes it for compacted there."""
        if revision > self.revision:
            raise self.future(revision)
        if revision and revision < self.compacted:
            raise compacted_answer(revision, self.compacted)

    def _is_newest(self, revision: int) -> bool:
        return revision <= 0 or (revision == self.revision and not self._changes)

    def _page(self, request: Range, span: Span, past: int) -> tuple[list[KeyValue], bool]:
        """At most `limit` pairs, and whether there are more."""
        bounds, by_key = _bounds(request), request.sort_by == "key"
        found = self._pairs(span, past, reverse=by_key and request.descending)
        if bounds is not None:
            found = filter(bounds, found)
        if not by_key:
            if request.page_first and bounds is None:
                found = islice(found, request.limit + 1) if request.limit > 0 else found
            found = iter(sorted(found, key=_sort_keys[request.sort_by], reverse=request.descending))
        if request.limit <= 0:
            return list(found), False
        kvs = list(islice(found, request.limit + 1))
        return kvs[: request.limit], len(kvs) > request.limit

    def _pairs(self, span: Span, past: int, *, reverse: bool = False) -> Iterator[KeyValue]:
        """Of a past revision, or of now (0)."""
        if not past:
            return self.keyspace.pairs(span, reverse=reverse)
        get_at = self.keyspace.get_at
        keys = self.keyspace.keys_ever(span, reverse=reverse)
        return (kv for key in keys if (kv := get_at(key, past)) is not None)

    def _count_at(self, span: Span, revision: int) -> int:
        """Today's count, corrected by what has changed since: pages of a long list cost no walk over the keys."""
        changed = {
            event.kv.key: None
            for later in range(max(revision + 1, self.events.first), self.revision + 1)
            for event in self.events.at(later)
            if span.holds(event.kv.key)
        }
        changed.update({event.kv.key: None for event in self._changes if span.holds(event.kv.key)})
        then = sum(self.keyspace.get_at(key, revision) is not None for key in changed)
        now = sum(self.keyspace.get(key) is not None for key in changed)
        return self.keyspace.count(span) + then - now

    def read(self, txn: Txn) -> TxnResponse:
        """A transaction that writes nothing; it need not go through the log. Raises as `range` does."""
        branches = path(txn, self.keyspace)
        response = self._read_branch(txn, branches)
        check_size([kv for answer in _answers(response) for kv in answer.kvs])
        return response

    def _read_branch(self, txn: Txn, branches: dict[int, bool]) -> TxnResponse:
        responses = tuple([self._read_op(op, branches) for op in taken(txn, branches)])
        return TxnResponse(branches[id(txn)], self.revision, responses)

    def _read_op(self, op: Op, branches: dict[int, bool]) -> OpResponse:
        if op.txn is not None:
            return OpResponse(txn=self._read_branch(op.txn, branches))
        asked = as_range(op)
        self.check_revision_in_txn(asked.revision)
        return OpResponse(*self.find(asked))

    def check_answer(self, txn: Txn) -> None:
        """Raises TooLarge when what the transaction would answer now does not fit an answer. Whether its revisions are
        there is looked at when it is carried out, and in the branch that is taken alone."""
        size = max(self._answer_size(txn.success), self._answer_size(txn.failure))
        if size > ANSWER_BYTES_MAX:
            raise TooLarge(f"an answer of {size} bytes of keys and values does not fit: ask for fewer at a time")

    def _answer_size(self, ops: Sequence[Op]) -> int:
        size = 0
        for op in ops:
            if op.txn is not None:
                size += max(self._answer_size(op.txn.success), self._answer_size(op.txn.failure))
            elif op.kind == "delete" and op.range_end and op.prev_kv:
                size += _size(self.keyspace.pairs(Span.of(op.key, op.range_end)))
            elif op.kind == "range" and (op.range_end or op.range is not None):
                request = as_range(op)
                size += 0 if request.count_only else self._range_size(request)
        return size

    def _range_size(self, request: Range) -> int:
        try:
            return _size(self.find(request)[0])
        except (Compacted, FutureRevision):
            return 0

    def future(self, revision: int) -> FutureRevision:
        return FutureRevision(f"revision {revision} does not exist yet, the newest is {self.revision}")

    def check(self) -> None:
        assert self.events.last == self.revision, (self.events.last, self.revision)
        assert self.events.first <= max(self.compacted, FIRST_REVISION + 1), (self.events.first, self.compacted)
        self.keyspace.check()
        for lease in self.leases.all():
            for key in lease.keys:
                attached = self.keyspace.get(key)
                assert attached is not None and attached.lease == lease.lease, (lease.lease, key)


def as_range(op: Op) -> Range:
    return op.range if op.range is not None else Range(op.key, op.range_end, op.limit)


def compacted_answer(revision: int, compacted: int) -> Compacted:
    return Compacted(
        f"revision {revision} has been compacted, the oldest that is kept is {compacted}",
        {"compact_revision": compacted},
    )


def check_size(kvs: Sequence[KeyValue]) -> None:
    size = _size(kvs)
    if size > ANSWER_BYTES_MAX:
        raise TooLarge(f"{len(kvs)} keys with {size} bytes do not fit one answer: ask for fewer at a time")


def _size(kvs: Sequence[KeyValue] | Iterator[KeyValue]) -> int:
    return sum([len(kv.key) + len(kv.value) for kv in kvs])


def _answers(response: TxnResponse) -> Iterator[OpResponse]:
    for answer in response.responses:
        if answer.txn is not None:
            yield from _answers(answer.txn)
        else:
            yield answer


def _bounds(request: Range) -> Callable[[KeyValue], bool] | None:
    least_mod, most_mod = request.min_mod_revision, request.max_mod_revision or _NO_END
    least_create, most_create = request.min_create_revision, request.max_create_revision or _NO_END
    if not (least_mod or least_create) and most_mod == most_create == _NO_END:
        return None
    return lambda kv: least_mod <= kv.mod_revision <= most_mod and least_create <= kv.create_revision <= most_create


_NO_END = 1 << 63


def _without_value(kv: KeyValue) -> KeyValue:
    return KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease)
