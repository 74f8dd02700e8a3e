"""Three replicas of the store under every fault: one leader a term, no acknowledged write lost, all agree at last."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import System
from actorkube.sim import Conditions, DiskConditions, Fault, Rot, Swarm, World, nemesis, play
from actorkube.sim.strategies import schedules
from actors.etcd.actor import Etcd, EtcdConfig
from actors.etcd.wal import CorruptWal
from protocols.errors import Answer, AskError, NotSent
from protocols.etcd import Compare, Event, Op, Range, RangeResponse, Status, Txn, TxnResponse, WatchKeys
from tests.effort import examples, seeds
from tests.sim.kv_history import Kind, KvHistory, Operation, Outcome

MEMBERS = ("etcd-0", "etcd-1", "etcd-2")
PEERS = {member: f"{member}/etcd" for member in MEMBERS}
KINDS: tuple[Kind, ...] = ("put", "put", "read", "swap")
KEYS = (b"a", b"b", b"c")
RAFT = ("AppendEntries", "Appended", "RequestVote", "Voted")
SETTLED_S = 30.0


class Client:
    """Writes unique values, swaps and reads, one operation after the other; remembers what it was told."""

    def __init__(
        self, world: World, system: System, history: KvHistory, name: str, kinds: tuple[Kind, ...] = KINDS
    ) -> None:
        self.world = world
        self.system = system
        self.history = history
        self.name = name
        self.kinds = kinds
        self.chance = world.chance(name)
        self.count = 0
        self.target = self.chance.choice(MEMBERS)
        self.patience_s = self.chance.choice((0.2, 1.0, 2.0))  # the impatient find a new leader while the old one lives

    async def work_while(self, plague: asyncio.Task[None]) -> None:
        think_s = self.chance.choice((0.02, 0.1, 0.5))
        while not plague.done():
            await self.one()
            await asyncio.sleep(think_s * 2 * self.chance.random())

    async def one(self) -> None:
        self.count += 1
        key = self.chance.choice(KEYS)
        now = self.world.loop.time()
        value = f"{self.name}/{self.count}".encode()
        kind: Kind = self.chance.choice(self.kinds)
        operation = self.history.begin(Operation(kind, key, now, value if kind != "read" else b""))
        if kind == "read":
            await self.attempt(operation, Range(key))
        elif kind == "put":
            await self.attempt(operation, Txn((), (Op("put", key, value),)))
        else:
            newest = max((o.revision for o in self.history.done() if o.key == key and o.kind != "read"), default=0)
            operation.expected = newest
            compare = Compare(key, "mod", "=", newest)
            await self.attempt(operation, Txn((compare,), (Op("put", key, value),)))

    async def attempt(self, operation: Operation, request: Range | Txn) -> None:
        """Ask until it is known what happened, or that it cannot be known."""
        for _ in range(20):
            try:
                answer: RangeResponse | TxnResponse = await self.system.ask(
                    self.system.ref(f"{self.target}/etcd"), request, timeout_s=self.patience_s
                )
            except (Answer, NotSent) as refusal:
                leader = refusal.details.get("leader", "") if isinstance(refusal, Answer) else ""
                self.target = leader.partition("/")[0] or self.chance.choice(MEMBERS)
                await asyncio.sleep(0.05)
                continue
            except AskError:
                self.target = self.chance.choice(MEMBERS)
                if isinstance(request, Range):
                    continue  # a read that is repeated is the same read
                self.end(operation, "unknown")
                return
            self.note(operation, answer)
            return
        self.end(operation, "refused")

    def note(self, operation: Operation, answer: RangeResponse | TxnResponse) -> None:
        if isinstance(answer, RangeResponse):
            operation.seen = answer.kvs[0] if answer.kvs else None
        elif not answer.succeeded:
            self.end(operation, "refused")
            return
        operation.revision = answer.revision
        self.end(operation, "done")

    def end(self, operation: Operation, outcome: Outcome) -> None:
        operation.ended = self.world.loop.time()
        operation.outcome = outcome


class Watched:
    """Invariants over the replicas' insides."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.leaders: dict[int, str] = {}
        self.revisions: dict[int, int] = {}

    def one_leader_per_term(self) -> None:
        for member in MEMBERS:
            etcd = replica(self.world, member)
            if etcd is not None and (term := etcd._raft.leading_term):
                assert self.leaders.setdefault(term, member) == member, f"term {term} has a second leader {member}"


def replica(world: World, member: str) -> Etcd | None:
    if not world.is_up(member):
        return None
    etcd = world.system(member).actor("etcd")
    assert isinstance(etcd, Etcd)
    return etcd if hasattr(etcd, "_raft") else None


def leader(world: World) -> str | None:
    leading = {member: etcd._raft.leading_term for member in MEMBERS if (etcd := replica(world, member))}
    return max(leading, key=lambda member: leading[member], default=None)


async def boot_replicas(world: World) -> None:
    for member in MEMBERS:
        await world.boot(member, partial(spawn, member))
    world.always("one leader a term", Watched(world).one_leader_per_term)


def spawn(member: str, system: System) -> None:
    system.spawn(lambda: Etcd(member, PEERS, EtcdConfig(segment_bytes_max=4096)), "etcd")


