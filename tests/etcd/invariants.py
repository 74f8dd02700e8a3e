"""What must hold in a replica set at every moment, whatever breaks: Raft's four safety properties, and leases.

    invariants = Invariants(world, MEMBERS)
    world.always("raft", invariants.check)

Looks into the members, as no client could: a violation is noticed when it happens, not when somebody reads. A look
costs what has changed since the last: only members whose host has run, and of their logs what was not there before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from actorkube.sim import World
from actorkube.sim.host import Life
from actors.etcd.actor import Etcd
from actors.etcd.raft.log import Log
from actors.etcd.raft.types import Mark
from protocols.raft import Configuration, Entry

CLOCK_RATE_MAX = 1.1  # how fast a plagued host's clock runs, at most


@dataclass(frozen=True, slots=True)
class Seen:
    """A log, as it was found sound."""

    base: Mark
    entries: list[Entry]
    marks: list[tuple[int, Configuration]]

    @classmethod
    def of(cls, log: Log) -> Seen:
        return cls(log.base, list(log._entries), list(log.configurations._marks))

    def is_followed_by(self, log: Log) -> bool:
        """Whether entries were added since, and nothing else has happened to it."""
        entries = log._entries
        unchanged = entries if len(entries) == len(self.entries) else entries[: len(self.entries)]
        return self.base == log.base and unchanged == self.entries and log.configurations._marks == self.marks


class Invariants:
    def __init__(self, world: World, members: tuple[str, ...]) -> None:
        self._hosts = {name: world.hosts[name] for name in members}
        self.promised: dict[int, tuple[float, float, int]] = {}  # lease -> from when, how long, revision of its key
        self.leases_until = math.inf  # from then on, the members' clocks prove nothing
        self.elections = 0
        self._world = world
        self._ran = world.loop.note_who_runs()
        self._leaders: dict[int, str] = {}  # by term
        self._written: dict[tuple[int, int], tuple[Entry, int]] = {}  # by term and index: what, and the term before it
        self._committed: dict[int, tuple[Entry, int]] = {}  # by index: what, and in which term that was seen first
        self._looked: dict[Etcd, int] = {}  # up to which index each life of a member was looked at
        self._seen: dict[Etcd, Seen] = {}
        self._states: dict[Etcd, tuple[object, ...]] = {}
        self._lives: dict[str, Life | None] = {}  # of the hosts, at the last look
        self._is_promised_anew = False

    def check(self) -> None:
        """What a host knows, only its own steps change: the others are as they were at the last look."""
        ran, lives, anew = self._ran, self._lives, self._is_promised_anew
        for name, host in self._hosts.items():
            life = host.life
            if life is lives.get(name) and (life is None or life.domain not in ran) and not anew:
                continue
            lives[name] = life
            if life is not None and (etcd := living_member(self._world, name)) is not None:
                self._check_raft(name, etcd)
                self._check_committed(name, etcd)
                self._check_leader(name, etcd)
                self._check_leases(name, etcd)
        self._is_promised_anew = False

    def promise(self, lease: int, began: float, ttl_s: float, revision: int) -> None:
        """A client was told that the lease lives; it had asked at `began`. Its key was put at `revision`."""
        self.promised[lease] = (began, ttl_s / CLOCK_RATE_MAX, revision)
        self._is_promised_anew = True

    def _check_raft(self, name: str, etcd: Etcd) -> None:
        raft, log = etcd._raft, etcd._raft.log
        entries = log._entries
        state = (
            *(log.last_index, log.committed, log.applied, log.persisted, log.saved, log.base, raft.term, raft.vote),
            *(raft.leadership, raft.ballot, raft.snapshot, log.configurations.index, entries[-1] if entries else None),
        )
        if self._states.get(etcd) != state:
            self._check_log(name, etcd)
            self._states[etcd] = state
        elif raft.leadership is not None:
            raft.leadership.check()

    def _check_log(self, name: str, etcd: Etcd) -> None:
        """Log matching: logs that agree on one entry agree on all before it. Whoever has an entry of that term and
        index has the same one behind the same term: so it holds of any two logs, by induction, also of past ones."""
        log, seen = etcd._raft.log, self._seen.get(etcd)
        known = log.base.index + len(seen.entries) if seen is not None and seen.is_followed_by(log) else log.base.index
        etcd._raft.check(known)
        before = log.term_at(known)
        assert before is not None
        for entry in log.between(known, log.last_index):
            known_as = self._written.setdefault((entry.term, entry.index), (entry, before))
            assert known_as == (entry, before), f"{name} has {entry} after term {before}, another {known_as}"
            before = entry.term
        if known < log.last_index or seen is None or seen.base != log.base:
            self._seen[etcd] = Seen.of(log)

    def _check_leader(self, name: str, etcd: Etcd) -> None:
        """Election safety, and leader completeness: who is elected has all that was committed in earlier terms. A
        leader of an older term, whose votes came late, need not have it: it can commit nothing (Raft, figure 3)."""
        term = etcd._raft.leading_term
        if not term or self._leaders.get(term) == name:
            return
        assert term not in self._leaders, f"{self._leaders[term]} and {name} lead term {term}"
        self._leaders[term] = name
        self.elections += 1
        log = etcd._raft.log
        for index, (entry, committed_in) in self._committed.items():
            if index > log.base.index and committed_in < term:
                assert log.between(index - 1, index) == [entry], f"{name} leads {term} without committed entry {index}"

    def _check_committed(self, name: str, etcd: Etcd) -> None:
        """State machine safety: no two members commit, and apply, different entries at one index."""
        log = etcd._raft.log
        looked = max(self._looked.get(etcd, 0), log.base.index)
        if looked >= log.committed:
            return
        for entry in log.between(looked, log.committed):
            known, _ = self._committed.setdefault(entry.index, (entry, etcd._raft.term))
            assert known == entry, f"{name} committed another entry {entry.index}: {entry} and not {known}"
        self._looked[etcd] = log.committed

    def _check_leases(self, name: str, etcd: Etcd) -> None:
        """A lease lives at least as long as its owner was promised, on every member that has heard of it."""
        now = self._world.now
        for lease, (began, ttl_s, revision) in list(self.promised.items()):
            if now >= min(began + ttl_s, self.leases_until):
                del self.promised[lease]
            elif etcd._store.revision >= revision:
                left = began + ttl_s - now
                assert etcd._store.leases.get(lease) is not None, f"{name} lost lease {lease} {left:.2f} s too early"


def living_member(world: World, member: str) -> Etcd | None:
    try:
        actor = world.system(member).actor("etcd")
    except KeyError:
        return None
    return actor if isinstance(actor, Etcd) and hasattr(actor, "_raft") else None
