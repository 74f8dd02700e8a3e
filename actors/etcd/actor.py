"""One replica of the key-value store: waits for clients, peers, the disk and time, and makes one turn of all of it.

A turn runs once per loop turn, whatever came: new writes become one log entry, Raft says what to send, to persist and
to apply, and everybody who can be answered is. No request has a task or a future of its own; the only task is the one
that writes the log, and while it waits for the disk, the next batch gathers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from actorkube.runtime import LATER, Actor, Down, Mailbox, Timer
from actors.etcd import lease_rules
from actors.etcd.commands import Command, ExpireLeases, decode_commands, encode_commands
from actors.etcd.disk_work import DiskWork, opened
from actors.etcd.feeds import Feeds
from actors.etcd.guarded import admitted, check_named, read_here
from actors.etcd.maintenance import Maintenance
from actors.etcd.membership import MemberChange, Membership
from actors.etcd.mvcc.leases import LeaseClock
from actors.etcd.mvcc.store import Store, takes_room
from actors.etcd.mvcc.txn import read_only, validate, validate_put
from actors.etcd.peers import Peers, TellCommit
from actors.etcd.raft.core import Raft
from actors.etcd.raft.log import NOBODY
from actors.etcd.raft.types import Dropped, RaftConfig
from actors.etcd.reads import answer_to
from actors.etcd.requests import Read, Requests, WaitingRead, Write, fail_writes
from actors.etcd.status import status_of
from actors.etcd.storage import SEGMENT_BYTES_MAX, Storage
from actors.etcd.upkeep import Compactor
from protocols.errors import Answer, AskError, BadRequest, Overloaded
from protocols.etcd import (
    Compact,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseList,
    LeaseRevoke,
    LeaseTimeToLive,
    NoSpace,
    NotLeader,
    Range,
    Status,
    StatusResponse,
    Txn,
    WatchKeys,
)
from protocols.etcd_auth import AsUser, ChangeAuth, GetAuth
from protocols.etcd_maintenance import Alarm, CopyStore, DisarmAlarm, HashKv, ListAlarms, RaiseAlarm
from protocols.etcd_members import MemberAdd, MemberDemote, MemberList, MemberPromote, MemberRemove, MoveLeader
from protocols.message import Message
from protocols.raft import (
    Appended,
    Configuration,
    ConfirmLeader,
    Entry,
    LeaderConfirmed,
    RaftMessage,
    Removed,
    RequestVote,
)


class RaftDue(Message):
    """A timer's tick: Raft wanted to be told the time about now."""


class KeepHouse(Message):
    """A timer's tick: look for leases that ran out, history that grew too long, watchers that heard nothing."""


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """`revisions_kept`, `history_kept_s`: see Compactor. `quota_bytes` bounds what all versions that are kept take in
    memory (0: nothing does): beyond it, only what makes room is written, and an alarm says so. Leases that live longer
    than `lease_checkpoint_s` have what they have left written down that often. The leader compares the replicas
    `check_first_s` after its election and then every `check_every_s` (0: never). A member whose disk has less than
    `free_bytes_min` left raises an alarm, too, which ends when there is room again.

    A snapshot is written when the log has grown by `snapshot_log_bytes` and by as much as the last snapshot has, so
    that it costs no more than the log itself. `entries_kept` stay in memory behind it: a member that was away for a
    moment need not be sent all.

    `lease_reads`: the leader answers reads by its clock for most of an election timeout after a majority has answered a
    heartbeat. That is as safe as the clocks: none may run faster than another by more than the share
    `clock_drift_max`. The same on all members; a replica set that starts again waits for that long before it elects.
    """

    heartbeat_s: float = 0.25
    election_s: tuple[float, float] = (1.0, 2.0)
    first_election_s: tuple[float, float] = (0.005, 0.040)
    lease_reads: bool = False
    clock_drift_max: float = 0.1
    housekeeping_s: float = 0.5
    revisions_kept: int = 5_000
    history_kept_s: float = 0.0
    quota_bytes: int = 2 << 30
    lease_checkpoint_s: float = 300.0
    free_bytes_min: int = 64 << 20
    check_first_s: float = 10.0
    check_every_s: float = 300.0
    segment_bytes_max: int = SEGMENT_BYTES_MAX
    snapshot_log_bytes: int = 16 << 20
    entries_kept: int = 5_000
    piece_bytes_max: int = 1 << 20

    @property
    def lease_s(self) -> float:
        return self.election_s[0] / (1 + self.clock_drift_max) if self.lease_reads else 0.0


