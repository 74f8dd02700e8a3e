"""Clients that wait: for a write to be applied, or a read to be confirmed. Plain tables, no task and no future each.

A write waits under the index of the entry that carries it, a read under the number of its confirmation round. One batch
of each is under way at a time. What comes meanwhile gathers for the next, so that what a batch costs (frames, syncs,
turns of three members) is shared by as many as possible. A batch that takes long is not waited for: on a slow disk or
with far members, every request would wait for two.

When the leadership under which they were taken ends, all are told what is known: a read did not happen and may be asked
again; a write that is in the log may yet be committed by the next leader, so its outcome is unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from actorkube.runtime.reply import ReplyHandle
from actors.etcd.commands import Command
from actors.etcd.mvcc.store import Result
from protocols.errors import Answer, AskError, Unknown
from protocols.etcd import Compact, LeaseKeepAlive, LeaseList, LeaseTimeToLive, NotLeader, Range, Txn, TxnResponse
from protocols.etcd_auth import AsUser, GetAuth
from protocols.etcd_maintenance import ListAlarms
from protocols.etcd_members import MemberList
from protocols.message import Done

Read: TypeAlias = (
    Range | Txn | LeaseKeepAlive | LeaseTimeToLive | LeaseList | ListAlarms | MemberList | GetAuth | AsUser
)

ENTRY_COMMANDS_MAX = 512
ENTRY_BYTES_MAX = 1 << 20
GATHER_S = 0.05  # how long the next batch waits for the one before it, at most


class Write(NamedTuple):
    command: Command
    reply: ReplyHandle
    size_bytes: int = 0  # of keys and values


class WaitingRead(NamedTuple):
    request: Read
    reply: ReplyHandle
    asked_at: float


class Requests:
    def __init__(self) -> None:
        self._new_writes: list[Write] = []
        self._new_reads: list[WaitingRead] = []
        self._proposed: deque[tuple[int, list[Write]]] = deque()
        self._proposed_at = 0.0  # the last of them
        self._proposed_count = 0  # in the last of them
        self._rounds: deque[tuple[int, list[WaitingRead]]] = deque()
        self._asked_at = 0.0  # the last of them
        self._asked_count = 0  # in the last of them
        self._compactions: list[Write] = []  # decided, and to be answered when all is dropped

    def add_write(self, write: Write) -> None:
        self._new_writes.append(write)

    def add_read(self, read: WaitingRead) -> None:
        self._new_reads.append(read)

    @property
    def are_new(self) -> bool:
        return bool(self._new_writes or self._new_reads)

    def may_go(self, now: float) -> bool:
        """Whether something waits that has gathered for long enough."""
        return self.writes_may_go(now) or self.reads_may_go(now)

    @property
    def writes_gather(self) -> bool:
        """Whether what has come waits for what may come in the same loop turn: where there was more than one lately, or
        where a batch is under way."""
        return self._proposed_count > 1 or bool(self._proposed)

    @property
    def reads_gather(self) -> bool:
        return self._asked_count > 1 or bool(self._rounds)

    # -- writes ---------------------------------------------------------------------------------------------------

    def writes_may_go(self, now: float) -> bool:
        return bool(self._new_writes) and (not self._proposed or now - self._proposed_at >= GATHER_S)

    def take_writes(self, now: float) -> list[list[Write]]:
        """What came since the last call, cut into portions of one log entry each."""
        self._proposed_at, self._proposed_count = now, len(self._new_writes)
        portions: list[list[Write]] = []
        size = ENTRY_BYTES_MAX
        for write in self._new_writes:
            size += write.size_bytes
            if size >= ENTRY_BYTES_MAX or len(portions[-1]) >= ENTRY_COMMANDS_MAX:
                portions.append([])
                size = 0
            portions[-1].append(write)
        self._new_writes = []
        return portions

    def proposed(self, index: int, writes: list[Write]) -> None:
        self._proposed.append((index, writes))

    def take_proposed(self, index: int) -> list[Write] | None:
        """The writes that the entry at `index` carries, if they were asked for here."""
        if not self._proposed or self._proposed[0][0] != index:
            return None
        return self._proposed.popleft()[1]

    def answer(self, writes: Sequence[Write], results: Sequence[Result]) -> None:
        for write, result in zip(writes, results, strict=True):
            if type(result) is TxnResponse:  # as most are, and quicker than isinstance
                write.reply.send(result)
            elif isinstance(result, Answer):
                write.reply.fail(result)
            elif isinstance(write.command, Compact) and write.command.physical:
                self._compactions.append(write)
            else:
                write.reply.send(result)

    def scrubbed(self) -> None:
        """What compactions made superfluous is dropped."""
        waiting, self._compactions = self._compactions, []
        for write in waiting:
            write.reply.send(Done())

    # -- reads ----------------------------------------------------------------------------------------------------

    def reads_may_go(self, now: float) -> bool:
        return bool(self._new_reads) and (not self._rounds or now - self._asked_at >= GATHER_S)

    def asked_round(self, number: int, now: float) -> None:
        """The reads that came since the last call wait for this round."""
        self._asked_at, self._asked_count = now, len(self._new_reads)
        self._rounds.append((number, self._new_reads))
        self._new_reads = []

    def take_reads(self, confirmed_round: int) -> list[WaitingRead]:
        reads: list[WaitingRead] = []
        while self._rounds and self._rounds[0][0] <= confirmed_round:
            reads += self._rounds.popleft()[1]
        return reads

    # -- the end of a leadership ----------------------------------------------------------------------------------

    def fail_all(self, refusal: NotLeader) -> None:
        self.fail_new(refusal)
        lost = Unknown("the leader changed before the write was committed: it may yet happen")
        for _, writes in self._proposed:
            fail_writes(writes, lost)
        for _, reads in self._rounds:
            for read in reads:
                read.reply.fail(refusal)
        self._proposed.clear()
        self._rounds.clear()

    def fail_new(self, refusal: NotLeader) -> None:
        fail_writes(self._new_writes, refusal)
        for read in self._new_reads:
            read.reply.fail(refusal)
        self._new_writes, self._new_reads = [], []


def fail_writes(writes: Sequence[Write], error: Answer | AskError) -> None:
    for write in writes:
        write.reply.fail(error)
