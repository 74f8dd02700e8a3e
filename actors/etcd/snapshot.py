"""A snapshot: the whole store as it was when one entry of the log had been applied, as a file. Pure.

A file `<index>.snap` is a run of records (records.py): one SnapshotHeader, Keys with all versions that are kept of some
keys, in order of the keys, Events with what some revisions changed, in order, and last an End that counts the records.
It is written beside and renamed when it is durable, so one that is damaged was damaged by the medium: it is refused.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from actors.etcd.mvcc.dump import Dump, Image
from actors.etcd.mvcc.store import Store
from actors.etcd.raft.types import Mark
from actors.etcd.records import UNDECODABLE, BrokenRecord, Record, encode_record, read_records
from protocols.etcd import Event, KeyValue
from protocols.etcd_auth import AuthTable
from protocols.etcd_maintenance import Alarm
from protocols.raft import Configuration

VERSION = 3  # 1 had no alarms, no checkpoints of leases, and no cluster; 2 had no users
HEADER, KEYS, EVENTS, END = 1, 2, 3, 4
BLOCK_BYTES, DIGEST_BYTES = 512, 32  # of what goes over etcd's API: filled up to whole blocks, then its SHA-256

_snapshot_name = re.compile(r"[0-9a-f]{16}\.snap")
_encode = msgspec.msgpack.Encoder().encode


class CorruptSnapshot(Exception):
    """It cannot be trusted. The message says what is wrong with it."""


class SnapshotHeader(msgspec.Struct, frozen=True, array_like=True):
    """`leases` are each a lease's number, its time to live, and what its last checkpoint left it, in seconds."""

    version: int
    index: int
    term: int
    revision: int
    compacted: int
    last_lease: int
    leases: tuple[tuple[int, ...], ...]
    alarms: tuple[Alarm, ...] = ()
    cluster: int = 0
    configuration: Configuration | None = None
    auth: AuthTable = AuthTable()


class Loaded(NamedTuple):
    """`configuration`: who belonged to the replica set; None in a snapshot from before that was kept."""

    mark: Mark
    store: Store
    configuration: Configuration | None = None


_header_decoder = msgspec.msgpack.Decoder(SnapshotHeader)
_keys_decoder = msgspec.msgpack.Decoder(tuple[tuple[KeyValue, ...], ...])
_events_decoder = msgspec.msgpack.Decoder(tuple[tuple[Event, ...], ...])
_count_decoder = msgspec.msgpack.Decoder(int)


def snapshot_name(index: int) -> str:
    return f"{index:016x}.snap"


def is_snapshot(name: str) -> bool:
    return _snapshot_name.fullmatch(name) is not None


def encode_snapshot(mark: Mark, dump: Dump, configuration: Configuration | None = None) -> Iterator[bytes]:
    """The file in pieces, so that others get their turn between two of them."""
    yield encode_record(HEADER, _encode(_header(mark, dump, configuration)))
    count = 1
    for keys in dump.key_slices():
        yield encode_record(KEYS, _encode(keys))
        count += 1
    for events in dump.event_slices():
        yield encode_record(EVENTS, _encode(events))
        count += 1
    yield encode_record(END, _encode(count))


def _header(mark: Mark, dump: Dump, configuration: Configuration | None) -> SnapshotHeader:
    moment = (dump.revision, dump.compacted, dump.last_lease, dump.leases, dump.alarms, dump.cluster)
    return SnapshotHeader(VERSION, mark.index, mark.term, *moment, configuration, dump.auth)


def decode_snapshot(data: bytes) -> Loaded:
    """Raises CorruptSnapshot."""
    return read_snapshot(io.BytesIO(data).read)


def read_snapshot(read: Callable[[int], bytes], *, sealed: bool = False) -> Loaded:
    """From a file that need not be in memory as a whole: `read` as in read_records. Behind one that is `sealed` stands
    more, which is not looked at (BLOCK_BYTES). Raises CorruptSnapshot."""
    records = read_records(read)
    try:
        return _load(Parts(_up_to_the_end(records) if sealed else records))
    except BrokenRecord as error:
        raise CorruptSnapshot(f"the snapshot is damaged at byte {error.offset}") from error
    except UNDECODABLE as error:
        raise CorruptSnapshot(f"the snapshot does not decode: {error}") from error


def _up_to_the_end(records: Iterator[Record]) -> Iterator[Record]:
    for record in records:
        yield record
        if record[0] == END:
            return


class Parts:
    """The records of a snapshot, kind by kind, in order."""

    def __init__(self, found: Iterator[Record]) -> None:
        self.count = 0
        self._found = found
        self._next = next(found, None)

    def of(self, kind: int) -> Iterator[bytes]:
        while self._next is not None and self._next[0] == kind:
            yield self._next[1]
            self.count += 1
            self._next = next(self._found, None)

    def one(self, kind: int) -> bytes:
        """The only record of its kind that comes next."""
        found = list(self.of(kind))
        if len(found) != 1:
            raise CorruptSnapshot("the snapshot lacks records")
        return found[0]

    @property
    def at_end(self) -> bool:
        return self._next is None


def _load(parts: Parts) -> Loaded:
    header = _header_decoder.decode(parts.one(HEADER))
    if not 1 <= header.version <= VERSION:
        raise CorruptSnapshot(f"the snapshot has format {header.version}, this version reads 1 to {VERSION}")
    keys = (_keys_decoder.decode(payload) for payload in parts.of(KEYS))
    events = (event for payload in parts.of(EVENTS) for event in _events_decoder.decode(payload))
    moment = (header.revision, header.compacted, header.last_lease, header.leases)
    store = Image(*moment, keys, events, header.alarms, header.cluster, header.auth).store()
    count = parts.count
    if _count_decoder.decode(parts.one(END)) != count or not parts.at_end:
        raise CorruptSnapshot("the snapshot lacks records")
    return Loaded(Mark(header.index, header.term), store, header.configuration)
