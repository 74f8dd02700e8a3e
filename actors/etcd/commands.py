"""What a log entry's data says: a batch of commands, all the writes that one loop turn brought.

One entry for many commands makes the log's bookkeeping a cost per turn. Commands are the clients' own messages; each
carries a small number that is part of the format on disk, and must never be given to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from protocols.etcd import (
    Compact,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseList,
    LeaseRevoke,
    LeaseTimeToLive,
    Range,
    Txn,
)
from protocols.etcd_auth import AsUser, ChangeAuth, GetAuth
from protocols.etcd_maintenance import DisarmAlarm, ListAlarms, RaiseAlarm
from protocols.etcd_members import MemberList
from protocols.message import Message


class ExpireLeases(Message):
    """The leader of `term` saw these leases run out. Its clock decides; every replica carries it out, as a log entry,
    if it is one of that term (0: of any)."""

    leases: tuple[int, ...]
    term: int = 0


class CheckpointLeases(Message):
    """Pairs of a lease and the seconds that it has left, by the clock of the leader of `term`: where the next leader
    begins."""

    left_s: tuple[tuple[int, int], ...]
    term: int = 0


Command: TypeAlias = (
    Txn
    | LeaseGrant
    | LeaseRevoke
    | Compact
    | ExpireLeases
    | LeaseKeepAlive
    | CheckpointLeases
    | RaiseAlarm
    | DisarmAlarm
    | ChangeAuth
    | AsUser
)

_numbers: dict[type[Command], int] = {
    Txn: 1,
    LeaseGrant: 2,
    LeaseRevoke: 3,
    Compact: 4,
    ExpireLeases: 5,
    LeaseKeepAlive: 6,
    CheckpointLeases: 7,
    RaiseAlarm: 8,
    DisarmAlarm: 9,
    ChangeAuth: 10,
    AsUser: 11,
}
_decoders: dict[int, msgspec.msgpack.Decoder[Command]] = {
    number: msgspec.msgpack.Decoder(kind) for kind, number in _numbers.items()
}
_of_users: dict[type[Any], int] = {  # what AsUser may hold: some commands, and reads, which are in no log
    **{kind: _numbers[kind] for kind in (Txn, LeaseGrant, LeaseRevoke, Compact, LeaseKeepAlive, ChangeAuth)},
    Range: 101,
    LeaseTimeToLive: 102,
    LeaseList: 103,
}
_READS = frozenset((Range, LeaseTimeToLive, LeaseList, GetAuth, MemberList, ListAlarms))
_read_numbers = frozenset([number for kind, number in _of_users.items() if kind in _READS])
_request_decoders: dict[int, msgspec.msgpack.Decoder[Any]] = {
    number: msgspec.msgpack.Decoder(kind) for kind, number in _of_users.items()
}
_batch = msgspec.msgpack.Decoder(tuple[tuple[int, msgspec.Raw], ...])
_encode = msgspec.msgpack.Encoder().encode


def encode_commands(commands: Sequence[Command]) -> bytes:
    return _encode([(_numbers[type(command)], command) for command in commands])


def decode_commands(data: bytes) -> list[Command]:
    """The commands of one entry; none for the empty entry that opens a term."""
    if not data:
        return []
    return [_decoders[number].decode(raw) for number, raw in _batch.decode(data)]


def as_user(user: str, request: Any) -> AsUser:
    return AsUser(user, _of_users[type(request)], _encode(request))


def only_reads(request: Any) -> bool:
    """Whether it may be asked again when nobody knows what became of it."""
    kind = type(request)
    return kind in _READS or (kind is AsUser and request.number in _read_numbers)


def requested(asked: AsUser) -> Any:
    """Raises KeyError and msgspec.MsgspecError for what `as_user` has not made."""
    return _request_decoders[asked.number].decode(asked.body)
