"""One actor alone, from its tape: recorded in simulation and over TCP, it decides again what it decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest

from actorkube.runtime import LATER, Actor, System
from actorkube.runtime.reply import ReplyHandle
from actorkube.runtime.taped import taped
from actorkube.sim import World, nemesis
from actorkube.sim.recording import BadRecording
from actorkube.sim.solo import TapeDiverged, read_tape, replay_actor
from actorkube.testing import WORLDS, run_in
from actors.cluster import ClusterSpec
from actors.etcd.actor import Etcd
from protocols.errors import Answer, AskError, BadRequest, Terminated
from protocols.etcd import Op, Txn
from protocols.message import Message
from tests.sim.messages import Counter, SimAdd, SimCount, SimNumbers, SimSlow, SimTick


class Clerk(Actor):
    """Uses everything that `ctx` has: asks another actor, keeps a journal, ticks, answers late, streams."""

    concurrency = 8

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self.total = 0
        self.ticks = 0
        self.later: list[ReplyHandle] = []

    async def on_start(self) -> None:
        self.ledger = self.ctx.ref("ledger/counter")
        self.total = len(self.ctx.disk.read("journal")) if "journal" in self.ctx.disk.list() else 0
        self.ctx.every(0.5, SimTick())
        self.ctx.background(self.look(), "look")

    async def look(self) -> None:
        await self.ctx.sleep(0.2)
        async with self.ctx.stream(self.ledger, SimNumbers(3)) as numbers:
            async for number in numbers:
                self.total += number.value

    def receive(self, message: Message) -> object:
        match message:
            case SimTick():
                self.ticks += 1
                self.ctx.tell(self.ledger, SimAdd(1, f"{self.ctx.random.random()} {self.ctx.now}"))
                return None
            case SimAdd(amount) if amount > self.limit:
                raise BadRequest("too much")
            case SimAdd(amount, "later"):
                self.later.append(self.ctx.reply_handle())
                self.ctx.call_soon(self.answer)
                return LATER
            case SimAdd(amount, "send"):
                return self.send_on(amount)
            case SimAdd(amount):
                return self.add(amount)
            case SimNumbers(most):
                return self.numbers(most)
        raise AssertionError(message)

    def answer(self) -> None:
        while self.later:
            self.later.pop(0).send(SimCount(self.total))

    async def add(self, amount: int) -> SimCount:
        one, other = await asyncio.gather(
            self.ctx.ask(self.ledger, SimAdd(amount)), self.ctx.ask(self.ledger, SimAdd(amount))
        )
        try:
            async with asyncio.timeout(60):
                await self.ctx.ask(self.ledger, SimSlow(0.01))
        except AskError:
            self.total += 1000
        self.ctx.disk.append("journal", b"x" * amount)
        await self.ctx.disk.sync("journal")
        self.total += amount
        return SimCount(one.value + other.value + self.total)

    async def send_on(self, amount: int) -> SimCount:
        """What becomes of a send is an answer like any other."""
        await self.ctx.send(self.ledger, SimAdd(amount))
        self.total += amount
        try:
            await self.ctx.send(self.ctx.ref("ledger/nobody"), SimAdd(amount))
        except Terminated:
            self.total += 10_000
        return SimCount(self.total)

    async def on_handover(self) -> Message:
        await self.ctx.sleep(0.01)
        return SimCount(self.total)

    async def on_takeover(self, state: Message) -> None:
        await self.on_start()
        assert isinstance(state, SimCount)
        self.total = state.value

    async def numbers(self, most: int) -> AsyncIterator[SimCount]:
        for value in range(most):
            yield SimCount(self.total + value)


class Careless(Clerk):
    """Planted: it does not send on, but says that it did."""

    async def send_on(self, amount: int) -> SimCount:
        self.total += amount + 10_000
        return SimCount(self.total)


class Forgetful(Clerk):
    """Planted: it begins anew, whatever it is handed over."""

    async def on_takeover(self, state: Message) -> None:
        await self.on_start()


class Hasty(Clerk):
    """Planted: it adds before it knows."""

    async def add(self, amount: int) -> SimCount:
        self.total += amount
        return await super().add(amount)


async def scenario(world: Any, tape: Path) -> None:
    await world.boot("ledger", spawn(Counter, "counter"))
    await world.boot("office", spawn(taped(Clerk, tape), "clerk"))
    user: System = await world.boot("user")
    clerk = user.ref("office/clerk")
    await user.ask(clerk, SimAdd(1))
    answers = [user.ask(clerk, SimAdd(number)) for number in range(1, 6)]
    with pytest.raises(BadRequest):
        await user.ask(clerk, SimAdd(1000))
    await user.ask(clerk, SimAdd(1, "later"))
    assert len([item async for item in user.stream(clerk, SimNumbers(20), window=3)]) == 20
    await asyncio.gather(*answers)
    office = world.system("office").actor("clerk")
    await world.until(lambda: office.ticks >= 2)
    await world.stop("office")


def spawn(factory: Callable[[], Actor], name: str) -> Callable[[System], None]:
    def boot(system: System) -> None:
        system.spawn(factory, name)

    return boot


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_an_actor_decides_again_what_it_decided_wherever_it_was_recorded(kind: str, tmp_path: Path) -> None:
    tape = tmp_path / "clerk.tape"
    run_in(kind, partial(scenario, tape=tape), tmp_path)

    played = replay_actor(tape, Clerk)

    assert played == len(read_tape(tape)[1]) > 100


@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_order_of_tasks_was_the_tape_has_it(seed: int, tmp_path: Path) -> None:
    tape = tmp_path / "clerk.tape"
    World.run_sync(partial(scenario, tape=tape), seed, policy="any")

    assert replay_actor(tape, Clerk) > 100


def test_an_actor_that_decides_something_else_is_found_and_shown_what(tmp_path: Path) -> None:
    tape = tmp_path / "clerk.tape"
    World.run_sync(partial(scenario, tape=tape))

    with pytest.raises(TapeDiverged) as caught:
        replay_actor(tape, Hasty)
    with pytest.raises(TapeDiverged, match=r"- .* reply 23 BadRequest\(.*\n\+ \(nothing\)") as generous:
        replay_actor(tape, lambda: Clerk(limit=10_000))

    assert "reply" in str(caught.value).splitlines()[-1]
    assert generous.value.number < len(read_tape(tape)[1])


def test_an_actor_that_decides_less_is_found_too(tmp_path: Path) -> None:
    class Silent(Clerk):
        def receive(self, message: Message) -> object:
            return None if isinstance(message, SimTick) else super().receive(message)

    tape = tmp_path / "clerk.tape"
    World.run_sync(partial(scenario, tape=tape))

    with pytest.raises(TapeDiverged, match=r"- .* tell ledger/counter"):
        replay_actor(tape, Silent)


def test_a_restarted_actor_has_a_tape_of_its_own_and_both_play(tmp_path: Path) -> None:
    tape = tmp_path / "clerk.tape"

    async def crash(world: World) -> None:
        await world.boot("ledger", spawn(Counter, "counter"))
        await world.boot("office", spawn(taped(Clerk, tape), "clerk"))
        user = await world.boot("user")
        await user.ask(user.ref("office/clerk"), SimAdd(1))
        user.tell(user.ref("office/clerk"), SimCount(1))
        await world.sleep(2)
        await user.ask(user.ref("office/clerk"), SimAdd(1))

    World.run_sync(crash, expected=(AssertionError,))

    assert "crash" in [entry[1] for entry in read_tape(tape)[1]]
    assert replay_actor(tape, Clerk)
    assert replay_actor(tmp_path / "clerk.tape.1", Clerk)


@pytest.mark.parametrize("kind", WORLDS)
def test_what_became_of_a_send_is_on_the_tape(kind: str, tmp_path: Path) -> None:
    tape = tmp_path / "clerk.tape"

    async def sending(world: Any) -> None:
        await world.boot("ledger", spawn(Counter, "counter"))
        await world.boot("office", spawn(taped(Clerk, tape), "clerk"))
        user: System = await world.boot("user")
        answer = await user.ask(user.ref("office/clerk"), SimAdd(7, "send"))
        assert answer.value >= 10_007

    run_in(kind, sending, tmp_path)

    assert replay_actor(tape, Clerk) == len(read_tape(tape)[1])
    with pytest.raises(TapeDiverged, match=r"- .* send \d+ ledger/counter"):
        replay_actor(tape, Careless)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_both_sides_of_a_hand_over_have_a_tape_that_plays(kind: str, tmp_path: Path) -> None:
    tape = tmp_path / "clerk.tape"

    async def handing_over(world: Any) -> None:
        await world.boot("ledger", spawn(Counter, "counter"))
        await world.boot("office", spawn(taped(Clerk, tape), "clerk"))
        user: System = await world.boot("user")
        await user.ask(user.ref("office/clerk"), SimAdd(5, "send"))
        await world.system("office").restart("clerk")
        office = world.system("office").actor("clerk")
        await user.ask(user.ref("office/clerk"), SimAdd(1))
        await world.until(lambda: office.ticks >= 2)

    run_in(kind, handing_over, tmp_path)

    before, after = tape, tmp_path / "clerk.tape.1"
    assert read_tape(before)[1][-1][1] == "handed over"
    assert read_tape(after)[1][0][1] == "takeover"
    for half in (before, after):
        assert replay_actor(half, Clerk) == len(read_tape(half)[1])
    with pytest.raises(TapeDiverged):
        replay_actor(after, Forgetful)


@pytest.mark.parametrize("seed", range(3))
def test_a_replica_of_the_store_is_replayed_alone_from_a_run_with_faults(seed: int, tmp_path: Path) -> None:
    members = ClusterSpec().etcd_members
    lives = iter(range(100))

    def boot(member: str) -> Callable[[System], None]:
        def make() -> Etcd:
            return Etcd(member, members)

        def spawn_it(system: System) -> None:
            factory = taped(make, tmp_path / f"etcd.tape-{next(lives)}") if member == "etcd-0" else make
            system.spawn(factory, "etcd")

        return spawn_it

    async def faults(world: World) -> None:
        for member in members:
            await world.boot(member, boot(member))
        user = await world.boot("user")
        plague = world.loop.create_task(nemesis(world, list(members), 10))
        for number in range(50):
            try:
                write = Txn((), (Op("put", b"key", b"%d" % number),))
                await user.ask(user.ref(f"etcd-{number % 3}/etcd"), write, timeout_s=0.5)
            except (Answer, AskError):
                await world.sleep(0.1)
        await plague

    World.run_sync(faults, seed)
    tapes = sorted(tmp_path.glob("etcd.tape-*"))

    assert sum(replay_actor(tape, lambda: Etcd("etcd-0", members)) for tape in tapes) > 200


def test_what_a_killed_process_leaves_of_a_tape_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    tape = tmp_path / "clerk.tape"
    World.run_sync(partial(scenario, tape=tape))
    whole = tape.read_bytes()
    tape.write_bytes(whole[: len(whole) // 2])

    assert replay_actor(tape, Clerk) > 20


def test_what_is_not_a_tape_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "later").write_bytes(msgpack.packb({"format": "actorkube tape", "version": 99}))

    for name in ("none", "text", "later"):
        with pytest.raises(BadRecording, match=name):
            read_tape(tmp_path / name)
