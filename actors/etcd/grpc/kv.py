"""etcdserverpb.KV: Range, Put, DeleteRange, Txn, Compact."""

from __future__ import annotations

from typing import Any

from actors.etcd.grpc import convert
from actors.etcd.grpc.access import Access
from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused
from protocols.etcd import Compact, EmptyKey, RangeResponse, Txn, TxnResponse

PUT = message("etcdserverpb.PutResponse")
RANGE = message("etcdserverpb.RangeResponse")
DELETE = message("etcdserverpb.DeleteRangeResponse")
TXN = message("etcdserverpb.TxnResponse")
COMPACTION = message("etcdserverpb.CompactionResponse")
NO_KEY = Refused(Code[EmptyKey.grpc_code], EmptyKey.etcd_text)  # said before it is asked who asks, as etcd does


class Kv:
    def __init__(self, replica: Replica, header: Header, access: Access) -> None:
        self._replica = replica
        self._header = header
        self._guard = access.guard

    def methods(self) -> dict[bytes, Method]:
        return {
            b"/etcdserverpb.KV/Put": Method(message("etcdserverpb.PutRequest"), self.put),
            b"/etcdserverpb.KV/Range": Method(message("etcdserverpb.RangeRequest"), self.range),
            b"/etcdserverpb.KV/DeleteRange": Method(message("etcdserverpb.DeleteRangeRequest"), self.delete_range),
            b"/etcdserverpb.KV/Txn": Method(message("etcdserverpb.TxnRequest"), self.txn),
            b"/etcdserverpb.KV/Compact": Method(message("etcdserverpb.CompactionRequest"), self.compact),
        }

    def put(self, request: Any, call: Call) -> None:
        def then(answer: TxnResponse) -> None:
            response = PUT()
            self._header.fill(response.header, answer.revision)
            if answer.responses[0].kvs:
                response.prev_kv.CopyFrom(convert.key_value(answer.responses[0].kvs[0]))
            call.reply(response)

        if not request.key:
            raise NO_KEY
        self._replica.ask(self._guard(Txn((), (convert.put_op(request),)), call), then, call.fail, call.timeout_s)

    def range(self, request: Any, call: Call) -> None:
        def then(answer: RangeResponse) -> None:
            response = RANGE()
            self._header.fill(response.header, answer.revision)
            convert.fill_range(response, answer)
            call.reply(response)

        asked = convert.to_range(request)
        if not asked.key:
            raise NO_KEY
        if asked.serializable:
            self._replica.ask_here(self._guard(asked, call), then, call.fail, call.timeout_s)
        else:
            self._replica.ask(self._guard(asked, call), then, call.fail, call.timeout_s)

    def delete_range(self, request: Any, call: Call) -> None:
        def then(answer: TxnResponse) -> None:
            response = DELETE()
            self._header.fill(response.header, answer.revision)
            convert.fill_deleted(response, answer.responses[0])
            call.reply(response)

        if not request.key:
            raise NO_KEY
        self._replica.ask(self._guard(Txn((), (convert.delete_op(request),)), call), then, call.fail, call.timeout_s)

    def txn(self, request: Any, call: Call) -> None:
        txn = convert.to_txn(request)

        def then(answer: TxnResponse) -> None:
            response = TXN()
            self._header.fill(response.header, answer.revision)
            convert.fill_txn(response, txn, answer)
            call.reply(response)

        self._replica.ask(self._guard(txn, call), then, call.fail, call.timeout_s)

    def compact(self, request: Any, call: Call) -> None:
        def then(_: object) -> None:
            response = COMPACTION()
            self._header.fill(response.header)
            call.reply(response)

        asked = Compact(request.revision, request.physical)
        self._replica.ask(self._guard(asked, call), then, call.fail, call.timeout_s)
