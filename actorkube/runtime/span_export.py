"""Spans through the OpenTelemetry SDK: to whichever exporter you have (OTLP over gRPC or HTTP, Zipkin, console).

Needs the extra `actorkube[opentelemetry]`; nothing else imports this file. What a span becomes is the same as in a file
of `trace export` (otlp.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from actorkube.runtime.actor import Actor
from actorkube.runtime.observer import span_report
from actorkube.runtime.otlp import SCOPE, facts_of, name_of
from actorkube.runtime.system import System
from protocols.message import Message
from protocols.observe import SpanReport

EVERY_S = 5.0
_SCOPE = InstrumentationScope(SCOPE)
_FOLLOWED = TraceFlags(TraceFlags.SAMPLED)


class ExportDue(Message):
    pass


class SpanExport(Actor):
    """Hands its system's spans to the exporter when they have ended, and the last ones when it stops.

    Each at least once: again, when the exporter says that it failed, and when this actor is started again. A system
    keeps its newest 4,096 spans (tracing.py), so what is more in `every_s` is lost.

        system.follow(0.01)
        system.spawn(lambda: SpanExport(system, OTLPSpanExporter()), "span-export")
    """

    begins_traces = False

    def __init__(
        self, system: System, exporter: SpanExporter, every_s: float = EVERY_S, *, in_thread: bool = True
    ) -> None:
        """`in_thread`: exporters block while they send. False for one that does not, and in a simulation."""
        self._system = system
        self._exporter = exporter
        self._every_s = every_s
        self._in_thread = in_thread
        self._exported: set[int] = set()
        self._one_at_a_time = asyncio.Lock()  # a stop finds one under way: it exports what that one does not

    async def on_start(self) -> None:
        self.ctx.every(self._every_s, ExportDue())

    def receive(self, message: Message) -> object:
        match message:
            case ExportDue():
                return self._export()
        return super().receive(message)

    async def on_stop(self) -> None:
        await self._export()

    async def _export(self) -> None:
        async with self._one_at_a_time:
            await self._export_ended()

    async def _export_ended(self) -> None:
        ended = {span.span_id: span for span in self._system.tracer.spans if span.ended}
        due = [span for number, span in ended.items() if number not in self._exported]
        if not due:
            return
        batch = readable([span_report(self._system.name, span) for span in due])
        if await self._send(batch) is SpanExportResult.SUCCESS:
            self._exported = set(ended)
        else:
            self.ctx.log.warning("spans are not exported, and will be tried again", spans=len(batch))

    async def _send(self, batch: list[ReadableSpan]) -> SpanExportResult:
        if self._in_thread:
            return await asyncio.get_running_loop().run_in_executor(None, self._exporter.export, batch)
        return self._exporter.export(batch)


def readable(spans: Iterable[SpanReport]) -> list[ReadableSpan]:
    """As an exporter takes them: `exporter.export(readable(await observers.spans()))`."""
    resources: dict[str, Resource] = {}
    return [_readable(span, resources.setdefault(span.system, _resource(span.system))) for span in spans]


def _resource(system: str) -> Resource:
    return Resource({"service.name": system, "service.namespace": SCOPE})


def _readable(span: SpanReport, resource: Resource) -> ReadableSpan:
    trace_id = int(span.trace_id, 16)
    return ReadableSpan(
        name_of(span),
        SpanContext(trace_id, span.span_id, is_remote=False, trace_flags=_FOLLOWED),
        SpanContext(trace_id, span.parent_id, is_remote=True, trace_flags=_FOLLOWED) if span.parent_id else None,
        resource,
        facts_of(span),
        kind=SpanKind.CONSUMER,
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
        start_time=round(span.began * 1e9),
        end_time=round(max(span.ended, span.began) * 1e9),
        instrumentation_scope=_SCOPE,
    )
