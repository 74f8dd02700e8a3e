"""Every order in which a few things can happen to three cores, breadth first, with Raft's properties after each step.

    python -m tests.etcd.raft_model 200000       that many states, of each of the models

What can happen next: one of the messages under way arrives (any; one that never does is lost), a member's oldest job
becomes durable, a member's timer runs out, the leader is given an entry or other members, a member crashes, forgets
what was not durable, and is back. How often the last three happen is bounded; so are terms. Each member has a clock of
its own, which moves only when its timer runs out; that makes time as loose as it can be.

States are equal if nothing that can matter later differs, which leaves out how long ago something was but for what is
decided by it. So this is exhaustive up to the depth that a number of states reaches, which `Found` says.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from actors.etcd.raft.core import Raft
from actors.etcd.raft.types import Change
from tests.etcd.raft_world import Member, Weather, World


class Bounds(NamedTuple):
    timeouts: int = 3
    proposals: int = 1
    crashes: int = 1
    terms: int = 2
    change: tuple[Change, ...] = ()  # asked for once, of whoever leads


REPLACE = (Change("remove", "m1"), Change("add", "n0"))


class Found(NamedTuple):
    """`depth`: all that can happen in so many steps has been looked at. `whole`: there is nothing more within the
    bounds."""

    states: int
    depth: int
    whole: bool


@dataclass
class NoChance:
    """In place of a random.Random: always the same."""

    def random(self) -> float:
        return 0.5

    def uniform(self, low: float, high: float) -> float:
        return low

    def randint(self, low: int, high: int) -> int:
        return low

    def choice(self, things: list[Any]) -> Any:
        return things[0]


class Model(World):
    def __init__(self, size: int, bounds: Bounds) -> None:
        self.clocks: dict[str, float] = {}
        self.left = bounds
        super().__init__(0, size, Weather(change=1.0 if bounds.change else 0.0))
        strangers = [step.name for step in bounds.change]
        self.members = {name: m for name, m in self.members.items() if name[0] == "m" or name in strangers}
        self.chance = NoChance()  # type: ignore[assignment]

    def clock(self, member: Member) -> float:
        return self.clocks.get(member.name, 0.0)

    def start(self, member: Member) -> None:
        super().start(member)
        assert member.raft is not None
        member.raft._chance = NoChance()  # type: ignore[assignment]

    # -- what can happen ------------------------------------------------------------------------------------------

    def actions(self) -> Iterator[tuple[str, Any]]:
        seen = set()
        for position, outgoing in enumerate(self.network):
            if outgoing not in seen:
                seen.add(outgoing)
                yield "arrive", position
        for name, member in self.members.items():
            assert member.raft is not None
            if member.jobs:
                yield "persist", name
            if self.left.timeouts and (member.raft.leading_term or member.raft.term < self.left.terms):
                yield "time_out", name
            if self.left.proposals and member.raft.leading_term:
                yield "give", name
            if self.left.change and member.raft.leading_term:
                yield "change_members", name
            if self.left.crashes:
                yield "lose_power", name

    def act(self, kind: str, what: Any) -> None:
        if kind == "arrive":
            outgoing = self.network.pop(what)
            member = self.members[outgoing.to]
            assert member.raft is not None
            member.raft.step(outgoing.message, self.clock(member))
        else:
            member = self.members[what]
            getattr(self, kind)(member, member.raft)
        self.turn(member)
        self.check()

    def time_out(self, member: Member, raft: Raft) -> None:
        self.left = self.left._replace(timeouts=self.left.timeouts - 1)
        self.clocks[member.name] = raft.due
        raft.tick(raft.due)

    def give(self, member: Member, raft: Raft) -> None:
        self.left = self.left._replace(proposals=self.left.proposals - 1)
        raft.propose(b"%d" % self.left.proposals)

    def change_members(self, member: Member, raft: Raft) -> None:
        if isinstance(raft.change(self.left.change, self.clock(member)), int):
            self.left = self.left._replace(change=())

    def lose_power(self, member: Member, raft: Raft) -> None:
        self.left = self.left._replace(crashes=self.left.crashes - 1)
        member.jobs.clear()
        self.crash(member)
        self.start(member)

    def persist(self, member: Member, count: Any) -> None:
        super().persist(member, 1)

    # -- equality -------------------------------------------------------------------------------------------------

    def key(self) -> bytes:
        members = [self._member_key(member) for member in self.members.values()]
        network = sorted([repr(outgoing) for outgoing in self.network])
        whole = repr((members, network, self.left, self.committed, self.committed_in, sorted(self.leaders.items())))
        return blake2b(whole.encode(), digest_size=12).digest()

    def _member_key(self, member: Member) -> object:
        raft = member.raft
        assert raft is not None
        log, now = raft.log, self.clock(member)
        marks = (log.base, log.saved, log.persisted, log.committed, log.applied)
        ballot = raft.ballot and (raft.ballot.term, raft.ballot.pre, sorted(raft.ballot._votes.items()))
        lead: object = None
        if raft.leadership is not None:
            lead = [
                (
                    name,
                    p.match,
                    p.next,
                    p.streaming,
                    p.waiting,
                    p.stalled,
                    p.knock,
                    p.told_commit,
                    len(p._inflight),
                    now - p.heard_at >= raft.config.election_s[1],
                )
                for name, p in raft.leadership.peers.items()
            ]
        own = (raft.term, raft.vote, raft.leader, raft._hears_leader(now), raft._is_led, ballot, lead)
        return own, marks, log._entries, member.jobs, member.disk.state, member.disk.entries


def led(size: int, bounds: Bounds) -> Model:
    """The first member leads, and everybody knows."""
    model = Model(size, bounds._replace(timeouts=1))
    model.act("time_out", "m0")
    while pending := [action for action in model.actions() if action[0] in ("arrive", "persist")]:
        model.act(*pending[0])
    assert model.members["m0"].raft is not None and model.members["m0"].raft.leading_term
    model.left = bounds
    return model


def contested(bounds: Bounds) -> Model:
    """Two of three are about to ask the others for their votes, in the same term."""
    model = Model(3, bounds._replace(timeouts=2))
    for name in ("m0", "m1"):
        model.act("time_out", name)
        model.network = [outgoing for outgoing in model.network if outgoing.to == "m2"]
        model.act("arrive", 0)
        model.act("arrive", 0)
    assert model.network == [] and len(model.members["m1"].jobs) == 1
    model.left = bounds
    return model


def explore(start: Model, states_max: int) -> Found:
    """Raises AssertionError, with the steps that led there, if a property does not hold."""
    seen = {start.key()}
    layer: list[tuple[bytes, tuple[tuple[str, Any], ...]]] = [(pickle.dumps(start, -1), ())]
    depth = 0
    while layer:
        following: list[tuple[bytes, tuple[tuple[str, Any], ...]]] = []
        for frozen, path in layer:
            for action in list(pickle.loads(frozen).actions()):
                if len(seen) >= states_max:
                    return Found(len(seen), depth, whole=False)
                model = pickle.loads(frozen)
                try:
                    model.act(*action)
                except AssertionError as error:
                    raise AssertionError(f"{error}, after {[*path, action]}") from error
                key = model.key()
                if key not in seen:
                    seen.add(key)
                    following.append((pickle.dumps(model, -1), (*path, action)))
        layer = following
        depth += 1
    return Found(len(seen), depth, whole=True)


MODELS = {
    "an election": lambda: Model(3, Bounds(timeouts=1, proposals=0, crashes=0, terms=1)),
    "two candidates": lambda: contested(Bounds(timeouts=0, proposals=0, crashes=1, terms=1)),
    "a leader's write": lambda: led(3, Bounds(timeouts=0, proposals=1, crashes=1, terms=1)),
    "a write, and another leader": lambda: led(3, Bounds(timeouts=2, proposals=1, crashes=1, terms=2)),
    "other members": lambda: led(2, Bounds(timeouts=1, proposals=0, crashes=0, terms=2, change=REPLACE)),
}

if __name__ == "__main__":
    for name, model in MODELS.items():
        print(name, explore(model(), int(sys.argv[1])), flush=True)
