"""What must hold in a replica set at every moment, whatever breaks: Raft's four safety properties, and leases.

    invariants = Invariants(world, MEMBERS)
    world.always("raft", invariants.check)

Looks into the members, as no client could: a violation is noticed when it happens, not when somebody reads.
"""

from __future__ import annotations

import math
from itertools import combinations

from actorkube.sim import World
from actors.etcd.actor import Etcd
from protocols.raft import Entry

CLOCK_RATE_MAX = 1.1  # how fast a plagued host's clock runs, at most


class Invariants:
    def __init__(self, world: World, members: tuple[str, ...]) -> None:
        self.members = list(members)
        self.promised: dict[int, tuple[float, float, int]] = {}  # lease -> from when, how long, revision of its key
        self.leases_until = math.inf  # from then on, the members' clocks prove nothing
        self.elections = 0
        self._world = world
        self._leaders: dict[int, str] = {}  # by term
        self._committed: dict[int, Entry] = {}  # by index
        self._looked: dict[Etcd, int] = {}  # up to which index each life of a member was looked at

    def check(self) -> None:
        living = {name: etcd for name in self.members if (etcd := living_member(self._world, name)) is not None}
        for name, etcd in living.items():
            etcd._raft.check()
            self._check_committed(name, etcd)
            self._check_leader(name, etcd)
            self._check_leases(name, etcd)
        for one, other in combinations(living.values(), 2):
            check_matching(one, other)

    def promise(self, lease: int, began: float, ttl_s: float, revision: int) -> None:
        """A client was told that the lease lives; it had asked at `began`. Its key was put at `revision`."""
        self.promised[lease] = (began, ttl_s / CLOCK_RATE_MAX, revision)

    def _check_leader(self, name: str, etcd: Etcd) -> None:
        """Election safety, and leader completeness: who is elected has all that was committed before."""
        term = etcd._raft.leading_term
        if not term or self._leaders.get(term) == name:
            return
        assert term not in self._leaders, f"{self._leaders[term]} and {name} lead term {term}"
        self._leaders[term] = name
        self.elections += 1
        log = etcd._raft.log
        for index, entry in self._committed.items():
            if index > log.base.index:
                assert log.between(index - 1, index) == [entry], f"{name} leads {term} without committed entry {index}"

    def _check_committed(self, name: str, etcd: Etcd) -> None:
        """State machine safety: no two members commit, and apply, different entries at one index."""
        log = etcd._raft.log
        looked = max(self._looked.get(etcd, 0), log.base.index)
        if looked >= log.committed:
            return
        for entry in log.between(looked, log.committed):
            known = self._committed.setdefault(entry.index, entry)
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


def check_matching(one: Etcd, other: Etcd) -> None:
    """Log matching: logs that agree on one entry agree on all before it."""
    ours, theirs = one._raft.log, other._raft.log
    base = max(ours.base.index, theirs.base.index)
    for index in range(min(ours.last_index, theirs.last_index), base, -1):
        if ours.term_at(index) == theirs.term_at(index):
            assert ours.between(base, index) == theirs.between(base, index), f"logs agree on {index}, not before"
            return


def living_member(world: World, member: str) -> Etcd | None:
    try:
        actor = world.system(member).actor("etcd")
    except KeyError:
        return None
    return actor if isinstance(actor, Etcd) and hasattr(actor, "_raft") else None
