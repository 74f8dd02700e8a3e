"""The key-value store's API: etcd v3's words and semantics.

Any replica may be asked. Writes and linearizable reads are answered by the leader; another replica refuses with
`NotLeader`, whose `leader` says whom to ask (empty while there is none). Revisions count committed transactions that
changed something; they only grow.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from protocols.errors import Answer
from protocols.message import Done, Message, Request, Streaming


class EtcdAnswer(Answer):
    """A refusal that etcd knows, too: the code and the text with which it says it over gRPC."""

    grpc_code: ClassVar[str] = "INVALID_ARGUMENT"
    etcd_text: ClassVar[str] = ""


class NotLeader(EtcdAnswer):
    """Details: `leader`, the address of the leader as far as known ("" while there is none). It did not happen."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: not leader"


class Compacted(EtcdAnswer):
    """The revision asked for is compacted. Details: `compact_revision`, the oldest that still is kept."""

    grpc_code, etcd_text = "OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"


class FutureRevision(EtcdAnswer):
    """The revision asked for does not exist yet."""

    grpc_code, etcd_text = "OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"


class LeaseNotFound(EtcdAnswer):
    """There is no such lease (any more)."""

    grpc_code, etcd_text = "NOT_FOUND", "etcdserver: requested lease not found"


class LeaseExists(EtcdAnswer):
    """There is a lease of that number already."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: lease already exists"


class LeaseTooLong(EtcdAnswer):
    """A lease may be granted for 9,000,000,000 s at most."""

    grpc_code, etcd_text = "OUT_OF_RANGE", "etcdserver: too large lease TTL"


class TooLarge(EtcdAnswer):
    """The request exceeds the size bound of one transaction (1.5 MiB, as etcd), or its answer that of an answer."""

    etcd_text = "etcdserver: request is too large"


class EmptyKey(EtcdAnswer):
    """A key has at least one byte."""

    etcd_text = "etcdserver: key is not provided"


class KeyNotFound(EtcdAnswer):
    """A put that keeps the value or the lease that is there, and nothing is there."""

    etcd_text = "etcdserver: key not found"


class ValueProvided(EtcdAnswer):
    """A put is to keep the value that is there, and brings one."""

    etcd_text = "etcdserver: value is provided"


class LeaseProvided(EtcdAnswer):
    """A put is to keep the lease that is there, and brings one."""

    etcd_text = "etcdserver: lease is provided"


class TooManyOps(EtcdAnswer):
    """A transaction has more comparisons or operations than are allowed (128, as etcd), or is nested too deeply."""

    etcd_text = "etcdserver: too many operations in txn request"


class DuplicateKey(EtcdAnswer):
    """A transaction would write a key twice."""

    etcd_text = "etcdserver: duplicate key given in txn request"


class InvalidCompare(EtcdAnswer):
    """A comparison of a value takes bytes, every other a number."""

    etcd_text = "etcdserver: invalid comparison in txn request"


class TooBusy(EtcdAnswer):
    """Too much of that kind is under way already: ask again later."""

    grpc_code, etcd_text = "RESOURCE_EXHAUSTED", "etcdserver: too many requests"


class NoSpace(EtcdAnswer):
    """The quota is used up, or a disk is full: only deletions and compactions are taken until the alarm ends."""

    grpc_code, etcd_text = "RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded"


class CorruptCluster(EtcdAnswer):
    """The replicas were seen to differ: nothing is written until a person has looked and disarmed the alarm."""

    grpc_code, etcd_text = "DATA_LOSS", "etcdserver: corrupt cluster"


class KeyValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class RangeResponse(Message):
    """`count` is the number of keys in the range, whatever `limit` and the bounds were."""

    revision: int
    kvs: tuple[KeyValue, ...]
    count: int
    more: bool = False


class Range(Request[RangeResponse]):
    """Keys in [key, range_end); range_end b"" means the one key, b"\\0" all keys from `key` on.

    revision 0 reads the newest; serializable reads this replica's own state without asking the leader. A bound of 0
    is none. Bounds sieve, then it is sorted, then `limit` cuts off (0: nothing); with `page_first` and no bounds, the
    page is cut off by key and then sorted, which is what etcd makes of a sort target without an order.
    """

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    sort_by: Literal["key", "version", "create", "mod", "value"] = "key"
    descending: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0
    page_first: bool = False


class Compare(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """True when the key's `target` relates to `value` by `op`; with a range_end, when that is so for each key there.

    An absent key has version, revisions and lease 0; a comparison of its value is never true. So is that of a range
    without keys.
    """

    key: bytes
    target: Literal["version", "create", "mod", "value", "lease"]
    op: Literal["=", "!=", ">", "<"]
    value: int | bytes
    range_end: bytes = b""


class Op(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One operation of a transaction: put (value, lease), delete (key or range), range (read), txn (nested).

    `prev_kv`: a put or delete answers with what was there. `ignore_value`, `ignore_lease`: a put keeps the value or
    lease that is there (KeyNotFound if nothing is). A range is said by key, range_end and limit, or in full by
    `range`; its `serializable` means nothing here. `txn` is the nested transaction.
    """

    kind: Literal["put", "delete", "range", "txn"]
    key: bytes = b""
    value: bytes = b""
    range_end: bytes = b""
    lease: int = 0
    limit: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False
    range: Range | None = None
    txn: Txn | None = None


