"""Causality: which message led to which. Each message that is followed carries its cause; each handling is a span.

`cause` is what the running code acts for: the span of the message that is being handled, or of the stream's item that
was read last. It is set while a message is handled, and goes on in tasks, in callbacks of `ctx.call_soon`, in timers.
What is sent carries it along; whoever handles that begins a span whose parent it is. So the spans of all systems
together are a forest, and the way from a span to its root says why it happened.

A trace begins where something is sent without a cause (a timer's tick, a request from outside), with the chance `rate`.
A system that begins none (the default) pays one test of a flag for each message, until the first message that somebody
else follows reaches it: such a one is followed in any case. Spans are kept in a ring; the oldest are forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from protocols.address import Address
from protocols.frame import FRAME_MAX
from protocols.trace import CONTEXT_SIZE, TRACED, TraceContext, pack_context

if TYPE_CHECKING:
    from actorkube.runtime.asks import Pending
    from actorkube.runtime.dispatch import Dispatch
    from actorkube.runtime.envelope import LocalAsk

SPANS_MAX = 4096
NOTES_MAX = 8
# A timer that is armed so many timers after the first cause begins anew: a loop of timers is not one trace for ever.
TIMERS_IN_TRACE_MAX = 4

# What led to what the running code does; None: nothing that is followed.
cause: contextvars.ContextVar[Span | TraceContext | None] = contextvars.ContextVar("cause", default=None)
# What the answer was caused by that this task got last, where the one who asked wants to know (Client.ask).
answer_cause: contextvars.ContextVar[Span | TraceContext | None] = contextvars.ContextVar("answer_cause", default=None)
# Work of a message that is not followed: what it sends is not followed either.
NOT_FOLLOWED = TraceContext(bytes(16), 0)


class Span:
    """One handling of a message, or one piece of work with a name. `ended` is 0 while it goes on."""

    __slots__ = (
        "actor",
        "began",
        "ended",
        "error",
        "is_task",
        "notes",
        "parent_id",
        "span_id",
        "timers",
        "trace_id",
        "what",
    )

    def __init__(
        self, trace_id: bytes, span_id: int, parent_id: int, timers: int, actor: Address, what: str, began: float
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.timers = timers
        self.actor = actor
        self.what = what
        self.began = began
        self.ended = 0.0
        self.error = ""
        self.notes: dict[str, str] | None = None
        self.is_task = False  # a task goes on with it after the synchronous part

    def __repr__(self) -> str:
        return f"<span {self.span_id:016x} {self.actor} {self.what}>"


class Tracer:
    """One system's spans. `on_wake` is called when the first one comes into sight."""

    def __init__(self, seed: str, clock: Callable[[], float], on_wake: Callable[[], None]) -> None:
        self.rate = 0.0
        self.spans: deque[Span] = deque(maxlen=SPANS_MAX)
        self._random = random.Random(f"{seed}/trace")
        self.clock = clock
        self._on_wake = on_wake
        self._is_awake = False
        self._answers: WeakKeyDictionary[asyncio.Future[Any], Span | TraceContext] = WeakKeyDictionary()

    def begin_traces(self, rate: float) -> None:
        """From now on begin a trace with this chance (0 to 1) where something happens without a cause."""
        self.rate = rate
        if rate > 0:
            self.wake()

    def wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._on_wake()

    # -- what messages carry --------------------------------------------------------------------------------------

    def following(self, cell: Dispatch | None) -> Span | TraceContext | None:
        """What goes on in a task or callback begun here acts for this."""
        trace = cause.get()
        if trace is None and cell is not None and cell.current is not None:
            return NOT_FOLLOWED
        return trace

    def outgoing(self, cell: Dispatch | None) -> Span | TraceContext | None:
        """The cause of what is sent here; None: it is not followed."""
        trace = cause.get()
        if trace is None:
            if not self.rate or (cell is not None and cell.current is not None):
                return None
            return self.root(cell)
        return None if trace is NOT_FOLLOWED else trace

    def root(self, cell: Dispatch | None = None) -> TraceContext | None:
        """The beginning of a trace, or None: by chance, or because the actor begins none."""
        if cell is not None and not cell.actor.begins_traces:
            return None
        if self.rate < 1.0 and self._random.random() >= self.rate:
            return None
        return TraceContext(self._random.randbytes(16), 0)

    def ticking(self, cell: Dispatch) -> TraceContext | None:
        """The cause of the tick of a timer that is armed here; None: it will have none."""
        trace = self.following(cell)
        if trace is None or trace is NOT_FOLLOWED or trace.timers >= TIMERS_IN_TRACE_MAX:
            return None
        return TraceContext(trace.trace_id, trace.span_id, trace.timers + 1)

    def answered(self, pending: Pending | LocalAsk | None, trace: Span | TraceContext | None) -> None:
        """An ask gets its answer, which was given because of that."""
        if pending is not None and trace is not None:
            self._answers[pending.future] = trace

    def answer_cause(self, future: asyncio.Future[Any]) -> Span | TraceContext | None:
        """Why the answer was given that an ask's future has got."""
        return self._answers.get(future)

    def framed(self, kind: int, body: bytes, cell: Dispatch | None) -> tuple[int, bytes]:
        """The kind and body of a frame that is sent here, with its cause if it is followed."""
        trace = self.outgoing(cell)
        return (kind, body) if trace is None else with_cause(kind, body, trace)

    # -- spans ----------------------------------------------------------------------------------------------------

    def begin(self, actor: Address, what: str, parent: Span | TraceContext) -> Span:
        span_id = self._random.getrandbits(64) | 1
        span = Span(parent.trace_id, span_id, parent.span_id, parent.timers, actor, what, self.clock())
        self.spans.append(span)
        return span

    def handle(self, actor: Address, what: str, parent: Span | TraceContext) -> Span:
        """Begin the span of a message; `left` follows when the synchronous part is over."""
        span = self.begin(actor, what, parent)
        cause.set(span)
        return span

    def left(self, span: Span) -> None:
        cause.set(None)
        if not span.is_task:
            self.end(span)

    def end(self, span: Span) -> None:
        span.ended = self.clock()

    @contextlib.contextmanager
    def span(self, actor: Address, what: str, parent: Span | TraceContext | None) -> Iterator[Span | None]:
        """Work with a name of its own. Without a parent it may begin a trace. What happens inside acts for it."""
        trace = parent if parent is not None else self.root()
        if trace is None or trace is NOT_FOLLOWED:
            with because(NOT_FOLLOWED):
                yield None
            return
        span = self.begin(actor, what, trace)
        try:
            with because(span):
                yield span
        except BaseException as error:
            span.error = span.error or type(error).__name__
            raise
        finally:
            self.end(span)


@contextlib.contextmanager
def because(trace: Span | TraceContext | None) -> Iterator[None]:
    """What happens inside acts for this cause."""
    token = cause.set(trace)
    try:
        yield
    finally:
        cause.reset(token)


def because_of_answer() -> contextlib.AbstractContextManager[None]:
    """What happens inside acts for what caused the answer that this task got last, where that is known."""
    trace = answer_cause.get()
    return because(trace) if trace is not None else contextlib.nullcontext()


def note(**values: object) -> None:
    """Add facts to the span that the running code acts for, if it is followed: what was written, which revision."""
    span = cause.get()
    if isinstance(span, Span) and len(span.notes or ()) < NOTES_MAX:
        span.notes = {**(span.notes or {}), **{name: str(value) for name, value in values.items()}}


def with_cause(kind: int, body: bytes, trace: Span | TraceContext) -> tuple[int, bytes]:
    """A body that would not fit into a frame with its cause goes without."""
    if len(body) > FRAME_MAX - CONTEXT_SIZE:
        return kind, body
    return kind | TRACED, pack_context(trace.trace_id, trace.span_id, trace.timers) + body
