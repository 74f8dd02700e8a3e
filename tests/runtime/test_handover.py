"""Hand-over in every world: a new instance goes on where the old one stopped, and nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorkube.runtime import LATER, Actor, Backoff, Down, Exited, Supervision, System
from actorkube.runtime.log import Quiet
from actorkube.testing import WORLDS, World, run_in
from protocols.errors import Terminated, Unknown
from protocols.message import Done, Message, Request, Streaming

KINDS = pytest.mark.parametrize("kind", WORLDS)


class Planned(OSError):
    """A crash that the simulated world expects."""


class Tally(Message):
    version: str
    count: int


class Add(Request[Tally]):
    pass


class Slow(Request[Tally]):
    pass


class Observe(Request[Done]):
    address: str


class Counter(Actor):
    """Counts, and hands its count over. `trouble` says where it fails."""

    log: list[str]

    def __init__(self, version: str, trouble: str = "") -> None:
        self.version = version
        self.trouble = trouble
        self.count = 0
        self.gate = asyncio.Event()
        if trouble == "constructor":
            raise Planned(trouble)

    async def on_start(self) -> None:
        self.ctx.spawn(lambda: Helper(), "helper")

    async def on_handover(self) -> Message | None:
        if self.trouble == "leaving":
            raise Planned(self.trouble)
        if self.trouble == "slow":
            await self.ctx.sleep(1000)
        return None if self.trouble == "nothing" else Tally(self.version, self.count)

    async def on_takeover(self, state: Message) -> None:
        assert isinstance(state, Tally)
        if self.trouble == "entering":
            raise Planned(self.trouble)
        self.count = state.count

    def receive(self, message: Message) -> object:
        if isinstance(message, Slow):
            return self.slow()
        self.count += 1
        return Tally(self.version, self.count)

    async def slow(self) -> Tally:
        await self.gate.wait()
        self.count += 100
        return Tally(self.version, self.count)


class Follow(Streaming[Tally]):
    after: int = 0


class Owe(Request[Done]):
    pass


class Feed(Actor):
    """Counts for its readers, and owes an answer."""

    def __init__(self, version: str) -> None:
        self.version = version

    async def on_handover(self) -> Message:
        return Done()

    async def on_takeover(self, state: Message) -> None:
        return

    def receive(self, message: Message) -> object:
        return self.counted(message.after) if isinstance(message, Follow) else LATER

    async def counted(self, after: int) -> AsyncIterator[Tally]:
        for count in range(after + 1, after + 1000):
            yield Tally(self.version, count)
            await self.ctx.sleep(0.01)


class Helper(Actor):
    def receive(self, message: Message) -> object:
        return None


class Watcher(Actor):
    traps_exits = True

    def __init__(self, seen: list[Message]) -> None:
        self.seen = seen

    def receive(self, message: Message) -> object:
        if isinstance(message, Observe):
            ref = self.ctx.ref(message.address)
            self.ctx.watch(ref)
            self.ctx.link(ref)
        elif isinstance(message, Down | Exited):
            self.seen.append(message)
        return None


class Remembering(Quiet):
    """Keeps what is logged, for tests that ask for it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def bind(self, **values: object) -> Remembering:
        return self

    def debug(self, event: str, **values: object) -> None:
        self.events.append(event)

    info = warning = error = debug


QUICK = Supervision(backoff=Backoff(0.0, 0.0))


async def counting(world: World, trouble: str = "", shutdown_s: float = 0.2) -> System:
    system = await world.boot("s")
    system.log = Remembering()
    system.spawn(lambda: Counter("old", trouble), "counter", QUICK, shutdown_s=shutdown_s)
    assert await system.ask(system.ref("s/counter"), Add(), timeout_s=30) == Tally("old", 1)
    return system


def said(system: System) -> list[str]:
    assert isinstance(system.log, Remembering)
    return [event for event in system.log.events if "hand" in event]


