"""What goes into the core besides messages, and what comes out of it.

Storage is asynchronous: `Ready` says what may be sent now, and hands out an `AppendJob` that says what must be durable
before its own messages may be sent. Jobs are carried out in order; `Raft.persisted(job)` reports each.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from protocols.raft import Configuration, Entry, InstallSnapshot, RaftMessage


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """Times in seconds. A range of times is drawn from uniformly, so that members do not campaign together.

    `first_election_s` holds until a member has heard its first leader since it started: pre-votes make an early
    campaign harmless, and a cluster that starts as a whole need not wait out a full election timeout. `bootstrap` is
    who belongs to it before the log says so, the same on all who begin together; nobody on a member that joins later.

    `lease_s`: for so long after a heartbeat that a majority has answered, the leader answers reads by its clock alone
    (dissertation, 6.4.1); 0: never. It must be shorter than the shortest election timeout of any member, whatever the
    clocks do, and the same on all: who has answered a heartbeat votes for nobody before that time is over.
    """

    member: str
    bootstrap: Configuration
    heartbeat_s: float = 0.1
    election_s: tuple[float, float] = (1.0, 2.0)
    first_election_s: tuple[float, float] = (0.005, 0.040)
    append_bytes_max: int = 1 << 20
    inflight_max: int = 64
    uncommitted_bytes_max: int = 64 << 20
    apply_bytes_max: int = 4 << 20
    lease_s: float = 0.0


class HardState(msgspec.Struct, frozen=True, array_like=True):
    """What must survive a crash besides the entries; `commit` only saves time at a restart."""

    term: int = 0
    vote: str = ""
    commit: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the log: the entry of this index and term, or before all entries."""

    index: int = 0
    term: int = 0


START = Mark()


class Snapshot(NamedTuple):
    """A durable snapshot of this member: all entries up to `mark`, in `size` bytes. `configuration` is who belonged to
    it then; None if the log has not said so yet."""

    mark: Mark
    size: int
    configuration: Configuration | None = None


NO_SNAPSHOT = Snapshot(START, 0)


class Install(NamedTuple):
    """Another member's snapshot takes the place of all entries up to `mark`; `kept` follow it and stay."""

    mark: Mark
    kept: tuple[Entry, ...]


class Outgoing(NamedTuple):
    to: str
    message: RaftMessage


class AppendJob(NamedTuple):
    """Make `state` and `entries` durable, then report it. An entry replaces all that were at its index or after.

    A job without a state has nothing to write: it waits only for the jobs before it.
    """

    state: HardState | None
    entries: tuple[Entry, ...]
    messages: tuple[Outgoing, ...]  # sent by the core once the job is persisted
    last_index: int
    last_term: int


class Chunk(NamedTuple):
    """Send `to` a piece of this member's snapshot, from byte `offset` on, in an InstallSnapshot."""

    to: str
    term: int
    snapshot: Snapshot
    offset: int


class Ready(NamedTuple):
    """The core's wishes after one or more events: send, persist, apply; then answer reads up to `read_round`.

    `received` are pieces of another member's snapshot, to be put together in this order, each once; one of offset 0
    begins anew. Once `install` is given they are complete: make it durable behind the jobs handed out so far, let it
    take the place of the state, and report `Raft.installed`, or `Raft.spoiled` if it is broken. Until then nothing is
    appended, committed or applied.
    """

    messages: list[Outgoing]
    append: AppendJob | None
    committed: list[Entry]
    read_round: int
    chunks: list[Chunk]
    received: list[InstallSnapshot]
    install: Install | None


class Dropped(enum.Enum):
    """Why a proposal was not taken: it is in no log."""

    NOT_LEADER = "not the leader"
    UNCOMMITTED = "too much is waiting to be committed"
    TRANSFER = "the leadership is being handed over"


class Change(NamedTuple):
    """One step of a change of members: `learn` adds a learner and `add` a voter, both at `address`; `demote` makes a
    learner of a voter."""

    kind: Literal["learn", "add", "promote", "demote", "remove"]
    name: str
    address: str = ""


class Refused(enum.Enum):
    """Why a change of members was not begun."""

    NOT_LEADER = "not the leader"
    UNDER_WAY = "another change is not finished, or the leader is too new"
    EXISTS = "there is or was a member of that name or address"
    NOT_FOUND = "there is no such member"
    NOT_LEARNER = "it is no learner"
    IS_LEARNER = "it is a learner already"
    NOT_READY = "the learner has not caught up"
    TOO_MANY = "there are learners enough"
    UNHEALTHY = "those that are up would be no majority"
    LAST_VOTER = "nobody would have a vote"
