"""What a log entry's data says: a batch of commands, all the writes that one loop turn brought.

One entry for many commands makes the log's bookkeeping a cost per turn. Commands are the clients' own messages; each
carries a small number that is part of the format on disk, and must never be given to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from protocols.etcd import Compact, LeaseGrant, LeaseKeepAlive, LeaseRevoke, Txn
from protocols.etcd_maintenance import DisarmAlarm, RaiseAlarm
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
}
_decoders: dict[int, msgspec.msgpack.Decoder[Command]] = {
    number: msgspec.msgpack.Decoder(kind) for kind, number in _numbers.items()
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
