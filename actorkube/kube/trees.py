"""Traces as text: one as a tree of its spans, many as a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actorkube.kube.why import facts
from protocols.observe import SpanReport

LINES_MAX = 500


def tree(spans: Sequence[SpanReport]) -> list[str]:
    """One line a span: when it began (ms after the first), how long it took, who did what. Children are indented."""
    known = {span.span_id for span in spans}
    children: dict[int, list[SpanReport]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in known else 0, []).append(span)
    began = min((span.began for span in spans), default=0.0)
    lines = [_line(span, depth, began) for span, depth in _walk(children)]
    left = len(lines) - LINES_MAX
    return lines if left <= 0 else [*lines[:LINES_MAX], f"and {left} more"]


def summaries(spans: Sequence[SpanReport], most: int) -> list[str]:
    """The newest traces, oldest first: id, spans, how long it all took, and what began it."""
    traces: dict[str, list[SpanReport]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    newest = sorted(traces.values(), key=lambda trace: trace[0].began)[-most:]
    return [_summary(trace) for trace in newest]


def _summary(trace: list[SpanReport]) -> str:
    first, last = trace[0], max(max(span.ended, span.began) for span in trace)
    took_ms = (last - first.began) * 1000
    what = f"{first.actor} {first.what}  {facts(first)}".rstrip()
    return f"{first.trace_id}  {len(trace):5} spans  {took_ms:10.1f} ms  {what}"


def _walk(children: dict[int, list[SpanReport]]) -> Iterator[tuple[SpanReport, int]]:
    """Depth first, without recursion: a chain may be long."""
    waiting = [(span, 0) for span in reversed(children.get(0, ()))]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting += [(child, depth + 1) for child in reversed(children.get(span.span_id, ()))]


def _line(span: SpanReport, depth: int, began: float) -> str:
    took = f"{(span.ended - span.began) * 1000:9.2f}" if span.ended else "        -"
    what = f"{'  ' * min(depth, 20)}{span.actor}  {span.what}"
    return f"{(span.began - began) * 1000:9.2f} ms  {took} ms  {what}  {facts(span)}".rstrip()
