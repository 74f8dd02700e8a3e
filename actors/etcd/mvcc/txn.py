"""Transactions: whether one may be proposed at all, and whether its comparisons hold."""

from __future__ import annotations

from collections.abc import Sequence

from actors.etcd.mvcc.span import Span
from protocols.errors import BadRequest
from protocols.etcd import Compare, KeyValue, Op, TooLarge, Txn

SIZE_BYTES_MAX = 1_572_864  # etcd's --max-request-bytes
OPS_MAX = 128  # etcd's --max-txn-ops


def validate(txn: Txn) -> None:
    """Raises what the client did wrong. Runs before a transaction enters the log, so applying never has to refuse."""
    size = _check_ops(txn.success) + (_check_ops(txn.failure) if txn.failure else 0)
    if size > SIZE_BYTES_MAX:
        raise TooLarge(f"the transaction has {size} bytes of keys and values, {SIZE_BYTES_MAX} are allowed")
    if len(txn.compare) > OPS_MAX:
        raise BadRequest(f"too many comparisons in one transaction: at most {OPS_MAX}")
    for compare in txn.compare:
        if not compare.key:
            raise BadRequest("key is not provided")
        if isinstance(compare.value, int) is (compare.target == "value"):
            raise BadRequest(f"a comparison of {compare.target} takes {_value_kind(compare)}")


def _check_ops(ops: Sequence[Op]) -> int:
    """Returns how many bytes of keys and values there are."""
    if len(ops) > 1:
        _check_overlaps(ops)
    size = 0
    for op in ops:
        if not op.key:
            raise BadRequest("key is not provided")
        size += len(op.key) + len(op.value) + len(op.range_end)
    return size


def read_only(txn: Txn) -> bool:
    return all(op.kind == "range" for op in (*txn.success, *txn.failure))


def holds(compare: Compare, found: KeyValue | None) -> bool:
    """An absent key has empty value, and version, revisions and lease 0."""
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
        return b"" if compare.target == "value" else 0
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


def _value_kind(compare: Compare) -> str:
    return "bytes" if compare.target == "value" else "a number"


def _check_overlaps(ops: Sequence[Op]) -> None:
    """A key that is written twice would have two values in one revision."""
    if len(ops) > OPS_MAX:
        raise BadRequest(f"too many operations in one transaction: at most {OPS_MAX}")
    puts = [op.key for op in ops if op.kind == "put"]
    spans = [Span.of(op.key, op.range_end) for op in ops if op.kind == "delete"]
    if len(dict.fromkeys(puts)) < len(puts) or any(span.holds(key) for span in spans for key in puts):
        raise BadRequest("duplicate key given in txn request")