async def all_events(system: System, member: str, upto: int) -> list[Event]:
    events: list[Event] = []
    async with system.stream(system.ref(f"{member}/etcd"), WatchKeys(b"\0", b"\0", 1)) as stream:
        async for item in stream:
            events += item.events
            if item.revision >= upto:
                return events
    raise AssertionError("the watch ended")


async def agree(world: World, system: System) -> bool:
    """All replicas say the same, and one of them leads."""
    answers = []
    for member in MEMBERS:
        try:
            status = await system.ask(system.ref(f"{member}/etcd"), Status(), timeout_s=1)
            content = await system.ask(
                system.ref(f"{member}/etcd"), Range(b"\0", b"\0", serializable=True), timeout_s=1
            )
        except (Answer, AskError):
            return False
        answers.append((status.leader, status.term, status.revision, content))
    return bool(answers[0][0]) and all(answer == answers[0] for answer in answers)


async def under_load(world: World, plague: asyncio.Task[None]) -> None:
    """Clients work while the plague rages; then everything must add up."""
    history = KvHistory()
    user = await world.boot("user")
    clients = [Client(world, user, history, f"client-{number}") for number in range(3)]
    # A reader is not held up by a leader that can no longer write: it sees whether that one still answers reads.
    clients += [Client(world, user, history, f"reader-{number}", ("read",)) for number in range(2)]
    working = [world.loop.create_task(client.work_while(plague)) for client in clients]
    await plague
    await world.recover()
    await asyncio.gather(*working)
    await world.sleep(10)  # what a clogged way still held has arrived
    await world.converges(lambda: agree(world, user), within_s=SETTLED_S, stays_s=2)
    last = KvHistory()
    final = Client(world, user, last, "final")
    await final.attempt(
        last.begin(Operation("put", b"a", world.loop.time(), b"final")), Txn((), (Op("put", b"a", b"final"),))
    )
    assert last.done(), "a healed store takes a write"
    history.operations += last.operations
    await world.until(lambda: agree(world, user), within_s=SETTLED_S)
    for member in MEMBERS:
        history.check(await all_events(user, member, last.operations[0].revision))


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(8))
def test_no_acknowledged_write_is_lost_under_a_nemesis(seed: int) -> None:
    async def scenario(world: World) -> None:
        await boot_replicas(world)
        swarm = Swarm.draw(world.chance("swarm"))
        plague = world.loop.create_task(
            nemesis(world, MEMBERS, 25, swarm, messages=RAFT, favourite=partial(leader, world))
        )
        await under_load(world, plague)

    World.run_sync(scenario, seed)


@pytest.mark.slow
@settings(max_examples=examples(8), deadline=None)
@given(
    faults=schedules(MEMBERS, for_s=12, lasting_s=8, messages=RAFT),
    seed=st.integers(0, 1000),
)
def test_no_acknowledged_write_is_lost_under_any_schedule(faults: list[Fault], seed: int) -> None:
    async def scenario(world: World) -> None:
        await boot_replicas(world)
        await under_load(world, world.loop.create_task(play(world, faults)))

    World.run_sync(scenario, seed, network=Conditions(loss=0.001, duplication=0.05), disk=DiskConditions(stall=0.02))


@pytest.mark.slow
def test_a_replica_set_runs_the_same_way_twice() -> None:
    async def scenario(world: World) -> None:
        await boot_replicas(world)
        await under_load(world, world.loop.create_task(nemesis(world, MEMBERS, 10)))

    World.check(scenario, 3)


@pytest.mark.parametrize("seed", seeds(4))
def test_a_replica_whose_log_has_rotted_refuses_to_start_and_says_what_to_do(seed: int) -> None:
    async def scenario(world: World) -> str:
        await boot_replicas(world)
        user = await world.boot("user")
        writer = Client(world, user, KvHistory(), "writer", ("put",))
        for _ in range(20):
            await writer.one()
        world.crash("etcd-0")
        Rot(0, 0, "etcd-0").begin(world)
        world.start("etcd-0")
        await world.sleep(5)
        for _ in range(5):
            await writer.one()  # the other two go on without it
        assert len(writer.history.done()) == 25
        return "\n".join(world.trace.lines)

    with contextlib.closing(World(seed, record=True, expected=(OSError, CorruptWal))) as world:
        lines = world.run(scenario)

    assert "disk of etcd-0 rots: etcd/" in lines
    assert "is damaged, and it is not the last one" in lines
    assert "Restore this member's directory from a copy" in lines


def test_reads_and_writes_at_any_moment_wait_for_no_heartbeat() -> None:
    async def scenario(world: World) -> None:
        await boot_replicas(world)
        user = await world.boot("user")
        await world.until(lambda: agree(world, user))
        leading = user.ref(f"{leader(world)}/etcd")
        chance = world.chance("moments")
        for number in range(60):
            await world.sleep(chance.random())
            began = world.loop.now
            request = Range(b"a") if number % 3 else Txn((), (Op("put", b"a", b"%d" % number),))
            await user.ask(leading, request)
            assert world.loop.now - began < 0.02, f"number {number} took {world.loop.now - began} s"

    World.run_sync(scenario)
