"""v3lockpb.Lock: Lock, Unlock. A lock is held by the key that Lock returns, for as long as that is there."""

from __future__ import annotations

from typing import Any

from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.status import Code, Refused
from actors.etcd.grpc.turns import Turns
from protocols.etcd import Op, Txn

LOCK = message("v3lockpb.LockResponse")
UNLOCK = message("v3lockpb.UnlockResponse")
EXPIRED = Refused(Code.UNKNOWN, "mutex: session is expired")


class Locks:
    def __init__(self, turns: Turns, header: Header) -> None:
        self._turns = turns
        self._header = header

    def methods(self) -> dict[bytes, Method]:
        return {
            b"/v3lockpb.Lock/Lock": Method(message("v3lockpb.LockRequest"), plain=self.lock),
            b"/v3lockpb.Lock/Unlock": Method(message("v3lockpb.UnlockRequest"), plain=self.unlock),
        }

    async def lock(self, request: Any, call: Call) -> Any:
        caller = self._turns.of(call)
        place = await caller.place(request.name, request.lease)
        revision = await caller.turn(place, EXPIRED)
        response = LOCK(key=place.key)
        self._header.fill(response.header, revision)
        return response

    async def unlock(self, request: Any, call: Call) -> Any:
        done = await self._turns.of(call).asked(Txn((), (Op("delete", request.key),)))
        response = UNLOCK()
        self._header.fill(response.header, done.revision)
        return response
