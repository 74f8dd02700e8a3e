"""The log and the snapshot on a disk: recovery at start, then one record and one sync for all jobs that wait.

Shell around `wal.py` and `snapshot.py`. An OSError from a write of the log means that nothing is known about what is
durable, so it is not caught: the actor crashes, and recovery decides from what the medium really holds.

Order is everything: a snapshot is durable under its name before a segment that it makes superfluous is removed, and
what another member's snapshot makes void is said to be void, by a fresh segment, before anything is acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actorkube.runtime.disk import Disk, DiskFull
from actors.etcd.raft.types import NO_SNAPSHOT, START, AppendJob, HardState, Install, Mark, Snapshot
from actors.etcd.snapshot import CorruptSnapshot, Loaded, is_snapshot, read_snapshot, snapshot_name
from actors.etcd.wal import (
    CorruptWal,
    Segment,
    encode_batch,
    encode_header,
    encode_jobs,
    encode_mark,
    is_segment,
    recover,
    segment_name,
    sequence_of,
)
from protocols.raft import Entry, InstallSnapshot

SEGMENT_BYTES_MAX = 16 << 20
AHEAD_BYTES = 512 << 10  # zeros that are written ahead of the log, at a time
OWN_PART, INCOMING_PART = "snapshot.part", "incoming.part"


class NoRoom(Exception):
    """The disk is full, and nothing has changed: it may be tried again when there is room."""


class Opened(NamedTuple):
    """`loaded` is what `snapshot` holds; `entries` follow it."""

    state: HardState
    snapshot: Snapshot
    loaded: Loaded | None
    entries: list[Entry]


class Storage:
    def __init__(self, disk: Disk, member: str, segment_bytes_max: int = SEGMENT_BYTES_MAX) -> None:
        self.log_bytes = 0  # written since the newest snapshot
        self._disk = disk
        self._member = member
        self._segment_bytes_max = segment_bytes_max
        self._sequence = 0
        self._size = 0
        self._reserved = 0  # how long the segment is, with the zeros behind what was written
        self._state = HardState()
        self._last = START  # the entry that was written last
        self._highest: dict[int, int] = {}  # segment -> the highest index in it
        self.is_marked = True
        self._incoming_broken = False
        self._incoming_bytes = 0  # of the snapshot that was loaded last

    async def open(self) -> Opened:
        """Read everything, cut off a torn tail, and make durable what was read. Raises CorruptWal."""
        for part in (OWN_PART, INCOMING_PART):
            self._disk.remove(part)
        snapshot, loaded = self._newest_snapshot()
        names = [name for name in self._disk.list() if is_segment(name)]
        segments = [Segment(name, self._disk.read(name)) for name in names]
        found = recover(segments, self._member, snapshot.mark)
        self.log_bytes = sum(len(segment.data) for segment in segments[:-1]) + len(found.tail)
        self._sequence, self._state, self._highest = found.sequence, found.state, found.last
        self._last = Mark(found.entries[-1].index, found.entries[-1].term) if found.entries else snapshot.mark
        if found.tail:
            # Written anew even when it is whole: after a failed sync the system may have dropped the pages and called
            # them clean, so what reads back is not yet durable, and we are about to vouch for it.
            await self._disk.replace(segment_name(self._sequence), found.tail)
            self._size, self._reserved, self.is_marked = len(found.tail), len(found.tail), False
        if found.void or not found.tail:
            await self._begin_segment(fresh=found.void)
        self._forget_before(snapshot.mark.index)
        return Opened(found.state, snapshot, loaded, found.entries)

    async def write(self, jobs: Sequence[AppendJob]) -> None:
        """Returns when all that the jobs ask for is durable. Raises NoRoom."""
        record = encode_jobs(jobs)
        if not record:
            return
        if self._size and self._size + len(record) > self._segment_bytes_max:
            try:
                await self._begin_segment()
            except DiskFull as error:
                raise NoRoom from error
        name = segment_name(self._sequence)
        if self._size + len(record) > self._reserved:
            self._reserve(name, self._size + len(record))
        self._append(name, record)
        self._wrote(record, jobs)
        self.is_marked = False
        await self._disk.sync(name)

    def _reserve(self, name: str, needed: int) -> None:
        """Room ahead, so that most syncs wait for what was written only, and not for a new size of the file, too."""
        ahead = min(needed + AHEAD_BYTES, max(needed, self._segment_bytes_max))
        try:
            self._disk.reserve(name, ahead)
        except DiskFull:
            return  # perhaps there is room for the record alone
        self._reserved = ahead

    def _append(self, name: str, record: bytes) -> None:
        try:
            self._disk.append(name, record)
        except DiskFull as error:
            self._disk.truncate(name, self._size)
            self._reserved = self._size
            raise NoRoom from error

    async def mark(self) -> None:
        """Say behind the last record that it was durable, once: so damage to it is not taken for a torn tail.

        It has a sync of its own: torn, with a sound record behind it, it would look like damage itself.
        """
        if self.is_marked:
            return
        self.is_marked = True
        name, record = segment_name(self._sequence), encode_mark()
        try:
            self._append(name, record)
        except NoRoom:
            return
        self._size += len(record)
        self.log_bytes += len(record)
        await self._disk.sync(name)

    def _wrote(self, record: bytes, jobs: Sequence[AppendJob]) -> None:
        self._size += len(record)
        self.log_bytes += len(record)
        for job in jobs:
            self._state = job.state or self._state
            if job.entries:
                last = job.entries[-1]
                self._last = Mark(last.index, last.term)
                self._highest[self._sequence] = max(self._highest[self._sequence], last.index)

    # -- snapshots ------------------------------------------------------------------------------------------------

    def begin_snapshot(self) -> None:
        self._disk.remove(OWN_PART)

    def add_to_snapshot(self, piece: bytes) -> None:
        self._disk.append(OWN_PART, piece)

    async def end_snapshot(self, mark: Mark) -> None:
        """What was added since `begin_snapshot` is the snapshot of `mark`, durably. Older ones stay for now."""
        await self._disk.sync(OWN_PART)
        await self._disk.rename(OWN_PART, snapshot_name(mark.index))

    def compact(self, mark: Mark) -> None:
        """Remove what the durable snapshot of `mark` makes superfluous."""
        self.log_bytes = 0
        self._forget_before(mark.index)

    def read_snapshot(self, mark: Mark, offset: int, size: int) -> bytes:
        return self._disk.read_at(snapshot_name(mark.index), offset, size)

    def receive(self, piece: InstallSnapshot) -> None:
        """The next piece of another member's snapshot; the first one begins anew."""
        if piece.offset == 0:
            self._disk.remove(INCOMING_PART)
            self._incoming_broken = False
        if not self._incoming_broken:
            try:
                self._disk.append(INCOMING_PART, piece.data)
            except DiskFull:
                self._disk.remove(INCOMING_PART)
                self._incoming_broken = True

    def load_received(self, mark: Mark) -> Loaded:
        """What all the pieces add up to. Raises CorruptSnapshot."""
        if self._incoming_broken:
            raise CorruptSnapshot("there was no room for it on the disk")
        loaded, self._incoming_bytes = self._load(INCOMING_PART)
        if loaded.mark != mark:
            raise CorruptSnapshot(f"it is a snapshot of {loaded.mark}, not of {mark}")
        return loaded

    async def install(self, install: Install) -> int:
        """The received snapshot takes the place of all that is here, but for the entries that are kept; durably.
        Returns its size in bytes."""
        size = self._incoming_bytes
        await self._disk.sync(INCOMING_PART)
        await self._disk.rename(INCOMING_PART, snapshot_name(install.mark.index))
        self._last = install.mark
        await self._begin_segment(fresh=True, kept=install.kept)
        self.compact(install.mark)
        return size

    def _load(self, name: str) -> tuple[Loaded, int]:
        """What is in the file, and how many bytes it has. Raises CorruptSnapshot."""
        offset = 0

        def read(size: int) -> bytes:
            nonlocal offset
            data = self._disk.read_at(name, offset, size)
            offset += len(data)
            return data

        return read_snapshot(read), offset

    def _newest_snapshot(self) -> tuple[Snapshot, Loaded | None]:
        names = [name for name in self._disk.list() if is_snapshot(name)]
        if not names:
            return NO_SNAPSHOT, None
        try:
            loaded, size = self._load(names[-1])
        except CorruptSnapshot as error:
            raise CorruptWal(f"{names[-1]}: {error}. Restore this member's directory from a copy") from error
        return Snapshot(loaded.mark, size, loaded.configuration), loaded

    def _forget_before(self, index: int) -> None:
        """Oldest first, so that what a crash leaves has no gap but at its beginning."""
        for name in [name for name in self._disk.list() if is_snapshot(name)]:
            if name < snapshot_name(index):
                self._disk.remove(name)
        for name in [name for name in self._disk.list() if is_segment(name)]:
            sequence = sequence_of(name)
            if sequence == self._sequence or self._highest.get(sequence, 0) > index:
                return
            self._disk.remove(name)
            self._highest.pop(sequence, None)

    # -- segments -------------------------------------------------------------------------------------------------

    async def _begin_segment(self, *, fresh: bool = False, kept: tuple[Entry, ...] = ()) -> None:
        """Its header becomes durable before anything is appended: a segment is there whole, or not at all."""
        sequence = self._sequence + 1
        content = encode_header(self._member, sequence, self._state, self._last, fresh=fresh)
        if kept:
            content += encode_batch(self._state, kept)
            self._last = Mark(kept[-1].index, kept[-1].term)
        if self._reserved > self._size:
            self._disk.truncate(segment_name(self._sequence), self._size)
        await self._disk.replace(segment_name(sequence), content)
        self._sequence, self._size, self._reserved, self.is_marked = sequence, len(content), len(content), True
        self._highest[sequence] = self._last.index
