"""A store that is slow and obviously right: a whole copy of all keys for every revision."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.etcd.commands import Command, ExpireLeases
from protocols.etcd import (
    Compact,
    Compare,
    Event,
    KeyValue,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Op,
    OpResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
)

State = dict[bytes, KeyValue]


@dataclass
class Model:
    states: list[State] = field(default_factory=lambda: [{}, {}])  # by revision; an empty store is at 1
    events: dict[int, list[Event]] = field(default_factory=dict)
    leases: dict[int, int] = field(default_factory=dict)
    compacted: int = -1
    granted: int = 0

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def apply(self, command: Command) -> object:
        """The result, or the name of the refusal."""
        state, events = dict(self.states[-1]), list[Event]()
        result = self._run(command, state, events)
        if events:
            self.states.append(state)
            self.events[self.revision] = events
        if isinstance(result, TxnResponse):
            return TxnResponse(result.succeeded, self.revision, result.responses)
        return result

    def _run(self, command: Command, state: State, events: list[Event]) -> object:
        match command:
            case Txn():
                return self._txn(command, state, events)
            case LeaseGrant():
                return self._grant(command)
            case LeaseRevoke():
                return self._revoke(command.lease, state, events)
            case LeaseKeepAlive():
                return command.lease if command.lease in self.leases else "LeaseNotFound"
            case ExpireLeases():
                for lease in command.leases:
                    self.apply(LeaseRevoke(lease))
                return "Done"
            case Compact():
                if command.revision > self.revision:
                    return "FutureRevision"
                if command.revision <= self.compacted:
                    return "Compacted"
                self.compacted = command.revision
                return "Done"
        raise AssertionError(f"the model knows no {command}")

    def _txn(self, txn: Txn, state: State, events: list[Event]) -> object:
        before = dict(state)
        refusals = [refusal for op in taken_ops(txn, before) if (refusal := self._refusal(op, before))]
        return refusals[0] if refusals else self._carry_out(txn, before, state, events)

    def _refusal(self, op: Op, before: State) -> str:
        if op.lease and op.lease not in self.leases:
            return "LeaseNotFound"
        if (op.ignore_value or op.ignore_lease) and op.key not in before:
            return "KeyNotFound"
        if op.range is not None and op.range.revision > self.revision:
            return "FutureRevision"
        if op.range is not None and 0 < op.range.revision < self.compacted:
            return "Compacted"
        return ""

    def _carry_out(self, txn: Txn, before: State, state: State, events: list[Event]) -> TxnResponse:
        succeeded = txn_succeeds(txn, before)
        ops = txn.success if succeeded else txn.failure
        responses = tuple(self._op(op, before, state, events) for op in ops)
        return TxnResponse(succeeded, self.revision + (1 if events else 0), responses)

    def _op(self, op: Op, before: State, state: State, events: list[Event]) -> OpResponse:
        if op.txn is not None:
            return OpResponse(txn=self._carry_out(op.txn, before, state, events))
        if op.kind == "range":
            request = op.range or Range(op.key, op.range_end, op.limit)
            return OpResponse(*find(request, self.states[request.revision] if request.revision else state))
        if op.kind == "delete":
            found = tuple(state[key] for key in sorted(state) if within(key, op.key, op.range_end))
            for kv in found:
                self._delete(kv.key, state, events)
            return OpResponse(found if op.prev_kv else (), len(found))
        old = state.get(op.key)
        revision = self.revision + 1
        created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
        value = old.value if old and op.ignore_value else op.value
        lease = old.lease if old and op.ignore_lease else op.lease
        state[op.key] = KeyValue(op.key, value, created, revision, version, lease)
        events.append(Event("put", state[op.key], old))
        return OpResponse((old,), 1) if old and op.prev_kv else OpResponse()

    def _delete(self, key: bytes, state: State, events: list[Event]) -> None:
        events.append(Event("delete", KeyValue(key, b"", 0, self.revision + 1, 0), state.pop(key)))

    def _grant(self, grant: LeaseGrant) -> object:
        lease = grant.lease
        while not lease or (not grant.lease and lease in self.leases):
            self.granted += 1
            lease = self.granted
        if lease in self.leases:
            return "LeaseExists"
        self.leases[lease] = grant.ttl_s
        return lease

    def _revoke(self, lease: int, state: State, events: list[Event]) -> object:
        if self.leases.pop(lease, None) is None:
            return "LeaseNotFound"
        for key in [key for key in sorted(state) if state[key].lease == lease]:
            self._delete(key, state, events)
        return "Done"

    def range(self, request: Range) -> object:
        revision = request.revision or self.revision
        if revision > self.revision:
            return "FutureRevision"
        if revision < self.compacted:
            return "Compacted"
        return RangeResponse(self.revision, *find(request, self.states[revision]))

    def events_from(self, revision: int, key: bytes, range_end: bytes) -> list[Event]:
        return [
            event
            for later in sorted(self.events)
            for event in self.events[later]
            if later >= revision and within(event.kv.key, key, range_end)
        ]


def within(candidate: bytes, key: bytes, range_end: bytes) -> bool:
    if range_end == b"":
        return candidate == key
    return candidate >= key and (range_end == b"\0" or candidate < range_end)


def find(request: Range, state: State) -> tuple[tuple[KeyValue, ...], int, bool]:
    keys = [key for key in sorted(state) if within(key, request.key, request.range_end)]
    if request.count_only:
        return (), len(keys), False
    kvs = [state[key] for key in keys]
    if request.min_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision >= request.min_mod_revision]
    if request.max_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision <= request.max_mod_revision]
    if request.min_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision >= request.min_create_revision]
    if request.max_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision <= request.max_create_revision]
    fields = {"key": "key", "version": "version", "create": "create_revision", "mod": "mod_revision", "value": "value"}
    if request.page_first and not bounded(request) and request.sort_by != "key" and request.limit > 0:
        kvs = kvs[: request.limit + 1]
    kvs.sort(key=lambda kv: getattr(kv, fields[request.sort_by]), reverse=request.descending)
    more = 0 < request.limit < len(kvs)
    if more:
        kvs = kvs[: request.limit]
    if request.keys_only:
        kvs = [KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease) for kv in kvs]
    return tuple(kvs), len(keys), more


def bounded(request: Range) -> bool:
    mod, create = (
        (request.min_mod_revision, request.max_mod_revision),
        (request.min_create_revision, request.max_create_revision),
    )
    return any((*mod, *create))


def txn_succeeds(txn: Txn, before: State) -> bool:
    return all(compare_holds(compare, before) for compare in txn.compare)


def taken_ops(txn: Txn, before: State) -> list[Op]:
    """The operations that will be carried out, in order, those of nested transactions in their place."""
    ops: list[Op] = []
    for op in txn.success if txn_succeeds(txn, before) else txn.failure:
        ops += taken_ops(op.txn, before) if op.txn is not None else [op]
    return ops


def compare_holds(compare: Compare, state: State) -> bool:
    found = [state[key] for key in state if within(key, compare.key, compare.range_end)]
    if not found and compare.target == "value":
        return False
    return all(relates(compare, kv) for kv in found or [KeyValue(compare.key, b"", 0, 0, 0, 0)])


def relates(compare: Compare, kv: KeyValue) -> bool:
    actual: object = {
        "version": kv.version,
        "create": kv.create_revision,
        "mod": kv.mod_revision,
        "value": kv.value,
        "lease": kv.lease,
    }[compare.target]
    expected: object = compare.value
    outcomes = {
        "=": actual == expected,
        "!=": actual != expected,
        ">": actual > expected,  # type: ignore[operator]
        "<": actual < expected,  # type: ignore[operator]
    }
    return bool(outcomes[compare.op])