FROM_PEERS = frozenset(get_args(RaftMessage))
BEATS = frozenset((ConfirmLeader, LeaderConfirmed, Appended))  # that may leave nothing to do
SCRUB_KEYS_MAX = 1_000  # of a compaction, in one turn: a few milliseconds


class Etcd(Actor):
    """A member of the replica set. `peers` (member name -> address) are those who begin it together, itself included:
    the same map on each of them, and of no meaning any more once the log says who belongs to it.

    One that `joins` begins with an empty directory, once MemberAdd has been asked for it; `peers` are some who are
    there already.
    """

    mailbox = Mailbox(capacity=16_384)
    begins_traces = False

    def __init__(
        self, member: str, peers: Mapping[str, str], config: EtcdConfig | None = None, *, joins: bool = False
    ) -> None:
        self._member = member
        self._joins = joins
        self._addresses = dict(peers)
        self._config = config or EtcdConfig()
        self._store = Store()
        self._requests = Requests()
        self._lease_clock = LeaseClock()
        self._compactor = Compactor(self._config.revisions_kept, self._config.history_kept_s)
        self._checkpoint_at = 0.0
        self._feeds = Feeds(self._store, self._wake)
        self._internal: list[Command] = []
        self._turn_is_due = False
        self._leading_term = 0
        self._timer: Timer | None = None
        self._timer_at = 0.0

    async def on_start(self) -> None:
        ctx, config = self.ctx, self._config
        ctx.disk.lock()
        storage = Storage(ctx.disk, self._member, config.segment_bytes_max)
        state, snapshot, loaded, entries = await opened(storage, ctx)
        if loaded is not None:
            self._replace_store(loaded.store)
        bootstrap = NOBODY if self._joins else Configuration(tuple(self._addresses), addresses=self._addresses)
        times = (config.heartbeat_s, config.election_s, config.first_election_s)
        raft = RaftConfig(self._member, bootstrap, *times, lease_s=config.lease_s)
        self._raft = Raft(raft, state, entries, ctx.random, ctx.now, snapshot)
        self._disk = DiskWork(ctx, storage, self._raft, self._replace_store, self._written)
        self._membership = Membership(self._raft)
        self._peers = Peers(ctx, self._addresses)
        self._maintenance = Maintenance(
            ctx,
            self._member,
            self._raft,
            lambda: self._store,
            self._propose_own,
            config.free_bytes_min,
            config.quota_bytes,
        )
        ctx.log.info(
            "log recovered", term=state.term, snapshot=snapshot.mark.index, entries=len(entries), commit=state.commit
        )
        ctx.every(config.housekeeping_s, KeepHouse())
        self._wake()

    async def on_stop(self) -> None:
        """A leader that stops does not let the others wait until they miss it."""
        if self._raft.leading_term:
            self._raft.resign(self.ctx.now)
            self._turn()

    def receive(self, message: Message) -> object:
        kind = type(message)
        if kind in FROM_PEERS:  # most of what comes where little happens
            self._from_peer(cast(RaftMessage, message))
            return None
        if kind is RaftDue:
            self._raft_due()
            return None
        if kind is KeepHouse:
            self._keep_house()
            return None
        if self._store.auth.enabled:
            check_named(self._store, message, self.ctx.sender)
        match message:
            case Txn():
                if size := validate_put(message):
                    return self._write(message, size)
                size = validate(message)
                self._store.check_answer(message)
                return self._read(message) if read_only(message) else self._write(message, size)
            case Range():
                return self._store.range(message) if message.serializable else self._read(message)
            case WatchKeys():
                self._feeds.open(message, self.ctx.outlet())
                return LATER
            case LeaseKeepAlive() | LeaseTimeToLive() | LeaseList() | ListAlarms():
                return self._read(message)
            case MemberList():
                return self._membership.members() if message.serializable else self._read(message)
            case MemberAdd() | MemberRemove() | MemberPromote() | MemberDemote() | MoveLeader():
                return self._change_members(message)
            case LeaseGrant():
                lease_rules.check_grant(message)
                return self._write(message)
            case LeaseRevoke() | Compact() | RaiseAlarm() | DisarmAlarm() | ChangeAuth():
                return self._write(message)
            case AsUser():
                return self._as_user(message)
            case GetAuth():
                return self._store.auth.table() if message.serializable else self._read(message)
            case Status():
                return self._status()
            case HashKv():
                self._maintenance.hash(message, self.ctx.reply_handle())
                return LATER
            case CopyStore():
                self._maintenance.copy(self.ctx.outlet())
                return LATER
            case Removed():
                self._membership.is_removed = True
            case Down():
                self._raft.lost(self._peers.lost(), self.ctx.now)
                self._wake()
            case TellCommit():
                if self._peers.must_tell_commit():
                    self._peers.tell_commit(self._raft.commits())
            case _:
                raise BadRequest(f"a store is not asked {type(message).__name__}")
        return None

    # -- what comes in --------------------------------------------------------------------------------------------

    def _write(self, command: Command, size_bytes: int = 0) -> object:
        if not self._raft.leading_term:
            raise self._not_leader()
        if self._config.quota_bytes and self._store.keyspace.bytes > self._config.quota_bytes and takes_room(command):
            raise self._no_space()
        self._requests.add_write(Write(command, self.ctx.reply_handle(), size_bytes))
        self._wake() if self._requests.writes_gather else self._turn_at_once()
        return LATER

    def _as_user(self, asked: AsUser) -> object:
        if (answer := read_here(asked, self._store)) is not None:
            return answer
        is_read, size_bytes = admitted(asked, self._store)
        return self._read(asked) if is_read else self._write(asked, size_bytes)

    def _no_space(self) -> NoSpace:
        alarm = Alarm(self._member, "NOSPACE")
        if alarm not in self._store.alarms and RaiseAlarm(alarm) not in self._internal:
            self._propose_own(RaiseAlarm(alarm))
        return NoSpace(f"the quota of {self._config.quota_bytes} bytes is used up: delete, and compact")

    def _propose_own(self, command: Command) -> None:
        if self._raft.leading_term:
            self._internal.append(command)
            self._wake()

    def _read(self, request: Read) -> object:
        if not self._raft.leading_term:
            raise self._not_leader()
        self._requests.add_read(WaitingRead(request, self.ctx.reply_handle(), self.ctx.now))
        self._wake() if self._requests.reads_gather else self._turn_at_once()
        return LATER

    def _change_members(self, request: MemberChange | MoveLeader) -> object:
        if not self._raft.leading_term:
            raise self._not_leader()
        if isinstance(request, MoveLeader):
            self._membership.hand_over(request, self.ctx.now)
            self._membership.wait_for_handover(self.ctx.reply_handle())
        else:
            self._membership.change(request, self.ctx.now)
            self._membership.wait_for_change(self.ctx.reply_handle())
        self._wake()
        return LATER

    def _from_peer(self, message: RaftMessage) -> None:
        kind, raft, peers = type(message), self._raft, self._peers  # quicker than isinstance, which matters here
        if not peers.knows(message.source):
            peers.meet(message.source, self.ctx.sender)
        if kind is RequestVote and self._membership.has_removed(message.source):
            peers.tell(message.source, Removed(raft.term, self._member))
        raft.step(message, self.ctx.now)
        peers.mind(raft.leader)
        if not (kind in BEATS and self._is_at_rest):
            self._turn_at_once()
            return
        if kind is not LeaderConfirmed:  # which nobody answers
            peers.send(raft.beats())
        if kind is Appended:  # the second of two that say the same, most often: not worth a turn
            peers.tell_commit_later()

    def _raft_due(self) -> None:
        self._timer = None
        self._raft.tick(self.ctx.now)
        if self._is_at_rest:
            self._peers.send(self._raft.beats())
            self._arm_timer()
        else:
            self._wake()

    @property
    def _is_at_rest(self) -> bool:
        """A heartbeat where nothing else happens is worth no turn."""
        raft, waits = self._raft, self._turn_is_due or self._membership.must_settle
        return not waits and raft.leading_term == self._leading_term and raft.at_rest

    def _status(self) -> StatusResponse:
        errors = (*self._maintenance.errors, *self._membership.errors(self._member))
        leader = self._peers.address(self._raft.leader)
        quota = self._config.quota_bytes
        return status_of(self._member, leader, self._raft, self._store, self._disk.bytes, errors, quota)

    def _keep_house(self) -> None:
        self._feeds.tell_progress()
        self._disk.keep_house()
        self._maintenance.look_at_room(self._peers.ref(self._raft.leader))
        self._disk.snapshot_if_due(self._store, self._config.snapshot_log_bytes, self._config.entries_kept)
        if not self._leading_term:
            return
        now = self.ctx.now
        if expired := self._lease_clock.take_expired(now):
            self._internal.append(ExpireLeases(expired, self._leading_term))
        oldest = self._compactor.due(self._store.revision, self._store.compacted, now)
        if oldest is not None:
            self._internal.append(Compact(oldest))
        if now >= self._checkpoint_at:
            every_s = self._config.lease_checkpoint_s
            self._checkpoint_at = now + every_s
            self._internal += lease_rules.checkpoints(
                self._lease_clock, self._store.leases, every_s, self._leading_term, now
            )
        self._maintenance.check_if_due(self._peers, self._config.check_every_s)
        if self._internal:
            self._wake()

    def _not_leader(self) -> NotLeader:
        leader = self._peers.address(self._raft.leader) if self._raft.leader != self._member else ""
        return NotLeader(f"{self._member} is not the leader", {"leader": leader})

    # -- the turn -------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._turn_is_due:
            self._turn_is_due = True
            self.ctx.call_soon(self._turn)

    def _turn_at_once(self) -> None:
        """Where nothing waits behind the message that is handled, a turn of the loop would bring nothing more."""
        turn = self._wake if self._turn_is_due or not self.ctx.is_last else self._turn
        turn()

    def _turn(self) -> None:
        self._turn_is_due = False
        self._notice_leadership()
        self._propose()
        ready = self._raft.ready()
        self._peers.learn(self._raft.log.configuration)
        self._peers.send(ready.messages)
        self._disk.take(ready)
        if self._disk.is_due:
            self.ctx.flush()  # the others write at the same time
            self._disk.write()
        for chunk in ready.chunks:
            self._peers.tell(chunk.to, self._disk.piece(chunk, self._member, self._config.piece_bytes_max))
        for entry in ready.committed:
            self._apply(entry)
        for read in self._requests.take_reads(ready.read_round):
            self._answer(read)
        self._membership.settle()
        self._feeds.pump()
        self.ctx.flush()
        self._scrub()
        self._arm_timer()
        if self._raft.behind or self._requests.may_go(self.ctx.now):
            self._wake()

    def _written(self) -> None:
        """Who waited for the disk is told at once. A follower that has said so has nothing more to do, most often."""
        self._peers.send(self._raft.beats())
        self.ctx.flush()  # before this member applies what it has learned meanwhile
        if not self._is_at_rest:
            self._wake()

    def _propose(self) -> None:
        if not self._raft.leading_term:
            if self._requests.are_new:
                self._requests.fail_new(self._not_leader())
            return
        if self._internal and not isinstance(self._raft.propose(encode_commands(self._internal)), Dropped):
            self._internal = []
        now = self.ctx.now
        for writes in self._requests.take_writes(now) if self._requests.writes_may_go(now) else ():
            index = self._raft.propose(encode_commands([write.command for write in writes]))
            if isinstance(index, Dropped):
                fail_writes(writes, self._not_taken(index))
            else:
                self._requests.proposed(index, writes)
        if self._requests.reads_may_go(now):
            number = self._raft.request_read(now)
            assert not isinstance(number, Dropped)
            self._requests.asked_round(number, now)

    def _not_taken(self, why: Dropped) -> Answer | AskError:
        if why is Dropped.UNCOMMITTED:
            return Overloaded(f"the write was not taken: {why.value}")
        return NotLeader(f"{self._member} did not take the write: {why.value}", {"leader": ""})

    def _apply(self, entry: Entry) -> None:
        if entry.configures:
            return  # the core has taken note
        results = []
        writes = self._requests.take_proposed(entry.index)
        commands = decode_commands(entry.data) if writes is None else [write.command for write in writes]
        for command in commands:
            kind = type(command)  # quicker than isinstance
            if kind is Compact:
                self._feeds.pump()  # who is in step loses nothing by it
            result = self._store.apply(command, entry.term)
            results.append(result)
            if self._leading_term and kind is not Txn:
                lease_rules.follow(self._lease_clock, self._store.leases, command, result, self.ctx.now)
        if writes is not None:
            self._requests.answer(writes, results)

    def _scrub(self) -> None:
        if not self._store.is_scrubbed:
            self._store.scrub(SCRUB_KEYS_MAX)
            if not self._store.keyspace.is_held:
                self._wake()
        if self._store.is_scrubbed:
            self._requests.scrubbed()

    def _answer(self, read: WaitingRead) -> None:
        try:
            answer = self._read_now(read)
        except Answer as refusal:
            read.reply.fail(refusal)
            return
        if answer is not None:
            read.reply.send(answer)

    def _read_now(self, read: WaitingRead) -> Message | None:
        """The answer; None if it comes with a log entry."""
        if isinstance(read.request, MemberList):
            return self._membership.members()
        answer = answer_to(read, self._store, self._lease_clock, self.ctx.now)
        if answer is None:
            assert isinstance(read.request, LeaseKeepAlive | AsUser)
            self._requests.add_write(Write(read.request, read.reply))
            self._wake()
        return answer

    def _notice_leadership(self) -> None:
        term = self._raft.leading_term
        if term == self._leading_term:
            return
        self._membership.settle()
        self._membership.fail()
        self._requests.fail_all(self._not_leader())
        self._internal = []
        self._leading_term = term
        if term:
            self._lease_clock.start(self._store.leases.all(), self.ctx.now)
            self._compactor.start()
            self._maintenance.start(self._config.check_first_s)
            self._checkpoint_at = self.ctx.now + self._config.lease_checkpoint_s
            self.ctx.log.info("leads", term=term)
        else:
            self._lease_clock.stop()

    def _arm_timer(self) -> None:
        """One timer, moved only when Raft wants an earlier tick: a follower's is put off with every heartbeat."""
        due = self._raft.due
        if self._timer is not None and self._timer_at <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self.ctx.after(max(0.0, due - self.ctx.now), RaftDue())

    def _replace_store(self, store: Store) -> None:
        self._store = store
        self._feeds.restore(store)
        self._wake()