@KINDS
def test_a_new_instance_goes_on_where_the_old_one_stopped_and_nobody_notices(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await counting(world)
        user = await world.boot("user")
        seen: list[Message] = []
        watcher = user.spawn(lambda: Watcher(seen), "watcher")
        await user.ask(watcher, Observe("s/counter"), timeout_s=30)
        await world.until(lambda: bool(system.monitors._names and system.monitors._lives))
        helper = system.actor("counter/helper")

        before = [user.ask(user.ref("s/counter"), Add(), timeout_s=30) for _ in range(10)]
        replacing = asyncio.ensure_future(system.replace("counter", lambda: Counter("new")))
        after = [user.ask(user.ref("s/counter"), Add(), timeout_s=30) for _ in range(10)]
        tallies = [await answer for answer in (*before, *after)]
        await replacing
        last = await user.ask(user.ref("s/counter"), Add(), timeout_s=30)

        assert [tally.count for tally in tallies] == list(range(2, 22))
        assert last == Tally("new", 22)
        assert system.actor("counter/helper") is helper
        assert seen == []
        assert said(system) == ["actor handed over"]

    run_in(kind, scenario, tmp_path)


@KINDS
def test_what_is_being_handled_is_finished_before_the_state_is_handed_over(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await counting(world, shutdown_s=30)
        counter = system.actor("counter")
        assert isinstance(counter, Counter)
        slow = system.ask(system.ref("s/counter"), Slow(), timeout_s=30)
        await world.until(lambda: system.cell(system.ref("s/counter").actor_id).running == 1)  # type: ignore[union-attr]

        replacing = asyncio.ensure_future(system.replace("counter", lambda: Counter("new")))
        await world.sleep(0.02)
        assert not replacing.done()
        counter.gate.set()

        assert await slow == Tally("old", 101)
        await replacing
        assert await system.ask(system.ref("s/counter"), Add(), timeout_s=30) == Tally("new", 102)

    run_in(kind, scenario, tmp_path)


@KINDS
@pytest.mark.parametrize("trouble", ["leaving", "slow", "nothing"])
def test_where_the_old_one_hands_nothing_over_the_new_one_starts_afresh(
    kind: str, trouble: str, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        system = await counting(world, trouble)
        helper = system.actor("counter/helper")

        await system.replace("counter", lambda: Counter("new"))

        assert await system.ask(system.ref("s/counter"), Add(), timeout_s=30) == Tally("new", 1)
        assert system.actor("counter/helper") is not helper
        expected = (
            "nothing is handed over: a fresh start" if trouble == "nothing" else "hand-over failed: a fresh start"
        )
        assert said(system) == [expected]

    run_in(kind, scenario, tmp_path)


@KINDS
@pytest.mark.parametrize("trouble", ["entering", "constructor"])
def test_where_the_new_one_cannot_take_over_it_starts_afresh_as_after_a_crash(
    kind: str, trouble: str, tmp_path: Path
) -> None:
    troubles = [trouble]

    async def scenario(world: World) -> None:
        system = await counting(world)

        await system.replace("counter", lambda: Counter("new", troubles.pop() if troubles else ""))

        assert await system.ask(system.ref("s/counter"), Add(), timeout_s=30) == Tally("new", 1)
        assert said(system) == ["hand-over failed: a fresh start"]

    run_in(kind, scenario, tmp_path)


@KINDS
def test_an_actor_that_is_stopped_while_it_is_handed_over_stays_stopped(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await counting(world, "slow")

        replacing = asyncio.ensure_future(system.replace("counter", lambda: Counter("new")))
        await asyncio.sleep(0)
        await system.kill("counter")
        await replacing

        assert system.cell(system.ref("s/counter").actor_id) is None
        assert said(system) in (["hand-over overtaken by the end of the actor"], [])

    run_in(kind, scenario, tmp_path)


@KINDS
def test_two_replacements_come_one_after_the_other_and_a_later_crash_starts_the_last(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await counting(world)

        await asyncio.gather(
            system.replace("counter", lambda: Counter("second")), system.replace("counter", lambda: Counter("third"))
        )
        last = (await system.ask(system.ref("s/counter"), Add(), timeout_s=30)).version
        assert last in ("second", "third")
        await system.restart("counter")
        assert await system.ask(system.ref("s/counter"), Add(), timeout_s=30) == Tally(last, 3)
        cell = system.cell(system.ref("s/counter").actor_id)
        assert cell is not None
        cell.crash(Planned("planted"))

        assert await system.ask(system.ref("s/counter"), Add(), timeout_s=30) == Tally(last, 1)

    run_in(kind, scenario, tmp_path)


@KINDS
def test_streams_and_answers_that_are_owed_end_and_whoever_opens_again_reads_on(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await world.boot("s")
        system.spawn(lambda: Feed("old"), "feed", QUICK)
        user = await world.boot("user")
        feed = user.ref("s/feed")
        stream = user.stream(feed, Follow())
        owed = user.ask(feed, Owe(), timeout_s=30)
        read = [await anext(stream), await anext(stream)]

        await system.replace("feed", lambda: Feed("new"))

        with pytest.raises(Terminated):
            async for tally in stream:
                read.append(tally)
        with pytest.raises(Unknown, match="stopped"):
            await owed
        async with user.stream(feed, Follow(after=read[-1].count)) as again:
            first = await anext(again)
        assert read == [Tally("old", count) for count in range(1, len(read) + 1)]
        assert first == Tally("new", read[-1].count + 1)

    run_in(kind, scenario, tmp_path)
