"""The write-ahead log's format: what may be broken in it, and what it adds up to. Pure.

A log is a chain of segment files, `<sequence>.wal`. A segment is a run of records (records.py) whose payload is
MessagePack: a SegmentHeader first, then Batches. One batch is what one sync made durable, so a crash can tear at most
the last record of the last segment: that is cut off. A broken record with a sound one after it, or in an earlier
segment, was durable once. Entries that this member vouched for are gone then, and starting without them could break
promises made to the others: it is refused. So that this holds for the last record too, a mark is written behind it
when nothing has followed for a moment: only damage before that is taken for a torn tail.

A segment is written into zeros that are there already, and after a crash may end in them. They say nothing: whether an
earlier segment lacks its end is said by the header of the next.

Segments whose entries a snapshot stands for are removed, oldest first; a crash may bring some of them back. So only the
newest run of segments without a gap counts, and each header says what comes before it: unless that is in the
snapshot, something is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from actors.etcd.raft.types import START, AppendJob, HardState, Mark
from actors.etcd.records import UNDECODABLE, Record, encode_record, records, sound_record_after
from protocols.raft import Entry

# 1 had headers without `state` and what follows it, and began with sequence 1 always; 2 had no marks, and fewer kinds
# of commands in its entries; 3 had no users in them. All are read; what is written is 4.
VERSION = 4
HEADER, BATCH, MARK = 1, 2, 3

_segment_name = re.compile(r"[0-9a-f]{8}\.wal")
_encode = msgspec.msgpack.Encoder().encode


class CorruptWal(Exception):
    """The log cannot be trusted. The message says which file, where, and what a person can do."""


class SegmentHeader(msgspec.Struct, frozen=True, array_like=True):
    """`index` and `term` are of the entry that comes before. `fresh`: what earlier segments hold is void, a snapshot
    up to that entry took its place."""

    version: int
    member: str
    sequence: int
    state: HardState = HardState()
    index: int = 0
    term: int = 0
    fresh: bool = False


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Entries replace what was at their index or after; then `state` holds."""

    state: HardState | None
    entries: tuple[Entry, ...]


class Segment(NamedTuple):
    name: str
    data: bytes


class Recovered(NamedTuple):
    """`entries` follow the snapshot. `tail` is the last segment without what was torn off; `sequence` its number, 0 if
    there is none. `last` maps the segments that count to the highest index in each. `void`: the log does not lead up
    to the snapshot, and must be begun afresh behind it.
    """

    state: HardState
    entries: list[Entry]
    sequence: int
    tail: bytes
    last: dict[int, int]
    void: bool


_header_decoder = msgspec.msgpack.Decoder(SegmentHeader)
_batch_decoder = msgspec.msgpack.Decoder(Batch)


# -- writing ----------------------------------------------------------------------------------------------------------


def segment_name(sequence: int) -> str:
    return f"{sequence:08x}.wal"


def is_segment(name: str) -> bool:
    return _segment_name.fullmatch(name) is not None


def sequence_of(name: str) -> int:
    return int(name.partition(".")[0], 16)


def encode_header(member: str, sequence: int, state: HardState, before: Mark, *, fresh: bool = False) -> bytes:
    header = SegmentHeader(VERSION, member, sequence, state, before.index, before.term, fresh)
    return encode_record(HEADER, _encode(header))


def encode_jobs(jobs: Sequence[AppendJob]) -> bytes:
    """One record for everything that the next sync makes durable; nothing if the jobs write nothing."""
    state = next((job.state for job in reversed(jobs) if job.state is not None), None)
    if state is None:
        return b""
    entries = jobs[0].entries if len(jobs) == 1 else tuple(entry for job in jobs for entry in job.entries)
    return encode_batch(state, entries)


def encode_mark() -> bytes:
    """Everything before it was durable when it was written. It need not be itself."""
    return encode_record(MARK, b"")


def encode_batch(state: HardState, entries: tuple[Entry, ...]) -> bytes:
    return encode_record(BATCH, _encode(Batch(state, entries)))


# -- reading ----------------------------------------------------------------------------------------------------------


