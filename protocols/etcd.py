"""The key-value store's API: etcd v3's words and semantics.

Any replica may be asked. Writes and linearizable reads are answered by the leader; another replica refuses with
`NotLeader`, whose `leader` says whom to ask (empty while there is none). Revisions count committed transactions that
changed something; they only grow.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from protocols.errors import Answer
from protocols.message import Done, Message, Request, Streaming


class NotLeader(Answer):
    """Details: `leader`, the address of the leader as far as known ("" while there is none). It did not happen."""


class Compacted(Answer):
    """The revision asked for is compacted. Details: `compact_revision`, the oldest that still is kept."""


class FutureRevision(Answer):
    """The revision asked for does not exist yet."""


class LeaseNotFound(Answer):
    """There is no such lease (any more)."""


class LeaseExists(Answer):
    """There is a lease of that number already."""


class TooLarge(Answer):
    """The request exceeds the size bound of one transaction (1.5 MiB, as etcd)."""


class KeyValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class RangeResponse(Message):
    """`count` is the number of keys in the range, whatever `limit` was."""

    revision: int
    kvs: tuple[KeyValue, ...]
    count: int
    more: bool = False


class Range(Request[RangeResponse]):
    """Keys in [key, range_end); range_end b"" means the one key, b"\\0" all keys from `key` on.

    revision 0 reads the newest; serializable reads this replica's own state without asking the leader.
    """

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False


class Compare(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """True when the key's `target` relates to `value` by `op`; an absent key has version and revisions 0."""

    key: bytes
    target: Literal["version", "create", "mod", "value", "lease"]
    op: Literal["=", "!=", ">", "<"]
    value: int | bytes


class Op(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One operation of a transaction: put (value, lease), delete (key or range), range (read)."""

    kind: Literal["put", "delete", "range"]
    key: bytes
    value: bytes = b""
    range_end: bytes = b""
    lease: int = 0
    limit: int = 0


class OpResponse(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """put: the previous pair, if any, in kvs; delete: the deleted pairs; range: the pairs read."""

    kvs: tuple[KeyValue, ...] = ()
    count: int = 0


class TxnResponse(Message):
    """`revision` is the store's after the transaction (its own, when it wrote)."""

    succeeded: bool
    revision: int
    responses: tuple[OpResponse, ...]


class Txn(Request[TxnResponse]):
    """Atomic: if all compares hold, `success` runs, else `failure`. Put and delete are transactions of one op."""

    compare: tuple[Compare, ...]
    success: tuple[Op, ...]
    failure: tuple[Op, ...] = ()


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A delete's kv holds only key and mod_revision; prev_kv is what was there before, when asked for."""

    type: Literal["put", "delete"]
    kv: KeyValue
    prev_kv: KeyValue | None = None


class WatchResponse(Message):
    """All events of one or more whole revisions, in order; no events: a progress notification."""

    revision: int
    events: tuple[Event, ...] = ()


class WatchKeys(Streaming[WatchResponse]):
    """Events of keys in [key, range_end) from `start_revision` on (0: from now). Ends with `Compacted` if too old.

    The first item is a WatchResponse without events: the watch is established at that revision.
    """

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False


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


class Compact(Request[Done]):
    """Forget what was superseded before `revision`."""

    revision: int


class StatusResponse(Message):
    member: str
    leader: str
    term: int
    revision: int
    commit_index: int
    applied_index: int


class Status(Request[StatusResponse]):
    """This replica's own view."""
