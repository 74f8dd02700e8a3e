"""One replica of the key-value store: waits for clients, peers, the disk and time, and makes one turn of all of it.

A turn runs once per loop turn, whatever came: new writes become one log entry, Raft says what to send, to persist and
to apply, and everybody who can be answered is. No request has a task or a future of its own; the only task is the one
that writes the log, and while it waits for the disk, the next batch gathers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actorkube.runtime import LATER, Actor, Mailbox, Timer
from actors.etcd.commands import Command, ExpireLeases, decode_commands, encode_commands
from actors.etcd.disk_work import DiskWork
from actors.etcd.feeds import Feeds
from actors.etcd.mvcc.leases import LeaseClock
from actors.etcd.mvcc.store import Store
from actors.etcd.mvcc.txn import read_only, validate
from actors.etcd.raft.core import Raft
from actors.etcd.raft.types import Dropped, Outgoing, RaftConfig
from actors.etcd.requests import Read, Requests, WaitingRead, Write, answer_writes, fail_writes
from actors.etcd.storage import SEGMENT_BYTES_MAX, Storage
from protocols.errors import Answer, BadRequest, Overloaded
from protocols.etcd import (
    Compact,
    LeaseGrant,
    LeaseGranted,
    LeaseKeepAlive,
    LeaseNotFound,
    LeaseRevoke,
    NotLeader,
    Range,
    RangeResponse,
    Status,
    StatusResponse,
    Txn,
    TxnResponse,
    WatchKeys,
)
from protocols.message import Message
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
    Voted,
)

TELL_COMMIT_S = 0.002


class RaftDue(Message):
    """A timer's tick: Raft wanted to be told the time about now."""


class TellCommit(Message):
    """A timer's tick: followers have not been told how far the log is committed."""


class KeepHouse(Message):
    """A timer's tick: look for leases that ran out, history that grew too long, watchers that heard nothing."""


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """`revisions_kept`: how much history the leader leaves when it compacts, which it does at twice as much.

    A snapshot is written when the log has grown by `snapshot_log_bytes` and by as much as the last snapshot has, so
    that it costs no more than the log itself. `entries_kept` stay in memory behind it: a member that was away for a
    moment need not be sent all.
    """

    heartbeat_s: float = 0.1
    election_s: tuple[float, float] = (1.0, 2.0)
    first_election_s: tuple[float, float] = (0.005, 0.040)
    housekeeping_s: float = 0.5
    revisions_kept: int = 5_000
    segment_bytes_max: int = SEGMENT_BYTES_MAX
    snapshot_log_bytes: int = 16 << 20
    entries_kept: int = 5_000
    piece_bytes_max: int = 1 << 20