class Replay:
    """What the records of a chain add up to, one after the other."""

    def __init__(self) -> None:
        self.state = HardState()
        self.base = START
        self.entries: list[Entry] = []
        self._floor = 0  # entries up to it are final: a snapshot stands for them

    @property
    def last_index(self) -> int:
        return self.base.index + len(self.entries)

    def begin(self, segment: Segment, header: SegmentHeader, *, first: bool) -> None:
        if first and header.version == 1 and header.sequence > 1:
            raise CorruptWal(f"{segment.name} is the first segment that is there: those before it are missing")
        if first or header.fresh:
            self.base, self.entries = Mark(header.index, header.term), []
            self._floor = header.index if header.fresh else 0
        elif header.version > 1 and header.index != self.last_index:
            raise CorruptWal(f"{segment.name} follows entry {header.index}, not {self.last_index}: some are missing")
        if header.version > 1:
            self.state = header.state

    def add(self, segment: Segment, batch: Batch) -> None:
        for entry in batch.entries:
            if not self._floor < entry.index <= self.last_index + 1:
                raise CorruptWal(
                    f"{segment.name}: entry {entry.index} follows entry {self.last_index}: some are missing"
                )
            if entry.index <= self.base.index:  # a leader replaced what stands in segments that are gone by now
                self.base, self.entries = Mark(entry.index - 1, 0), []
            del self.entries[entry.index - self.base.index - 1 :]
            self.entries.append(entry)
        self.state = batch.state or self.state

    def leads_to(self, mark: Mark) -> bool:
        """Whether the entry at `mark` is in the log, or comes right before it."""
        position = mark.index - self.base.index - 1
        if position == -1:
            return self.base.term == mark.term
        return 0 <= position < len(self.entries) and self.entries[position].term == mark.term


def recover(segments: Sequence[Segment], member: str, snapshot: Mark = START) -> Recovered:
    """Replay the newest run of segments behind a snapshot. Raises CorruptWal."""
    replay, sequence, tail = Replay(), 0, b""
    last: dict[int, int] = {}
    for segment in newest_run(segments):
        read, size = _read(segment, last=segment is segments[-1])
        tail = segment.data[:size]
        if not read:
            break  # the last segment, torn before its header was whole: as if it had never been begun
        header = _header(segment, read[0], member)
        replay.begin(segment, header, first=not sequence)
        sequence = header.sequence
        last[sequence] = replay.last_index
        for batch in _batches(segment, read[1:]):
            replay.add(segment, batch)
            last[sequence] = max(last[sequence], replay.last_index)
    if replay.base.index > snapshot.index:
        raise CorruptWal(
            f"the log begins behind entry {replay.base.index}, and the newest snapshot is of entry {snapshot.index}: "
            "what is between them is missing. Restore this member's directory from a copy"
        )
    void = not replay.leads_to(snapshot)
    entries = [] if void else replay.entries[snapshot.index - replay.base.index :]
    return Recovered(replay.state, entries, sequence, tail, last, void)


def member_of(segments: Sequence[Segment]) -> str:
    """The member to whom a log belongs, by its newest segment that says so; "" if none does."""
    for segment in reversed(segments):
        found = records(segment.data)[0]
        if found and found[0][0] == HEADER:
            try:
                return _header_decoder.decode(found[0][1]).member
            except UNDECODABLE:
                continue
    return ""


def newest_run(segments: Sequence[Segment]) -> Sequence[Segment]:
    """The segments behind the last gap in their numbers."""
    start = len(segments) - 1
    while start > 0 and sequence_of(segments[start - 1].name) + 1 == sequence_of(segments[start].name):
        start -= 1
    return segments[max(0, start) :]


def _read(segment: Segment, *, last: bool) -> tuple[list[Record], int]:
    """The records of a segment, and how many bytes they take. Raises CorruptWal unless the rest is a torn tail."""
    found, offset = records(segment.data)
    ends = segment.data.count(0, offset) == len(segment.data) - offset
    if not (ends and (found or last)) and (not last or sound_record_after(segment.data, offset)):
        raise CorruptWal(
            f"{segment.name}: the record at byte {offset} is damaged, and it is not the last one: entries that were "
            "acknowledged are lost. Restore this member's directory from a copy, or remove all of it and let the "
            "member join again as a new one"
        )
    return found, offset


def _header(segment: Segment, record: Record, member: str) -> SegmentHeader:
    kind, payload = record
    try:
        header = _header_decoder.decode(payload) if kind == HEADER else None
    except UNDECODABLE:
        header = None
    if header is None or not 1 <= header.version <= VERSION:
        raise CorruptWal(f"{segment.name} is not a log of format {VERSION}: it was written by another version")
    if header.member != member:
        raise CorruptWal(f"{segment.name} belongs to the member {header.member}, not to {member}: wrong directory?")
    if segment.name != segment_name(header.sequence):
        raise CorruptWal(f"{segment.name} says that it is {segment_name(header.sequence)}: was it renamed?")
    return header


def _batches(segment: Segment, found: Sequence[Record]) -> Iterator[Batch]:
    for position, (kind, payload) in enumerate(found):
        if kind == MARK:
            continue
        try:
            if kind != BATCH:
                raise CorruptWal(f"{segment.name}: record {position + 1} has the unknown type {kind}")
            yield _batch_decoder.decode(payload)
        except UNDECODABLE as error:
            raise CorruptWal(f"{segment.name}: record {position + 1} does not decode: {error}") from error
