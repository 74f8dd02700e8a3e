"""One term as leader: what each follower has, what to send it, what is committed, and which reads may be answered.

It exists from the won election to the end of the term, and is then thrown away whole. Sending is decided once per
turn, in `outgoing`: whatever happened in the turn, a follower gets one append that carries all of it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from actors.etcd.raft.log import Log
from actors.etcd.raft.progress import Progress
from actors.etcd.raft.quorum import majority_index
from actors.etcd.raft.types import Chunk, Outgoing, RaftConfig, Snapshot
from protocols.raft import (
    Appended,
    AppendEntries,
    CommitAdvanced,
    ConfirmLeader,
    LeaderConfirmed,
    SnapshotReceived,
)


class ReadRound(NamedTuple):
    """Reads that share one confirmation of leadership; they may be answered once `read_index` is applied."""

    number: int
    read_index: int


class Leadership:
    def __init__(self, config: RaftConfig, log: Log, term: int, now: float) -> None:
        self.term = term
        self.uncommitted_bytes = 0
        self.beat_due = now + config.heartbeat_s
        self.peers = {peer: Progress(log.last_index, now, config.inflight_max) for peer in config.peers}
        self._config = config
        self._log = log
        self._rounds: deque[ReadRound] = deque()
        self._answered = 0  # the newest round whose reads may have been answered
        self._round = 0
        self._read_waits = False
        self._beats = False
        # The entry that opens the term: once it is committed, so is all before it (Raft 5.4.2).
        self.first_index = log.append(term, b"")

    # -- proposals and commit -------------------------------------------------------------------------------------

    def append(self, data: bytes) -> int:
        self.uncommitted_bytes += len(data)
        return self._log.append(self.term, data)

    def advance(self) -> None:
        """Commit what a majority has made durable, if it is of this term (Raft 5.4.2, figure 8)."""
        log = self._log
        index = majority_index([log.persisted, *(progress.match for progress in self.peers.values())])
        if index > log.committed and log.term_at(index) == self.term:
            before = log.committed
            log.commit(index)
            self._forget_size(before, index)

    def _forget_size(self, before: int, index: int) -> None:
        for entry in self._log.between(before, index):
            if entry.term == self.term:
                self.uncommitted_bytes -= len(entry.data)

    # -- answers --------------------------------------------------------------------------------------------------

    def appended(self, message: Appended, now: float) -> None:
        progress = self.peers[message.source]
        progress.heard_at = now
        if not message.accepted:
            hint, _ = self._log.hint(message.hint_index, message.hint_term)
            progress.refused(message.index, hint)
        elif progress.accepted(message.index, self._log.base.index):
            self.advance()

    def confirmed(self, message: LeaderConfirmed, now: float) -> None:
        progress = self.peers[message.source]
        progress.heard_at = now
        progress.round = max(progress.round, message.round)
        progress.answered_beat()

    def snapshot_received(self, message: SnapshotReceived, now: float) -> None:
        progress = self.peers[message.source]
        progress.heard_at = now
        progress.received(message.index, message.offset)

    @property
    def transfers(self) -> bool:
        """Whether the snapshot is on its way to somebody."""
        return any(progress.transfer is not None for progress in self.peers.values())

    # -- time -----------------------------------------------------------------------------------------------------

    def beat(self, now: float) -> None:
        self.beat_due = now + self._config.heartbeat_s
        self._beats = True
        for progress in self.peers.values():
            progress.beat(self._log.last_index)

    def hears_a_quorum(self, now: float) -> bool:
        """Check-quorum: a leader that is cut off must not go on believing in itself (dissertation, 6.2)."""
        silence_max_s = self._config.election_s[1]
        heard = [progress for progress in self.peers.values() if now - progress.heard_at < silence_max_s]
        return (len(heard) + 1) * 2 > len(self.peers) + 1

    # -- reads ----------------------------------------------------------------------------------------------------

    def request_read(self) -> int:
        """The number of the round that all reads of this turn belong to."""
        self._read_waits = True
        return self._round + 1

    def read_round(self) -> int:
        """The newest round whose reads may be answered now (dissertation, 6.4)."""
        if not self._rounds:
            return 0
        confirmed = majority_index([self._round, *(progress.round for progress in self.peers.values())])
        while len(self._rounds) > 1 and self._answerable(self._rounds[1], confirmed):
            self._rounds.popleft()
        if not self._answerable(self._rounds[0], confirmed):
            return 0
        self._answered = self._rounds[0].number
        return self._answered

    def _answerable(self, read: ReadRound, confirmed: int) -> bool:
        return read.number <= confirmed and read.read_index <= self._log.applied

    def _open_round(self) -> None:
        self._read_waits = False
        self._beats = True
        self._round += 1
        self._rounds.append(ReadRound(self._round, max(self._log.committed, self.first_index)))

    @property
    def at_rest(self) -> bool:
        if self._beats or (self._rounds and self._rounds[-1].number > self._answered):
            return False
        last = self._log.last_index
        return not any(progress.may_send(last) for progress in self.peers.values())

    # -- sending --------------------------------------------------------------------------------------------------

    def chunks(self, snapshot: Snapshot) -> list[Chunk]:
        """What goes to followers that lack compacted entries; `outgoing` has nothing for those."""
        chunks = []
        for peer, progress in self.peers.items():
            if progress.next <= self._log.base.index and progress.may_send(self._log.last_index):
                transfer = progress.send_snapshot(snapshot.mark.index)
                chunks.append(Chunk(peer, self.term, snapshot, transfer.offset))
        return chunks

    def outgoing(self) -> list[Outgoing]:
        if self._read_waits:
            self._open_round()
        messages: list[Outgoing] = []
        for peer, progress in self.peers.items():
            while progress.next > self._log.base.index and progress.may_send(self._log.last_index):
                messages.append(Outgoing(peer, self._next_append(progress)))
            known = min(progress.match, self._log.committed)
            if self._beats:
                progress.told_commit = known
                messages.append(Outgoing(peer, ConfirmLeader(self.term, self._config.member, known, self._round)))
            elif known > progress.told_commit:
                progress.told_commit = known
                messages.append(Outgoing(peer, CommitAdvanced(self.term, self._config.member, known)))
        self._beats = False
        return messages

    def _next_append(self, progress: Progress) -> AppendEntries:
        log = self._log
        previous = progress.next - 1
        entries = () if progress.knock else log.slice(progress.next, self._config.append_bytes_max)
        last = previous + len(entries)
        term = log.term_at(previous)
        assert term is not None
        progress.sent(last)
        progress.told_commit = max(progress.told_commit, min(log.committed, last))
        return AppendEntries(self.term, self._config.member, previous, term, entries, log.committed)

    def check(self) -> None:
        assert self._log.term_at(self.first_index) in (self.term, None)
        assert self.uncommitted_bytes >= 0
        for progress in self.peers.values():
            progress.check(self._log.last_index)
            assert progress.transfer is None or progress.next <= self._log.base.index
