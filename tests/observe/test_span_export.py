"""Spans reach an exporter of the OpenTelemetry SDK: all that ended, once, with their parents, again after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from actorkube.runtime import Actor, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.span_export import SpanExport, readable
from actorkube.testing import WORLDS, World, run_in
from protocols.message import Done, Message, Request
from protocols.observe import SpanReport

EVERY_S = 0.05


class Fetch(Request[Done]):
    pass


class Keep(Request[Done]):
    pass


class Keeper(Actor):
    def receive(self, message: Message) -> object:
        assert isinstance(message, Keep)
        return Done()


class Fetcher(Actor):
    def receive(self, message: Message) -> object:
        assert isinstance(message, Fetch)
        return self.fetch()

    async def fetch(self) -> Done:
        return await self.ctx.ask(self.ctx.ref("back/keeper"), Keep())


class FailsFirst(InMemorySpanExporter):
    def __init__(self) -> None:
        super().__init__()
        self.failures = 1

    def export(self, spans: list[ReadableSpan]) -> SpanExportResult:  # type: ignore[override]
        if self.failures:
            self.failures -= 1
            return SpanExportResult.FAILURE
        return super().export(spans)


@pytest.mark.parametrize("kind", WORLDS)
def test_an_exporter_gets_each_span_once_with_its_parent(kind: str, tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()

    def back(system: System) -> None:
        system.spawn(Keeper, "keeper")
        system.spawn(lambda: SpanExport(system, exporter, EVERY_S, in_thread=kind != "sim"), "span-export")

    def front(system: System) -> None:
        system.spawn(Fetcher, "fetcher")
        system.spawn(lambda: SpanExport(system, exporter, EVERY_S, in_thread=kind != "sim"), "span-export")

    async def scenario(world: World) -> None:
        world.follow(1.0)
        await world.boot("back", back)
        await world.boot("front", front)
        user = await world.boot("user")
        for number in (1, 2):
            await user.ask(user.ref("front/fetcher"), Fetch())
            await world.until(lambda: len(exporter.get_finished_spans()) >= 2 * number)  # noqa: B023

    run_in(kind, scenario, tmp_path)

    spans = exporter.get_finished_spans()
    by_id = {span.context.span_id: span for span in spans}
    parents = {span.name: span.parent and by_id[span.parent.span_id].name for span in spans if span.parent}
    assert len(spans) == len(by_id) == 4
    assert parents == {"back/keeper Keep": "front/fetcher Fetch"}
    assert {span.resource.attributes["service.name"] for span in spans} == {"front", "back"}
    assert all(span.start_time <= span.end_time for span in spans)


@pytest.mark.parametrize("kind", WORLDS)
def test_what_an_exporter_did_not_take_is_tried_again(kind: str, tmp_path: Path) -> None:
    exporter = FailsFirst()

    def back(system: System) -> None:
        system.spawn(Keeper, "keeper")
        system.spawn(lambda: SpanExport(system, exporter, EVERY_S, in_thread=kind != "sim"), "span-export")

    async def scenario(world: World) -> None:
        world.follow(1.0)
        await world.boot("back", back)
        user = await world.boot("user")
        await user.ask(user.ref("back/keeper"), Keep())
        await world.until(lambda: exporter.get_finished_spans())

    run_in(kind, scenario, tmp_path)

    assert [span.name for span in exporter.get_finished_spans()] == ["back/keeper Keep"]
    assert exporter.failures == 0


async def test_the_last_spans_are_exported_when_the_system_stops() -> None:
    exporter = InMemorySpanExporter()
    system = System("back", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    system.follow(1.0)
    system.spawn(Keeper, "keeper")
    system.spawn(lambda: SpanExport(system, exporter, 3600.0), "span-export")

    await system.ask(system.ref("back/keeper"), Keep())
    await system.stop()

    assert [span.name for span in exporter.get_finished_spans()] == ["back/keeper Keep"]


def test_a_span_keeps_its_facts_its_error_and_its_times() -> None:
    report = SpanReport(
        "ab" * 16, 7, 5, "apiserver", "apiserver/api", "Create", 10.5, 0.0, "Conflict: x", {"object": "o"}
    )

    (span,) = readable([report])

    assert (span.context.trace_id, span.context.span_id) == (int("ab" * 16, 16), 7)
    assert span.parent is not None and span.parent.span_id == 5
    assert (span.name, span.kind) == ("apiserver/api Create", SpanKind.CONSUMER)
    assert dict(span.attributes or {}) == {"actorkube.actor": "apiserver/api", "actorkube.object": "o"}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "Conflict: x")
    assert (span.start_time, span.end_time) == (10_500_000_000, 10_500_000_000)
