"""The write-ahead log's format: what makes a record, what may be broken in it, and what it adds up to. Pure.

A log is a chain of segment files, `<sequence>.wal`. A segment is a run of records; a record is

    magic 3 | type 1 | length 4 | crc32 4 | payload       little endian; the CRC covers type, length and payload

and its payload is MessagePack: a SegmentHeader first in each segment, then Batches. One batch is what one sync made
durable, so a crash can tear at most the last record of the last segment: that is cut off. A broken record with a sound
one after it, or in an earlier segment, was durable once. Entries that this member vouched for are gone then, and
starting without them could break promises made to the others: it is refused.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from actors.etcd.raft.types import AppendJob, HardState
from protocols.raft import Entry

VERSION = 1
MAGIC = b"\xc5AK"
HEADER, BATCH = 1, 2

_prefix = struct.Struct("<3sBII")
_checked = struct.Struct("<BI")
_segment_name = re.compile(r"[0-9a-f]{8}\.wal")
_encode = msgspec.msgpack.Encoder().encode


class CorruptWal(Exception):
    """The log cannot be trusted. The message says which file, where, and what a person can do."""


class SegmentHeader(msgspec.Struct, frozen=True, array_like=True):
    version: int
    member: str
    sequence: int


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Entries replace what was at their index or after; then `state` holds."""

    state: HardState | None
    entries: tuple[Entry, ...]


class Segment(NamedTuple):
    name: str
    data: bytes


class Recovered(NamedTuple):
    """`tail` is the last segment without what was torn off; `sequence` its number, 0 if there is none."""

    state: HardState
    entries: list[Entry]
    sequence: int
    tail: bytes


_header_decoder = msgspec.msgpack.Decoder(SegmentHeader)
_batch_decoder = msgspec.msgpack.Decoder(Batch)


# -- writing ----------------------------------------------------------------------------------------------------------


def segment_name(sequence: int) -> str:
    return f"{sequence:08x}.wal"


def is_segment(name: str) -> bool:
    return _segment_name.fullmatch(name) is not None


def encode_header(member: str, sequence: int) -> bytes:
    return _record(HEADER, _encode(SegmentHeader(VERSION, member, sequence)))


def encode_jobs(jobs: Sequence[AppendJob]) -> bytes:
    """One record for everything that the next sync makes durable; nothing if the jobs write nothing."""
    state = next((job.state for job in reversed(jobs) if job.state is not None), None)
    if state is None:
        return b""
    entries = jobs[0].entries if len(jobs) == 1 else tuple(entry for job in jobs for entry in job.entries)
    return _record(BATCH, _encode(Batch(state, entries)))


def _record(kind: int, payload: bytes) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(_checked.pack(kind, len(payload))))
    return _prefix.pack(MAGIC, kind, len(payload), crc) + payload


# -- reading ----------------------------------------------------------------------------------------------------------


def recover(segments: Sequence[Segment], member: str) -> Recovered:
    """Replay segments, oldest first. Raises CorruptWal."""
    state, entries, sequence, tail = HardState(), list[Entry](), 0, b""
    for segment in segments:
        last = segment is segments[-1]
        records, size = _read(segment, last=last)
        tail = segment.data[:size]
        if not records:
            break  # the last segment, torn before its header was whole: as if it had never been begun
        sequence = _check_header(segment, records[0], member, sequence)
        for batch in _batches(segment, records[1:]):
            _replay(segment, batch, entries)
            state = batch.state or state
    return Recovered(state, entries, sequence, tail)


def _read(segment: Segment, *, last: bool) -> tuple[list[tuple[int, bytes]], int]:
    """The records of a segment, and how many bytes they take. Raises CorruptWal unless the rest is a torn tail."""
    records = []
    offset = 0
    while (record := _record_at(segment.data, offset)) is not None:
        records.append(record)
        offset += _prefix.size + len(record[1])
    if offset < len(segment.data) and (not last or _sound_record_after(segment.data, offset)):
        raise CorruptWal(
            f"{segment.name}: the record at byte {offset} is damaged, and it is not the last one: entries that were "
            "acknowledged are lost. Restore this member's directory from a copy, or remove all of it and let the "
            "member join again as a new one"
        )
    return records, offset


def _record_at(data: bytes, offset: int) -> tuple[int, bytes] | None:
    if len(data) - offset < _prefix.size:
        return None
    magic, kind, length, crc = _prefix.unpack_from(data, offset)
    start = offset + _prefix.size
    if magic != MAGIC or length > len(data) - start:
        return None
    payload = data[start : start + length]
    if zlib.crc32(payload, zlib.crc32(_checked.pack(kind, length))) != crc:
        return None
    return kind, payload


def _sound_record_after(data: bytes, offset: int) -> bool:
    while (offset := data.find(MAGIC, offset + 1)) >= 0:
        if _record_at(data, offset) is not None:
            return True
    return False


def _check_header(segment: Segment, record: tuple[int, bytes], member: str, previous: int) -> int:
    kind, payload = record
    try:
        header = _header_decoder.decode(payload) if kind == HEADER else None
    except msgspec.MsgspecError:
        header = None
    if header is None or header.version != VERSION:
        raise CorruptWal(f"{segment.name} is not a log of format {VERSION}: it was written by another version")
    if header.member != member:
        raise CorruptWal(f"{segment.name} belongs to the member {header.member}, not to {member}: wrong directory?")
    if segment.name != segment_name(header.sequence) or header.sequence != previous + 1:
        raise CorruptWal(f"{segment.name} follows segment {previous}: a segment between them is missing")
    return header.sequence


def _batches(segment: Segment, records: Sequence[tuple[int, bytes]]) -> Iterator[Batch]:
    for position, (kind, payload) in enumerate(records):
        try:
            if kind != BATCH:
                raise CorruptWal(f"{segment.name}: record {position + 1} has the unknown type {kind}")
            yield _batch_decoder.decode(payload)
        except msgspec.MsgspecError as error:
            raise CorruptWal(f"{segment.name}: record {position + 1} does not decode: {error}") from error


def _replay(segment: Segment, batch: Batch, entries: list[Entry]) -> None:
    for entry in batch.entries:
        if not 1 <= entry.index <= len(entries) + 1:
            raise CorruptWal(f"{segment.name}: entry {entry.index} follows entry {len(entries)}: some are missing")
        del entries[entry.index - 1 :]
        entries.append(entry)
