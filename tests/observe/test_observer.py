"""What a system tells about itself: counted as it happened, asked for by message, in every world."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actorkube.runtime import Actor, Mailbox, System
from actorkube.runtime.histogram import Log2, quantile
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.observer import relay_of
from actorkube.testing import WORLDS, World, run_in
from protocols.errors import BadRequest, Overloaded, Terminated
from protocols.message import Done, Message, Request, decode
from protocols.observe import (
    ActorReport,
    AskExposition,
    AskPeers,
    AskSpans,
    FollowTraces,
    Inspect,
    Peers,
    Relay,
    Spans,
    SystemReport,
)


class Knock(Request[Done]):
    pass


class Doze(Request[Done]):
    pass


class Trip(Request[Done]):
    pass


class Shop(Actor):
    mailbox = Mailbox(capacity=4)

    def receive(self, message: Message) -> object:
        match message:
            case Doze():
                return self._doze()
            case Trip():
                raise RuntimeError("tripped")
        return None

    async def _doze(self) -> None:
        await self.ctx.sleep(0.002)


def boot(system: System) -> None:
    system.spawn(Shop, "shop")


def actor(report: SystemReport, name: str) -> ActorReport:
    return next(each for each in report.actors if each.actor == name)


@pytest.mark.parametrize("kind", WORLDS)
def test_every_system_answers_how_it_is(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.boot("b", boot)
        a = await world.boot("a", listens=False)
        await a.ask(a.ref("b/shop"), Knock())

        there = await a.ask(a.ref("b/observer"), Inspect())
        here = await a.ask(a.ref("a/observer"), Inspect())

        assert (there.system, here.system) == ("b", "a")
        assert actor(there, "shop").kind == "Shop"
        assert actor(there, "shop").state == "running"
        assert "a" in [link.peer for link in there.links]
        assert there.up_s >= 0

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_who_only_dials_is_asked_through_a_neighbour(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        middle = await world.boot("middle", boot)
        end = await world.boot("end", boot, listens=False)
        user = await world.boot("user", listens=False)
        await end.ask(end.ref("middle/shop"), Knock())
        await user.ask(user.ref("middle/shop"), Knock())

        known = await user.ask(user.ref("middle/observer"), AskPeers())
        relayed = await user.ask(user.ref("middle/observer"), relay_of(("end",), Inspect()))
        there_and_back = await user.ask(user.ref("middle/observer"), relay_of(("end", "middle"), AskPeers()))

        assert known == Peers("middle", ("end", "user"))
        report = decode(relayed.number, relayed.body)
        assert isinstance(report, SystemReport)
        assert report.system == "end"
        assert decode(there_and_back.number, there_and_back.body) == known
        assert middle.dead_letters == 0

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_spans_are_told_by_trace(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.boot("b", boot)
        a = await world.boot("a", boot)
        await a.ask(a.ref("b/observer"), FollowTraces(1.0))
        await a.ask(a.ref("b/shop"), Knock())
        a.follow()
        await a.ask(a.ref("b/shop"), Knock())
        a.follow(0.0)

        told = (await a.ask(a.ref("b/observer"), AskSpans())).spans
        followed = [span for span in told if span.what == "Knock"]
        of_one = await a.ask(a.ref("b/observer"), AskSpans(followed[0].trace_id))

        assert [(span.system, span.actor, span.what) for span in followed] == [("b", "b/shop", "Knock")]
        assert of_one == Spans(tuple(followed))
        assert followed[0].ended >= followed[0].began

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", ["tcp", "sim"])
def test_frames_are_counted_at_both_ends_of_a_link_and_so_are_connections(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        b = await world.boot("b", boot)
        a = await world.boot("a", listens=False)
        for _ in range(10):
            await a.ask(a.ref("b/shop"), Knock())

        (here,) = a.transport.census().links
        (there,) = b.transport.census().links
        mine, theirs = here.traffic(), there.traffic()

        assert mine.frames_sent == 10
        assert theirs.frames_received - mine.frames_sent in (0, 2)  # the greeting
        assert theirs.frames_sent == 10
        assert (mine.outbox_bytes, theirs.outbox_bytes) == (0, 0)
        if kind == "tcp":
            assert theirs.bytes_received > mine.bytes_sent > 10 * 24
            assert (await a.ask(a.ref("b/observer"), Inspect())).opened == {"a": 1}

    run_in(kind, scenario, tmp_path)


async def test_what_observers_are_not_for_is_refused() -> None:
    async with live(metrics=False) as system:
        system.spawn(Shop, "shop")
        observer = system.ref("a/observer")

        with pytest.raises(BadRequest, match="not for observers"):
            await system.ask(observer, relay_of(("b",), Knock()))
        with pytest.raises(BadRequest, match="does not decode"):
            await system.ask(observer, Relay(("b",), Inspect.type_id, b"\xc1"))
        with pytest.raises(BadRequest, match="from 1 to 8 systems"):
            await system.ask(observer, relay_of((), Inspect()))
        with pytest.raises(BadRequest, match="not a trace id"):
            await system.ask(observer, AskSpans("-1"))
        with pytest.raises(Terminated):
            await system.ask(system.ref("a/nobody"), Knock())


async def test_messages_are_counted_by_type_and_sampled_in_time() -> None:
    async with live(metrics=True) as system:
        shop = system.spawn(Shop, "shop")
        for _ in range(32):
            await system.ask(shop, Knock())
        for _ in range(16):
            await system.ask(shop, Doze())

        report = actor(await system.ask(system.ref("a/observer"), Inspect()), "shop")

        assert report.handled == {"Knock": 32, "Doze": 16}
        assert report.depth.counts[:2] == (0, 6)  # each turn found one message; six of 48 turns were looked at
        assert sum(report.waiting.counts) >= 4
        assert sum(report.handling.counts) == 4 + 2  # turns that did it at once, and tasks
        assert quantile(report.handling, 1.0) >= 2048  # who dozes is timed to the end
        assert quantile(report.handling, 0.5) < 2048


async def test_who_waits_for_a_busy_actor_is_seen_to_wait() -> None:
    async with live(metrics=True) as system:
        shop = system.spawn(Shop, "shop")
        for _ in range(30):
            await asyncio.gather(*(system.ask(shop, Doze()) for _ in range(4)))

        report = actor(await system.ask(system.ref("a/observer"), Inspect()), "shop")

        assert quantile(report.depth, 1.0) >= 2
        assert quantile(report.waiting, 1.0) >= 2048  # behind at least one that dozes


async def test_what_is_lost_and_what_crashes_is_counted() -> None:
    async with live(metrics=True) as system:
        shop = system.spawn(Shop, "shop")
        await system.ask(shop, Knock())
        asks = [system.ask(shop, Doze()) for _ in range(6)]
        outcomes = await asyncio.gather(*asks, return_exceptions=True)
        crashing = system.ask(shop, Trip())
        await asyncio.gather(crashing, return_exceptions=True)
        await system.ask(shop, Knock())

        report = actor(await system.ask(system.ref("a/observer"), Inspect()), "shop")

        assert [type(outcome) for outcome in outcomes].count(Overloaded) == 2
        assert report.lost == {"refused": 2}
        assert (report.crashes, report.restarts) == (1, 1)


async def test_without_metrics_nothing_is_counted_but_what_costs_nothing() -> None:
    async with live(metrics=False) as system:
        shop = system.spawn(Shop, "shop")
        await system.ask(shop, Knock())

        report = actor(await system.ask(system.ref("a/observer"), Inspect()), "shop")

        assert report.handled == {}
        assert report.handling.counts == ()
        assert report.state == "running"


async def test_the_exposition_is_what_prometheus_reads() -> None:
    async with live(metrics=True) as system:
        shop = system.spawn(Shop, "shop")
        for _ in range(16):
            await system.ask(shop, Knock())

        exposition = await system.ask(system.ref("a/observer"), AskExposition())

        samples = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(exposition.text.decode())
            for sample in family.samples
        }
        here = (("actor", "shop"), ("system", "a"))
        assert samples[("actorkube_messages_handled_total", here[0], ("message", "Knock"), here[1])] == 16
        assert samples[("actorkube_message_handling_seconds_count", *here)] == 2
        assert samples[("actorkube_mailbox_messages", *here)] == 0
        assert exposition.content_type.startswith("text/plain")


def test_a_histogram_says_below_which_power_of_two_its_values_are() -> None:
    histogram = Log2()

    for value in (0, 1, 2, 3, 4, 1000):
        histogram.count(value)
    histogram.time(1e9)

    report = histogram.report()
    assert report.counts[:4] == (1, 1, 2, 1)
    assert report.counts[10] == 1
    assert sum(report.counts) == 7
    assert quantile(report, 0.5) == 4


class live:
    """A system of its own."""

    def __init__(self, *, metrics: bool) -> None:
        self._system = System("a", LocalNetwork().transport(), log=Quiet(), seed=1, metrics=metrics)

    async def __aenter__(self) -> System:
        await self._system.start()
        return self._system

    async def __aexit__(self, *exc: object) -> None:
        await self._system.stop()
