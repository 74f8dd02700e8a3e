"""Each kind of fault does to the world what it says while it lasts, and no more when it is over."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import pytest

from actorkube.runtime import Actor, System
from actorkube.sim import Ambush, Crash, Drift, Drop, Fault, Outage, Partition, Pause, Rot, Skew, World
from actorkube.sim.faults import BadReads, Clog, FullDisk, LossyLink, SlowDisk, SlowLink
from actorkube.sim.nemesis import KINDS
from protocols.errors import AskError
from protocols.message import Done, Message, Request

BEGINS_S, LASTS_S = 10.0, 20.0


class Probe(Request[Done]):
    """`kind`: what is asked of the host: its network, its disk, its clock."""

    kind: str
    padding: bytes = b""


class Subject(Actor):
    """Says by its answer, its silence or its lateness what its host is like."""

    def __init__(self) -> None:
        self.said = ""

    async def on_start(self) -> None:
        if "file" not in self.ctx.disk.list():
            await self.ctx.disk.replace("file", b"\x55" * 64)

    def receive(self, message: Message) -> object:
        assert isinstance(message, Probe)
        return self.try_it(message.kind)

    async def try_it(self, kind: str) -> Done:
        began = self.ctx.now
        try:
            if kind == "write":
                self.ctx.disk.append("log", b"x")
                await self.ctx.disk.sync("log")
            elif kind == "read":
                self.said = "rotten" if self.ctx.disk.read("file") != b"\x55" * 64 else "read"
                return Done()
            elif kind == "sleep":
                await self.ctx.sleep(1.0)
            self.said = "done"
        except OSError as error:
            self.said = type(error).__name__
        if kind == "now":
            self.said = f"{began:.3f}"
        return Done()


class Look:
    """What a user sees of the host `a`, and how long it takes by the world's clock."""

    def __init__(self, world: World, user: System) -> None:
        self.world = world
        self.user = user

    async def ask(self, kind: str, padding: bytes = b"") -> tuple[str, float]:
        began = self.world.loop.now
        try:
            await self.user.ask(self.user.ref("a/subject"), Probe(kind, padding), timeout_s=5)
        except AskError:
            return "silence", self.world.loop.now - began
        subject = self.world.system("a").actor("subject")
        assert isinstance(subject, Subject)
        return subject.said, self.world.loop.now - began


async def reached(look: Look) -> bool:
    return (await look.ask("net"))[0] != "silence"


async def silent(look: Look) -> bool:
    return not await reached(look)


async def late(look: Look) -> bool:
    said, took = await look.ask("net", b"x" * 1000)
    return said != "silence" and took > 0.4


async def often_late(look: Look) -> bool:
    return max([(await look.ask("net"))[1] for _ in range(10)]) > 0.15


async def drifts(look: Look) -> bool:
    said, took = await look.ask("sleep")
    return said == "done" and not 0.95 < took < 1.1


async def skewed(look: Look) -> bool:
    said, _ = await look.ask("now")
    return float(said) - look.world.epoch - look.world.loop.now > 5


async def no_room(look: Look) -> bool:
    return (await look.ask("write"))[0] == "DiskFull"


async def slow_sync(look: Look) -> bool:
    return (await look.ask("write"))[1] > 0.4


async def unreadable(look: Look) -> bool:
    return (await look.ask("read"))[0] == "OSError"


async def rotten(look: Look) -> bool:
    return (await look.ask("read"))[0] == "rotten"


CASES = [
    (Crash(BEGINS_S, LASTS_S, "a"), silent),
    (Outage(BEGINS_S, LASTS_S, ("a", "b")), silent),
    (Pause(BEGINS_S, LASTS_S, "a"), silent),
    (Partition(BEGINS_S, LASTS_S, ("a",), ("user",)), silent),
    (Partition(BEGINS_S, LASTS_S, ("a",), ("user",), both_ways=False), silent),
    (Clog(BEGINS_S, LASTS_S, "a", "user", 0.5), late),
    (LossyLink(BEGINS_S, LASTS_S, "a", "user", 0.5), often_late),
    (SlowLink(BEGINS_S, LASTS_S, "user", "a", 2000.0), late),
    (Drift(BEGINS_S, LASTS_S, "a", 0.5), drifts),
    (Skew(BEGINS_S, LASTS_S, "a", 8.0), skewed),
    (FullDisk(BEGINS_S, LASTS_S, "a"), no_room),
    (SlowDisk(BEGINS_S, LASTS_S, "a", 0.5), slow_sync),
    (BadReads(BEGINS_S, LASTS_S, "a"), unreadable),
]


def name_of(case: object) -> str:
    return type(case).__name__ if isinstance(case, Fault) else ""


@pytest.mark.parametrize(("fault", "is_there"), CASES, ids=name_of)
def test_a_fault_is_there_while_it_lasts_and_neither_before_nor_after(
    fault: Fault, is_there: Callable[[Look], Awaitable[bool]]
) -> None:
    async def scenario(world: World) -> list[bool]:
        look = await begin(world)
        world.loop.later(BEGINS_S, fault.begin, world, context=world.network.outside)
        world.loop.later(BEGINS_S + LASTS_S, fault.end, world, context=world.network.outside)
        seen = [await is_there(look)]
        await world.sleep(BEGINS_S + 1 - world.loop.now)
        await reached(look)  # what was under way when it began
        seen.append(await is_there(look))
        await world.sleep(BEGINS_S + LASTS_S + 15 - world.loop.now)
        seen.append(await is_there(look))
        return seen

    assert World.run_sync(scenario) == [False, True, False]


def test_a_bit_that_rots_stays_rotten() -> None:
    async def scenario(world: World) -> list[bool]:
        look = await begin(world)
        before = await rotten(look)
        Rot(0, 1, "a").begin(world)
        during = await rotten(look)
        Rot(0, 1, "a").end(world)
        world.heal()
        return [before, during, await rotten(look)]

    assert World.run_sync(scenario) == [False, True, True]


def test_so_many_messages_are_dropped_as_were_said_and_not_one_more() -> None:
    async def scenario(world: World) -> list[bool]:
        look = await begin(world)
        before = await reached(look)
        Drop(0, 1, "Probe", times=2).begin(world)
        return [before, *[await reached(look) for _ in range(4)]]

    assert World.run_sync(scenario) == [True, False, False, True, True]


def test_whoever_is_ambushed_is_down_for_so_long_and_back_then() -> None:
    async def scenario(world: World) -> list[bool]:
        look = await begin(world)
        Ambush(0, 10, "Probe", "dst", skip=1).begin(world)
        up = []
        for _ in range(2):
            with contextlib.suppress(AskError):
                await look.ask("net")
            await world.sleep(1)
            up.append(world.is_up("a"))
        await world.sleep(11)
        return [*up, world.is_up("a"), await reached(look)]

    assert World.run_sync(scenario) == [True, False, True, True]


def test_every_kind_that_a_nemesis_draws_is_tried_here() -> None:
    tried = {type(fault) for fault, _ in CASES} | {Rot, Drop, Ambush}

    assert set(KINDS) <= tried


async def begin(world: World) -> Look:
    for name in ("a", "b"):
        await world.boot(name, lambda system: void(system.spawn(Subject, "subject")))
    look = Look(world, await world.boot("user"))
    assert await reached(look)
    return look


def void(_: object) -> None:
    return
