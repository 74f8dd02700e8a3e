"""etcd's JSON: which URL calls which method, and what a call, an answer and a refusal look like. One answer is an
object; a stream is a line for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from actors.etcd.grpc.calls import Call
from actors.etcd.grpc.json_messages import fill, to_json
from actors.etcd.grpc.status import Code, Refused

_PATHS = """
kv/range KV/Range, kv/put KV/Put, kv/deleterange KV/DeleteRange, kv/txn KV/Txn, kv/compaction KV/Compact, \
watch Watch/Watch, lease/grant Lease/LeaseGrant, lease/revoke Lease/LeaseRevoke, kv/lease/revoke Lease/LeaseRevoke, \
lease/keepalive Lease/LeaseKeepAlive, lease/timetolive Lease/LeaseTimeToLive, \
kv/lease/timetolive Lease/LeaseTimeToLive, lease/leases Lease/LeaseLeases, kv/lease/leases Lease/LeaseLeases, \
cluster/member/add Cluster/MemberAdd, cluster/member/remove Cluster/MemberRemove, \
cluster/member/update Cluster/MemberUpdate, cluster/member/list Cluster/MemberList, \
cluster/member/promote Cluster/MemberPromote, maintenance/alarm Maintenance/Alarm, \
maintenance/status Maintenance/Status, maintenance/defragment Maintenance/Defragment, \
maintenance/hash Maintenance/HashKV, maintenance/snapshot Maintenance/Snapshot, \
maintenance/transfer-leadership Maintenance/MoveLeader, maintenance/downgrade Maintenance/Downgrade, \
auth/enable Auth/AuthEnable, auth/disable Auth/AuthDisable, auth/status Auth/AuthStatus, \
auth/authenticate Auth/Authenticate, auth/user/add Auth/UserAdd, auth/user/get Auth/UserGet, \
auth/user/list Auth/UserList, auth/user/delete Auth/UserDelete, auth/user/changepw Auth/UserChangePassword, \
auth/user/grant Auth/UserGrantRole, auth/user/revoke Auth/UserRevokeRole, auth/role/add Auth/RoleAdd, \
auth/role/get Auth/RoleGet, auth/role/list Auth/RoleList, auth/role/delete Auth/RoleDelete, \
auth/role/grant Auth/RoleGrantPermission, auth/role/revoke Auth/RoleRevokePermission
"""
_OTHERS = """
lock/lock v3lockpb.Lock/Lock, lock/unlock v3lockpb.Lock/Unlock, election/campaign v3electionpb.Election/Campaign, \
election/proclaim v3electionpb.Election/Proclaim, election/leader v3electionpb.Election/Leader, \
election/observe v3electionpb.Election/Observe, election/resign v3electionpb.Election/Resign
"""
PATHS = {
    f"/v3/{path}": f"/{package}{method}".encode()
    for package, paths in (("etcdserverpb.", _PATHS), ("", _OTHERS))
    for path, method in (one.split() for one in paths.split(","))
}
_STATUSES = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.CANCELLED: 408,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


class JsonCall(Call):
    """A call whose answers are JSON."""

    __slots__ = ()

    def reply(self, message: Any) -> None:
        self._connection.answer(self.number, _written(to_json(message)))

    def send(self, message: Any) -> None:
        self._connection.send(self.number, _written({"result": to_json(message)}) + b"\n")


def status_of(refused: Refused) -> int:
    return _STATUSES.get(refused.code, 500)


def refusal(refused: Refused) -> bytes:
    return _written({"error": refused.text, "message": refused.text, "code": int(refused.code)})


def late_refusal(refused: Refused) -> bytes:
    """Of a stream that has begun."""
    status = status_of(refused)
    error = {"grpc_code": int(refused.code), "http_code": status, "message": refused.text}
    return _written({"error": {**error, "http_status": HTTPStatus(status).phrase}}) + b"\n"


def requests(request: Any, body: bytes) -> Iterator[Any]:
    """Messages of that class, one for each JSON value; an empty one for an empty body. Raises Refused."""
    try:
        text = body.decode().strip() or "{}"
        while text:
            said, end = _decode(text)
            text = text[end:].lstrip()
            message = request()
            fill(message, said)
            yield message
    except (ValueError, RecursionError) as error:
        raise Refused(Code.INVALID_ARGUMENT, str(error)) from error


_decode = json.JSONDecoder().raw_decode


def _written(said: object) -> bytes:
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
