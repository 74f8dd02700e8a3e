"""v3electionpb.Election: Campaign, Proclaim, Leader, Observe (a stream), Resign. Who leads is the oldest key below the
election's name; its value is what the leader says."""

from __future__ import annotations

from typing import Any

from actors.etcd.grpc import convert
from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.status import Code, Refused
from actors.etcd.grpc.turns import Caller, Turns, end_of, first_of
from protocols.etcd import KeyValue

NOT_LEADER = Refused(Code.UNKNOWN, "election: not leader")
NO_LEADER = Refused(Code.UNKNOWN, "election: no leader")
LEADER_IS_MISSING = Refused(Code.UNKNOWN, '"leader" field must be provided')


class Elections:
    """`streams`: those of who observes, for whoever notices that nobody leads the store."""

    def __init__(self, turns: Turns, header: Header, streams: dict[Call, None]) -> None:
        self._turns = turns
        self._header = header
        self._streams = streams

    def methods(self) -> dict[bytes, Method]:
        def request(name: str) -> Any:
            return message(f"v3electionpb.{name}Request")

        return {
            b"/v3electionpb.Election/Campaign": Method(request("Campaign"), plain=self.campaign),
            b"/v3electionpb.Election/Proclaim": Method(request("Proclaim"), plain=self.proclaim),
            b"/v3electionpb.Election/Leader": Method(request("Leader"), plain=self.leader),
            b"/v3electionpb.Election/Observe": Method(request("Leader"), stream=self.observe),
            b"/v3electionpb.Election/Resign": Method(request("Resign"), plain=self.resign),
        }

    async def campaign(self, request: Any, call: Call) -> Any:
        """Unlike etcd it does not say that somebody leads whose lease ended in the meantime."""
        caller = self._turns.of(call)
        place = await caller.place(request.name, request.lease, request.value)
        if place.value != request.value:
            done = await caller.put(place.key, place.created, place.lease, request.value)
            if not done.succeeded:
                raise NOT_LEADER
        await caller.turn(place, NOT_LEADER)
        leader = {"name": request.name, "key": place.key, "rev": place.created, "lease": place.lease}
        return self.response("Campaign", place.revision, leader=leader)

    async def proclaim(self, request: Any, call: Call) -> Any:
        if not request.HasField("leader"):
            raise LEADER_IS_MISSING
        leader = request.leader
        done = await self._turns.of(call).put(leader.key, leader.rev, leader.lease, request.value)
        if not done.succeeded:
            raise NOT_LEADER
        return self.response("Proclaim", done.revision)

    async def leader(self, request: Any, call: Call) -> Any:
        found = await self._turns.of(call).asked(first_of(request.name + b"/"))
        if not found.kvs:
            raise NO_LEADER
        return self.response("Leader", found.revision, kv=convert.key_value(found.kvs[0]))

    async def resign(self, request: Any, call: Call) -> Any:
        """Whoever does not lead has nothing to resign from."""
        if not request.HasField("leader"):
            raise LEADER_IS_MISSING
        done = await self._turns.of(call).leave(request.leader.key, request.leader.rev)
        return self.response("Resign", done.revision)

    async def observe(self, call: Call) -> None:
        """What each leader says, in order, and always the latest; not all that was said between."""
        request = await call.next()
        if request is None:
            raise Refused(Code.INTERNAL, "the call ends before its request does")
        self._streams[call] = None
        try:
            await Observer(self, self._turns.of(call), call, request.name + b"/").run()
        finally:
            self._streams.pop(call, None)

    def response(self, name: str, revision: int, **fields: Any) -> Any:
        response = message(f"v3electionpb.{name}Response")(**fields)
        self._header.fill(response.header, revision)
        return response


class Observer:
    def __init__(self, elections: Elections, caller: Caller, call: Call, prefix: bytes) -> None:
        self._elections = elections
        self._caller = caller
        self._call = call
        self._prefix = prefix
        self._told = (b"", 0)  # whose value, and of which revision

    async def run(self) -> None:
        while True:
            found = await self._caller.asked(first_of(self._prefix))
            if not found.kvs:
                await self._begins(found.revision)
                continue
            await self._tell(found.kvs[0], found.revision)
            await self._follow(found.kvs[0].key, found.revision)

    async def _begins(self, revision: int) -> None:
        """Returns when somebody may lead."""
        keys = self._caller.watch_keys(self._prefix, end_of(self._prefix), revision + 1)
        async with self._caller.watching(keys) as stream:
            async for response in stream:
                if response.events:
                    return

    async def _follow(self, leader: bytes, revision: int) -> None:
        """Returns when it leads no more, or when it is time to look."""
        async with self._caller.watching(self._caller.watch_keys(leader, b"", revision + 1)) as stream:
            async for response in stream:
                for event in response.events:
                    if event.type == "delete":
                        return
                    await self._tell(event.kv, response.revision)

    async def _tell(self, kv: KeyValue, revision: int) -> None:
        if (said := (kv.key, kv.mod_revision)) != self._told:
            self._told = said
            await self._call.room()
            self._call.send(self._elections.response("Leader", revision, kv=convert.key_value(kv)))
