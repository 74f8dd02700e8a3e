"""What replicas of the key-value store say to each other: Raft's messages, one class each.

Members are known by name (`etcd-0`); `term` and `source` come first in every message. Requests are plain tells, and so
are their answers: Raft expects loss, delay, duplication and reordering, and asks again by itself.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from protocols.message import Lane, Message


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the replicated log; `data` is opaque here, and empty in the entry that opens a leader's term.

    Where it `configures`, `data` is a Configuration, which holds from this entry on.
    """

    term: int
    index: int
    data: bytes
    configures: bool = False


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """Who belongs to it. Learners are sent everything and do not count.

    While the voters change, `outgoing` are those who had a vote before: whatever needs a majority needs one of either
    (joint consensus, Raft 6). `addresses` says where members are, and `removed` who was one: they never are again.
    """

    voters: tuple[str, ...]
    learners: tuple[str, ...] = ()
    outgoing: tuple[str, ...] = ()
    addresses: dict[str, str] = {}
    removed: tuple[str, ...] = ()


class RequestVote(Message):
    """`pre` asks whether a vote would be given, and promises nothing (Raft dissertation, 9.6). `transfer`: the leader
    has asked for this candidacy, so that it works is no reason to refuse (3.10)."""

    lane = Lane.CONTROL
    term: int
    source: str
    last_index: int
    last_term: int
    pre: bool
    transfer: bool = False


class Voted(Message):
    """An answer to RequestVote. A granted pre-vote carries the term that was asked for, a refusal the voter's own."""

    lane = Lane.CONTROL
    term: int
    source: str
    pre: bool
    granted: bool


class AppendEntries(Message):
    """Entries that follow (previous_index, previous_term); without entries, a probe whether those match."""

    lane = Lane.CONTROL
    term: int
    source: str
    previous_index: int
    previous_term: int
    entries: tuple[Entry, ...]
    commit: int


class Appended(Message):
    """`accepted`: the log is durable up to `index` and equal to the leader's there.

    Otherwise `index` is the refused `previous_index`, and the log may match at `hint_index`, whose term is `hint_term`.
    """

    lane = Lane.CONTROL
    term: int
    source: str
    index: int
    accepted: bool
    hint_index: int = 0
    hint_term: int = 0


class CommitAdvanced(Message):
    """The leader's commit index, never past what the receiver is known to have. Not answered."""

    lane = Lane.CONTROL
    term: int
    source: str
    commit: int


class ConfirmLeader(Message):
    """The heartbeat. `round` numbers the newest batch of reads that waits for a quorum to say `LeaderConfirmed`."""

    lane = Lane.CONTROL
    term: int
    source: str
    commit: int
    round: int


class LeaderConfirmed(Message):
    lane = Lane.CONTROL
    term: int
    source: str
    round: int


class InstallSnapshot(Message):
    """A piece of the sender's snapshot, for a follower that lacks entries the sender has compacted (Raft 7).

    The snapshot stands for all entries up to `index`, whose term is `last_term`; it has `size` bytes, of which `data`
    are those from `offset` on. Without data it asks how far the follower has got. On the bulk lane: a piece is large.
    """

    term: int
    source: str
    index: int
    last_term: int
    size: int
    offset: int
    data: bytes


class SnapshotReceived(Message):
    """The snapshot of `index` is here up to byte `offset`: go on from there. Its end is answered with `Appended`."""

    lane = Lane.CONTROL
    term: int
    source: str
    index: int
    offset: int


class TimeoutNow(Message):
    """The leader hands over: the receiver, who has all of its log, campaigns at once (dissertation, 3.10)."""

    lane = Lane.CONTROL
    term: int
    source: str


class Removed(Message):
    """To one who asks for votes and was removed: that is committed, so it will never be elected. Raft needs no such
    message; whoever runs the member wants to know."""

    lane = Lane.CONTROL
    term: int
    source: str


RaftMessage: TypeAlias = (
    RequestVote
    | Voted
    | AppendEntries
    | Appended
    | CommitAdvanced
    | ConfirmLeader
    | LeaderConfirmed
    | InstallSnapshot
    | SnapshotReceived
    | TimeoutNow
)