class OpResponse(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """put: the previous pair in kvs, if there was one and it was asked for; delete: the same, and how many were
    deleted; range: the pairs read, how many keys are there, whether `limit` left some out; txn: its answer."""

    kvs: tuple[KeyValue, ...] = ()
    count: int = 0
    more: bool = False
    txn: TxnResponse | None = None


class TxnResponse(Message):
    """`revision` is the store's after the transaction (its own, when it wrote)."""

    succeeded: bool
    revision: int
    responses: tuple[OpResponse, ...]


class Txn(Request[TxnResponse]):
    """Atomic: if all compares hold, `success` runs, else `failure`. Put and delete are transactions of one op.

    Comparisons, those of nested transactions too, look at what was there before; operations see those before them.
    """

    compare: tuple[Compare, ...]
    success: tuple[Op, ...]
    failure: tuple[Op, ...] = ()


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A delete's kv holds only key and mod_revision; prev_kv is what was there before, when asked for."""

    type: Literal["put", "delete"]
    kv: KeyValue
    prev_kv: KeyValue | None = None


class WatchResponse(Message):
    """All events of one or more whole revisions, in order; no events: a progress notification.

    Everything up to `revision` has been handed over. `fragment`: the next item goes on within the same revision, of
    which this one is a part (a revision that is too large for one item is cut).
    """

    revision: int
    events: tuple[Event, ...] = ()
    fragment: bool = False


class WatchKeys(Streaming[WatchResponse]):
    """Events of keys in [key, range_end) from `start_revision` on (0: from now). Ends with `Compacted` if too old.

    The first item is a WatchResponse without events: the watch is established at that revision. `progress_notify`
    asks for such items from time to time while other keys change, `no_put` and `no_delete` leave events out;
    `fragment` wants large revisions cut into items of about 1 MiB (else of 4 MiB). `user`: in whose name a door asks.
    """

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    progress_notify: bool = True
    no_put: bool = False
    no_delete: bool = False
    fragment: bool = False
    user: str = ""


class LeaseGranted(Message):
    lease: int
    ttl_s: int


class LeaseGrant(Request[LeaseGranted]):
    """lease 0 lets the store choose the number."""

    ttl_s: int
    lease: int = 0


class LeaseKeepAlive(Request[LeaseGranted]):
    lease: int


class LeaseRevoke(Request[Done]):
    """Deletes the lease and every key attached to it."""

    lease: int


class LeaseTimeLeft(Message):
    """`left_s` is rounded down, and -1 where there is no such lease (any more); `ttl_s` is what was granted."""

    lease: int
    left_s: int
    ttl_s: int
    keys: tuple[bytes, ...] = ()


class LeaseTimeToLive(Request[LeaseTimeLeft]):
    """How long the lease lives if nobody keeps it alive; with `keys`, what hangs on it."""

    lease: int
    keys: bool = False


class LeaseNumbers(Message):
    leases: tuple[int, ...]


class LeaseList(Request[LeaseNumbers]):
    """All leases there are."""


class Compact(Request[Done]):
    """Forget what was superseded before `revision`; `physical`: answer when that is done, not when it is decided."""

    revision: int
    physical: bool = False


class StatusResponse(Message):
    """`db_bytes` is what log and snapshot take on disk, `in_use_bytes` what keys and values take, as the quota counts.

    `errors` are sentences about what is wrong; `learner`: it has no vote. `cluster`: of a restored store, its number.
    `auth_version` is another one whenever GetAuth has another answer.
    """

    member: str
    leader: str
    term: int
    revision: int
    commit_index: int
    applied_index: int
    version: str = ""
    db_bytes: int = 0
    in_use_bytes: int = 0
    last_index: int = 0
    errors: tuple[str, ...] = ()
    learner: bool = False
    compact_revision: int = 0
    cluster: int = 0
    auth_version: int = 0
    quota_bytes: int = 0


class Status(Request[StatusResponse]):
    """This replica's own view."""
