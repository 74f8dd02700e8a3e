"""What a log entry's data says: a batch of commands, all the writes that one loop turn brought.

One entry for many commands makes the log's bookkeeping a cost per turn. Commands are the clients' own messages; each
carries a small number that is part of the format on disk, and must never be given to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from protocols.etcd import Compact, LeaseGrant, LeaseRevoke, Txn
from protocols.message import Message


class ExpireLeases(Message):
    """The leader saw these leases run out. Its clock decides; every replica carries it out, as a log entry."""

    leases: tuple[int, ...]


Command: TypeAlias = Txn | LeaseGrant | LeaseRevoke | Compact | ExpireLeases

_numbers: dict[type[Command], int] = {Txn: 1, LeaseGrant: 2, LeaseRevoke: 3, Compact: 4, ExpireLeases: 5}
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
