"""The replica set as its door sees it: what is asked again, and what is not."""

from __future__ import annotations

import asyncio

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.etcd.commands import as_user
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Refused
from protocols.etcd import Op, Range, RangeResponse, Txn
from protocols.etcd_auth import AsUser, AuthTable, GetAuth
from protocols.message import Message

ANSWER = RangeResponse((), 0, 7)
READ, WRITE = Range(b"a"), Txn((), (Op("put", b"a"),))


class Dies(Actor):
    """At the first question: whoever asked cannot know what became of it."""

    def __init__(self, asked: list[Message]) -> None:
        self._asked = asked

    def receive(self, message: Message) -> RangeResponse | AuthTable:
        self._asked.append(message)
        if len(self._asked) == 1:
            raise RuntimeError("it dies")
        return AuthTable() if isinstance(message, GetAuth) else ANSWER


class Asks(Actor):
    """A replica set's door, as far as asking goes."""

    async def on_start(self) -> None:
        self.replica = Replica(self.ctx, "etcd-0/etcd")


@pytest.mark.parametrize(
    ("request_", "times"),
    [(READ, 2), (GetAuth(), 2), (as_user("bob", READ), 2), (WRITE, 1), (as_user("bob", WRITE), 1)],
)
async def test_what_only_reads_is_asked_again_when_its_replica_dies(
    request_: Range | Txn | AsUser | GetAuth, times: int
) -> None:
    system = System("etcd-0", LocalNetwork().transport(), log=Quiet())
    await system.start()
    asked: list[Message] = []
    door = Asks()
    system.spawn(lambda: Dies(asked), "etcd")
    system.spawn(lambda: door, "door")
    await asyncio.sleep(0)

    try:
        outcome = await asyncio.gather(door.replica.asked(request_, 5.0), return_exceptions=True)
    finally:
        await system.stop()

    assert len(asked) == times
    assert isinstance(outcome[0], Refused) == (times == 1)
