"""A world of Raft cores without asyncio: a network, disks and a clock in which everything that may go wrong does.

`World.check` holds the properties of Raft's figure 3 and two more against what every member did, after every step:
what is committed is durable on a majority, and a read sees all that was committed when it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random

from actors.etcd.raft import confchange
from actors.etcd.raft.configurations import decode_configuration, encode_configuration
from actors.etcd.raft.core import Raft
from actors.etcd.raft.log import NOBODY
from actors.etcd.raft.types import (
    NO_SNAPSHOT,
    AppendJob,
    Change,
    Chunk,
    Dropped,
    HardState,
    Install,
    Mark,
    Outgoing,
    RaftConfig,
    Snapshot,
)
from protocols.raft import Configuration, Entry, InstallSnapshot

CHUNK_BYTES = 40


@dataclass
class Weather:
    """How bad it gets: weights of the faults in one run."""

    lose: float = 0.1
    duplicate: float = 0.1
    crash: float = 0.01
    partition: float = 0.01
    compact: float = 0.01
    change: float = 0.0  # of members
    transfer: float = 0.0
    lease: bool = False  # reads by lease, and clocks of which some run faster by a tenth
    slow_disk: float = 0.5
    haste_s: float = 0.04  # how much time may pass at once: more brings more elections


@dataclass
class Disk:
    """What survives a crash: entries after `snapshot.mark`, and the snapshot itself."""

    state: HardState = field(default_factory=HardState)
    snapshot: Snapshot = NO_SNAPSHOT
    image: bytes = b""
    entries: list[Entry] = field(default_factory=list)

    def append(self, entry: Entry) -> None:
        """Replaces what was at its index or after; what the snapshot stands for needs no entry."""
        base = self.snapshot.mark.index
        if entry.index > base:
            assert entry.index <= base + len(self.entries) + 1, f"{entry.index} does not follow {self.entries[-1:]}"
            self.entries = [*self.entries[: entry.index - base - 1], entry]

    def compact(self, snapshot: Snapshot, image: bytes) -> None:
        covered = snapshot.mark.index - self.snapshot.mark.index
        self.snapshot, self.image, self.entries = snapshot, image, self.entries[covered:]

    def install(self, snapshot: Snapshot, image: bytes, kept: tuple[Entry, ...]) -> None:
        self.snapshot, self.image, self.entries = snapshot, image, list(kept)

    def holds(self, entry: Entry) -> bool:
        position = entry.index - self.snapshot.mark.index - 1
        return position < 0 or self.entries[position : position + 1] == [entry]


@dataclass
class Member:
    name: str
    raft: Raft | None = None
    rate: float = 1.0  # of its clock
    disk: Disk = field(default_factory=Disk)
    jobs: list[AppendJob | Install] = field(default_factory=list)  # handed out, not durable
    pieces: bytearray = field(default_factory=bytearray)  # of another member's snapshot
    reads: dict[int, int] = field(default_factory=dict)  # round -> what was committed when it was asked for
    configuration: Configuration = NOBODY  # what held in its log at the end of its last turn
    applied: int = 0


class World:
    def __init__(self, seed: int, size: int = 3, weather: Weather | None = None) -> None:
        self.chance = Random(seed)
        self.weather = weather or Weather()
        self.now = 0.0
        founders = [f"m{i}" for i in range(size)]
        self.bootstrap = Configuration(tuple(founders))
        self.newcomers = [f"n{i}" for i in range(4 if self.weather.change else 0)]  # they know of nobody
        self.members = {name: Member(name) for name in [*founders, *self.newcomers]}
        if self.weather.lease:
            for member in self.members.values():
                member.rate = self.chance.choice([1.0, 1.1])
        self.network: list[Outgoing] = []
        self.cut: set[tuple[str, str]] = set()
        self.leaders: dict[int, str] = {}  # term -> who led it
        self.committed: list[Entry] = []
        self.committed_in: list[int] = []  # in which term each was
        self.configured: list[tuple[int, Configuration]] = []  # what committed entries say, by their indexes
        self.reads_answered = 0
        self.installs = 0
        self._proposals = 0
        self.changes = 0  # of members, finished
        self.handovers = 0
        for member in self.members.values():
            self.start(member)

    # -- the members ----------------------------------------------------------------------------------------------

    def start(self, member: Member) -> None:
        bootstrap = NOBODY if member.name in self.newcomers else self.bootstrap
        lease_s = 0.2 / 1.1 if self.weather.lease else 0.0
        times = (0.05, (0.2, 0.4), (0.005, 0.040))
        config = RaftConfig(member.name, bootstrap, *times, append_bytes_max=8, inflight_max=4, lease_s=lease_s)
        disk = member.disk
        chance = Random(self.chance.random())
        member.raft = Raft(config, disk.state, disk.entries, chance, self.clock(member), disk.snapshot)
        member.applied = disk.snapshot.mark.index
        member.configuration = member.raft.log.configuration

    def clock(self, member: Member) -> float:
        return self.now * member.rate

    def crash(self, member: Member) -> None:
        """Jobs that are not durable are lost; some may have become so without anybody knowing."""
        for job in self._take_jobs(member, self.chance.randint(0, len(member.jobs))):
            self._write(member, job)
        member.jobs.clear()
        member.pieces.clear()
        member.reads.clear()
        member.raft = None

    def persist(self, member: Member, count: int) -> None:
        for job in self._take_jobs(member, count):
            assert member.raft is not None
            self._write(member, job)
            if isinstance(job, AppendJob):
                member.raft.persisted(job, self.clock(member))
            else:
                self.installs += 1
                member.applied = job.mark.index
                member.raft.installed(member.disk.snapshot)

    def _take_jobs(self, member: Member, count: int) -> list[AppendJob | Install]:
        done, member.jobs = member.jobs[:count], member.jobs[count:]
        return done

    def _write(self, member: Member, job: AppendJob | Install) -> None:
        if isinstance(job, Install):
            image = bytes(member.pieces)
            assert image == self.image(job.mark.index), f"{member.name} put together another snapshot"
            configuration = decode_configuration(image.partition(b";")[0])
            member.disk.install(Snapshot(job.mark, len(image), configuration), image, job.kept)
            return
        for entry in job.entries:
            member.disk.append(entry)
        member.disk.state = job.state or member.disk.state

    def image(self, index: int) -> bytes:
        """The state after the first `index` entries: what a snapshot holds."""
        configuration = self.configuration(index)
        states = [b"%d %s" % (entry.term, entry.data) for entry in self.committed[:index]]
        return b";".join([encode_configuration(configuration), *states])

    def configuration(self, index: int) -> Configuration:
        """Who belongs to it by the first `index` entries."""
        return next((found for start, found in reversed(self.configured) if start <= index), self.bootstrap)

    def compact(self, member: Member) -> None:
        """Write a snapshot of what is applied, and forget entries, all or but the last few."""
        raft = member.raft
        if raft is None or member.applied <= raft.snapshot.mark.index:
            return
        image = self.image(member.applied)
        configuration = raft.log.configurations.at(member.applied)
        snapshot = Snapshot(Mark(member.applied, self.committed[member.applied - 1].term), len(image), configuration)
        member.disk.compact(snapshot, image)
        raft.compacted(snapshot, self.chance.choice([0, 0, 1, 3]))

    def turn(self, member: Member) -> None:
        """What the shell does with everything that the core wants."""
        if (raft := member.raft) is None:
            return
        raft.check()
        self._check_committed(member, raft)
        ready = raft.ready()
        self.network += ready.messages
        if ready.append is not None:
            member.jobs.append(ready.append)
        for piece in ready.received:
            if piece.offset == 0:
                member.pieces.clear()
            member.pieces += piece.data
        if ready.install is not None:
            member.jobs.append(ready.install)
        self.network += [self._piece(member, chunk) for chunk in ready.chunks]
        for entry in ready.committed:
            self._apply(member, entry)
        if raft.leading_term == 0:
            member.reads.clear()
        for number in [number for number in member.reads if number <= ready.read_round]:
            asked_at = member.reads.pop(number)
            assert member.applied >= asked_at, f"a read missed what was committed: {member.applied} < {asked_at}"
            self.reads_answered += 1
        raft.check()
        member.configuration = raft.log.configuration

    def _piece(self, member: Member, chunk: Chunk) -> Outgoing:
        snapshot = chunk.snapshot
        assert snapshot == member.disk.snapshot
        data = member.disk.image[chunk.offset : chunk.offset + CHUNK_BYTES]
        mark = snapshot.mark
        return Outgoing(
            chunk.to,
            InstallSnapshot(chunk.term, member.name, mark.index, mark.term, snapshot.size, chunk.offset, data),
        )

    # -- the steps ------------------------------------------------------------------------------------------------

    def step(self) -> None:
        chance = self.chance
        member = self.members[chance.choice(list(self.members))]
        dice = chance.random()
        if member.raft is None:
            if dice < 0.05:
                self.start(member)
        elif dice < self.weather.crash:
            self.crash(member)
        elif dice < self.weather.crash + self.weather.partition:
            self.partition()
        elif self.cut and dice < self.weather.crash + self.weather.partition + 0.004:
            self.cut.clear()
        elif dice < self.weather.crash + self.weather.partition + 0.004 + self.weather.compact:
            self.compact(member)
        elif self.weather.change and chance.random() < self.weather.change:
            self.change(self.leading() or member)
        elif self.weather.transfer and chance.random() < self.weather.transfer:
            self.hand_over(self.leading() or member)
        elif dice < 0.10:
            self.pass_time(chance.uniform(0, self.weather.haste_s))
        elif dice < 0.18:
            self.ask(member)
        elif dice < 0.40 and chance.random() >= self.weather.slow_disk:
            self.persist(member, chance.randint(0, len(member.jobs)))
            self.turn(member)
        else:
            self.deliver()
        self.check()

    def partition(self) -> None:
        """One member is cut off, or one direction of some links goes dark."""
        links = [(a, b) for a in self.members for b in self.members if a != b]
        if self.chance.random() < 0.5:
            lonely = self.chance.choice(list(self.members))
            self.cut.update(link for link in links if lonely in link)
        else:
            self.cut.update(link for link in links if self.chance.random() < 0.4)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for member in self.members.values():
            if member.raft is not None:
                member.raft.tick(self.clock(member))
                self.turn(member)

    def ask(self, member: Member) -> None:
        """A write or a read by a client; whoever does not lead refuses."""
        if (raft := member.raft) is None:
            return
        if self.chance.random() < 0.3:
            number = raft.request_read(self.clock(member))
            if not isinstance(number, Dropped):
                member.reads.setdefault(number, len(self.committed))
        else:
            self._proposals += 1
            raft.propose(b"%d" % self._proposals)
        self.turn(member)

    def change(self, member: Member) -> None:
        """Somebody wants other members; who does not lead refuses, and what makes no sense is refused."""
        if (raft := member.raft) is None:
            return
        now, choose = raft.log.configuration, self.chance.choice
        anybody = [*self.members]
        voter, learner = choose(now.voters or anybody), choose(now.learners or anybody)
        stranger = choose(self.newcomers or anybody)
        wish = choose(
            [
                [Change("learn", stranger)],
                [Change("add", stranger)],
                [Change("promote", learner)],
                [Change("remove", choose([voter, voter, learner, raft.config.member]))],
                [Change("remove", voter), Change("add", stranger)],
                [Change("remove", voter), Change("promote", learner)],
                [Change("demote", choose([voter, raft.config.member]))],
                [Change("demote", voter), Change("promote", learner)],
            ]
        )
        self.changes += isinstance(raft.change(wish, self.clock(member)), int)
        self.turn(member)

    def hand_over(self, member: Member) -> None:
        if (raft := member.raft) is not None:
            self.handovers += raft.hand_over(self.chance.choice([*self.members, ""]), self.clock(member))
            self.turn(member)

    def leading(self) -> Member | None:
        """One of those who think that they lead."""
        leaders = [member for member in self.living() if member.raft is not None and member.raft.leading_term]
        return self.chance.choice(leaders) if leaders else None

    def deliver(self) -> None:
        """Any message under way, not only the oldest."""
        if not self.network:
            return
        position = self.chance.randrange(len(self.network))
        outgoing = self.network[position]
        if self.chance.random() >= self.weather.duplicate:
            del self.network[position]
        receiver = self.members[outgoing.to]
        if self.chance.random() < self.weather.lose or (outgoing.message.source, outgoing.to) in self.cut:
            return
        if receiver.raft is not None:
            receiver.raft.step(outgoing.message, self.clock(receiver))
            self.turn(receiver)

    # -- after the storm ------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Everybody up, the network whole, disks quick: then a leader must come, and everything get everywhere."""
        calm = Weather(lose=0, duplicate=0, crash=0, partition=0, compact=0, slow_disk=0)
        self.weather = replace(calm, lease=self.weather.lease)
        self.cut.clear()
        for member in self.members.values():
            if member.raft is None:
                self.start(member)
        for _ in range(120):
            self.settle()
            self.pass_time(0.02)
        leaders = [member for member in self.living() if member.raft and member.raft.leading_term]
        assert len(leaders) == 1, f"{len(leaders)} leaders after the network healed"
        assert leaders[0].raft is not None
        leaders[0].raft.propose(b"the last one")
        self.settle()
        for _ in range(10):  # not at once: a clock that runs fast may be due for an election before a heartbeat comes
            self.pass_time(0.02)
            self.settle()
        assert self.committed[-1].data == b"the last one"
        configuration = leaders[0].raft.log.configuration
        assert not configuration.outgoing, "a change of members is never finished"
        for name in confchange.members(configuration):
            assert self.members[name].applied == len(self.committed), f"{name} lacks something"

    def settle(self) -> None:
        """Disks and network until nothing is left to do."""
        for _ in range(10_000):
            for member in self.living():
                self.turn(member)
                self.persist(member, len(member.jobs))
                self.turn(member)
            if not self.network:
                break
            self.deliver()
        else:
            raise AssertionError("the members talk without end")
        self.check()

    def living(self) -> Iterator[Member]:
        return (member for member in self.members.values() if member.raft is not None)

    # -- the properties -------------------------------------------------------------------------------------------

    def _apply(self, member: Member, entry: Entry) -> None:
        """State machine safety: no two members apply different entries at one index."""
        member.applied += 1
        assert entry.index == member.applied, f"{member.name} applied {entry.index} after {member.applied - 1}"
        if entry.index <= len(self.committed):
            assert self.committed[entry.index - 1] == entry, f"{member.name} applied another entry {entry.index}"

    def check(self) -> None:
        for member in self.living():
            assert member.raft is not None
            self._check_leader(member, member.raft)
            self._check_members(member, member.raft)
        for a, b in combinations(list(self.living()), 2):
            self._check_matching(a, b)

    def _check_leader(self, member: Member, raft: Raft) -> None:
        """Election safety, and leader completeness: of what was committed in earlier terms (Raft, figure 3)."""
        term = raft.leading_term
        if not term or self.leaders.get(term) == member.name:
            return
        assert term not in self.leaders, f"{self.leaders[term]} and {member.name} lead term {term}"
        self.leaders[term] = member.name
        assert raft.has_vote, f"{member.name} leads, and has no vote"
        base = raft.log.base.index
        last = max([base, *(index for index, known in enumerate(self.committed_in, 1) if known < term)])
        assert raft.log.between(0, last) == self.committed[base:last], f"the leader of {term} lacks committed entries"

    def _check_committed(self, member: Member, raft: Raft) -> None:
        """What is committed for the first time is durable on a majority then; while voters change, on both.

        A step may commit a joint configuration and then more, under the one that follows it.
        """
        for entry in raft.log.between(len(self.committed), raft.log.committed):
            holders = {name for name, other in self.members.items() if other.disk.holds(entry)}
            assert any(
                all(len(holders.intersection(voters)) * 2 > len(voters) for voters in confchange.majorities(held))
                for held in (member.configuration, raft.log.configuration)
            ), f"{entry} is committed, but only {holders} have it, under {member.configuration}"
            self.committed.append(entry)
            self.committed_in.append(raft.term)
            if entry.configures:
                self.configured.append((entry.index, decode_configuration(entry.data)))

    def _check_members(self, member: Member, raft: Raft) -> None:
        """All who have committed as much say that the same members belong to it."""
        index = raft.log.committed
        if index and self.configured and index >= self.configured[0][0]:
            assert raft.log.configurations.at(index) == self.configuration(index), f"{member.name} knows other members"

    def _check_matching(self, a: Member, b: Member) -> None:
        """Log matching: logs that agree on one entry agree on all before it."""
        assert a.raft is not None and b.raft is not None
        base = max(a.raft.log.base.index, b.raft.log.base.index)
        ours = a.raft.log.between(base, a.raft.log.last_index)
        theirs = b.raft.log.between(base, b.raft.log.last_index)
        for index in range(min(len(ours), len(theirs)), 0, -1):
            if ours[index - 1].term == theirs[index - 1].term:
                assert ours[:index] == theirs[:index], f"{a.name} and {b.name} agree on {base + index}, not before"
                return
