"""What clients of a key-value store saw, and whether one order of events explains it.

The store numbers its changes by revision, so the order is given: what was acknowledged must fit it. Checked are
  real time   an operation that began after another had ended has a later revision (a read: at least as late)
  durability  each acknowledged write is in the store's own log of events, once, at its revision, with its value
  honesty     nothing is in the log that nobody wrote; a write of unknown outcome is there at most once
  reads       a read at a revision returns the last value written up to it
  swaps       nothing came between what a swap expected and what it wrote
and, knowing nothing of revisions, whether any order explains what was seen (actorkube.testing.linearizability).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from actorkube.testing import linearizability
from actorkube.testing.linearizability import UNKNOWN, Read, Swap, Write
from protocols.etcd import Event, KeyValue

Kind: TypeAlias = Literal["put", "read", "swap"]
Outcome: TypeAlias = Literal["running", "done", "refused", "unknown"]


@dataclass
class Operation:
    kind: Kind
    key: bytes
    began: float
    value: bytes = b""
    ended: float = 0.0
    outcome: Outcome = "running"
    revision: int = 0
    seen: KeyValue | None = None  # by a read
    expected: int = 0  # a swap: the key's revision before it


@dataclass
class KvHistory:
    operations: list[Operation] = field(default_factory=list)

    def begin(self, operation: Operation) -> Operation:
        self.operations.append(operation)
        return operation

    def done(self) -> list[Operation]:
        return [operation for operation in self.operations if operation.outcome == "done"]

    def check(self, events: list[Event]) -> None:
        """`events` is everything that the store says has happened, from its first revision on."""
        self._check_real_time()
        self._check_writes(events)
        self._check_reads(events)
        self._check_swaps(events)
        linearizability.check(self.registers({event.kv.value for event in events}))

    def registers(self, written: Collection[bytes]) -> list[linearizability.Operation]:
        """What was seen, as operations on values. What has no outcome is left out, unless the log says that it has
        happened: each that may have happened or not doubles the orders to be tried."""
        values = {operation.revision: operation.value for operation in self.done() if operation.kind != "read"}
        return [
            _on_register(each, values) for each in self.operations if each.outcome == "done" or each.value in written
        ]

    def _check_real_time(self) -> None:
        done = sorted(self.done(), key=lambda operation: operation.began)
        ended = sorted(done, key=lambda operation: operation.ended)
        newest, finished = 0, 0
        for operation in done:
            while finished < len(ended) and ended[finished].ended < operation.began:
                newest = max(newest, ended[finished].revision)
                finished += 1
            is_write = operation.kind != "read"
            assert operation.revision >= newest + is_write, f"after revision {newest} was acknowledged: {operation}"

    def _check_writes(self, events: list[Event]) -> None:
        revisions = [event.kv.mod_revision for event in events]
        assert revisions == sorted(set(revisions)), "the log's revisions do not grow"
        logged = {event.kv.value: event.kv for event in events}
        assert len(logged) == len(events), "a value was written twice"
        written = {o.value: o for o in self.operations if o.kind != "read"}
        for value, kv in logged.items():
            operation = written.get(value)
            assert operation is not None, f"nobody wrote {kv}"
            assert operation.outcome != "refused", f"refused, but it happened: {operation}"
        for operation in self.done():
            if operation.kind != "read":
                found = logged.get(operation.value)
                assert found is not None, f"lost: {operation}"
                assert (found.key, found.mod_revision) == (operation.key, operation.revision), f"{operation}, {found}"

    def _check_reads(self, events: list[Event]) -> None:
        for read in self.done():
            if read.kind == "read":
                last = _last(events, read.key, read.revision)
                expected = (last.value, last.mod_revision) if last is not None else None
                found = (read.seen.value, read.seen.mod_revision) if read.seen is not None else None
                assert found == expected, f"{read} should have seen {expected}"

    def _check_swaps(self, events: list[Event]) -> None:
        swaps = {operation.value: operation for operation in self.operations if operation.kind == "swap"}
        for event in events:
            if swap := swaps.get(event.kv.value):
                before = _last(events, swap.key, event.kv.mod_revision - 1)
                assert swap.expected == (before.mod_revision if before is not None else 0), (
                    f"{swap} came after {before}"
                )


def _on_register(operation: Operation, values: dict[int, bytes]) -> linearizability.Operation:
    done = operation.outcome == "done"
    ended = operation.ended if done else math.inf
    match operation.kind:
        case "read":
            seen = operation.seen.value if operation.seen is not None else None
            action: Read | Write | Swap = Read()
            result: object = seen
        case "put":
            action, result = Write(operation.value), None
        case "swap":
            action, result = Swap(values.get(operation.expected), operation.value), True
    return linearizability.Operation(operation.key, action, operation.began, ended, result if done else UNKNOWN)


def _last(events: list[Event], key: bytes, upto: int) -> KeyValue | None:
    return next((e.kv for e in reversed(events) if e.kv.key == key and e.kv.mod_revision <= upto), None)
