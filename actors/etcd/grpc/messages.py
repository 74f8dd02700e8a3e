"""etcd's messages, as a table: their fields' names, types and numbers are what the protocol is.

The classes are made from it by `protobuf` when they are first needed, in a pool of their own. An enum is an int32 here:
on the wire they are the same, and a number that nobody has a name for stays a number.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

__all__ = ["MESSAGES", "DecodeError", "message"]

# Each line is a message: its package and name, then its fields: name=number type, * for repeated, / for a member of
# a oneof. A type with a capital letter is a message of the same package, with a dot one of another.
MESSAGES = """
mvccpb.KeyValue: key=1 bytes, create_revision=2 int64, mod_revision=3 int64, version=4 int64, value=5 bytes, \
lease=6 int64
mvccpb.Event: type=1 int32, kv=2 KeyValue, prev_kv=3 KeyValue
authpb.UserAddOptions: no_password=1 bool
authpb.Permission: permType=1 int32, key=2 bytes, range_end=3 bytes
etcdserverpb.ResponseHeader: cluster_id=1 uint64, member_id=2 uint64, revision=3 int64, raft_term=4 uint64
etcdserverpb.RangeRequest: key=1 bytes, range_end=2 bytes, limit=3 int64, revision=4 int64, sort_order=5 int32, \
sort_target=6 int32, serializable=7 bool, keys_only=8 bool, count_only=9 bool, min_mod_revision=10 int64, \
max_mod_revision=11 int64, min_create_revision=12 int64, max_create_revision=13 int64
etcdserverpb.RangeResponse: header=1 ResponseHeader, kvs=2 *mvccpb.KeyValue, more=3 bool, count=4 int64
etcdserverpb.PutRequest: key=1 bytes, value=2 bytes, lease=3 int64, prev_kv=4 bool, ignore_value=5 bool, \
ignore_lease=6 bool
etcdserverpb.PutResponse: header=1 ResponseHeader, prev_kv=2 mvccpb.KeyValue
etcdserverpb.DeleteRangeRequest: key=1 bytes, range_end=2 bytes, prev_kv=3 bool
etcdserverpb.DeleteRangeResponse: header=1 ResponseHeader, deleted=2 int64, prev_kvs=3 *mvccpb.KeyValue
etcdserverpb.RequestOp: request_range=1 /RangeRequest, request_put=2 /PutRequest, \
request_delete_range=3 /DeleteRangeRequest, request_txn=4 /TxnRequest
etcdserverpb.ResponseOp: response_range=1 /RangeResponse, response_put=2 /PutResponse, \
response_delete_range=3 /DeleteRangeResponse, response_txn=4 /TxnResponse
etcdserverpb.Compare: result=1 int32, target=2 int32, key=3 bytes, version=4 /int64, create_revision=5 /int64, \
mod_revision=6 /int64, value=7 /bytes, lease=8 /int64, range_end=64 bytes
etcdserverpb.TxnRequest: compare=1 *Compare, success=2 *RequestOp, failure=3 *RequestOp
etcdserverpb.TxnResponse: header=1 ResponseHeader, succeeded=2 bool, responses=3 *ResponseOp
etcdserverpb.CompactionRequest: revision=1 int64, physical=2 bool
etcdserverpb.CompactionResponse: header=1 ResponseHeader
etcdserverpb.WatchCreateRequest: key=1 bytes, range_end=2 bytes, start_revision=3 int64, progress_notify=4 bool, \
filters=5 *int32, prev_kv=6 bool, watch_id=7 int64, fragment=8 bool
etcdserverpb.WatchCancelRequest: watch_id=1 int64
etcdserverpb.WatchProgressRequest:
etcdserverpb.WatchRequest: create_request=1 /WatchCreateRequest, cancel_request=2 /WatchCancelRequest, \
progress_request=3 /WatchProgressRequest
etcdserverpb.WatchResponse: header=1 ResponseHeader, watch_id=2 int64, created=3 bool, canceled=4 bool, \
compact_revision=5 int64, cancel_reason=6 string, fragment=7 bool, events=11 *mvccpb.Event
etcdserverpb.LeaseGrantRequest: TTL=1 int64, ID=2 int64
etcdserverpb.LeaseGrantResponse: header=1 ResponseHeader, ID=2 int64, TTL=3 int64, error=4 string
etcdserverpb.LeaseRevokeRequest: ID=1 int64
etcdserverpb.LeaseRevokeResponse: header=1 ResponseHeader
etcdserverpb.LeaseKeepAliveRequest: ID=1 int64
etcdserverpb.LeaseKeepAliveResponse: header=1 ResponseHeader, ID=2 int64, TTL=3 int64
etcdserverpb.LeaseTimeToLiveRequest: ID=1 int64, keys=2 bool
etcdserverpb.LeaseTimeToLiveResponse: header=1 ResponseHeader, ID=2 int64, TTL=3 int64, grantedTTL=4 int64, \
keys=5 *bytes
etcdserverpb.LeaseLeasesRequest:
etcdserverpb.LeaseStatus: ID=1 int64
etcdserverpb.LeaseLeasesResponse: header=1 ResponseHeader, leases=2 *LeaseStatus
etcdserverpb.Member: ID=1 uint64, name=2 string, peerURLs=3 *string, clientURLs=4 *string, isLearner=5 bool
etcdserverpb.MemberAddRequest: peerURLs=1 *string, isLearner=2 bool
etcdserverpb.MemberAddResponse: header=1 ResponseHeader, member=2 Member, members=3 *Member
etcdserverpb.MemberRemoveRequest: ID=1 uint64
etcdserverpb.MemberRemoveResponse: header=1 ResponseHeader, members=2 *Member
etcdserverpb.MemberUpdateRequest: ID=1 uint64, peerURLs=2 *string
etcdserverpb.MemberUpdateResponse: header=1 ResponseHeader, members=2 *Member
etcdserverpb.MemberPromoteRequest: ID=1 uint64
etcdserverpb.MemberPromoteResponse: header=1 ResponseHeader, members=2 *Member
etcdserverpb.MemberListRequest: linearizable=1 bool
etcdserverpb.MemberListResponse: header=1 ResponseHeader, members=2 *Member
etcdserverpb.AlarmRequest: action=1 int32, memberID=2 uint64, alarm=3 int32
etcdserverpb.AlarmMember: memberID=1 uint64, alarm=2 int32
etcdserverpb.AlarmResponse: header=1 ResponseHeader, alarms=2 *AlarmMember
etcdserverpb.StatusRequest:
etcdserverpb.StatusResponse: header=1 ResponseHeader, version=2 string, dbSize=3 int64, leader=4 uint64, \
raftIndex=5 uint64, raftTerm=6 uint64, raftAppliedIndex=7 uint64, errors=8 *string, dbSizeInUse=9 int64, \
isLearner=10 bool, storageVersion=11 string, dbSizeQuota=12 int64, downgradeInfo=13 DowngradeInfo
etcdserverpb.DowngradeInfo: enabled=1 bool, targetVersion=2 string
etcdserverpb.DefragmentRequest:
etcdserverpb.DefragmentResponse: header=1 ResponseHeader
etcdserverpb.HashRequest:
etcdserverpb.HashResponse: header=1 ResponseHeader, hash=2 uint32
etcdserverpb.HashKVRequest: revision=1 int64
etcdserverpb.HashKVResponse: header=1 ResponseHeader, hash=2 uint32, compact_revision=3 int64, hash_revision=4 int64
etcdserverpb.SnapshotRequest:
etcdserverpb.SnapshotResponse: header=1 ResponseHeader, remaining_bytes=2 uint64, blob=3 bytes, version=4 string
etcdserverpb.MoveLeaderRequest: targetID=1 uint64
etcdserverpb.MoveLeaderResponse: header=1 ResponseHeader
etcdserverpb.DowngradeRequest: action=1 int32, version=2 string
etcdserverpb.DowngradeResponse: header=1 ResponseHeader, version=2 string
etcdserverpb.AuthEnableRequest:
etcdserverpb.AuthEnableResponse: header=1 ResponseHeader
etcdserverpb.AuthDisableRequest:
etcdserverpb.AuthDisableResponse: header=1 ResponseHeader
etcdserverpb.AuthStatusRequest:
etcdserverpb.AuthStatusResponse: header=1 ResponseHeader, enabled=2 bool, authRevision=3 uint64
etcdserverpb.AuthenticateRequest: name=1 string, password=2 string
etcdserverpb.AuthenticateResponse: header=1 ResponseHeader, token=2 string
etcdserverpb.AuthUserAddRequest: name=1 string, password=2 string, options=3 authpb.UserAddOptions, \
hashedPassword=4 string
etcdserverpb.AuthUserAddResponse: header=1 ResponseHeader
etcdserverpb.AuthUserGetRequest: name=1 string
etcdserverpb.AuthUserGetResponse: header=1 ResponseHeader, roles=2 *string
etcdserverpb.AuthUserListRequest:
etcdserverpb.AuthUserListResponse: header=1 ResponseHeader, users=2 *string
etcdserverpb.AuthUserDeleteRequest: name=1 string
etcdserverpb.AuthUserDeleteResponse: header=1 ResponseHeader
etcdserverpb.AuthUserChangePasswordRequest: name=1 string, password=2 string, hashedPassword=3 string
etcdserverpb.AuthUserChangePasswordResponse: header=1 ResponseHeader
etcdserverpb.AuthUserGrantRoleRequest: user=1 string, role=2 string
etcdserverpb.AuthUserGrantRoleResponse: header=1 ResponseHeader
etcdserverpb.AuthUserRevokeRoleRequest: name=1 string, role=2 string
etcdserverpb.AuthUserRevokeRoleResponse: header=1 ResponseHeader
etcdserverpb.AuthRoleAddRequest: name=1 string
etcdserverpb.AuthRoleAddResponse: header=1 ResponseHeader
etcdserverpb.AuthRoleGetRequest: role=1 string
etcdserverpb.AuthRoleGetResponse: header=1 ResponseHeader, perm=2 *authpb.Permission
etcdserverpb.AuthRoleListRequest:
etcdserverpb.AuthRoleListResponse: header=1 ResponseHeader, roles=2 *string
etcdserverpb.AuthRoleDeleteRequest: role=1 string
etcdserverpb.AuthRoleDeleteResponse: header=1 ResponseHeader
etcdserverpb.AuthRoleGrantPermissionRequest: name=1 string, perm=2 authpb.Permission
etcdserverpb.AuthRoleGrantPermissionResponse: header=1 ResponseHeader
etcdserverpb.AuthRoleRevokePermissionRequest: role=1 string, key=2 bytes, range_end=3 bytes
etcdserverpb.AuthRoleRevokePermissionResponse: header=1 ResponseHeader
grpc.health.v1.HealthCheckRequest: service=1 string
grpc.health.v1.HealthCheckResponse: status=1 int32
v3lockpb.LockRequest: name=1 bytes, lease=2 int64
v3lockpb.LockResponse: header=1 etcdserverpb.ResponseHeader, key=2 bytes
v3lockpb.UnlockRequest: key=1 bytes
v3lockpb.UnlockResponse: header=1 etcdserverpb.ResponseHeader
v3electionpb.LeaderKey: name=1 bytes, key=2 bytes, rev=3 int64, lease=4 int64
v3electionpb.CampaignRequest: name=1 bytes, lease=2 int64, value=3 bytes
v3electionpb.CampaignResponse: header=1 etcdserverpb.ResponseHeader, leader=2 LeaderKey
v3electionpb.ProclaimRequest: leader=1 LeaderKey, value=2 bytes
v3electionpb.ProclaimResponse: header=1 etcdserverpb.ResponseHeader
v3electionpb.LeaderRequest: name=1 bytes
v3electionpb.LeaderResponse: header=1 etcdserverpb.ResponseHeader, kv=2 mvccpb.KeyValue
v3electionpb.ResignRequest: leader=1 LeaderKey
v3electionpb.ResignResponse: header=1 etcdserverpb.ResponseHeader
"""

_Field = descriptor_pb2.FieldDescriptorProto
_scalars = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}


@cache
def message(name: str) -> Any:
    """The class of a message, by its full name: message("etcdserverpb.PutRequest")."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for line in MESSAGES.strip().splitlines():
        full_name, _, fields = line.partition(":")
        package, _, name = full_name.rpartition(".")
        file = files.get(package)
        if file is None:
            file = files[package] = descriptor_pb2.FileDescriptorProto(
                name=f"{package}.proto", package=package, syntax="proto3"
            )
            file.dependency.extend([f"{other}.proto" for other in files if other != package])
        _describe(file.message_type.add(name=name), package, [field for field in fields.split(",") if field.strip()])
    pool = descriptor_pool.DescriptorPool()
    for file in files.values():
        pool.Add(file)
    return pool


def _describe(described: descriptor_pb2.DescriptorProto, package: str, fields: list[str]) -> None:
    for text in fields:
        name, _, rest = text.strip().partition("=")
        number, kind = rest.split()
        field = described.field.add(name=name, number=int(number))
        field.label = _Field.LABEL_REPEATED if kind[0] == "*" else _Field.LABEL_OPTIONAL
        if kind[0] == "/":
            if not described.oneof_decl:
                described.oneof_decl.add(name="is")
            field.oneof_index = 0
        kind = kind.lstrip("*/")
        if kind in _scalars:
            field.type = _scalars[kind]
        else:
            field.type = _Field.TYPE_MESSAGE
            field.type_name = f".{kind}" if "." in kind else f".{package}.{kind}"
