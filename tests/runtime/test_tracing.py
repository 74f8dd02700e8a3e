"""Who caused what: a cause crosses every way in which one thing leads to another, in every world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime import LATER, Actor, Outlet, System, Timer
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.monitors import Exited
from actorkube.runtime.tracing import Span
from actorkube.testing import WORLDS, World, run_in
from protocols.errors import NotFound
from protocols.frame import Kind
from protocols.message import Done, Message, Request, Streaming
from protocols.trace import (
    CONTEXT_SIZE,
    TIMERS_MAX,
    TRACED,
    TraceContext,
    pack_context,
    parse_traceparent,
    split_context,
    traceparent,
)


class LeadOn(Request[Done]):
    how: str


class PassOn(Request[Done]):
    """What the front says to the back."""


class HintAt(Message):
    pass


class TickOn(Message):
    pass


class FollowChanges(Streaming["ChangedAt"]):
    pass


class ChangedAt(Message):
    number: int


class WriteDown(Request[Done]):
    pass


class SeenThat(Message):
    number: int


class Front(Actor):
    """Leads to a message at the back, by the way it is told."""

    _clock: Timer

    def receive(self, message: Message) -> object:
        back = self.ctx.ref("b/back")
        match message:
            case LeadOn("ask"):
                return self._pass()
            case LeadOn("tell"):
                self.ctx.tell(back, HintAt())
            case LeadOn("timer"):
                self._clock = self.ctx.after(0.001, TickOn())
            case LeadOn("call_soon"):
                self.ctx.call_soon(lambda: self.ctx.tell(back, HintAt()))
            case LeadOn("background"):
                self.ctx.background(self._pass(), "pass")
            case LeadOn("send"):
                return self.ctx.send(back, HintAt())
            case LeadOn("every"):
                self._clock = self.ctx.every(0.001, TickOn())
            case LeadOn("refuse"):
                raise NotFound("no")
            case TickOn():
                self._clock.cancel()
                self.ctx.tell(back, HintAt())
        return None

    async def _pass(self) -> None:
        await self.ctx.sleep(0.001)
        await self.ctx.ask(self.ctx.ref("b/back"), PassOn())


class Back(Actor):
    """Keeps watchers, and tells them of what is written in a later turn than that of the write."""

    def __init__(self) -> None:
        self.passes = 0
        self._written: list[Any] = []
        self._outlets: list[Outlet] = []

    def receive(self, message: Message) -> object:
        match message:
            case PassOn() | HintAt():
                self.passes += 1
            case FollowChanges():
                self._outlets.append(self.ctx.outlet())
                return LATER
            case WriteDown():
                self._written.append(self.ctx.cause)
                self.ctx.call_soon(self._tell_watchers)
        return None

    def _tell_watchers(self) -> None:
        written, self._written = self._written, []
        for number, cause in enumerate(written):
            for outlet in self._outlets:
                outlet.send(ChangedAt(number), because=cause)


class Watcher(Actor):
    """Follows what changes at the back in a task of its own, and says what it saw."""

    def __init__(self) -> None:
        self.seen = 0

    async def on_start(self) -> None:
        self.ctx.background(self._follow(), "follow")

    async def _follow(self) -> None:
        async for changed in self.ctx.stream(self.ctx.ref("b/back"), FollowChanges()):
            self.seen += 1
            self.ctx.tell(self.ctx.ref("a/front"), SeenThat(changed.number))


def way_to(what: str, *systems: System) -> list[str]:
    """From the last span of that name back to its root."""
    spans = [span for system in systems for span in system.tracer.spans]
    known = {span.span_id: span for span in spans}
    found = max((span for span in spans if span.what == what), key=lambda span: span.began, default=None)
    way = []
    while found is not None:
        way.append(f"{found.actor} {found.what}")
        found = known.get(found.parent_id)
    return way


def in_two_hosts(scenario: Callable[[World, System, System], Awaitable[None]], kind: str, path: Path) -> None:
    async def run(world: World) -> None:
        b = await world.boot("b", lambda system: system.spawn(Back, "back"))
        a = await world.boot("a", lambda system: system.spawn(Front, "front"))
        for system in (a, b):
            system.follow()
        await scenario(world, a, b)

    run_in(kind, run, path)


@pytest.mark.parametrize("kind", WORLDS)
@pytest.mark.parametrize(
    ("how", "way"),
    [
        ("ask", ["b/back PassOn", "a/front LeadOn"]),
        ("tell", ["b/back HintAt", "a/front LeadOn"]),
        ("timer", ["b/back HintAt", "a/front TickOn", "a/front LeadOn"]),
        ("call_soon", ["b/back HintAt", "a/front LeadOn"]),
        ("background", ["b/back PassOn", "a/front LeadOn"]),
        ("send", ["b/back HintAt", "a/front LeadOn"]),
        ("every", ["b/back HintAt", "a/front TickOn", "a/front LeadOn"]),
    ],
)
def test_a_cause_crosses_every_way_in_which_one_message_leads_to_another(
    how: str, way: list[str], kind: str, tmp_path: Path
) -> None:
    async def scenario(world: World, a: System, b: System) -> None:
        await a.ask(a.ref("a/front"), LeadOn(how))
        await world.until(lambda: b.actor("back").passes == 1)  # type: ignore[attr-defined]

        assert way_to(way[0].split()[1], a, b) == way

    in_two_hosts(scenario, kind, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_an_item_is_caused_by_what_was_written_not_by_the_turn_that_sent_it(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World, a: System, b: System) -> None:
        a.spawn(Watcher, "watcher")
        await world.until(lambda: bool(b.actor("back")._outlets))  # type: ignore[attr-defined]
        await a.ask(a.ref("b/back"), WriteDown())
        await world.until(lambda: a.actor("watcher").seen == 1)  # type: ignore[attr-defined]
        await world.until(lambda: any(span.what == "SeenThat" for span in a.tracer.spans))

        assert way_to("SeenThat", a, b) == ["a/front SeenThat", "b/back WriteDown"]

    in_two_hosts(scenario, kind, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_an_answer_says_why_it_was_given(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World, a: System, b: System) -> None:
        for address, handled_by in (("b/back", b), ("a/front", a)):
            request = PassOn() if handled_by is b else LeadOn("nothing")
            future = a.ask(a.ref(address), request)
            await future

            trace = a.tracer.answer_cause(future)

            assert trace is not None
            assert trace.span_id in [span.span_id for span in handled_by.tracer.spans]

    in_two_hosts(scenario, kind, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_system_that_begins_no_traces_follows_those_of_others(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        b = await world.boot("b", lambda system: system.spawn(Back, "back"))
        a = await world.boot("a", lambda system: system.spawn(Front, "front"))
        b.follow(0.0)
        assert not b.tracing

        await a.ask(a.ref("b/back"), PassOn())
        assert not b.tracing
        assert not b.tracer.spans
        a.follow()
        await a.ask(a.ref("a/front"), LeadOn("ask"))

        assert way_to("PassOn", a, b) == ["b/back PassOn", "a/front LeadOn"]

    run_in(kind, scenario, tmp_path)


async def here() -> AsyncIterator[System]:
    system = System("a", LocalNetwork().transport(), log=Quiet(), seed=1)
    await system.start()
    yield system
    await system.stop()


one_system = pytest.fixture(here)


async def test_a_refusal_is_the_spans_error(one_system: System) -> None:
    one_system.follow()
    front = one_system.spawn(Front, "front")

    with pytest.raises(NotFound):
        await one_system.ask(front, LeadOn("refuse"))

    (span,) = one_system.tracer.spans
    assert span.error == "NotFound: no"
    assert span.ended >= span.began > 0


async def test_a_span_lasts_as_long_as_the_task_that_answers(one_system: System) -> None:
    one_system.follow()
    front = one_system.spawn(Front, "front")
    one_system.tell(front, LeadOn("ask"))  # there is no b/back here: it waits, and fails

    await one_system.ask(front, LeadOn("nothing"))

    first = one_system.tracer.spans[0]
    assert first.is_task
    assert first.ended > first.began


@pytest.mark.parametrize("kind", WORLDS)
def test_what_an_unfollowed_message_leads_to_is_not_followed(kind: str, tmp_path: Path) -> None:
    class Reluctant(Actor):
        """Begins to be followed only when its work has begun."""

        worked = False

        def receive(self, message: Message) -> object:
            if isinstance(message, LeadOn):
                self.ctx.tell(self.ctx.self_ref, HintAt())
                self.ctx.call_soon(lambda: self.ctx.tell(self.ctx.self_ref, HintAt()))
                self.ctx.background(self._later(), "later")
            return None

        async def _later(self) -> None:
            await self.ctx.ask(self.ctx.self_ref, PassOn())
            self.worked = True

    async def scenario(world: World, a: System, b: System) -> None:
        actor = a.spawn(Reluctant, "reluctant")
        a.tracer.rate = 0.0
        begun = a.ask(actor, LeadOn(""))  # without a cause: the dice say no
        a.tracer.rate = 1.0

        await begun
        await world.until(lambda: a.actor("reluctant").worked)  # type: ignore[attr-defined]

        assert {span.what for span in a.tracer.spans} <= {"PassOn"}
        assert all(span.parent_id == 0 for span in a.tracer.spans)

    in_two_hosts(scenario, kind, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_loop_of_timers_does_not_grow_one_trace_for_ever(kind: str, tmp_path: Path) -> None:
    class Restless(Actor):
        ticks = 0

        def receive(self, message: Message) -> object:
            self.ticks += 1
            self.ctx.after(0.001, TickOn())
            return None

    async def scenario(world: World, a: System, b: System) -> None:
        a.tell(a.spawn(Restless, "restless"), TickOn())

        await world.until(lambda: a.actor("restless").ticks >= 30)  # type: ignore[attr-defined]

        ticks: dict[bytes, int] = {}
        for span in a.tracer.spans:
            ticks[span.trace_id] = ticks.get(span.trace_id, 0) + (span.what == "TickOn")
        assert max(ticks.values()) == 5

    in_two_hosts(scenario, kind, tmp_path)


async def test_the_ring_of_spans_is_bounded(one_system: System) -> None:
    one_system.follow()
    back = one_system.spawn(Back, "back")

    for _ in range(100):
        for _ in range(100):
            one_system.tell(back, HintAt())
        await one_system.ask(back, PassOn())

    assert len(one_system.tracer.spans) == one_system.tracer.spans.maxlen


@pytest.mark.parametrize("kind", WORLDS)
def test_who_hears_of_a_crash_acts_because_of_the_message_that_caused_it(kind: str, tmp_path: Path) -> None:
    class Breaker(Actor):
        def receive(self, message: Message) -> object:
            raise OSError("planted")

    class Heir(Actor):
        traps_exits = True

        async def on_start(self) -> None:
            self.ctx.link(self.ctx.ref("b/breaker"))

        def receive(self, message: Message) -> object:
            if isinstance(message, Exited):
                self.ctx.tell(self.ctx.ref("b/back"), HintAt())
            return None

    async def scenario(world: World, a: System, b: System) -> None:
        breaker = b.spawn(Breaker, "breaker")
        heir = a.spawn(Heir, "heir")
        await a.ask(heir, PassOn())
        await world.until(lambda: b.monitors.watchers(breaker.actor_id))

        b.tell(breaker, LeadOn("break"))

        await world.until(lambda: b.actor("back").passes == 1)  # type: ignore[attr-defined]
        assert way_to("HintAt", a, b) == ["b/back HintAt", "a/heir Exited", "b/breaker LeadOn"]

    in_two_hosts(scenario, kind, tmp_path)


async def test_work_with_a_name_is_a_span_between_its_cause_and_what_it_does(one_system: System) -> None:
    class Worker(Actor):
        def receive(self, message: Message) -> object:
            if isinstance(message, LeadOn):
                self.ctx.background(self._work(self.ctx.cause), "work")
            return None

        async def _work(self, kept: Span | TraceContext | None) -> None:
            with self.ctx.span("weigh", kept):
                await self.ctx.ask(self.ctx.self_ref, PassOn())

    one_system.follow()
    worker = one_system.spawn(Worker, "worker")

    await one_system.ask(worker, LeadOn(""))
    while not way_to("PassOn", one_system):
        await one_system.ask(worker, ChangedAt(0))  # type: ignore[arg-type]

    assert way_to("PassOn", one_system) == ["a/worker PassOn", "a/worker weigh", "a/worker LeadOn"]


trace_ids = st.binary(min_size=16, max_size=16).filter(any)


# -- on the wire ------------------------------------------------------------------------------------------------------


@given(trace_ids, st.integers(0, 2**64 - 1), st.integers(0, 300), st.binary(max_size=50))
def test_a_context_comes_out_as_it_went_in(trace_id: bytes, span_id: int, timers: int, body: bytes) -> None:
    packed = pack_context(trace_id, span_id, timers)

    assert len(packed) == CONTEXT_SIZE
    assert split_context(packed + body) == (TraceContext(trace_id, span_id, min(timers, TIMERS_MAX)), body)


@given(trace_ids, st.integers(1, 2**64 - 1))
def test_a_context_is_a_w3c_traceparent(trace_id: bytes, span_id: int) -> None:
    assert parse_traceparent(traceparent(TraceContext(trace_id, span_id))) == TraceContext(trace_id, span_id)


@given(st.text(max_size=60))
def test_any_header_is_a_traceparent_or_none(header: str) -> None:
    context = parse_traceparent(header)

    assert context is None or context.trace_id


@pytest.mark.parametrize("kind", sorted(Kind))
async def test_a_traced_frame_that_makes_no_sense_is_refused(kind: Kind, one_system: System) -> None:
    link = one_system._loopback

    with pytest.raises(ValueError, match=r"traced|trace context"):
        one_system.on_frame(link, kind | TRACED, 0, 0, 0, 0, 0, b"short")
    if kind not in (Kind.TELL, Kind.ASK, Kind.SEND, Kind.STREAM, Kind.ITEM, Kind.REPLY, Kind.ERROR, Kind.DOWN):
        with pytest.raises(ValueError, match="with a trace context"):
            one_system.on_frame(link, kind | TRACED, 0, 0, 0, 0, 0, pack_context(bytes(16), 1, 0))


async def test_a_context_that_is_not_sampled_is_not_followed(one_system: System) -> None:
    back = one_system.spawn(Back, "back")
    unsampled = pack_context(b"7" * 16, 7, 0)[:-1] + b"\0"

    one_system.on_frame(
        one_system._loopback, Kind.TELL | TRACED, HintAt.type_id, back.actor_id, 0, 0, 0, unsampled + b"\x90"
    )
    await one_system.ask(back, PassOn())

    assert one_system.actor("back").passes == 2  # type: ignore[attr-defined]
    assert not one_system.tracer.spans
