"""A replica set whose members come and go while a client writes, in every world: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actorkube.runtime import System
from actorkube.testing import WORLDS, World, run_in
from actors.etcd.actor import EtcdConfig
from protocols.errors import Answer, AskError, BadRequest
from protocols.etcd import NotLeader, Op, Range, Txn
from protocols.etcd_members import (
    NOT_A_MEMBER,
    ChangeUnderWay,
    LearnerNotReady,
    MemberAdd,
    MemberDemote,
    MemberExists,
    MemberList,
    MemberNotFound,
    MemberPromote,
    MemberRemove,
    Members,
    MoveLeader,
    NotLearner,
    UnhealthyCluster,
)
from protocols.message import Request
from tests.etcd.cluster import (
    MEMBERS,
    QUICK,
    Client,
    History,
    NoAnswer,
    boot,
    boot_joining,
    converged,
    events_of,
    leader,
    status,
)

FIVE = tuple(f"etcd-{number}" for number in range(5))

pytestmark = pytest.mark.parametrize("kind", WORLDS)


class Operator:
    """Asks again until it is so, as a person would: a change may have happened although nobody said so."""

    def __init__(self, world: World, system: System, members: Sequence[str] = FIVE) -> None:
        self._world = world
        self._client = Client(system, members=members)

    async def add(self, name: str) -> None:
        await self._until(MemberAdd(name, f"{name}/etcd"), lambda found: name in names(found))

    async def promote(self, name: str) -> None:
        await self._until(MemberPromote(name), lambda found: name in voters(found))

    async def demote(self, name: str) -> None:
        await self._until(MemberDemote(name), lambda found: name not in voters(found))

    async def remove(self, name: str) -> None:
        await self._until(MemberRemove(name), lambda found: name not in names(found))

    async def members(self) -> Members:
        return await self._client.ask(MemberList(), within_s=20.0)

    async def _until(self, request: Request[Members], is_so: object) -> None:
        assert callable(is_so)

        async def done() -> bool:
            if is_so(await self.members()):
                return True
            try:
                return bool(is_so(await self._client.ask(request)))
            except (NoAnswer, TimeoutError, ChangeUnderWay, LearnerNotReady, UnhealthyCluster):
                return False

        await self._world.until(done, within_s=30.0)


def names(found: Members) -> list[str]:
    return [member.name for member in found.members]


def voters(found: Members) -> list[str]:
    return [member.name for member in found.members if not member.learner]


@asynccontextmanager
async def writers(system: System, members: Sequence[str] = FIVE) -> AsyncIterator[History]:
    """Two clients that write and read all the time."""
    history, stop = History(), asyncio.Event()

    async def write(client: Client) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            await client.put(b"key %d" % (count % 5))
            await client.get(b"key 1")
            await asyncio.sleep(0.005)

    tasks = [asyncio.ensure_future(write(Client(system, history, f"c{n}", members))) for n in range(2)]
    try:
        yield history
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def fits(world: World, system: System, history: History, members: Sequence[str]) -> None:
    """All members are equal, and all answers fit what they say happened."""
    await world.until(lambda: converged(system, members), within_s=30.0)
    revision = await converged(system, members)
    assert revision is not None
    for member in members:
        history.check(await events_of(system, member, revision))
    assert len([answer for answer in history.answers if answer.kind == "write"]) > 5


@pytest.mark.slow
def test_a_store_grows_from_one_member_to_five_while_a_client_writes(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, QUICK, FIVE[:1])
        operator = Operator(world, system)
        async with writers(system) as history:
            for name in FIVE[1:]:
                await boot_joining(world, name, some=FIVE[:1])
                await operator.add(name)
                await operator.promote(name)
                before = len(history.answers)
                await world.until(lambda before=before: len(history.answers) > before + 10)

        assert voters(await operator.members()) == [*FIVE]
        await fits(world, system, history, FIVE)

    run_in(kind, scenario, tmp_path)


def test_the_leader_is_demoted_and_promoted_again_while_a_client_writes(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        operator = Operator(world, system)
        first = await leader(system, world)
        async with writers(system) as history:
            await operator.demote(first)
            without = voters(await operator.members())
            second = await leader(system, world)
            await operator.promote(first)
            before = len(history.answers)
            await world.until(lambda: len(history.answers) > before + 10)

        assert first not in without and second in without and len(without) == 2
        assert voters(await operator.members()) == [*MEMBERS]
        await fits(world, system, history, MEMBERS)

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_a_dead_member_is_replaced_by_a_new_one_while_a_client_writes(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        operator = Operator(world, system)
        dead = await leader(system, world)
        async with writers(system) as history:
            world.crash(dead)
            await operator.remove(dead)
            await boot_joining(world, "etcd-3", some=[member for member in MEMBERS if member != dead])
            await operator.add("etcd-3")
            await operator.promote("etcd-3")
            before = len(history.answers)
            await world.until(lambda: len(history.answers) > before + 10)

        now = [member for member in FIVE[:4] if member != dead]
        assert voters(await operator.members()) == now
        await fits(world, system, history, now)

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_members_restart_one_after_the_other_and_the_store_can_be_written_all_the_time(
    kind: str, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        patient = EtcdConfig(heartbeat_s=0.03, election_s=(20.0, 40.0))  # whoever waits for that fails the test
        system = await boot(world, patient)
        await leader(system, world)
        async with writers(system, MEMBERS) as history:
            for member in MEMBERS:
                before = len(history.answers)
                await world.stop(member)
                await world.until(lambda before=before: len(history.answers) > before + 10, within_s=10.0)
                await world.restart(member)
                await world.until(lambda member=member: follows(system, member), within_s=10.0)

        await fits(world, system, history, MEMBERS)

    async def follows(system: System, member: str) -> bool:
        answers = [await status(system, other) for other in MEMBERS]
        applied = [answer.applied_index for answer in answers if answer is not None]
        return len(applied) == 3 and min(applied) > max(applied) - 20

    run_in(kind, scenario, tmp_path)


def test_the_leader_is_removed_and_the_others_go_on(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        operator = Operator(world, system)
        first = await leader(system, world)
        async with writers(system, MEMBERS) as history:
            await operator.remove(first)
            before = len(history.answers)
            await world.until(lambda: len(history.answers) > before + 20)

        others = [member for member in MEMBERS if member != first]
        assert voters(await operator.members()) == others
        await fits(world, system, history, others)
        answer = await status(system, first)
        assert answer is not None and answer.leader != f"{first}/etcd"

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
def test_a_member_that_was_removed_while_it_was_dead_is_told_so(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        dead = await leader(system, world)
        world.crash(dead)
        await Operator(world, system).remove(dead)

        await world.restart(dead)

        async def knows() -> bool:
            answer = await status(system, dead)
            return answer is not None and NOT_A_MEMBER in answer.errors and not answer.leader

        await world.until(knows, within_s=20.0)

    run_in(kind, scenario, tmp_path)


def test_the_leader_moves_where_it_is_told_to(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, EtcdConfig(election_s=(20.0, 40.0)))
        client = Client(system)
        first = await leader(system, world)
        wanted = next(member for member in MEMBERS if member != first)
        await client.ask(put(b"a"))

        async def moves() -> bool:
            try:
                await system.ask(system.ref(f"{first}/etcd"), MoveLeader(wanted))
            except (NotLeader, ChangeUnderWay):
                pass
            return await leader(system, world) == wanted

        await world.until(moves, within_s=10.0)
        await client.ask(put(b"b"))

    run_in(kind, scenario, tmp_path)


def test_members_are_there_again_after_all_have_stopped_also_from_a_snapshot(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world, QUICK, FIVE[:2])
        operator = Operator(world, system)
        await boot_joining(world, "etcd-2", some=FIVE[:2])
        await operator.add("etcd-2")
        await operator.promote("etcd-2")
        await operator.remove("etcd-0")
        client = Client(system, members=FIVE[1:3])
        for number in range(100):  # beyond a snapshot or two
            await client.ask(put(b"key %d" % (number % 20), b"%d" % number * 20))

        await world.stop("etcd-0")
        for member in FIVE[1:3]:
            world.crash(member)
        for member in FIVE[1:3]:
            await world.restart(member)

        assert voters(await operator.members()) == ["etcd-1", "etcd-2"]
        assert (await client.ask(Range(b"key 1"))).count == 1

    run_in(kind, scenario, tmp_path)


def test_changes_that_make_no_sense_are_refused_one_by_one(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        await client.ask(put(b"a"))
        cases: list[tuple[Request[object], type[Answer]]] = [
            (MemberAdd("etcd-1", "elsewhere/etcd"), MemberExists),
            (MemberAdd("etcd-9", "etcd-1/etcd"), MemberExists),
            (MemberAdd("", "x/etcd"), BadRequest),
            (MemberAdd("x" * 1_000, "x/etcd"), BadRequest),
            (MemberRemove("etcd-9"), MemberNotFound),
            (MemberPromote("etcd-1"), NotLearner),
            (MemberDemote("etcd-9"), MemberNotFound),
            (MoveLeader("etcd-9"), MemberNotFound),
        ]

        for request, refusal in cases:
            with pytest.raises(refusal):
                await client.ask(request)

        await client.ask(MemberAdd("etcd-9", "etcd-9/etcd"))
        with pytest.raises(LearnerNotReady):
            await client.ask(MemberPromote("etcd-9"))
        assert voters(await client.ask(MemberList())) == [*MEMBERS]

    run_in(kind, scenario, tmp_path)


def test_who_does_not_lead_changes_nobody_and_says_who_does(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        name = await leader(system, world)
        other = system.ref(f"{next(member for member in MEMBERS if member != name)}/etcd")

        for request in (MemberAdd("etcd-9", "etcd-9/etcd"), MemberRemove(name), MoveLeader(), MemberList()):
            with pytest.raises(NotLeader) as refusal:
                await system.ask(other, request)
            assert refusal.value.details == {"leader": f"{name}/etcd"}

        with pytest.raises(AskError):
            await system.ask(system.ref("nowhere/etcd"), MemberList(), timeout_s=0.2)

    run_in(kind, scenario, tmp_path)


def put(key: bytes, value: bytes = b"v") -> Txn:
    return Txn((), (Op("put", key, value),))
