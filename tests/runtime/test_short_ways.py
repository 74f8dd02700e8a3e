"""The short ways that most messages take inside a system promise what the long ones do."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import actorkube
from actorkube.runtime import LATER, Actor, System
from actorkube.runtime.deadline import deadline
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.monitors import Down
from protocols.errors import Terminated, Unknown
from protocols.message import Done, Message, Request


class Jot(Message):
    number: int


class JotAsked(Request[Done]):
    number: int


class Trip(Message):
    """The handler fails."""


class Pause(Message):
    """The handler is a task."""


class Watched(Message):
    """Watch an actor that is not there: its Down comes at once."""


class Turned(Message):
    """Be another from now on."""


class PassJot(Message):
    to: str


class Forget(Request[Done]):
    """The handler says that it will answer later, and does not keep how."""


class AskBack(Request[Done]):
    """Ask that actor something before this handler returns."""

    whom: str


class Jotter(Actor):
    def __init__(self, jots: list[Any] | None = None) -> None:
        self.jots: list[Any] = jots if jots is not None else []
        self.inside = 0

    def receive(self, message: Message) -> object:
        assert not self.inside, "entered while it handles a message"
        self.inside += 1
        try:
            return self.handle(message)
        finally:
            self.inside -= 1

    def handle(self, message: Message) -> object:
        match message:
            case Jot(number) | JotAsked(number):
                self.jots.append(number)
            case Trip():
                raise RuntimeError("planted")
            case Pause():
                return self.ctx.sleep(0.001)
            case Watched():
                self.ctx.watch(self.ctx.ref("s/nobody"))
            case Down():
                self.jots.append("down")
            case Turned():
                self.ctx.become(lambda message: self.jots.append("turned"))
            case PassJot(to):
                self.ctx.tell(self.ctx.ref(to), Jot(7))
            case Forget():
                return LATER
            case AskBack(whom):
                self.asked = self.ctx.ask(self.ctx.ref(whom), JotAsked(1))
                self.jots.append(("answered already", self.asked.done()))
        return None


@pytest_asyncio.fixture
async def system() -> AsyncIterator[System]:
    system = System("s", LocalNetwork().transport(), log=Quiet())
    await system.start()
    yield system
    await system.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_who_was_told_by_an_actor_sees_the_sender_and_by_nobody_none(system: System) -> None:
    senders: list[object] = []

    class Looker(Actor):
        def receive(self, message: Message) -> object:
            senders.append(self.ctx.sender)
            return None

    looker, jotter = system.spawn(Looker, "looker"), system.spawn(Jotter, "jotter")
    system.tell(looker, Jot(1))
    system.tell(jotter, PassJot("s/looker"))
    await until(lambda: len(senders) == 2)

    assert senders == [None, jotter]


async def test_a_crash_among_messages_that_wait_leaves_the_rest_to_the_next_instance(system: System) -> None:
    jots: list[Any] = []
    jotter = system.spawn(lambda: Jotter(jots), "jotter")

    for message in (Jot(1), Trip(), Jot(2), Jot(3)):
        system.tell(jotter, message)
    await asyncio.sleep(0)
    before = list(jots)
    await until(lambda: len(jots) == 3)

    assert before == [1]
    assert jots == [1, 2, 3]


async def test_a_signal_overtakes_what_waits_also_in_the_middle_of_a_turn(system: System) -> None:
    jots: list[Any] = []
    jotter = system.spawn(lambda: Jotter(jots), "jotter")

    for message in (Jot(1), Watched(), Jot(2)):
        system.tell(jotter, message)
    await until(lambda: len(jots) == 3)

    assert jots == [1, "down", 2]


async def test_a_task_stops_the_turn_and_what_waits_goes_on_after_it(system: System) -> None:
    jots: list[Any] = []
    jotter = system.spawn(lambda: Jotter(jots), "jotter")

    for message in (Jot(1), Pause(), Jot(2)):
        system.tell(jotter, message)
    await asyncio.sleep(0)
    before = list(jots)
    await until(lambda: len(jots) == 2)

    assert before == [1]


async def test_who_becomes_another_is_that_for_the_next_message_of_the_same_turn(system: System) -> None:
    jots: list[Any] = []
    jotter = system.spawn(lambda: Jotter(jots), "jotter")

    for message in (Jot(1), Turned(), Jot(2)):
        system.tell(jotter, message)
    await until(lambda: len(jots) == 2)

    assert jots == [1, "turned"]


async def test_what_waits_when_tracing_begins_is_handled_untraced_and_in_its_order(system: System) -> None:
    jots: list[Any] = []
    jotter = system.spawn(lambda: Jotter(jots), "jotter")

    system.tell(jotter, Jot(1))
    system.follow()
    system.tell(jotter, Jot(2))
    system.tracer.begin_traces(0)
    system.tell(jotter, Jot(3))
    await until(lambda: len(jots) == 3)

    assert jots == [1, 2, 3]
    assert [span.what for span in system.tracer.spans] == ["Jot"]


async def test_a_ref_outlives_its_actor_and_reaches_the_next_one_of_that_name(system: System) -> None:
    jots: list[Any] = []
    ref = system.spawn(lambda: Jotter(jots), "jotter")
    await system.ask(ref, JotAsked(1))

    await system.kill("jotter")
    system.tell(ref, Jot(2))
    with pytest.raises(Terminated):
        await system.ask(ref, JotAsked(3))
    system.spawn(lambda: Jotter(jots), "jotter")
    await system.ask(ref, JotAsked(4))

    assert jots == [1, 4]
    assert system.dead_letters == 1


async def test_a_ref_means_the_actor_of_the_system_that_uses_it(system: System) -> None:
    """Worlds side by side have systems of the same names."""
    other = System("s", LocalNetwork().transport(), log=Quiet())
    await other.start()
    here: list[Any] = []
    there: list[Any] = []
    ref = system.spawn(lambda: Jotter(here), "jotter")
    other.spawn(lambda: Jotter(there), "jotter")

    for number, used in enumerate((system, other, system)):
        await used.ask(ref, JotAsked(number))
    await other.stop()

    assert (here, there) == ([0, 2], [1])


@pytest.mark.slow
async def test_a_ref_keeps_nothing_of_an_actor_that_has_ended(system: System) -> None:
    ref = system.spawn(Jotter, "jotter")
    await system.ask(ref, JotAsked(1))
    instance = weakref.ref(system.actor("jotter"))

    await system.kill("jotter")
    gc.collect()

    assert instance() is None


# -- asks that are handled at once ------------------------------------------------------------------------------------


async def asks_at_once(system: System, *jotters: Any) -> None:
    """From now on they may be asked at once: the loop has had its turn, and they have mailboxes."""
    for jotter in jotters:
        await system.ask(jotter, JotAsked(0))
    assert system.at_once


async def test_an_ask_does_not_overtake_what_was_told_before_to_whomever(system: System) -> None:
    jots: list[Any] = []
    one, other = (system.spawn(lambda: Jotter(jots), name) for name in ("one", "other"))
    await asks_at_once(system, one, other)

    system.tell(one, Jot(1))
    await system.ask(other, JotAsked(2))

    assert jots == [0, 0, 1, 2]


async def test_no_actor_is_entered_on_the_way_into_another_nor_twice(system: System) -> None:
    jots: list[Any] = []
    one, other = (system.spawn(lambda: Jotter(jots), name) for name in ("one", "other"))
    await asks_at_once(system, one, other)

    await system.ask(one, AskBack("s/other"))
    await system.ask(one, AskBack("s/one"))
    await until(lambda: len(jots) == 6)

    assert jots == [0, 0, ("answered already", False), 1, ("answered already", False), 1]


async def test_who_asks_again_and_again_lets_others_go_on(system: System) -> None:
    jotter = system.spawn(Jotter, "jotter")
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    for number in range(1000):
        await system.ask(jotter, JotAsked(number))
    task.cancel()

    assert others > 1000 / (system.at_once_max + 1)


async def test_a_crash_of_who_is_asked_is_told_and_the_asker_goes_on(system: System) -> None:
    jots: list[Any] = []
    jotter = system.spawn(lambda: Jotter(jots), "jotter")
    await asks_at_once(system, jotter)

    system.actor("jotter").handle = None  # type: ignore[attr-defined]
    with pytest.raises(Unknown, match="crashed"):
        await system.ask(jotter, JotAsked(1))
    await system.ask(jotter, JotAsked(2), timeout_s=30)

    assert jots == [0, 2]


async def test_the_deadline_of_the_asker_is_not_that_of_whom_it_asks(system: System) -> None:
    seen: list[float] = []

    class Looker(Actor):
        def receive(self, message: Message) -> object:
            seen.append(deadline.get())
            return None

    looker = system.spawn(Looker, "looker")
    await asks_at_once(system, looker)
    deadline.set(system.loop.time() + 60)
    await system.ask(looker, JotAsked(1))

    assert seen == [float("inf")] * 2


async def test_an_ask_without_any_time_left_is_not_begun(system: System) -> None:
    jots: list[Any] = []
    jotter = system.spawn(lambda: Jotter(jots), "jotter")
    await asks_at_once(system, jotter)

    late = system.ask(jotter, JotAsked(1), timeout_s=0)
    await asyncio.wait([late], timeout=30)

    assert "no answer in time" in str(late.exception())
    assert jots == [0]


# -- what is owed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "crash"])
async def test_an_answer_that_was_forgotten_is_told_to_be_none_when_its_actor_ends(system: System, how: str) -> None:
    jotter = system.spawn(Jotter, "jotter")
    waiting = system.ask(jotter, Forget(), timeout_s=3600)
    await asyncio.sleep(0.01)

    if how == "kill":
        await system.kill("jotter")
    else:
        system.tell(jotter, Trip())
        await asyncio.sleep(0.01)

    assert waiting.done()  # without a look at the clock
    assert isinstance(waiting.exception(), Unknown)


# -- what it costs ----------------------------------------------------------------------------------------------------


class Sink(Actor):
    def receive(self, message: Message) -> object:
        return None


OURS = str(Path(actorkube.__file__).parent)


def calls_of(work: Callable[[], object]) -> int:
    """How many of the project's own functions run: what else the interpreter calls on the way, as the callbacks of
    a garbage collection, or of a weak reference that dies, comes when it likes."""
    calls = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(OURS)

    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
    return calls


async def test_a_tell_takes_two_calls_and_its_turn_a_few(system: System) -> None:
    sink = system.spawn(Sink, "sink")
    await system.ask(sink, JotAsked(0))
    jot, cell = Jot(1), system.cell(sink.actor_id)
    assert cell is not None

    def told() -> None:
        for _ in range(100):
            system.tell(sink, jot)

    telling = calls_of(told)
    handling = calls_of(cell._drain)
    await asyncio.sleep(0)

    assert telling <= 100 + 10
    assert handling <= 10  # besides what the actor does


@pytest.mark.slow
async def test_an_idle_actor_costs_little(system: System) -> None:
    names = [f"idle-{number}" for number in range(5000)]

    tracemalloc.start()
    for name in names:
        system.spawn(Sink, name)
    gc.collect()
    bytes_each = tracemalloc.get_traced_memory()[0] / len(names)
    tracemalloc.stop()

    assert bytes_each < 500  # besides its name


class Gatherer(Actor):
    def __init__(self) -> None:
        self.saw: list[tuple[int, bool]] = []

    def receive(self, message: Message) -> None:
        assert isinstance(message, Jot)
        self.saw.append((message.number, self.ctx.is_last))


async def test_only_behind_the_last_message_does_nothing_else_wait(system: System) -> None:
    gatherer = Gatherer()
    ref = system.spawn(lambda: gatherer, "gatherer")
    await until(lambda: not system.busy())

    for number in range(3):
        system.tell(ref, Jot(number))
    await until(lambda: len(gatherer.saw) == 3)

    assert gatherer.saw == [(0, False), (1, False), (2, True)]
