"""A conversation with one Raft core: say something to it, look at what it says back and wants to have written."""

from __future__ import annotations

from random import Random

from actors.etcd.raft.core import Raft
from actors.etcd.raft.types import AppendJob, Change, HardState, Install, Mark, RaftConfig, Snapshot
from protocols.raft import (
    Appended,
    AppendEntries,
    Configuration,
    Entry,
    InstallSnapshot,
    RaftMessage,
    RequestVote,
    Voted,
)


class Talk:
    """A member, by default `a` of `a`, `b`, `c`. Its disk is instant unless `slow_disk`: then jobs wait in `jobs`."""

    def __init__(
        self,
        *terms: int,
        term: int = 0,
        vote: str = "",
        commit: int = 0,
        voters: str = "abc",
        member: str = "a",
        lease_s: float = 0.0,
    ) -> None:
        """A member that restarts with a log whose entries have these terms."""
        config = RaftConfig(member, Configuration(tuple(voters)), lease_s=lease_s)
        self.now = 0.0
        self.slow_disk = False
        self.jobs: list[AppendJob | Install] = []
        self.chunks: list[tuple[str, int]] = []  # pieces of its snapshot that it wants sent: to whom, from which byte
        self.received = b""
        self.applied: list[Entry] = []
        self.read_round = 0
        self.raft = Raft(config, HardState(term, vote, commit), log(*terms), Random(1), self.now)

    def say(self, message: RaftMessage) -> list[tuple[str, RaftMessage]]:
        self.raft.step(message, self.now)
        return self.listen()

    def wait(self, seconds: float) -> list[tuple[str, RaftMessage]]:
        """Time passes, with a tick whenever the core wants one."""
        said = []
        end = self.now + seconds
        while self.raft.due <= end:
            self.now = self.raft.due
            self.raft.tick(self.now)
            said += self.listen()
        self.now = end
        return said

    def write(self) -> list[tuple[str, RaftMessage]]:
        """The oldest job becomes durable."""
        self._persist(self.jobs.pop(0))
        return self.listen()

    def _persist(self, job: AppendJob | Install) -> None:
        if isinstance(job, AppendJob):
            self.raft.persisted(job, self.now)
        else:
            self.raft.installed(Snapshot(job.mark, len(self.received)))

    def compact(self, index: int, kept: int = 0) -> list[tuple[str, RaftMessage]]:
        """It has written a snapshot of six bytes up to `index`."""
        term = self.raft.log.term_at(index)
        assert term is not None
        self.raft.compacted(Snapshot(Mark(index, term), 6), kept)
        return self.listen()

    def listen(self) -> list[tuple[str, RaftMessage]]:
        said: list[tuple[str, RaftMessage]] = []
        while True:
            self.raft.check()
            ready = self.raft.ready()
            said += [(to, message) for to, message in ready.messages]
            self.applied += ready.committed
            self.read_round = max(self.read_round, ready.read_round)
            self.chunks += [(chunk.to, chunk.offset) for chunk in ready.chunks]
            for piece in ready.received:
                self.received = piece.data if piece.offset == 0 else self.received + piece.data
            jobs = [job for job in (ready.append, ready.install) if job is not None]
            if not jobs:
                return said
            if self.slow_disk:
                self.jobs += jobs
            else:
                for job in jobs:
                    self._persist(job)

    def lead(self) -> list[tuple[str, RaftMessage]]:
        """Win an election with the vote of `b`. Returns what a leader says first."""
        self.wait(self.raft.due - self.now)
        self.say(Voted(self.raft.term + 1, "b", pre=True, granted=True))
        return self.say(Voted(self.raft.term, "b", pre=False, granted=True))

    def change(self, *changes: Change) -> list[tuple[str, RaftMessage]]:
        index = self.raft.change(changes, self.now)
        assert isinstance(index, int), index
        return self.listen()

    @property
    def terms(self) -> list[int]:
        return [entry.term for entry in self.raft.log.between(0, self.raft.log.last_index)]


def log(*terms: int) -> list[Entry]:
    return [entry(index, term) for index, term in enumerate(terms, 1)]


def entry(index: int, term: int) -> Entry:
    return Entry(term, index, b"%d/%d" % (index, term))


def append(term: int, after: tuple[int, int], *entries: Entry, commit: int = 0, source: str = "b") -> AppendEntries:
    """`after` is (index, term) of the entry before."""
    return AppendEntries(term, source, *after, entries, commit)


def accepted(term: int, index: int, source: str = "b") -> Appended:
    return Appended(term, source, index, accepted=True)


def vote(term: int, last: tuple[int, int], source: str = "b", *, pre: bool = False) -> RequestVote:
    """`last` is (index, term) of the candidate's last entry."""
    return RequestVote(term, source, *last, pre)


def piece(term: int, index: int, last_term: int, offset: int, data: bytes, source: str = "b") -> InstallSnapshot:
    """A part of a snapshot of six bytes."""
    return InstallSnapshot(term, source, index, last_term, 6, offset, data)
