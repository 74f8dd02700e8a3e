"""The store's messages to etcd's, and back: the other direction of grpc/convert.py."""

from __future__ import annotations

from typing import Any

from actors.etcd.grpc.convert import OPERATORS, SORT_TARGETS, TARGET_FIELDS, TARGETS
from actors.etcd.grpc.messages import message
from protocols.etcd import (
    Compare,
    Event,
    KeyValue,
    Op,
    OpResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
    WatchKeys,
    WatchResponse,
)

RANGE = message("etcdserverpb.RangeRequest")
TXN = message("etcdserverpb.TxnRequest")
WATCH = message("etcdserverpb.WatchRequest")
NO_PUT, NO_DELETE = 0, 1
ASCEND, DESCEND = 1, 2
PUT_EVENT = 0


def from_range(asked: Range) -> Any:
    request = RANGE()
    _fill_range(request, asked)
    return request


def _fill_range(request: Any, asked: Range) -> None:
    request.key, request.range_end = asked.key, asked.range_end
    request.limit, request.revision = asked.limit, asked.revision
    request.serializable = asked.serializable
    request.keys_only, request.count_only = asked.keys_only, asked.count_only
    if asked.descending or asked.sort_by != "key":
        request.sort_order = DESCEND if asked.descending else ASCEND
    request.sort_target = SORT_TARGETS.index(asked.sort_by)
    request.min_mod_revision, request.max_mod_revision = asked.min_mod_revision, asked.max_mod_revision
    request.min_create_revision, request.max_create_revision = asked.min_create_revision, asked.max_create_revision


def from_txn(asked: Txn) -> Any:
    request = TXN()
    _fill_txn(request, asked)
    return request


def _fill_txn(request: Any, asked: Txn) -> None:
    for compare in asked.compare:
        _fill_compare(request.compare.add(), compare)
    for op in asked.success:
        _fill_op(request.success.add(), op)
    for op in asked.failure:
        _fill_op(request.failure.add(), op)


def _fill_compare(part: Any, compare: Compare) -> None:
    target = TARGETS.index(compare.target)
    part.key, part.range_end = compare.key, compare.range_end
    part.target, part.result = target, OPERATORS.index(compare.op)
    setattr(part, TARGET_FIELDS[target], compare.value)


def _fill_op(part: Any, op: Op) -> None:
    match op.kind:
        case "put":
            put = part.request_put
            put.SetInParent()
            put.key, put.value, put.lease, put.prev_kv = op.key, op.value, op.lease, op.prev_kv
            put.ignore_value, put.ignore_lease = op.ignore_value, op.ignore_lease
        case "delete":
            delete = part.request_delete_range
            delete.SetInParent()
            delete.key, delete.range_end, delete.prev_kv = op.key, op.range_end, op.prev_kv
        case "range":
            asked = op.range or Range(op.key, op.range_end, op.limit)
            part.request_range.SetInParent()
            _fill_range(part.request_range, asked)
        case "txn":
            assert op.txn is not None
            part.request_txn.SetInParent()
            _fill_txn(part.request_txn, op.txn)


def from_watch(keys: WatchKeys) -> Any:
    """Large revisions are wanted in parts, whether or not the reader wants them so: that bounds one message."""
    request = WATCH()
    create = request.create_request
    create.key, create.range_end = keys.key, keys.range_end
    create.start_revision = keys.start_revision
    create.prev_kv, create.progress_notify, create.fragment = keys.prev_kv, keys.progress_notify, True
    create.filters.extend(
        [number for number, unwanted in ((NO_PUT, keys.no_put), (NO_DELETE, keys.no_delete)) if unwanted]
    )
    return request


def key_value(kv: Any) -> KeyValue:
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def to_range(response: Any) -> RangeResponse:
    kvs = tuple([key_value(kv) for kv in response.kvs])
    return RangeResponse(response.header.revision, kvs, response.count, response.more)


def to_txn(response: Any) -> TxnResponse:
    return TxnResponse(
        response.succeeded, response.header.revision, tuple([_to_op(part) for part in response.responses])
    )


def _to_op(part: Any) -> OpResponse:
    match part.WhichOneof("is"):
        case "response_put":
            put = part.response_put
            return OpResponse((key_value(put.prev_kv),) if put.HasField("prev_kv") else ())
        case "response_delete_range":
            deleted = part.response_delete_range
            return OpResponse(tuple([key_value(kv) for kv in deleted.prev_kvs]), deleted.deleted)
        case "response_txn":
            return OpResponse(txn=to_txn(part.response_txn))
        case _:
            found = part.response_range
            return OpResponse(tuple([key_value(kv) for kv in found.kvs]), found.count, found.more)


def to_watch(response: Any) -> WatchResponse:
    """etcd's `header.revision` is the store's when it answered: of what has been handed over, the events tell."""
    events = tuple([_to_event(event) for event in response.events])
    if not events:
        return WatchResponse(response.header.revision)
    last = events[-1].kv.mod_revision
    return WatchResponse(last - response.fragment, events, response.fragment)


def _to_event(event: Any) -> Event:
    previous = key_value(event.prev_kv) if event.HasField("prev_kv") else None
    return Event("put" if event.type == PUT_EVENT else "delete", key_value(event.kv), previous)
