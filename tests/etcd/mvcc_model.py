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
    compacted: int = 0
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
                succeeded = all(compare_holds(compare, state.get(compare.key)) for compare in command.compare)
                ops = command.success if succeeded else command.failure
                if any(op.lease and op.lease not in self.leases for op in ops):
                    return "LeaseNotFound"
                return TxnResponse(succeeded, 0, tuple(self._op(op, state, events) for op in ops))
            case LeaseGrant():
                return self._grant(command)
            case LeaseRevoke():
                return self._revoke(command.lease, state, events)
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

    def _op(self, op: Op, state: State, events: list[Event]) -> OpResponse:
        keys = [key for key in sorted(state) if within(key, op.key, op.range_end)]
        found = tuple(state[key] for key in keys)
        if op.kind == "range":
            return OpResponse(found[: op.limit or None], len(found))
        if op.kind == "delete":
            for key in keys:
                self._delete(key, state, events)
            return OpResponse(found, len(found))
        old = state.get(op.key)
        revision = self.revision + 1
        created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
        state[op.key] = KeyValue(op.key, op.value, created, revision, version, op.lease)
        events.append(Event("put", state[op.key], old))
        return OpResponse((old,), 1) if old else OpResponse()

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
        state = self.states[revision]
        found = [state[key] for key in sorted(state) if within(key, request.key, request.range_end)]
        shown = [] if request.count_only else found[: request.limit or None]
        if request.keys_only:
            shown = [KeyValue(k.key, b"", k.create_revision, k.mod_revision, k.version, k.lease) for k in shown]
        more = not request.count_only and len(found) > len(shown)
        return RangeResponse(self.revision, tuple(shown), len(found), more)

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


def compare_holds(compare: Compare, kv: KeyValue | None) -> bool:
    kv = kv or KeyValue(compare.key, b"", 0, 0, 0, 0)
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
