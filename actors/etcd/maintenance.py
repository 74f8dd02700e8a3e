"""What a replica does beside its turns for those who look after it: hashes, copies, and the leader's check of replicas.

Each walks over the whole store in slices, between which everything else goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorkube.runtime import Outlet, Ref
from actorkube.runtime.actor import Context
from actorkube.runtime.reply import ReplyHandle
from actors.etcd.checker import to_blame
from actors.etcd.commands import Command
from actors.etcd.mvcc.dump import Dump
from actors.etcd.mvcc.hash import HashWalk
from actors.etcd.mvcc.store import Store
from actors.etcd.peers import Peers
from actors.etcd.raft.core import Raft
from actors.etcd.raft.types import Mark
from actors.etcd.snapshot import encode_snapshot
from actors.etcd.upkeep import Room
from protocols.errors import Answer, AskError, DeadlineExceeded
from protocols.etcd import Compacted, FutureRevision, TooBusy
from protocols.etcd_maintenance import Alarm, DisarmAlarm, HashKv, KvHash, RaiseAlarm, StorePiece

WALKS_MAX = 4  # at one time, over the whole store: each keeps what compaction would drop
PIECE_BYTES_MAX = 1 << 20
READER_WAITS_S = 30.0  # a copy whose reader takes nothing for so long ends: it keeps the past
ANSWER_WITHIN_S = 10.0
ATTEMPTS_MAX = 20  # to ask a member that has not applied the revision yet
BETWEEN_ATTEMPTS_S = 0.25


class Maintenance:
    """`store` is the one there is now; `propose` takes a command of this member's own into the log, if it leads."""

    def __init__(
        self,
        ctx: Context,
        member: str,
        raft: Raft,
        store: Callable[[], Store],
        propose: Callable[[Command], None],
        free_bytes_min: int,
        quota_bytes: int,
    ) -> None:
        self._ctx = ctx
        self._disk = ctx.disk
        self._member = member
        self._raft = raft
        self._store = store
        self._propose = propose
        self._room = Room(free_bytes_min, quota_bytes)
        self._saying = False
        self._walks = 0
        self._checking = False
        self._check_at = 0.0

    # -- room -----------------------------------------------------------------------------------------------------

    def look_at_room(self, leader: Ref | None) -> None:
        """Raise an alarm when this member's disk or the quota is about to be full, and end it when there is room."""
        store = self._store()
        self._room.look(self._disk.free_bytes(), store.keyspace.bytes)
        if not self._room.is_low and not store.alarms:
            return
        alarm = Alarm(self._member, "NOSPACE")
        if leader is None or self._saying or self._room.is_low == (alarm in store.alarms):
            return
        self._saying = True
        if self._room.is_low:
            self._ctx.log.error("no room", disk=self._room.disk_is_low, quota=self._room.quota_is_used)
            self._ctx.background(self._say(leader, RaiseAlarm(alarm)), "raise alarm")
        else:
            self._ctx.background(self._say(leader, DisarmAlarm(self._member, "NOSPACE")), "end alarm")

    async def _say(self, leader: Ref, command: RaiseAlarm | DisarmAlarm) -> None:
        try:
            await self._ctx.ask(leader, command, ANSWER_WITHIN_S)
        except (AskError, Answer) as error:
            self._ctx.log.warning("the leader was not told", what=repr(command), error=repr(error))
        finally:
            self._saying = False

    @property
    def errors(self) -> tuple[str, ...]:
        """What is wrong, in sentences: for Status."""
        found = [f"{alarm.member}: {alarm.kind}" for alarm in self._store().alarms]
        return (*found, "the disk is almost full") if self._room.disk_is_low else tuple(found)

    # -- hashes ---------------------------------------------------------------------------------------------------

    def hash(self, request: HashKv, reply: ReplyHandle) -> None:
        """Raises Compacted, FutureRevision, TooBusy."""
        walk = self._begin_hash(request.revision)
        self._ctx.background(self._answer_hash(walk, reply), "hash")

    async def _answer_hash(self, walk: HashWalk, reply: ReplyHandle) -> None:
        reply.send(await self._hash(walk))

    def _begin_hash(self, revision: int) -> HashWalk:
        self._begin_walk()
        try:
            return HashWalk(self._store(), revision if revision > 0 else self._store().revision)
        except (Compacted, FutureRevision):
            self._walks -= 1
            raise

    async def _hash(self, walk: HashWalk) -> KvHash:
        try:
            while not walk.done:
                walk.step()
                await self._ctx.sleep(0)
        finally:
            walk.close()
            self._walks -= 1
        store = self._store()
        return KvHash(store.revision, walk.revision, walk.hash, store.compacted)

    def _begin_walk(self) -> None:
        if self._walks >= WALKS_MAX:
            raise TooBusy("too many hashes and copies are under way: try again")
        self._walks += 1

    # -- copies ---------------------------------------------------------------------------------------------------

    def copy(self, outlet: Outlet) -> None:
        """Raises TooBusy."""
        self._begin_walk()
        self._ctx.background(self._copy(outlet), "copy")

    async def _copy(self, outlet: Outlet) -> None:
        log, dump = self._raft.log, Dump(self._store())
        try:
            async with asyncio.timeout(None) as patience:
                for record in encode_snapshot(Mark(log.applied, log.term_at(log.applied) or 0), dump):
                    for start in range(0, len(record), PIECE_BYTES_MAX):
                        patience.reschedule(asyncio.get_running_loop().time() + READER_WAITS_S)
                        await outlet.put(StorePiece(record[start : start + PIECE_BYTES_MAX]))
                    await self._ctx.sleep(0)
                    if outlet.closed:
                        return
                await outlet.put(StorePiece(b"", last=True))
                outlet.end()
        except TimeoutError:
            outlet.end(DeadlineExceeded(f"nothing of the copy was read for {READER_WAITS_S:.0f} s"))
        finally:
            dump.close()
            self._walks -= 1

    # -- the check ------------------------------------------------------------------------------------------------

    def start(self, first_check_s: float) -> None:
        """This member has become the leader."""
        self._check_at = self._ctx.now + first_check_s

    def check_if_due(self, peers: Peers, every_s: float) -> None:
        if self._checking or not every_s or self._ctx.now < self._check_at:
            return
        self._check_at = self._ctx.now + every_s
        self._checking = True
        self._ctx.background(self._check(peers), "compare replicas")

    async def _check(self, peers: Peers) -> None:
        term, configuration = self._raft.leading_term, self._raft.log.configuration
        try:
            own = await self._hash(self._begin_hash(0))
            hashes = {self._member: own.hash}
            for member in (*configuration.voters, *configuration.learners):
                ref = peers.ref(member)
                if member == self._member or ref is None:
                    continue
                found = await self._hash_of(ref, own.hash_revision)
                if found is not None:
                    hashes[member] = found.hash
        except TooBusy:
            return
        finally:
            self._checking = False
        if term and self._raft.leading_term == term:
            for member in to_blame(hashes, self._member):
                self._blame(member, own.hash_revision)

    async def _hash_of(self, ref: Ref, revision: int) -> KvHash | None:
        """None where it cannot be had now: a member that is away, or far behind, is looked at the next time."""
        for _ in range(ATTEMPTS_MAX):
            try:
                return await self._ctx.ask(ref, HashKv(revision), ANSWER_WITHIN_S)
            except FutureRevision:
                await self._ctx.sleep(BETWEEN_ATTEMPTS_S)
            except (AskError, Answer):
                return None
        return None

    def _blame(self, member: str, revision: int) -> None:
        alarm = Alarm(member, "CORRUPT")
        if alarm in self._store().alarms:
            return
        self._ctx.log.error("a replica differs from the others", member=member, revision=revision)
        self._propose(RaiseAlarm(alarm))
