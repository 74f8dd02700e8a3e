"""etcd's messages to the store's, and back: what each field means."""

from __future__ import annotations

from typing import Any

from actors.etcd.grpc.messages import message
from actors.etcd.grpc.status import Code, Refused
from protocols.etcd import Compare, Event, KeyValue, Op, OpResponse, Range, RangeResponse, Txn, TxnResponse

KEY_VALUE = message("mvccpb.KeyValue")
EVENT = message("mvccpb.Event")
RESPONSE_OP = message("etcdserverpb.ResponseOp")

SORT_TARGETS = ("key", "version", "create", "mod", "value")
NONE, DESCEND = 0, 2
TARGETS = ("version", "create", "mod", "value", "lease")
TARGET_FIELDS = ("version", "create_revision", "mod_revision", "value", "lease")
OPERATORS = ("=", ">", "<", "!=")
DEPTH_MAX = 16

# The most frequent parts of transactions are all that most clients ever send.


def key_value(kv: KeyValue) -> Any:
    return KEY_VALUE(
        key=kv.key,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=kv.value,
        lease=kv.lease,
    )


def event(event: Event) -> Any:
    prev_kv = key_value(event.prev_kv) if event.prev_kv is not None else None
    return EVENT(type=0 if event.type == "put" else 1, kv=key_value(event.kv), prev_kv=prev_kv)


def to_range(request: Any) -> Range:
    if not 0 <= request.sort_target < len(SORT_TARGETS) or not 0 <= request.sort_order <= DESCEND:
        raise Refused(Code.INVALID_ARGUMENT, "etcdserver: invalid sort option")
    return Range(
        request.key,
        request.range_end,
        max(request.limit, 0),
        request.revision,
        request.serializable,
        request.keys_only,
        request.count_only,
        SORT_TARGETS[request.sort_target],  # type: ignore[arg-type]
        request.sort_order == DESCEND,
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
        request.sort_order == NONE and request.sort_target != 0,
    )


def fill_range(response: Any, answer: RangeResponse | OpResponse) -> None:
    response.count = answer.count
    response.more = answer.more
    add = response.kvs.add
    for kv in answer.kvs:
        add(
            key=kv.key,
            create_revision=kv.create_revision,
            mod_revision=kv.mod_revision,
            version=kv.version,
            value=kv.value,
            lease=kv.lease,
        )


def put_op(request: Any) -> Op:
    return Op(
        "put",
        request.key,
        request.value,
        lease=request.lease,
        prev_kv=request.prev_kv,
        ignore_value=request.ignore_value,
        ignore_lease=request.ignore_lease,
    )


def delete_op(request: Any) -> Op:
    return Op("delete", request.key, range_end=request.range_end, prev_kv=request.prev_kv)


def to_txn(request: Any, depth: int = 1) -> Txn:
    if depth > DEPTH_MAX:
        raise Refused(Code.INVALID_ARGUMENT, "etcdserver: too many operations in txn request")
    return Txn(
        tuple([_compare(compare) for compare in request.compare]),
        tuple([_op(op, depth) for op in request.success]),
        tuple([_op(op, depth) for op in request.failure]),
    )


def _op(op: Any, depth: int) -> Op:
    match op.WhichOneof("is"):
        case "request_put":
            return put_op(op.request_put)
        case "request_range":
            asked = op.request_range
            return Op("range", asked.key, range=to_range(asked))
        case "request_delete_range":
            return delete_op(op.request_delete_range)
        case "request_txn":
            return Op("txn", txn=to_txn(op.request_txn, depth + 1))
        case _:
            raise Refused(Code.INVALID_ARGUMENT, "etcdserver: key not found")


def _compare(compare: Any) -> Compare:
    """A value that is not given is 0 or empty, as etcd reads it; one of another kind does not fit."""
    if not 0 <= compare.target < len(TARGETS) or not 0 <= compare.result < len(OPERATORS):
        raise Refused(Code.INVALID_ARGUMENT, "etcdserver: invalid comparison in txn request")
    value = getattr(compare, TARGET_FIELDS[compare.target])
    return Compare(compare.key, TARGETS[compare.target], OPERATORS[compare.result], value, compare.range_end)  # type: ignore[arg-type]


def fill_txn(response: Any, txn: Txn, answer: TxnResponse) -> None:
    response.succeeded = answer.succeeded
    ops = txn.success if answer.succeeded else txn.failure
    before = answer.revision - any(map(_has_written, ops, answer.responses))
    _fill_ops(response, ops, answer, before, answer.revision)


def _has_written(op: Op, answer: OpResponse) -> bool:
    if op.kind == "txn":
        assert op.txn is not None and answer.txn is not None
        ops = op.txn.success if answer.txn.succeeded else op.txn.failure
        return any(map(_has_written, ops, answer.txn.responses))
    return op.kind == "put" or (op.kind == "delete" and answer.count > 0)


def _fill_ops(response: Any, ops: tuple[Op, ...], answer: TxnResponse, before: int, after: int) -> None:
    """Each part says the revision that it has seen: `before` up to the transaction's first write, then `after`."""
    revision = before
    for op, part in zip(ops, answer.responses, strict=True):
        has_written = _has_written(op, part)
        _fill_op(response.responses.add(), op, part, revision, after if has_written else revision)
        if has_written:
            revision = after


def _fill_op(response: Any, op: Op, answer: OpResponse, before: int, after: int) -> None:
    match op.kind:
        case "put":
            response.response_put.header.revision = after
            if answer.kvs:
                response.response_put.prev_kv.CopyFrom(key_value(answer.kvs[0]))
        case "range":
            response.response_range.header.revision = before
            fill_range(response.response_range, answer)
        case "delete":
            response.response_delete_range.header.revision = after
            fill_deleted(response.response_delete_range, answer)
        case "txn":
            assert op.txn is not None and answer.txn is not None
            found = response.response_txn
            found.header.SetInParent()  # which says nothing, as etcd's
            found.succeeded = answer.txn.succeeded
            _fill_ops(found, op.txn.success if found.succeeded else op.txn.failure, answer.txn, before, after)


def fill_deleted(response: Any, answer: OpResponse) -> None:
    response.deleted = answer.count
    response.prev_kvs.extend([key_value(kv) for kv in answer.kvs])
