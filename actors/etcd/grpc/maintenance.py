"""etcdserverpb.Maintenance, and gRPC's own health service: what operators ask."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from actorkube.runtime import Context
from actors.etcd.grpc.access import Access
from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.cluster import name_of
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused
from actors.etcd.snapshot import BLOCK_BYTES
from protocols.etcd_maintenance import Alarm, Alarms, CopyStore, DisarmAlarm, HashKv, ListAlarms, RaiseAlarm
from protocols.etcd_members import MemberList, MoveLeader, member_id

VERSION = "3.6.0"  # of the API: clients ask for it before they use what is new
GET, ACTIVATE, DEACTIVATE = 0, 1, 2
ALARMS = ("", "NOSPACE", "CORRUPT")
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
CANCEL = 2
DOWNGRADE_INFO = message("etcdserverpb.DowngradeInfo")
NO_DOWNGRADE = Refused(Code.FAILED_PRECONDITION, "etcdserver: no inflight downgrade job")
BAD_TRANSFEREE = Refused(Code.FAILED_PRECONDITION, "etcdserver: bad leader transferee")
BAD_TARGET = Refused(Code.INVALID_ARGUMENT, "etcdserver: invalid downgrade target version")


class Maintenance:
    def __init__(self, ctx: Context, replica: Replica, header: Header, access: Access) -> None:
        self._ctx = ctx
        self._replica = replica
        self._header = header
        self._access = access

    def methods(self) -> dict[bytes, Method]:
        def method(name: str, plain: Any) -> Method:
            return Method(message(f"etcdserverpb.{name}Request"), plain=plain)

        health = message("grpc.health.v1.HealthCheckRequest")
        return {
            b"/etcdserverpb.Maintenance/Status": method("Status", self.status),
            b"/etcdserverpb.Maintenance/Alarm": method("Alarm", self.alarm),
            b"/etcdserverpb.Maintenance/Defragment": method("Defragment", self.defragment),
            b"/etcdserverpb.Maintenance/Hash": method("Hash", self.hash),
            b"/etcdserverpb.Maintenance/HashKV": method("HashKV", self.hash_kv),
            b"/etcdserverpb.Maintenance/MoveLeader": method("MoveLeader", self.move_leader),
            b"/etcdserverpb.Maintenance/Snapshot": Method(
                message("etcdserverpb.SnapshotRequest"), stream=self.snapshot
            ),
            b"/etcdserverpb.Maintenance/Downgrade": method("Downgrade", self.downgrade),
            b"/grpc.health.v1.Health/Check": Method(health, plain=self.check),
            b"/grpc.health.v1.Health/Watch": Method(health, stream=self.watch_health),
        }

    # -- maintenance ----------------------------------------------------------------------------------------------

    async def status(self, _: Any, call: Call) -> Any:
        status = await self._replica.status()
        leader = status.leader.partition("/")[0]
        errors = status.errors or (() if leader else ("etcdserver: no leader",))
        response = self._response(
            "Status",
            version=VERSION,
            dbSize=status.db_bytes,
            dbSizeInUse=status.in_use_bytes,
            leader=member_id(leader) if leader else 0,
            raftIndex=status.last_index or status.commit_index,
            raftTerm=status.term,
            raftAppliedIndex=status.applied_index,
            errors=errors,
            isLearner=status.learner,
            storageVersion=VERSION,
            dbSizeQuota=status.quota_bytes,
            downgradeInfo=DOWNGRADE_INFO(),
        )
        self._header.fill(response.header, status.revision)
        return response

    async def alarm(self, request: Any, call: Call) -> Any:
        if request.action == GET:
            self._access.user(call)  # who must be somebody
        else:
            await self._access.require_root(call)
        if not GET <= request.action <= DEACTIVATE or not 0 <= request.alarm < len(ALARMS):
            raise Refused(Code.INVALID_ARGUMENT, "etcdserver: unknown alarm")
        kind = ALARMS[request.alarm]
        if request.action == GET:  # of all members, whichever is named
            listed = await self._replica.asked(ListAlarms(), call.timeout_s)
            alarms = tuple(one for one in listed.alarms if kind in ("", one.kind))
        elif request.action == ACTIVATE:
            alarms = await self._raise_alarm(request.memberID, kind, call)
        else:
            alarms = await self._disarm(request.memberID, kind, call)
        response = self._response("Alarm")
        for one in alarms:
            response.alarms.add(memberID=member_id(one.member), alarm=ALARMS.index(one.kind))
        return response

    async def _raise_alarm(self, number: int, kind: str, call: Call) -> tuple[Alarm, ...]:
        if not (kind and number):
            raise Refused(Code.INVALID_ARGUMENT, "etcdserver: an alarm is somebody's, and of a kind")
        name = name_of(number, await self._replica.asked(MemberList(), call.timeout_s))
        raised: Alarms = await self._replica.asked(RaiseAlarm(Alarm(name, kind)), call.timeout_s)  # type: ignore[arg-type]
        return raised.alarms

    async def _disarm(self, number: int, kind: str, call: Call) -> tuple[Alarm, ...]:
        """Also that of a member that was removed since; 0: all there are, as etcd's own messages say."""
        listed = await self._replica.asked(ListAlarms(), call.timeout_s)
        names = {one.member for one in listed.alarms if number == member_id(one.member)} if number else {""}
        ended = [await self._replica.asked(DisarmAlarm(name, kind), call.timeout_s) for name in names]  # type: ignore[arg-type]
        return tuple(alarm for answer in ended for alarm in answer.alarms)

    async def defragment(self, _: Any, call: Call) -> Any:
        """Nothing is ever in pieces here."""
        await self._access.require_root(call)
        return self._response("Defragment")

    async def hash(self, _: Any, call: Call) -> Any:
        await self._access.require_root(call)
        found = await self._ctx.ask(self._replica.local, HashKv(), call.timeout_s)
        return self._response("Hash", hash=found.hash & 0xFFFFFFFF)

    async def hash_kv(self, request: Any, call: Call) -> Any:
        await self._access.require_root(call)
        found = await self._ctx.ask(self._replica.local, HashKv(max(0, request.revision)), call.timeout_s)
        numbers = {"compact_revision": found.compact_revision, "hash_revision": found.hash_revision}
        return self._response("HashKV", hash=found.hash & 0xFFFFFFFF, **numbers)

    async def move_leader(self, request: Any, call: Call) -> Any:
        await self._access.require_root(call)
        members = await self._replica.asked(MemberList(), call.timeout_s)
        voters = {member.id: member.name for member in members.members if not member.learner}
        if request.targetID not in voters:
            raise BAD_TRANSFEREE
        await self._replica.asked(MoveLeader(voters[request.targetID]), call.timeout_s)
        return self._response("MoveLeader")

    async def snapshot(self, call: Call) -> None:
        """The copy, filled up to whole blocks, and its SHA-256: what etcdctl looks for at the end of a file."""
        if await call.next() is None:
            raise Refused(Code.INTERNAL, "the call ends before its request does")
        await self._access.require_root(call)
        digest, size = hashlib.sha256(), 0
        async with self._ctx.stream(self._replica.local, CopyStore(), 4) as pieces:
            async for piece in pieces:
                await call.room()
                digest.update(piece.data)
                size += len(piece.data)
                call.send(
                    self._response("Snapshot", blob=piece.data, remaining_bytes=int(not piece.last), version=VERSION)
                )
        filling = bytes(-size % BLOCK_BYTES)
        digest.update(filling)
        call.send(self._response("Snapshot", blob=filling + digest.digest(), version=VERSION))

    async def downgrade(self, request: Any, call: Call) -> Any:
        """There is no older version of this store's format to which it could go back."""
        await self._access.require_root(call)
        raise NO_DOWNGRADE if request.action == CANCEL else BAD_TARGET

    # -- health ---------------------------------------------------------------------------------------------------

    async def check(self, request: Any, call: Call) -> Any:
        if request.service not in ("", "etcdserverpb.KV"):
            raise Refused(Code.NOT_FOUND, "unknown service")
        return await self._health()

    async def watch_health(self, call: Call) -> None:
        if await call.next() is None:
            return
        said = None
        while True:
            health = await self._health()
            if health != said:
                said = health
                call.send(health)
            await asyncio.sleep(1.0)

    async def _health(self) -> Any:
        status = await self._replica.status()
        return message("grpc.health.v1.HealthCheckResponse")(status=SERVING if status.leader else NOT_SERVING)

    def _response(self, name: str, **fields: Any) -> Any:
        response = message(f"etcdserverpb.{name}Response")(**fields)
        self._header.fill(response.header)
        return response
