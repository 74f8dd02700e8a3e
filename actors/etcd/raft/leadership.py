"""One term as leader: what each member has, what to send it, what is committed, and which reads may be answered.

It exists from the won election to the end of the term, and is then thrown away whole. Sending is decided once per
turn, in `outgoing`: whatever happened in the turn, a follower gets one append that carries all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from actors.etcd.raft import confchange
from actors.etcd.raft.handover import Handover
from actors.etcd.raft.log import Log
from actors.etcd.raft.progress import Progress
from actors.etcd.raft.quorum import majority_index
from actors.etcd.raft.read_lease import ReadLease
from actors.etcd.raft.types import Change, Chunk, Outgoing, RaftConfig, Refused, Snapshot
from protocols.raft import (
    Appended,
    AppendEntries,
    CommitAdvanced,
    Configuration,
    ConfirmLeader,
    LeaderConfirmed,
    SnapshotReceived,
    TimeoutNow,
)

CATCH_UP_ENTRIES = 100  # so many may be under way to a learner that gets a vote


class ReadRound(NamedTuple):
    """Reads that share one confirmation of leadership; they may be answered once `read_index` is applied."""

    number: int
    read_index: int


class Leadership:
    def __init__(self, config: RaftConfig, log: Log, term: int, now: float) -> None:
        self.term = term
        self.uncommitted_bytes = 0
        self.beat_due = now + config.heartbeat_s
        self.peers: dict[str, Progress] = {}
        self.handover = Handover()
        self._config = config
        self._log = log
        self._majorities: tuple[tuple[Progress | None, ...], ...] = ()  # None is this member itself
        self._has_vote = True
        self._leaving_beats = 0  # heartbeats since it is certain who leaves
        self._rounds: deque[ReadRound] = deque()
        self._answered = 0  # the newest round whose reads may have been answered
        self._round = 0
        self._read_waits = False
        self.beats = False
        self._lease = ReadLease(config.lease_s)
        # The entry that opens the term: once it is committed, so is all before it (Raft 5.4.2).
        # A log that does not say yet who belongs to it does so with it.
        self._meet(now)
        recorded = log.configurations.index > 0
        self.first_index = log.append(term, b"") if recorded else log.append_configuration(term, log.configuration)

    # -- proposals and commit -------------------------------------------------------------------------------------

    def append(self, data: bytes) -> int:
        self.uncommitted_bytes += len(data)
        return self._log.append(self.term, data)

    def advance(self) -> None:
        """Commit what a majority has made durable, if it is of this term (Raft 5.4.2, figure 8)."""
        log = self._log
        if log.committed == log.last_index:
            return
        own = log.persisted
        index = min(
            [
                majority_index([own if progress is None else progress.match for progress in majority])
                for majority in self._majorities
            ]
        )
        if index > log.committed and log.term_at(index) == self.term:
            before = log.committed
            log.commit(index)
            self._forget_size(before, index)
            self._leave_joint()

    def _forget_size(self, before: int, index: int) -> None:
        for entry in self._log.between(before, index):
            if entry.term == self.term and not entry.configures:
                self.uncommitted_bytes -= len(entry.data)

    # -- members --------------------------------------------------------------------------------------------------

    def change(self, changes: Sequence[Change], now: float) -> int | Refused:
        """Begin a change of members. Returns the index of the entry that begins it."""
        log = self._log
        if log.committed < max(self.first_index, log.configurations.index):
            return Refused.UNDER_WAY
        target = confchange.change(log.configuration, changes)
        if isinstance(target, Refused):
            return target
        if any(step.kind == "promote" and not self._has_caught_up(step.name) for step in changes):
            return Refused.NOT_READY
        if target.outgoing and not self._are_up(target, now):
            return Refused.UNHEALTHY
        index = log.append_configuration(self.term, target)
        self._meet(now)
        return index

    def _meet(self, now: float) -> None:
        """Whom the newest configuration names is sent everything; whom it names no longer, until `beat` drops it."""
        configuration, own = self._log.configuration, self._config.member
        for name in confchange.members(configuration):
            if name != own and name not in self.peers:
                self.peers[name] = Progress(self._log.last_index, now, self._config.inflight_max)
        self._majorities = tuple(
            tuple(None if name == own else self.peers[name] for name in voters)
            for voters in confchange.majorities(configuration)
        )
        self._has_vote = own in confchange.voters(configuration)
        self._leaving_beats = 0

    def _leave_joint(self) -> None:
        """All that is to come is safe with the new voters alone, once both majorities know of them (Raft 6)."""
        log = self._log
        if log.configuration.outgoing and log.configurations.index <= log.committed:
            log.append_configuration(self.term, confchange.leave(log.configuration))
            self._meet(0.0)  # nobody is new

    def _has_caught_up(self, name: str) -> bool:
        progress = self.peers.get(name)
        return progress is None or (progress.streaming and progress.match + CATCH_UP_ENTRIES >= self._log.committed)

    def _are_up(self, target: Configuration, now: float) -> bool:
        """Whether a majority of its voters can be expected to answer. One that is new has the benefit of the doubt
        where it takes another's place, and beside a single one, which could not grow else. Where voters are only added,
        those that never start must not bring it to where nobody decides any more."""
        only_grows = len(target.outgoing) > 1 and set(target.outgoing) <= set(target.voters)
        heard = [
            name == self._config.member
            or (self._is_heard(self.peers[name], now) if name in self.peers else not only_grows)
            for name in target.voters
        ]
        return heard.count(True) * 2 > len(heard)

    @property
    def is_retired(self) -> bool:
        """It leads a replica set that it does not belong to any more, and all is done."""
        return not self._has_vote and self._log.configurations.index <= self._log.committed

    def successor(self) -> str:
        """The voter that has most of the log, "" if there is none but this one."""
        voters = [(self.peers[name].match, name) for name in self._log.configuration.voters if name in self.peers]
        return max(voters, default=(0, ""))[1]

    def hand_over(self, to: str, now: float) -> None:
        """Take no proposals any more, until `to` leads or has had the time of an election for it."""
        self.handover.begin(to, now + self._config.election_s[1])

    def _drop_leaving(self) -> None:
        """Who does not belong to it any more is told so for one heartbeat after that is certain, if it listens."""
        log = self._log
        if self._leaving_beats > 1 or log.configurations.index > log.committed:
            return
        if self._leaving_beats:
            stay = confchange.members(log.configuration)
            self.peers = {name: progress for name, progress in self.peers.items() if name in stay}
        self._leaving_beats += 1

    # -- answers --------------------------------------------------------------------------------------------------

    def appended(self, message: Appended, now: float) -> None:
        if (progress := self.peers.get(message.source)) is None:
            return
        progress.heard_at = now
        if not message.accepted:
            hint, _ = self._log.hint(message.hint_index, message.hint_term)
            progress.refused(message.index, hint)
        elif progress.accepted(message.index, self._log.base.index):
            self.advance()

    def confirmed(self, message: LeaderConfirmed, now: float) -> None:
        if (progress := self.peers.get(message.source)) is None:
            return
        progress.heard_at = now
        progress.round = max(progress.round, message.round)
        progress.answered_beat()

    def snapshot_received(self, message: SnapshotReceived, now: float) -> None:
        if (progress := self.peers.get(message.source)) is None:
            return
        progress.heard_at = now
        progress.received(message.index, message.offset)

    @property
    def transfers(self) -> bool:
        """Whether the snapshot is on its way to somebody."""
        return any(progress.transfer is not None for progress in self.peers.values())

    # -- time -----------------------------------------------------------------------------------------------------

    def beat(self, now: float) -> None:
        self.beat_due = now + self._config.heartbeat_s
        self.beats = True
        if self._config.lease_s:
            self._round += 1
            self._lease.beat(self._round, now)
        self.handover.beat(now)
        self._drop_leaving()
        for progress in self.peers.values():
            progress.beat(self._log.last_index)

    def hears_a_quorum(self, now: float) -> bool:
        """Check-quorum: a leader that is cut off must not go on believing in itself (dissertation, 6.2)."""
        for majority in self._majorities:
            silent = 0
            for progress in majority:  # a comprehension takes twice the time, at each heartbeat
                if progress is not None and not self._is_heard(progress, now):
                    silent += 1
            if silent * 2 >= len(majority):
                return False
        return True

    def _is_heard(self, progress: Progress, now: float) -> bool:
        return now - progress.heard_at < self._config.election_s[1]

    # -- reads ----------------------------------------------------------------------------------------------------

    def request_read(self, now: float) -> int:
        """The number of the round that all reads of this turn belong to."""
        self._read_waits = True
        if self._config.lease_s and not self.handover.began:
            self._lease.ask(now, self._confirmed_round())
        return self._round + 1

    def read_round(self) -> int:
        """The newest round whose reads may be answered now (dissertation, 6.4)."""
        if not self._rounds:
            return 0
        confirmed = max(self._confirmed_round(), self._lease.round)
        while len(self._rounds) > 1 and self._answerable(self._rounds[1], confirmed):
            self._rounds.popleft()
        if not self._answerable(self._rounds[0], confirmed):
            return 0
        self._answered = self._rounds[0].number
        return self._answered

    def _confirmed_round(self) -> int:
        return min(
            [
                majority_index([self._round if progress is None else progress.round for progress in majority])
                for majority in self._majorities
            ]
        )

    def _answerable(self, read: ReadRound, confirmed: int) -> bool:
        return read.number <= confirmed and read.read_index <= self._log.applied

    def _open_round(self) -> None:
        self._read_waits = False
        self._round += 1
        self.beats = not self._lease.covers(self._round) or self.beats
        self._rounds.append(ReadRound(self._round, max(self._log.committed, self.first_index)))

    @property
    def at_rest(self) -> bool:
        """No read waits, and nobody is to be sent anything but heartbeats."""
        if self._read_waits or (self._rounds and self._rounds[-1].number > self._answered):
            return False
        if self.handover.to:
            return False
        last = self._log.last_index
        for progress in self.peers.values():  # a generator takes twice the time, at each heartbeat
            if (progress.knock or progress.next <= last or not progress.streaming) and progress.may_send(last):
                return False
        return True

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
        last = self._log.last_index
        for peer, progress in self.peers.items():
            while progress.may_send(last) and progress.next > self._log.base.index:
                messages.append(Outgoing(peer, self._next_append(progress)))
            if self.beats:
                progress.told_commit = known = self._known(progress)
                messages.append(Outgoing(peer, ConfirmLeader(self.term, self._config.member, known, self._round)))
        messages += self.commits()
        self.beats = False
        if (to := self.handover.to) and self.handover.is_due(self.peers[to].match == self._log.last_index):
            messages.append(Outgoing(to, TimeoutNow(self.term, self._config.member)))
        return messages

    def commits(self) -> list[Outgoing]:
        """How far the log is committed, for those who have not been told. Never past what each is known to have."""
        messages, committed = [], self._log.committed
        for peer, progress in self.peers.items():
            if progress.told_commit < committed and (known := self._known(progress)) > progress.told_commit:
                progress.told_commit = known
                messages.append(Outgoing(peer, CommitAdvanced(self.term, self._config.member, known)))
        return messages

    def _known(self, progress: Progress) -> int:
        return min(progress.match, self._log.committed)

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
        assert {*confchange.members(self._log.configuration)} <= {self._config.member, *self.peers}
        assert self._log.term_at(self.first_index) in (self.term, None)
        assert self.uncommitted_bytes >= 0
        for progress in self.peers.values():
            progress.check(self._log.last_index)
            assert progress.transfer is None or progress.next <= self._log.base.index
