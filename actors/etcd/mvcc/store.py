"""The store: what the log's commands mean. Deterministic: no clock, no chance, nothing that only this replica knows.

All that one command changes has one revision. A compaction takes effect at once and is the same on every replica; what
it made superfluous is dropped in slices afterwards (`scrub`), each replica at its own pace, and shows in no answer.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from actors.etcd.commands import CheckpointLeases, Command, ExpireLeases, requested
from actors.etcd.mvcc.span import Span
from actors.etcd.mvcc.state import State, as_range, compacted_answer
from actors.etcd.mvcc.txn import holds, leaves, path, taken
from protocols.errors import Answer
from protocols.etcd import (
    Compact,
    CorruptCluster,
    Event,
    KeyNotFound,
    KeyValue,
    LeaseExists,
    LeaseGrant,
    LeaseGranted,
    LeaseKeepAlive,
    LeaseNotFound,
    LeaseRevoke,
    NoSpace,
    Op,
    OpResponse,
    Txn,
    TxnResponse,
)
from protocols.etcd_auth import AsUser, ChangeAuth
from protocols.etcd_maintenance import Alarms, DisarmAlarm, RaiseAlarm
from protocols.message import Done

Result: TypeAlias = TxnResponse | LeaseGranted | Alarms | Done | Answer

_NOTHING = OpResponse()


class Store(State):
    def __init__(self) -> None:
        super().__init__()
        self._to_scrub: deque[tuple[Event, ...]] = deque()

    def apply(self, command: Command, term: int = 0) -> Result:
        """Carry out one command of the log, of an entry of that term. Refusals are results too, and the same on every
        replica."""
        if self.alarms and (refusal := self._refusal(command)) is not None:
            return refusal
        match command:
            case Txn():
                return self._txn(command)
            case LeaseGrant():
                return self._grant(command)
            case LeaseRevoke():
                return self._revoke(command.lease)
            case LeaseKeepAlive():
                return self._keep_alive(command.lease)
            case Compact():
                return self._compact(command.revision)
            case ExpireLeases():
                if command.term in (0, term):  # else a leader of the past decided it: others have kept them alive since
                    for lease in command.leases:
                        self._revoke(lease)
                return Done()
            case CheckpointLeases():
                if command.term in (0, term):
                    self.leases.checkpoint(command.left_s)
                return Done()
            case RaiseAlarm():
                self.alarms[command.alarm] = None
                return Alarms((command.alarm,))
            case DisarmAlarm():
                return self._disarm(command)
            case ChangeAuth():
                return self.auth.change(command)
            case AsUser():
                request = requested(command)
                return self.auth.refusal(command.user, request, self.leases) or self.apply(request, term)

    # -- transactions ---------------------------------------------------------------------------------------------

    def _txn(self, txn: Txn) -> Result:
        succeeded = not txn.compare or all(holds(compare, self.keyspace) for compare in txn.compare)
        ops = txn.success if succeeded else txn.failure
        if len(ops) == 1 and (op := ops[0]).kind == "put" and not (op.lease or op.ignore_value or op.ignore_lease):
            response = self._put(op)  # nothing can refuse it
            self._seal()
            return TxnResponse(succeeded, self.revision, (response,))
        branches: dict[int, bool] = {}
        for op in ops:
            if op.kind != "put" or op.lease or op.ignore_value or op.ignore_lease:
                if op.txn is not None and not branches:
                    branches = path(txn, self.keyspace)
                if (refusal := self._op_refusal(op, branches)) is not None:
                    return refusal
        responses = tuple([self._run(op, branches) for op in ops])
        self._seal()
        return TxnResponse(succeeded, self.revision, responses)

    def _op_refusal(self, op: Op, branches: dict[int, bool]) -> Answer | None:
        """Looked at before anything is done: a refused transaction has done nothing."""
        if op.txn is not None:
            refusals = (self._op_refusal(inner, branches) for inner in taken(op.txn, branches))
            return next((refusal for refusal in refusals if refusal is not None), None)
        if op.lease and self.leases.get(op.lease) is None:
            return LeaseNotFound(f"lease {op.lease} not found")
        if (op.ignore_value or op.ignore_lease) and self.keyspace.get(op.key) is None:
            return KeyNotFound("key not found")
        if op.range is not None and op.range.revision:
            try:
                self.check_revision_in_txn(op.range.revision)
            except Answer as refusal:
                return refusal
        return None

    def _run(self, op: Op, branches: dict[int, bool]) -> OpResponse:
        if op.kind == "put":
            return self._put(op)
        if op.kind == "delete":
            deleted = tuple([self._delete(key) for key in list(self.keyspace.keys(Span.of(op.key, op.range_end)))])
            return OpResponse(deleted if op.prev_kv else (), len(deleted))
        if op.txn is not None:
            responses = tuple([self._run(inner, branches) for inner in taken(op.txn, branches)])
            return OpResponse(txn=TxnResponse(branches[id(op.txn)], self.revision + bool(self._changes), responses))
        return OpResponse(*self.find(as_range(op)))

    def _put(self, op: Op) -> OpResponse:
        key, value, lease = op.key, op.value, op.lease
        if op.ignore_value or op.ignore_lease:
            kept = self.keyspace.get(key)
            assert kept is not None, "deleted by the same transaction: refused before it entered the log"
            value = kept.value if op.ignore_value else value
            lease = kept.lease if op.ignore_lease else lease
        new, previous = self.keyspace.put(key, value, lease, self.revision + 1)
        self._changes.append(Event("put", new, previous))
        if previous is None:
            if lease:
                self.leases.move(key, 0, lease)
            return _NOTHING
        if previous.lease != lease:
            self.leases.move(key, previous.lease, lease)
        return OpResponse((previous,), 1) if op.prev_kv else _NOTHING

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

    # -- leases ---------------------------------------------------------------------------------------------------

    def _grant(self, grant: LeaseGrant) -> Result:
        lease = grant.lease or self.leases.free_number()
        if self.leases.get(lease) is not None:
            return LeaseExists(f"lease {lease} exists already")
        self.leases.grant(lease, grant.ttl_s)
        return LeaseGranted(lease, grant.ttl_s)

    def _keep_alive(self, number: int) -> Result:
        """Only of a lease with a checkpoint: what the next leader knows of it must become the whole time again."""
        lease = self.leases.get(number)
        if lease is None:
            return LeaseNotFound(f"lease {number} not found")
        lease.left_s = 0
        return LeaseGranted(number, lease.ttl_s)

    def _revoke(self, lease: int) -> Result:
        keys = self.leases.revoke(lease)
        if keys is None:
            return LeaseNotFound(f"lease {lease} not found")
        for key in keys:
            self._delete(key)
        self._seal()
        return Done()

    # -- alarms ---------------------------------------------------------------------------------------------------

    def _refusal(self, command: Command) -> Answer | None:
        if isinstance(command, RaiseAlarm | DisarmAlarm):
            return None
        kinds = {alarm.kind for alarm in self.alarms}
        if "CORRUPT" in kinds:
            return CorruptCluster("replicas were seen to differ: nothing is written until the alarm is disarmed")
        if "NOSPACE" in kinds and takes_room(command):
            return NoSpace("database space exceeded: delete, and compact")
        return None

    def _disarm(self, command: DisarmAlarm) -> Alarms:
        ended = [
            alarm for alarm in self.alarms if command.member in ("", alarm.member) and command.kind in ("", alarm.kind)
        ]
        for alarm in ended:
            del self.alarms[alarm]
        return Alarms(tuple(ended))

    # -- compaction -----------------------------------------------------------------------------------------------

    def _compact(self, revision: int) -> Result:
        if revision > self.revision:
            return self.future(revision)
        if revision <= self.compacted:
            return compacted_answer(revision, self.compacted)
        self._to_scrub.extend(self.events.take_before(revision))
        self._to_scrub.append(self.events.at(revision) if revision >= self.events.first else ())
        self.compacted = revision  # the events at it stay: a watch may start where a read may
        return Done()

    @property
    def is_scrubbed(self) -> bool:
        return not self._to_scrub

    def scrub(self, keys_max: int) -> None:
        """Drop versions of about so many keys that no read can see any more; while a dump is open, of none."""
        to_scrub, forget, compacted = self._to_scrub, self.keyspace.forget, self.compacted
        while to_scrub and keys_max > 0 and not self.keyspace.is_held:
            events = to_scrub.popleft()
            keys_max -= len(events) or 1
            for event in events:
                forget(event.kv.key, compacted)

    def check(self) -> None:
        assert not self._changes
        super().check()


def takes_room(command: Command) -> bool:
    """Whether it can make the store larger."""
    match command:
        case Txn():
            return any(op.kind == "put" for op in leaves((*command.success, *command.failure)))
        case LeaseGrant():
            return True
        case AsUser():
            return takes_room(requested(command))
    return False
