"""Spans as OpenTelemetry reads them: the JSON form of OTLP (opentelemetry-proto, ExportTraceServiceRequest).

A file of it is what collectors and viewers import (Jaeger, Grafana Tempo, otel-cli). Ids are hexadecimal there,
nanoseconds are decimal strings, and enumerations are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocols.observe import SpanReport

SCOPE = "actorkube"
KIND_CONSUMER = 5  # a span handles a message
STATUS_ERROR = 2


def otlp(spans: Sequence[SpanReport]) -> dict[str, Any]:
    """One resource a system."""
    systems: dict[str, list[SpanReport]] = {}
    for span in spans:
        systems.setdefault(span.system, []).append(span)
    return {"resourceSpans": [_resource(system, some) for system, some in systems.items()]}


def _resource(system: str, spans: Sequence[SpanReport]) -> dict[str, Any]:
    return {
        "resource": {"attributes": [_attribute("service.name", system), _attribute("service.namespace", SCOPE)]},
        "scopeSpans": [{"scope": {"name": SCOPE}, "spans": [_span(span) for span in spans]}],
    }


def _span(span: SpanReport) -> dict[str, Any]:
    return {
        "traceId": span.trace_id,
        "spanId": f"{span.span_id:016x}",
        **({"parentSpanId": f"{span.parent_id:016x}"} if span.parent_id else {}),
        "name": name_of(span),
        "kind": KIND_CONSUMER,
        "startTimeUnixNano": _nanoseconds(span.began),
        "endTimeUnixNano": _nanoseconds(max(span.ended, span.began)),
        "attributes": [_attribute(name, value) for name, value in facts_of(span).items()],
        "status": {"code": STATUS_ERROR, "message": span.error} if span.error else {},
    }


def name_of(span: SpanReport) -> str:
    return f"{span.actor} {span.what}"


def facts_of(span: SpanReport) -> dict[str, str]:
    return {f"{SCOPE}.actor": span.actor, **{f"{SCOPE}.{name}": value for name, value in span.notes.items()}}


def _attribute(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value}}


def _nanoseconds(seconds: float) -> str:
    return str(round(seconds * 1e9))
