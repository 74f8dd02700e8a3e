"""Streams: a request answered by many items, with credit.

The consumer grants credit as it consumes; the producer may send one item for each credit. So at most `window` items
are under way, and a slow reader costs the writer nothing: the writer keeps a cursor instead of a queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from actorkube.runtime.tracing import NOT_FOLLOWED, Span, cause, with_cause
from protocols.errors import Answer, AskError, InternalError, Terminated, Unknown, encode_error
from protocols.frame import FRAME_MAX, Kind
from protocols.message import Message, UnknownMessage, decode, encode
from protocols.trace import TraceContext

if TYPE_CHECKING:
    from actorkube.runtime.link import Link
    from actorkube.runtime.system import System

Item = TypeVar("Item")
CREDIT_MAX = 1_000_000  # items under way in one stream


class Stream(Generic[Item], AsyncIterator[Item]):
    """The consuming end. Iterate; it ends when the producer ends it, or raises the producer's error or an AskError."""

    def __init__(self, system: System, link: Link | None, corr: int, window: int) -> None:
        self._system = system
        self._link = link
        self._corr = corr
        self._window = window
        self._consumed = 0
        self._items: deque[tuple[int, bytes, TraceContext | None]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Answer | AskError | None = None

    async def __aenter__(self) -> Stream[Item]:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def __aiter__(self) -> Stream[Item]:
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._waiter = self._system.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._pop()

    def pending(self) -> bool:
        """Whether an item can be had without waiting: consumers use it to take what is there as one batch."""
        return bool(self._items)

    @property
    def buffered(self) -> int:
        """How many items can be had without waiting; below half the window, the producer has credit."""
        return len(self._items)

    def close(self) -> None:
        """Tell the producer that nobody reads any more. What is buffered is forgotten."""
        self._items.clear()
        if not self._ended:
            self._system.forget_stream(self._corr)
            if self._link is not None:
                self._link.send(Kind.CANCEL, 0, 0, 0, self._corr, 0, b"")
            self.end(None)

    def item(self, type_id: int, body: bytes, trace: TraceContext | None = None) -> None:
        if len(self._items) >= self._window:
            raise ValueError("an item without credit")
        self._items.append((type_id, body, trace))
        self._wake()

    def end(self, error: Answer | AskError | None) -> None:
        self._ended = True
        self._error = error
        if self._link is not None:
            self._link.streams.pop(self._corr, None)
        self._wake()

    def _pop(self) -> Item:
        type_id, body, trace = self._items.popleft()
        if self._system.tracing:
            cause.set(trace)  # what the reader does next, it does because of this item
        self._consumed += 1
        if self._consumed * 2 >= self._window and not self._ended and self._link is not None:
            self._link.send(Kind.CREDIT, 0, 0, 0, self._corr, self._consumed, b"")
            self._consumed = 0
        try:
            item: Any = decode(type_id, body)
        except (UnknownMessage, msgspec.MsgspecError) as error:
            self.close()
            raise Unknown(f"an item does not decode: {error}") from error
        return item  # type: ignore[no-any-return]

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Outlet:
    """The producing end. `send` needs credit; `on_ready` is called when credit comes after there was none."""

    def __init__(self, link: Link, corr: int, credit: int, system: System | None = None) -> None:
        self._link = link
        self._corr = corr
        self._system = system
        self.credit = credit
        self.closed = False
        self.on_ready: Callable[[], None] | None = None
        self.on_closed: Callable[[], None] | None = None
        self.guard: Callable[[Callable[[], None]], None] = _call  # an exception of a callback is its actor's crash
        self._waiter: asyncio.Future[None] | None = None
        older = link.outlets.get(corr)
        if older is not None:
            older.close()  # a peer that gives one number to two streams has lost the first
        link.outlets[corr] = self

    def send(self, item: Message, because: Span | TraceContext | None = None) -> None:
        self.send_bytes(type(item).type_id, encode(item), because)

    def send_bytes(self, type_id: int, body: bytes, because: Span | TraceContext | None = None) -> None:
        """Send an item that is encoded already: many watchers share one encoding.

        `because` is what made the item, where that is another cause than what the running code acts for.
        """
        if self.closed:
            return
        if self.credit <= 0:
            raise RuntimeError("an item was sent without credit: wait for on_ready or put()")
        self.credit -= 1
        if len(body) > FRAME_MAX:
            self.end(InternalError(f"an item has {len(body)} bytes, more than a frame may ({FRAME_MAX})"))
            return
        kind: int = Kind.ITEM
        if self._system is not None and self._system.tracing:
            trace = because or cause.get()
            if trace is not None and trace is not NOT_FOLLOWED:
                kind, body = with_cause(kind, body, trace)
        if not self._link.send(kind, type_id, 0, 0, self._corr, 0, body):
            self.close()

    async def put(self, item: Message) -> None:
        """Send when there is credit. Returns at once when the stream is closed."""
        while self.credit <= 0 and not self.closed:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self.send(item)

    def end(self, error: Answer | AskError | None = None) -> None:
        if not self.closed:
            body = b"" if error is None else encode_error(error)
            self._link.send(Kind.END, 0, 0, 0, self._corr, 0, body)
            self.close()

    def grant(self, credit: int) -> None:
        """Raises ValueError for more credit than any reader can mean."""
        if self.credit + credit > CREDIT_MAX:
            raise ValueError(f"credit for {self.credit + credit} items")
        before, self.credit = self.credit, self.credit + credit
        self._wake()
        if before <= 0 and self.on_ready is not None and not self.closed:
            self.guard(self.on_ready)

    def close(self) -> None:
        """The stream is over on this side: the consumer is gone, or the end was sent."""
        if self.closed:
            return
        self.closed = True
        self._link.outlets.pop(self._corr, None)
        self._wake()
        if self.on_closed is not None:
            self.guard(self.on_closed)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _call(callback: Callable[[], None]) -> None:
    callback()


def dead_stream(system: System, corr: int, error: AskError | None = None) -> Stream[Any]:
    """A stream that never was: the peer or the actor is not known."""
    stream: Stream[Any] = Stream(system, None, corr, 1)
    stream.end(error or Terminated("no such system"))
    return stream
