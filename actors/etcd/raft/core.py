"""The Raft state machine of one member: `step` messages, `tick` time, `propose` data, then look at `ready`.

    role         ballot            leadership      leaves it when
    follower     None              None            nothing heard for an election timeout -> pre-candidate
    pre-         Ballot(pre)       None            majority would vote -> candidate
    candidate    Ballot            None            majority voted -> leader
    leader       None              Leadership      a higher term is seen, or no majority heard -> follower

The rule for what leaves the machine: whatever promises something (a vote, an accepted append, a candidacy: it claims a
log and a term) leaves with the AppendJob that makes the promise durable; the rest leaves at once. A candidate waits
too, because answers to a candidacy that a crash made it forget could elect it with a log that lost entries since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from actorkube.runtime.probe import probe
from actors.etcd.raft import confchange
from actors.etcd.raft.arrival import Arrival
from actors.etcd.raft.configurations import Configurations
from actors.etcd.raft.election import Ballot
from actors.etcd.raft.leadership import Leadership
from actors.etcd.raft.log import Log
from actors.etcd.raft.quorum import Outcome
from actors.etcd.raft.types import (
    NO_SNAPSHOT,
    AppendJob,
    Change,
    Chunk,
    Dropped,
    HardState,
    Install,
    Outgoing,
    RaftConfig,
    Ready,
    Refused,
    Snapshot,
)
from protocols.raft import (
    Appended,
    AppendEntries,
    CommitAdvanced,
    ConfirmLeader,
    Entry,
    InstallSnapshot,
    LeaderConfirmed,
    RaftMessage,
    RequestVote,
    SnapshotReceived,
    TimeoutNow,
    Voted,
)


class Raft:
    def __init__(
        self,
        config: RaftConfig,
        saved: HardState,
        entries: Iterable[Entry],
        chance: Random,
        now: float,
        snapshot: Snapshot = NO_SNAPSHOT,
    ):
        self.config = config
        self.snapshot = snapshot
        known = Configurations(config.bootstrap)
        if snapshot.configuration is not None:
            known = Configurations(snapshot.configuration, snapshot.mark.index)
        self.log = Log(list(entries), saved.commit, snapshot.mark, known)
        self.term = max(saved.term, self.log.last_term)
        self.vote = saved.vote if saved.term == self.term else ""
        self.leader = ""
        self.ballot: Ballot | None = None
        self.leadership: Leadership | None = None
        self._chance = chance
        self._saved = HardState(self.term, self.vote, saved.commit)
        self._now_out: list[Outgoing] = []
        self._out_when_persisted: list[Outgoing] = []
        self._arrival = Arrival()
        self._promised = config.lease_s > 0 and self.term > 0  # by a lease, to vote for nobody: it does not remember
        self._heard_at = now
        self._is_led = False
        self._pre_votes = 0
        self._candidacies = 0
        self._await_leader(now)

    # -- what goes in ---------------------------------------------------------------------------------------------

    def step(self, message: RaftMessage, now: float) -> None:
        """A message of a peer arrived."""
        if message.source == self.config.member or not self._admit(message, now):
            return
        match message:  # what comes most often stands first: to see that a message is not of a class takes a while
            case ConfirmLeader():
                self._follow(message.source, now)
                self._learn_commit(message.commit)
                self._send(message.source, LeaderConfirmed(self.term, self.config.member, message.round))
            case LeaderConfirmed():
                if self.leadership is not None:
                    self.leadership.confirmed(message, now)
            case AppendEntries():
                self._follow(message.source, now)
                self._append(message)
            case Appended():
                if self.leadership is not None:
                    self.leadership.appended(message, now)
                    self._retire(now)
            case CommitAdvanced():
                self._follow(message.source, now)
                self._learn_commit(message.commit)
            case InstallSnapshot():
                self._follow(message.source, now)
                self._receive(message)
            case SnapshotReceived():
                if self.leadership is not None:
                    self.leadership.snapshot_received(message, now)
            case RequestVote():
                self._answer_vote(message, now)
            case TimeoutNow():
                self._take_over(now)
            case Voted():
                self._count_vote(message.source, message.term, message.pre, message.granted, now)

    def tick(self, now: float) -> None:
        """Time has passed. Call it at `due`, or soon after."""
        if now < self.due:
            return
        if self.leadership is not None:
            self.leadership.beat(now)
            if not self.leadership.hears_a_quorum(now):
                probe("raft: a leader hears no majority")
                self._become_follower(self.term, now)
        elif now > self.due + self.config.heartbeat_s or self._arrival.complete:
            # We overslept: the leader's messages may well be waiting behind this tick, so look at them first. Or a
            # snapshot is being installed: until then this log is not the one to be elected with.
            self._due = now + self.config.heartbeat_s * self._chance.uniform(0.5, 1.0)
        elif not self.has_vote:
            self.leader = ""
            self._await_leader(now)
        else:
            self._campaign(now, pre=True)

    def lost(self, member: str, now: float) -> None:
        """The connection to it has ended. A leader has most likely died then: no need to wait out its silence. If it
        has not, the others still hear it, and refuse a pre-vote."""
        if not member or member != self.leader or self._promised:
            return  # a promise to a leader that reads by its clock holds as long as it was made for
        probe("raft: the connection to the leader is lost")
        self.leader, self._is_led, self._pre_votes, self._candidacies = "", False, 0, 0
        self._due = min(self._due, now + self._chance.uniform(*self.config.first_election_s))

    def propose(self, data: bytes) -> int | Dropped:
        """Append `data` to the log, if this is the leader. Returns its index; its term is the current one."""
        if self.leadership is None:
            return Dropped.NOT_LEADER
        if self.leadership.uncommitted_bytes >= self.config.uncommitted_bytes_max:
            return Dropped.UNCOMMITTED
        if self.leadership.handover.to:
            return Dropped.TRANSFER
        return self.leadership.append(data)

    def change(self, changes: Sequence[Change], now: float) -> int | Refused:
        """Begin to change who belongs to it. Done when `configuration` is not joint any more, and committed."""
        if self.leadership is None:
            return Refused.NOT_LEADER
        return Refused.UNDER_WAY if self.leadership.handover.to else self.leadership.change(changes, now)

    def hand_over(self, to: str, now: float) -> bool:
        """Let the voter `to` lead, or "" whoever has most of the log. Whether that is begun: see `leading_term` and
        `is_handing_over` for how it ends."""
        if self.leadership is None:
            return False
        to = to or self.leadership.successor()
        if to not in self.log.configuration.voters or to == self.config.member:
            return False
        self.leadership.hand_over(to, now)
        return True

    def resign(self, now: float) -> None:
        """Lead no longer. The voter that has most of the log is told to campaign, right behind what it lacks."""
        if self.leadership is None:
            return
        self._now_out += self.leadership.outgoing()
        if successor := self.leadership.successor():
            self._send(successor, TimeoutNow(self.term, self.config.member))
        self._become_follower(self.term, now)

    def request_read(self, now: float) -> int | Dropped:
        """The round (see `Ready.read_round`) after which a linearizable read that starts now may be answered."""
        return Dropped.NOT_LEADER if self.leadership is None else self.leadership.request_read(now)

    def persisted(self, job: AppendJob, now: float) -> None:
        """What `job` asked for is durable, as is all of the jobs before it."""
        self.log.persist(job.last_index, job.last_term)
        self._now_out += job.messages
        if self.leadership is not None:
            self.leadership.advance()
            self._retire(now)
        elif self.ballot is not None and job.state is not None and job.state.vote == self.config.member:
            self._count_vote(self.config.member, job.state.term, False, True, now)

    def compacted(self, snapshot: Snapshot, kept: int) -> None:
        """`snapshot` is durable here: the entries that it stands for may go, but the last `kept` stay for followers."""
        self.snapshot = snapshot
        self.log.compact(min(snapshot.mark.index, self.log.applied - kept))

    def installed(self, snapshot: Snapshot) -> None:
        """What `Ready.install` asked for is done and durable."""
        self._arrival.clear()
        self.snapshot = snapshot
        self.log.restore(snapshot.mark, snapshot.configuration or self.log.configuration)
        if self.leader:
            self._send(self.leader, Appended(self.term, self.config.member, self.log.committed, True))

    def spoiled(self) -> None:
        """What `Ready.install` asked for is broken: it must be sent again from the beginning."""
        self._arrival.clear()

    # -- what comes out -------------------------------------------------------------------------------------------

    def ready(self) -> Ready:
        """All that should happen now. Applying `committed` is taken for granted."""
        messages, self._now_out = self._now_out, []
        chunks: list[Chunk] = []
        if self.leadership is not None:
            messages += self.leadership.outgoing()
            chunks = self.leadership.chunks(self.snapshot)
        committed = [] if self._arrival.complete else self.log.take_committed(self.config.apply_bytes_max)
        read_round = self.leadership.read_round() if self.leadership is not None else 0
        received, mark = self._arrival.take()
        install = None if mark is None else Install(mark, self.log.following(mark))
        return Ready(messages, self._append_job(), committed, read_round, chunks, received, install)

    @property
    def due(self) -> float:
        """When `tick` wants to be called next."""
        return self._due if self.leadership is None else self.leadership.beat_due

    @property
    def behind(self) -> bool:
        """Whether more is committed than `ready` has handed out, and would hand out now."""
        return self.log.applied < self.log.committed and not self._arrival.complete

    @property
    def at_rest(self) -> bool:
        """Whether a heartbeat, or the answer to one, has left nothing to do but to send `beats`, if there are any."""
        log, saved = self.log, self._saved
        return not (
            self._out_when_persisted
            or log.applied < log.committed
            or log.saved < log.last_index
            or self._arrival.is_under_way
            or self.term != saved.term
            or self.vote != saved.vote
            or not (self.leadership is None or self.leadership.at_rest)
        )

    def beats(self) -> list[Outgoing]:
        """What to send now, where a member is `at_rest`: heartbeats, and answers to them."""
        messages, self._now_out = self._now_out, []
        if self.leadership is not None and self.leadership.beats:
            messages += self.leadership.outgoing()
        return messages

    def commits(self) -> list[Outgoing]:
        """What followers have not been told of how far the log is committed: `ready` tells it, too."""
        return [] if self.leadership is None else self.leadership.commits()

    @property
    def leading_term(self) -> int:
        """The term this member leads, 0 while it does not."""
        return 0 if self.leadership is None else self.term

    @property
    def is_handing_over(self) -> bool:
        return self.leadership is not None and bool(self.leadership.handover.to)

    @property
    def has_vote(self) -> bool:
        """Whether this member may be elected: by what its log says, which may be old.

        Who is removed by an entry that is not committed yet still may: the others may lack that entry, and wait for
        somebody who has it (dissertation, 4.2.2).
        """
        known = self.log.configurations.since(self.log.committed)
        return any(self.config.member in confchange.voters(configuration) for configuration in known)

    def _append_job(self) -> AppendJob | None:
        entries = self.log.take_unsaved()
        changed = (self.term, self.vote) != (self._saved.term, self._saved.vote)
        messages, self._out_when_persisted = tuple(self._out_when_persisted), []
        if not entries and not changed and not messages:
            return None
        state = None
        if entries or changed:
            state = self._saved = HardState(self.term, self.vote, self.log.committed)
        return AppendJob(state, entries, messages, self.log.last_index, self.log.last_term)

    def _send(self, to: str, message: RaftMessage) -> None:
        self._now_out.append(Outgoing(to, message))

    def _send_when_persisted(self, to: str, message: RaftMessage) -> None:
        self._out_when_persisted.append(Outgoing(to, message))

    # -- terms ----------------------------------------------------------------------------------------------------

    def _admit(self, message: RaftMessage, now: float) -> bool:
        """The rules about terms, the same for every message (Raft 5.1): whether to look at it at all.

        Who asks for votes or sends entries need not belong to it as far as this log says: that may be behind.
        """
        if message.term == self.term:
            return True
        if message.term < self.term:
            self._correct(message)
            return False
        if isinstance(message, RequestVote):
            if message.source == self.leader:
                self.leader = ""  # who asks to be elected leads no longer: it has crashed, and is back already
                self._promised = False
            if message.pre or (self._hears_leader(now) and not message.transfer):
                # A pre-vote changes nobody's term; a candidate must not disturb a leader that works (6.2, 9.6).
                return message.pre
        if isinstance(message, Voted) and message.pre and message.granted:
            return True
        if self.leadership is not None and isinstance(message, Appended) and not self._is_peer(message.source):
            return False  # it was removed, and its term is nobody's concern
        self._become_follower(message.term, now)
        return True

    def _correct(self, message: RaftMessage) -> None:
        """Tell a member of an older term about ours, or it would stay stuck behind check-quorum and pre-vote."""
        member = self.config.member
        if isinstance(message, RequestVote):
            self._send(message.source, Voted(self.term, member, message.pre, False))
        elif isinstance(message, AppendEntries | ConfirmLeader | InstallSnapshot):
            self._send(message.source, Appended(self.term, member, 0, False))

    def _hears_leader(self, now: float) -> bool:
        if self.leadership is not None:
            return True
        return (bool(self.leader) or self._promised) and now < self._heard_at + self.config.election_s[0]

    def _become_follower(self, term: int, now: float) -> None:
        deposed = self.leadership is not None and term > self.term and not self.is_handing_over
        if term > self.term:
            self.term, self.vote = term, ""
        self.leader, self.ballot, self.leadership = "", None, None
        self._await_leader(now)
        if deposed:
            probe("raft: a leader is deposed")
            # The others still take it for their leader, and whoever deposed it may lack its entries: nobody else would
            # be elected before they have waited out a full timeout. (A pre-vote does no harm if somebody is.)
            self._due = now + self._chance.uniform(*self.config.first_election_s)

    def _follow(self, leader: str, now: float) -> None:
        """A message of this term's leader came."""
        assert self.leadership is None, f"two leaders in term {self.term}: {leader} and {self.config.member}"
        self.leader, self.ballot = leader, None
        self._is_led = True
        self._promised = self.config.lease_s > 0
        self._heard_at = now
        self._await_leader(now)

    def _await_leader(self, now: float) -> None:
        low, high = self.config.election_s
        if not self._is_led and not self._promised:
            # Peers that are not up yet are asked again soon, at first. A candidacy that came to nothing is given twice
            # the time: another one came in between, or on a slow disk the votes just take longer than that.
            patience = (min(self._pre_votes, 4) + max(1, self._pre_votes - 50)) * 2 ** min(self._candidacies, 10)
            early, late = self.config.first_election_s
            low, high = min(low, patience * early), min(high, patience * late)
        self._due = now + self._chance.uniform(low, high)

    # -- elections ------------------------------------------------------------------------------------------------

    def _campaign(self, now: float, *, pre: bool, transfer: bool = False) -> None:
        self.leader = ""
        if pre:
            self._pre_votes += 1
        else:
            self._candidacies += 1
            self.term, self.vote = self.term + 1, self.config.member
        configuration, member = self.log.configuration, self.config.member
        self.ballot = Ballot(self.term + pre, confchange.majorities(configuration), pre=pre)
        self._await_leader(now)
        request = RequestVote(self.ballot.term, member, self.log.last_index, self.log.last_term, pre, transfer)
        for peer in confchange.voters(configuration):
            if peer != member:
                (self._send if pre else self._send_when_persisted)(peer, request)
        if pre:
            self._count_vote(self.config.member, self.ballot.term, True, True, now)

    def _answer_vote(self, request: RequestVote, now: float) -> None:
        if request.term > self.term:  # a pre-vote
            free = not self._hears_leader(now)
        else:
            free = self.vote == request.source or (not self.vote and not self.leader)
        granted = free and self.log.up_to_date(request.last_index, request.last_term)
        answered_term = request.term if granted else self.term
        answer = Voted(answered_term, self.config.member, request.pre, granted)
        if granted and not request.pre:
            self.vote = request.source
            self._await_leader(now)
            self._send_when_persisted(request.source, answer)
        else:
            self._send(request.source, answer)

    def _count_vote(self, voter: str, term: int, pre: bool, granted: bool, now: float) -> None:
        ballot = self.ballot
        if ballot is None or ballot.pre != pre or (granted and ballot.term != term):
            return
        outcome = ballot.record(voter, granted)
        if outcome is Outcome.WON and pre:
            self._campaign(now, pre=False)
        elif outcome is Outcome.WON:
            self._lead(now)
        elif outcome is Outcome.LOST:
            probe("raft: a vote is lost")
            self.ballot = None

    def _lead(self, now: float) -> None:
        probe("raft: a leader is elected")
        probe("raft: a later leader is elected", self.term > 1)
        self.leader, self.ballot = self.config.member, None
        self._is_led = True
        self.leadership = Leadership(self.config, self.log, self.term, now)

    def _is_peer(self, name: str) -> bool:
        return self.leadership is not None and name in self.leadership.peers

    def _take_over(self, now: float) -> None:
        """The leader of this term wants this member to lead (dissertation, 3.10)."""
        if self.leadership is None and self.has_vote and not self._arrival.complete:
            probe("raft: a leader hands over")
            self._campaign(now, pre=False, transfer=True)

    def _retire(self, now: float) -> None:
        """A leader that was removed leads until that is certain, and not longer (Raft 6)."""
        if self.leadership is not None and self.leadership.is_retired:
            probe("raft: a leader is removed")
            self.resign(now)

    # -- following ------------------------------------------------------------------------------------------------

    def _append(self, message: AppendEntries) -> None:
        member, log = self.config.member, self.log
        if self._arrival.complete:
            return  # a snapshot is being written, and what is appended now would not follow it
        if message.previous_index < log.committed:
            probe("raft: old entries arrive again")
            # Old news: what is committed here is the same in every leader's log.
            self._send_when_persisted(message.source, Appended(self.term, member, log.committed, True))
            return
        last = log.merge(message.previous_index, message.previous_term, message.entries)
        if last is None:
            probe("raft: a follower's log does not match")
            index, term = log.hint(message.previous_index, message.previous_term)
            self._send(message.source, Appended(self.term, member, message.previous_index, False, index, term))
            return
        log.commit(min(message.commit, last))
        self._send_when_persisted(message.source, Appended(self.term, member, last, True))

    def _learn_commit(self, index: int) -> None:
        if not self._arrival.complete:
            self.log.commit(index)

    def _receive(self, message: InstallSnapshot) -> None:
        """A piece of the leader's snapshot (Raft 7)."""
        member, committed = self.config.member, self.log.committed
        if message.index <= committed:
            self._send_when_persisted(message.source, Appended(self.term, member, committed, True))
        elif not self._arrival.complete:
            offset = self._arrival.receive(message)
            self._send(message.source, SnapshotReceived(self.term, member, message.index, offset))

    # -- invariants -----------------------------------------------------------------------------------------------

    def check(self, known: int = 0) -> None:
        """What must hold between any two calls; the tests call it after every step. `known`: see Log.check."""
        self.log.check(known)
        assert self.term >= self.log.last_term
        assert self.log.base.index <= self.snapshot.mark.index
        assert not (self._arrival.complete and self.leadership is not None)
        assert self.ballot is None or self.leadership is None
        if self.ballot is not None:
            assert self.ballot.term == self.term + self.ballot.pre
            assert self.ballot.pre or self.vote == self.config.member
        if self.leadership is not None:
            assert self.leadership.term == self.term and self.vote == self.config.member
            assert self.leader == self.config.member
            assert self.has_vote or not self.leadership.is_retired
            self.leadership.check()
