"""The write-ahead log on a disk: recovery at start, then one record and one sync for all jobs that wait.

Shell around `wal.py`. An OSError from a write means that nothing is known about what is durable, so it is not caught:
the actor crashes, and recovery decides from what the medium really holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from actorkube.runtime.disk import Disk
from actors.etcd.raft.types import AppendJob, HardState
from actors.etcd.wal import Segment, encode_header, encode_jobs, is_segment, recover, segment_name
from protocols.raft import Entry

SEGMENT_BYTES_MAX = 16 << 20


class Storage:
    def __init__(self, disk: Disk, member: str, segment_bytes_max: int = SEGMENT_BYTES_MAX) -> None:
        self._disk = disk
        self._member = member
        self._segment_bytes_max = segment_bytes_max
        self._sequence = 0
        self._size = 0

    async def open(self) -> tuple[HardState, list[Entry]]:
        """Read everything, cut off a torn tail, and make durable what was read. Raises CorruptWal."""
        names = [name for name in self._disk.list() if is_segment(name)]
        found = recover([Segment(name, self._disk.read(name)) for name in names], self._member)
        self._sequence = found.sequence
        if found.tail:
            # Written anew even when it is whole: after a failed sync the system may have dropped the pages and called
            # them clean, so what reads back is not yet durable, and we are about to vouch for it.
            await self._disk.replace(segment_name(self._sequence), found.tail)
            self._size = len(found.tail)
        else:
            await self._begin_segment()
        return found.state, found.entries

    async def write(self, jobs: Sequence[AppendJob]) -> None:
        """Returns when all that the jobs ask for is durable."""
        record = encode_jobs(jobs)
        if not record:
            return
        if self._size and self._size + len(record) > self._segment_bytes_max:
            await self._begin_segment()
        name = segment_name(self._sequence)
        self._disk.append(name, record)
        self._size += len(record)
        await self._disk.sync(name)

    async def _begin_segment(self) -> None:
        """Its header becomes durable before anything is appended: a segment is there whole, or not at all."""
        self._sequence += 1
        header = encode_header(self._member, self._sequence)
        await self._disk.replace(segment_name(self._sequence), header)
        self._size = len(header)
