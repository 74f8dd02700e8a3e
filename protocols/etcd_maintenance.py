"""The store's API for those who look after it: alarms, hashes to compare replicas by, copies of all of it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from protocols.message import Message, Request, Streaming

AlarmKind: TypeAlias = Literal["NOSPACE", "CORRUPT"]


class Alarm(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`member` has no room left (NOSPACE: puts and leases are refused), or was seen to differ from the others
    (CORRUPT: all writes are refused). It stays until somebody disarms it; NOSPACE also ends by itself, once there is
    room."""

    member: str
    kind: AlarmKind


class Alarms(Message):
    alarms: tuple[Alarm, ...]


class ListAlarms(Request[Alarms]):
    """All alarms that are raised."""


class RaiseAlarm(Request[Alarms]):
    """Answered with the alarm."""

    alarm: Alarm


class DisarmAlarm(Request[Alarms]):
    """Ends one alarm; "" ends those of every member, or of every kind. Answered with those that ended."""

    member: str = ""
    kind: Literal["", "NOSPACE", "CORRUPT"] = ""


class KvHash(Message):
    """The hash of all keys as they were at `hash_revision`; equal on all replicas, whatever each has compacted."""

    revision: int
    hash_revision: int
    hash: int
    compact_revision: int


class HashKv(Request[KvHash]):
    """This replica's own hash, at a revision (0: the newest it has). Refused with Compacted or FutureRevision."""

    revision: int = 0


class StorePiece(Message):
    """The next bytes of a copy; `last` says that it is whole."""

    data: bytes
    last: bool = False


class CopyStore(Streaming[StorePiece]):
    """This replica's state at one moment, as a file for `actorkube etcd restore`, in pieces."""
