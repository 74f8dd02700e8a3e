"""What a replica does with its disk beside its turns: it writes the log, and snapshots, its own and a leader's.

Jobs are carried out in order. Everything that was asked for while the disk was busy goes into one record and one sync;
a snapshot is written in slices, between which everything else goes on.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from functools import partial
from typing import Any

from actorkube.runtime.actor import Context
from actorkube.runtime.disk import DiskFull
from actors.etcd.mvcc.dump import Dump
from actors.etcd.mvcc.store import Store
from actors.etcd.raft.core import Raft
from actors.etcd.raft.types import AppendJob, Chunk, Install, Mark, Ready, Snapshot
from actors.etcd.snapshot import CorruptSnapshot, encode_snapshot
from actors.etcd.storage import NoRoom, Opened, Storage
from protocols.raft import InstallSnapshot

NO_ROOM_S = 1.0  # until a full disk is tried again


async def opened(storage: Storage, ctx: Context) -> Opened:
    """What the disk holds, as soon as it has the room that opening takes."""
    while True:
        try:
            return await storage.open()
        except DiskFull as error:
            ctx.log.error("no room on the disk: the member waits", error=str(error))
            await ctx.sleep(NO_ROOM_S)


class DiskWork:
    """`replace` is told the store of a snapshot that took the place of all that was; `written` is called whenever
    what was asked for is durable, and the core knows it."""

    def __init__(
        self, ctx: Context, storage: Storage, raft: Raft, replace: Callable[[Store], None], written: Callable[[], None]
    ) -> None:
        self._ctx = ctx
        self._storage = storage
        self._raft = raft
        self._replace = replace
        self._tell_written = written
        self._jobs: list[AppendJob | Install] = []
        self._writing = False
        self._dumping = False
        self._written = True
        self._mark_is_due = False

    def take(self, ready: Ready) -> None:
        """What the core wants from the disk. Call `write` next, at once or when what is to leave first has left."""
        for piece in ready.received:
            self._storage.receive(piece)
        for job in (ready.append, ready.install):
            if job is not None:
                self._jobs.append(job)

    @property
    def is_due(self) -> bool:
        """There is something to write, and nobody writes."""
        return bool(self._jobs or self._mark_is_due) and not self._writing

    @property
    def bytes(self) -> int:
        """What log and snapshot take."""
        return self._storage.log_bytes + self._raft.snapshot.size

    def keep_house(self) -> None:
        """If nothing was written since the last call, what was written last is marked as durable."""
        self._mark_is_due = self._mark_is_due or not (self._written or self._storage.is_marked)
        self._written = False
        if self._mark_is_due:
            self.write()

    # -- the log --------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Begin to write all that waits. Where the disk is quick that is done when this returns, without a task, which
        would cost a member of an idle cluster as much again as the rest of a write."""
        if not self.is_due:
            return
        self._writing = True
        writing = self._write_all()
        try:
            waits_for = writing.send(None)
        except StopIteration:
            return
        self._ctx.background(_resumed(writing, waits_for), "write log")

    async def _write_all(self) -> None:
        """Group commit: what comes while the disk is busy is one record more."""
        while self._jobs:
            jobs, self._jobs = self._jobs, []
            self._written = True
            for group in groups(jobs):
                if isinstance(group, Install):
                    await self._install(group)
                else:
                    await self._persist(group)
            self._tell_written()
        if self._mark_is_due:
            self._mark_is_due = False
            await self._storage.mark()
        self._writing = False
        self.write()

    async def _persist(self, jobs: list[AppendJob]) -> None:
        await self._write(jobs)
        for job in jobs:
            self._raft.persisted(job, self._ctx.now)

    async def _write(self, jobs: list[AppendJob]) -> None:
        while True:
            try:
                return await self._storage.write(jobs)
            except NoRoom:
                self._ctx.log.error("no room on the disk: the log waits", entries=len(jobs))
                await self._ctx.sleep(NO_ROOM_S)

    # -- snapshots ------------------------------------------------------------------------------------------------

    def snapshot_if_due(self, store: Store, log_bytes: int, entries_kept: int) -> None:
        """When the log has grown by `log_bytes`, and by as much as the last snapshot has."""
        if self._snapshot_is_due(log_bytes):
            self._dumping = True
            self._ctx.background(self._write_snapshot(store, entries_kept), "write snapshot")

    def _snapshot_is_due(self, log_bytes: int) -> bool:
        """Not while one is on its way to a member: it would have to begin again. But the log must not grow for ever."""
        grown = self._storage.log_bytes
        if grown < log_bytes or self._dumping:
            return False
        raft = self._raft
        least = max(log_bytes, raft.snapshot.size)
        if grown < least or raft.log.applied <= raft.snapshot.mark.index:
            return False
        return raft.leadership is None or not raft.leadership.transfers or grown > 4 * least

    async def _write_snapshot(self, store: Store, entries_kept: int) -> None:
        """In slices: between two of them, everything else goes on."""
        log, storage = self._raft.log, self._storage
        mark = Mark(log.applied, log.term_at(log.applied) or 0)
        configuration = log.configurations.at(mark.index)
        dump, size = Dump(store), 0
        try:
            storage.begin_snapshot()
            for piece in encode_snapshot(mark, dump, configuration):
                storage.add_to_snapshot(piece)
                size += len(piece)
                await self._ctx.sleep(0)
            await storage.end_snapshot(mark)
        except OSError as error:  # nothing depends on it: the log is still whole
            self._ctx.log.warning("snapshot failed", index=mark.index, error=repr(error))
            return
        finally:
            dump.close()
            self._dumping = False
        if mark.index > self._raft.snapshot.mark.index:
            self._raft.compacted(Snapshot(mark, size, configuration), entries_kept)
            storage.compact(mark)
            self._ctx.log.info("snapshot written", index=mark.index, bytes=size)

    def piece(self, chunk: Chunk, member: str, bytes_max: int) -> InstallSnapshot:
        """The part of this member's snapshot that somebody wants."""
        mark = chunk.snapshot.mark
        data = self._storage.read_snapshot(mark, chunk.offset, bytes_max)
        return InstallSnapshot(chunk.term, member, mark.index, mark.term, chunk.snapshot.size, chunk.offset, data)

    async def _install(self, install: Install) -> None:
        """Another member's snapshot is all here: it takes the place of the state, once it is durable."""
        try:
            loaded = self._storage.load_received(install.mark)
        except CorruptSnapshot as error:
            self._ctx.log.error("received snapshot is broken", index=install.mark.index, error=str(error))
            self._raft.spoiled()
            return
        size = await self._storage.install(install)
        self._replace(loaded.store)
        self._raft.installed(Snapshot(install.mark, size, loaded.configuration))
        self._ctx.log.info("snapshot installed", index=install.mark.index, bytes=size)


async def _resumed(begun: Coroutine[Any, Any, None], waits_for: object) -> None:
    """A coroutine that was begun without a task, and waits now: a task can go on with it."""
    await _steps(begun, waits_for)


@types.coroutine
def _steps(begun: Coroutine[Any, Any, None], waits_for: object) -> Generator[object, Any, None]:
    while True:
        try:
            sent = yield waits_for
        except BaseException as error:
            go_on = partial(begun.throw, error)
        else:
            go_on = partial(begun.send, sent)
        try:
            waits_for = go_on()
        except StopIteration:
            return


def groups(jobs: list[AppendJob | Install]) -> Iterator[list[AppendJob] | Install]:
    """Appends that may share a record and a sync, and what stands between them, in order."""
    appends: list[AppendJob] = []
    for job in jobs:
        if isinstance(job, Install):
            if appends:
                yield appends
            yield job
            appends = []
        else:
            appends.append(job)
    if appends:
        yield appends
