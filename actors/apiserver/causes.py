"""Why each revision came to be: the API server remembers in which request it was written, for whoever asks or watches.

The store's event may come before the answer to the write. So what is written is expected beforehand by its bytes,
which no other write has (values.py marks each), and gets its revision when the event passes. Nothing is remembered of
what nobody follows, and of the rest the newest `REVISIONS_MAX`; a server that starts again knows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actorkube.runtime.tracing import NOT_FOLLOWED, Span, cause
from actors.apiserver.keys import parse_store_key
from protocols import etcd
from protocols.trace import TraceContext

REVISIONS_MAX = 16_384
EXPECTED_MAX = 1024


class Written(NamedTuple):
    """One revision of one object, and the span in which it was written."""

    resource: str
    key: str
    deleted: bool
    trace: TraceContext


class Causes:
    def __init__(self) -> None:
        self._expected: dict[tuple[bytes, bytes | None], TraceContext] = {}
        self._written: dict[int, Written] = {}

    def expect(self, key: bytes, value: bytes | None) -> None:
        """The running code is about to write this (None: to delete it)."""
        trace = cause.get()
        if trace is None or trace is NOT_FOLLOWED:
            return
        self._expected.pop((key, value), None)
        self._expected[(key, value)] = _context(trace)
        if len(self._expected) > EXPECTED_MAX:
            del self._expected[next(iter(self._expected))]

    def happened(self, events: Sequence[etcd.Event]) -> None:
        """These were written, by us or by others."""
        if not self._expected:
            return
        for event in events:
            trace = self._expected.pop((event.kv.key, event.kv.value if event.type == "put" else None), None)
            place = parse_store_key(event.kv.key) if trace is not None else None
            if trace is not None and place is not None:
                self._remember(event.kv.mod_revision, Written(*place, event.type == "delete", trace))

    def of(self, revision: int) -> TraceContext | None:
        """The cause of what a watcher is sent; None: not known, or not followed."""
        written = self._written.get(revision)
        return written.trace if written is not None else None

    def history(self, resource: str, key: str) -> list[tuple[int, Written]]:
        """What is remembered of one object, oldest first, by revision."""
        return [(n, each) for n, each in self._written.items() if (each.resource, each.key) == (resource, key)]

    def _remember(self, revision: int, written: Written) -> None:
        self._written[revision] = written
        if len(self._written) > REVISIONS_MAX:
            del self._written[next(iter(self._written))]


def _context(trace: Span | TraceContext) -> TraceContext:
    """Without what a span holds beside."""
    return TraceContext(trace.trace_id, trace.span_id, trace.timers)
