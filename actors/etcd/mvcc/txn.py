"""Transactions: whether one may be proposed at all, which branches it takes, and whether its comparisons hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.etcd.mvcc.keys import Keyspace
from actors.etcd.mvcc.span import Span
from protocols.etcd import (
    Compare,
    DuplicateKey,
    EmptyKey,
    InvalidCompare,
    KeyValue,
    LeaseProvided,
    Op,
    TooLarge,
    TooManyOps,
    Txn,
    ValueProvided,
)

SIZE_BYTES_MAX = 1_572_864  # etcd's --max-request-bytes
OPS_MAX = 128  # etcd's --max-txn-ops; it holds for each branch
DEPTH_MAX = 8  # of transactions in transactions; etcd's has no bound but that of the request's size


class Writes:
    """Keys and ranges that a branch would write, where nothing may be written twice."""

    def __init__(self) -> None:
        self.puts: dict[bytes, None] = {}
        self.deletes: list[Span] = []

    def put(self, key: bytes) -> None:
        if key in self.puts:
            raise DuplicateKey("duplicate key given in txn request")
        self.puts[key] = None

    def merge(self, other: Writes) -> None:
        """Of a nested transaction. One that deletes the same as another does no harm."""
        for key in other.puts:
            self.put(key)
        self.deletes += other.deletes

    def check(self) -> None:
        if self.deletes and any(span.holds(key) for span in self.deletes for key in self.puts):
            raise DuplicateKey("duplicate key given in txn request")


def validate_put(txn: Txn) -> int:
    """What `validate` does, for one that is one put and nothing else, as by far the most are; 0 if it is not."""
    success = txn.success
    if len(success) != 1 or success[0].kind != "put" or txn.failure or txn.compare:
        return 0
    size = _check_op(success[0])
    if size > SIZE_BYTES_MAX:
        raise _too_large(size)
    return size


def validate(txn: Txn) -> int:
    """Raises what the client did wrong. Runs before a transaction enters the log, so applying never has to refuse.
    Returns how many bytes of keys and values there are."""
    size = _check(txn, 1, OPS_MAX)
    if size > SIZE_BYTES_MAX:
        raise _too_large(size)
    return size


def _too_large(size: int) -> TooLarge:
    return TooLarge(f"the transaction has {size} bytes of keys and values, {SIZE_BYTES_MAX} are allowed")


def _check(txn: Txn, depth: int, ops_max: int) -> int:
    """Returns how many bytes of keys and values there are. What one within another may have, is what that leaves."""
    if depth > DEPTH_MAX:
        raise TooManyOps(f"transactions within transactions: at most {DEPTH_MAX}")
    most = max(len(txn.compare), len(txn.success), len(txn.failure))
    if most > ops_max:
        raise TooManyOps(f"too many operations in one transaction: at most {ops_max}, not {most}")
    size = sum([_check_compare(compare) for compare in txn.compare])
    for ops in (txn.success, txn.failure):
        for op in ops:
            size += _check(op.txn, depth + 1, ops_max - most) if op.txn is not None else _check_op(op)
    if depth == 1:
        for ops in (txn.success, txn.failure):
            _writes(ops)
    return size


def _check_compare(compare: Compare) -> int:
    if not compare.key:
        raise EmptyKey("key is not provided")
    if isinstance(compare.value, int) is (compare.target == "value"):
        kind = "bytes" if compare.target == "value" else "a number"
        raise InvalidCompare(f"a comparison of {compare.target} takes {kind}")
    return len(compare.key) + len(compare.range_end) + (len(compare.value) if compare.target == "value" else 8)  # type: ignore[arg-type]


def _check_op(op: Op) -> int:
    key = op.range.key if op.range is not None else op.key
    if op.kind == "txn" or (op.range is not None) > (op.kind == "range"):
        raise InvalidCompare(f"an operation of kind {op.kind} holds something else")
    if not key:
        raise EmptyKey("key is not provided")
    if op.ignore_value and op.value:
        raise ValueProvided("value is provided")
    if op.ignore_lease and op.lease:
        raise LeaseProvided("lease is provided")
    return len(key) + len(op.value) + len(op.range_end)


def _writes(ops: Sequence[Op]) -> Writes:
    """A key that is written twice would have two values in one revision. Of a nested transaction's branches, either
    may be taken, but not both: each is checked with what is around it."""
    writes = Writes()
    nested = [op.txn for op in ops if op.txn is not None]
    for op in ops:
        if op.kind == "put":
            writes.put(op.key)
        elif op.kind == "delete":
            writes.deletes.append(Span.of(op.key, op.range_end))
    writes.check()
    for txn in nested:
        success, failure = _writes(txn.success), _writes(txn.failure)
        either = Writes()
        either.puts = {**success.puts, **failure.puts}
        either.deletes = success.deletes + failure.deletes
        _check_apart(writes, either)
        writes.merge(either)
    return writes


def _check_apart(one: Writes, other: Writes) -> None:
    """That neither deletes what the other puts."""
    for puts, spans in ((one.puts, other.deletes), (other.puts, one.deletes)):
        if any(span.holds(key) for span in spans for key in puts):
            raise DuplicateKey("duplicate key given in txn request")


def leaves(ops: Sequence[Op]) -> Iterator[Op]:
    """The operations that are not transactions, of both branches of those that are."""
    for op in ops:
        if op.txn is None:
            yield op
        else:
            yield from leaves(op.txn.success)
            yield from leaves(op.txn.failure)


def read_only(txn: Txn) -> bool:
    for ops in (txn.success, txn.failure):
        for op in ops:
            if op.kind != "range" and (op.txn is None or not read_only(op.txn)):
                return False
    return True


Path = dict[int, bool]  # id of a transaction -> whether its comparisons hold


def path(txn: Txn, keyspace: Keyspace) -> Path:
    """Which branches are taken: all is decided before anything is done."""
    found = {id(txn): all(holds(compare, keyspace) for compare in txn.compare)}
    for op in taken(txn, found):
        if op.txn is not None:
            found.update(path(op.txn, keyspace))
    return found


def taken(txn: Txn, found: Path) -> tuple[Op, ...]:
    return txn.success if found[id(txn)] else txn.failure


def holds(compare: Compare, keyspace: Keyspace) -> bool:
    if not compare.range_end:
        return _holds(compare, keyspace.get(compare.key))
    keys = list(keyspace.keys(Span.of(compare.key, compare.range_end)))
    if not keys:
        return _holds(compare, None)
    return all(_holds(compare, keyspace.get(key)) for key in keys)


def _holds(compare: Compare, found: KeyValue | None) -> bool:
    """An absent key has version, revisions and lease 0, and no value to compare with."""
    if found is None and compare.target == "value":
        return False
    value = _actual(compare, found)
    match compare.op:
        case "=":
            return value == compare.value
        case "!=":
            return value != compare.value
        case ">":
            return value > compare.value  # type: ignore[operator]  # `validate` has seen that the types agree
        case "<":
            return value < compare.value  # type: ignore[operator]


def _actual(compare: Compare, found: KeyValue | None) -> int | bytes:
    if found is None:
        return 0
    match compare.target:
        case "mod":
            return found.mod_revision
        case "version":
            return found.version
        case "create":
            return found.create_revision
        case "lease":
            return found.lease
        case "value":
            return found.value