class Etcd(Actor):
    """A member of the replica set `peers` (member name -> address, itself included), the same map on every member."""

    mailbox = Mailbox(capacity=16_384)
    begins_traces = False

    def __init__(self, member: str, peers: Mapping[str, str], config: EtcdConfig | None = None) -> None:
        self._member = member
        self._addresses = dict(peers)
        self._config = config or EtcdConfig()
        self._store = Store()
        self._requests = Requests()
        self._lease_clock = LeaseClock()
        self._feeds = Feeds(self._store, self._wake)
        self._internal: list[Command] = []
        self._turn_is_due = False
        self._leading_term = 0
        self._put_off: dict[str, CommitAdvanced] = {}  # by the member that it is for
        self._put_off_timer: Timer | None = None
        self._timer: Timer | None = None
        self._timer_at = 0.0

    async def on_start(self) -> None:
        ctx, config = self.ctx, self._config
        storage = Storage(ctx.disk, self._member, config.segment_bytes_max)
        state, snapshot, loaded, entries = await storage.open()
        if loaded is not None:
            self._replace_store(loaded.store)
        raft = RaftConfig(
            self._member, tuple(self._addresses), config.heartbeat_s, config.election_s, config.first_election_s
        )
        self._raft = Raft(raft, state, entries, ctx.random, ctx.now, snapshot)
        self._disk = DiskWork(ctx, storage, self._raft, self._replace_store, self._wake)
        self._refs = {member: ctx.ref(address) for member, address in self._addresses.items()}
        ctx.log.info(
            "log recovered", term=state.term, snapshot=snapshot.mark.index, entries=len(entries), commit=state.commit
        )
        ctx.background(self._disk.write_log(), "write log")
        ctx.every(config.housekeeping_s, KeepHouse())
        self._wake()

    def receive(self, message: Message) -> object:
        match message:
            case Txn():
                validate(message)
                self._store.check_deletions(message)
                return self._read(message) if read_only(message) else self._write(message)
            case Range():
                return self._store.range(message) if message.serializable else self._read(message)
            case (
                AppendEntries()
                | Appended()
                | CommitAdvanced()
                | ConfirmLeader()
                | LeaderConfirmed()
                | RequestVote()
                | Voted()
                | InstallSnapshot()
                | SnapshotReceived()
            ):
                self._from_peer(message)
            case WatchKeys():
                self._feeds.open(message, self.ctx.outlet())
                return LATER
            case LeaseKeepAlive():
                return self._read(message)
            case LeaseGrant(ttl_s=ttl_s) if ttl_s < 1:
                raise BadRequest(f"a lease lives at least 1 s, not {ttl_s}")
            case LeaseGrant() | LeaseRevoke() | Compact():
                return self._write(message)
            case Status():
                return self._status()
            case RaftDue():
                self._raft_due()
            case TellCommit():
                self._tell_commit()
            case KeepHouse():
                self._keep_house()
            case _:
                raise BadRequest(f"a store is not asked {type(message).__name__}")
        return None

    # -- what comes in --------------------------------------------------------------------------------------------

    def _write(self, command: Command) -> object:
        if not self._raft.leading_term:
            raise self._not_leader()
        self._requests.add_write(Write(command, self.ctx.reply_handle()))
        self._wake()
        return LATER

    def _read(self, request: Read) -> object:
        if not self._raft.leading_term:
            raise self._not_leader()
        self._requests.add_read(WaitingRead(request, self.ctx.reply_handle(), self.ctx.now))
        self._wake()
        return LATER

    def _from_peer(self, message: RaftMessage) -> None:
        self._raft.step(message, self.ctx.now)
        if not (isinstance(message, LeaderConfirmed) and self._raft.at_rest):
            self._wake()

    def _raft_due(self) -> None:
        self._timer = None
        self._raft.tick(self.ctx.now)
        self._wake()

    def _status(self) -> StatusResponse:
        raft = self._raft
        leader = self._addresses.get(raft.leader, "")
        revision = self._store.revision
        return StatusResponse(self._member, leader, raft.term, revision, raft.log.committed, raft.log.applied)

    def _keep_house(self) -> None:
        self._feeds.tell_progress()
        self._disk.snapshot_if_due(self._store, self._config.snapshot_log_bytes, self._config.entries_kept)
        if not self._leading_term:
            return
        if expired := self._lease_clock.take_expired(self.ctx.now):
            self._internal.append(ExpireLeases(expired))
        oldest = self._store.revision - self._config.revisions_kept
        if oldest > max(self._store.compacted, 0) + self._config.revisions_kept:
            self._internal.append(Compact(oldest))
        self._wake()

    def _not_leader(self) -> NotLeader:
        leader = self._addresses.get(self._raft.leader, "") if self._raft.leader != self._member else ""
        return NotLeader(f"{self._member} is not the leader", {"leader": leader})

    # -- the turn -------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._turn_is_due:
            self._turn_is_due = True
            self.ctx.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        self._notice_leadership()
        self._propose()
        ready = self._raft.ready()
        self._send(ready.messages)
        self._disk.take(ready)
        for chunk in ready.chunks:
            piece = self._disk.piece(chunk, self._member, self._config.piece_bytes_max)
            self.ctx.tell(self._refs[chunk.to], piece)
        for entry in ready.committed:
            self._apply(entry)
        for read in self._requests.take_reads(ready.read_round):
            self._answer(read)
        self._feeds.pump()
        self._arm_timer()
        if self._raft.behind or self._requests.may_go(self.ctx.now):
            self._wake()

    def _propose(self) -> None:
        if not self._raft.leading_term:
            if self._requests.are_new:
                self._requests.fail_new(self._not_leader())
            return
        if self._internal:
            self._raft.propose(encode_commands(self._internal))
            self._internal = []
        now = self.ctx.now
        for writes in self._requests.take_writes(now) if self._requests.writes_may_go(now) else ():
            index = self._raft.propose(encode_commands([write.command for write in writes]))
            if isinstance(index, Dropped):
                fail_writes(writes, Overloaded(f"the write was not taken: {index.value}"))
            else:
                self._requests.proposed(index, writes)
        if self._requests.reads_may_go(now):
            number = self._raft.request_read()
            assert not isinstance(number, Dropped)
            self._requests.asked_round(number, now)

    def _send(self, messages: list[Outgoing]) -> None:
        """How far the log is committed is said by the next append, or a little later if none comes: under load, the
        followers are woken half as often."""
        for to, message in messages:
            if isinstance(message, CommitAdvanced):
                self._put_off[to] = message
                continue
            self.ctx.tell(self._refs[to], message)
            if isinstance(message, AppendEntries):
                self._put_off.pop(to, None)
        if self._put_off and self._put_off_timer is None:
            self._put_off_timer = self.ctx.after(TELL_COMMIT_S, TellCommit())

    def _tell_commit(self) -> None:
        self._put_off_timer = None
        for to, message in self._put_off.items():
            self.ctx.tell(self._refs[to], message)
        self._put_off.clear()

    def _apply(self, entry: Entry) -> None:
        results = []
        writes = self._requests.take_proposed(entry.index)
        commands = decode_commands(entry.data) if writes is None else [write.command for write in writes]
        for command in commands:
            result = self._store.apply(command)
            results.append(result)
            if self._leading_term and not isinstance(command, Txn):
                self._mind_leases(command, result)
        if writes is not None:
            answer_writes(writes, results)

    def _mind_leases(self, command: Command, result: Message | Answer) -> None:
        """The leader's clock follows what happens to leases."""
        match command:
            case LeaseGrant() if isinstance(result, LeaseGranted):
                lease = self._store.leases.get(result.lease)
                assert lease is not None
                self._lease_clock.renew(lease, self.ctx.now)
            case LeaseRevoke(lease=number):
                self._lease_clock.forget(number)
            case ExpireLeases(leases=numbers):
                for number in numbers:
                    self._lease_clock.forget(number)

    def _answer(self, read: WaitingRead) -> None:
        try:
            read.reply.send(self._read_now(read))
        except Answer as refusal:
            read.reply.fail(refusal)

    def _read_now(self, read: WaitingRead) -> RangeResponse | TxnResponse | LeaseGranted:
        match read.request:
            case Range():
                return self._store.range(read.request)
            case Txn():
                return self._store.read(read.request)
            case LeaseKeepAlive(lease=number):
                lease = self._store.leases.get(number)
                if lease is None or not self._lease_clock.renew(lease, read.asked_at):
                    raise LeaseNotFound(f"lease {number} not found")
                return LeaseGranted(number, lease.ttl_s)

    def _notice_leadership(self) -> None:
        term = self._raft.leading_term
        if term == self._leading_term:
            return
        self._requests.fail_all(self._not_leader())
        self._internal = []
        self._leading_term = term
        if term:
            self._lease_clock.start(self._store.leases.all(), self.ctx.now)
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
