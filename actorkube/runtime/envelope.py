"""Envelopes: a message on its way into one actor, and how what becomes of it gets back to whoever waits for that.

One class for each way in which a message comes: told or asked, by an actor of this system or over a link. A body that
came over a link stays encoded until `open`. An asker that stops waiting calls `Cell.cancel` with its envelope.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import msgspec

from actorkube.runtime.stream import Outlet
from actorkube.runtime.tracing import NOT_FOLLOWED, Span, cause, with_cause
from protocols.address import Address
from protocols.errors import Answer, AskError, BadRequest, DeadlineExceeded, InternalError, Overloaded, encode_error
from protocols.frame import FRAME_MAX, Kind
from protocols.message import Done, Message, decode, encode
from protocols.trace import TraceContext

if TYPE_CHECKING:
    from actorkube.runtime.actor import Ref
    from actorkube.runtime.asks import Asks
    from actorkube.runtime.cell import Cell
    from actorkube.runtime.link import Link
    from actorkube.runtime.monitors import Watch
    from actorkube.runtime.timer import Timer

T = TypeVar("T")

REPLY = int(Kind.REPLY)
WITHDRAWN: Final = -math.inf  # `expires_at` of a message that is no longer to be handled


class Envelope(msgspec.Struct, eq=False):
    """A message told within this system; the base of the others. Nobody learns what becomes of it.

    Envelopes are structs because one is made for each message: that takes half the time that a plain class takes.
    """

    message: Message | None  # None: not decoded yet
    sender: Ref | None
    trace: Span | TraceContext | None  # its cause, when it is followed
    expires_at: float  # loop time from which nobody waits any more
    expects: ClassVar[bool] = False  # somebody waits for an answer, or for the end
    is_free: ClassVar[bool] = False  # takes no room in a mailbox, and is never dropped by its bound
    can_wait: ClassVar[bool] = False  # may wait for room in a full mailbox

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {type(self.message).__name__} from {self.sender}>"

    @property
    def taken(self) -> bool:
        """The handler answers later, by itself."""
        return False

    @property
    def task(self) -> asyncio.Task[object] | None:
        """Of the coroutine that handles it."""
        return None

    @property
    def is_wanted(self) -> bool:
        """Whoever sent it has not taken it back."""
        return True

    def open(self) -> Message:
        """The message. Raises what `decode` raises."""
        assert self.message is not None
        return self.message

    def accepted(self) -> None:
        """It is in the mailbox now."""

    def answer(self, reply: Message | None) -> None:
        """None stands for `Done`."""

    def fail(self, error: Answer | AskError) -> None:
        """It was not handled, or its handling failed."""

    def discard(self) -> None:
        """It is dropped because its time is over."""

    def take(self) -> None:
        """Its handler answers later, by itself."""

    def give_back(self) -> None:
        """It will be handled anew."""

    def begin(self, task: asyncio.Task[object]) -> None:
        """A task handles it."""


class Tick(Envelope):
    """A timer's message. There is at most one of each timer, so the mailbox's bound need not count it.

    It has no deadline; while it waits in a mailbox its time is 0, so that whoever takes it out looks at it first.
    """

    timer: Timer
    is_free: ClassVar[bool] = True


class Signal(Envelope):
    """A message of the system itself to an actor."""

    watch: Watch | None

    def counts(self) -> bool:
        """It is taken to be handled: whether the watch that led to it lasts."""
        return self.watch is None or self.watch.read()


class LocalAsk(Envelope):
    """A request of this system: it is also the entry in the asker's table. Its future calls it when it is cancelled."""

    cell: Cell
    asks: Asks
    future: asyncio.Future[Any]
    taken: bool = False
    task: asyncio.Task[object] | None = None
    expects: ClassVar[bool] = True
    can_wait: ClassVar[bool] = True

    def take(self) -> None:
        self.taken = True

    def give_back(self) -> None:
        self.taken = False

    def begin(self, task: asyncio.Task[object]) -> None:
        self.task = task

    def answer(self, reply: Message | None) -> None:
        if self.asks.here.pop(self, None) is None:
            self.cell.system.unawaited += 1
        else:
            if self.trace is not None:
                self.cell.system.tracer.answered(self, cause.get())
            future = self.future
            future.remove_done_callback(self)
            if not future.done():
                future.set_result(reply if reply is not None else Done())

    def fail(self, error: Answer | AskError) -> None:
        if self.asks.here.pop(self, None) is not None:
            settle(self, self.future, error)

    def discard(self) -> None:
        """Left to the asker's timer, so that of nested asks the outermost ends first, and knows why."""
        self.take()

    def expire(self, why: str = "") -> None:
        """Its time is over."""
        self.fail(self.out_of_time(why))
        self.cell.cancel(self)

    def out_of_time(self, why: str = "") -> AskError:
        return DeadlineExceeded(f"{self.what}: no answer in time{why}")

    def __call__(self, future: asyncio.Future[Any]) -> None:
        """The asker has cancelled its future."""
        if self.asks.here.pop(self, None) is not None:
            self.cell.cancel(self)

    @property
    def is_wanted(self) -> bool:
        return self in self.asks.here

    @property
    def is_here(self) -> bool:
        """Whoever is asked is an actor of the asker's system."""
        return True

    @property
    def address(self) -> Address:
        return self.cell.ref.address

    @property
    def request_name(self) -> str:
        return type(self.message).__name__

    @property
    def what(self) -> str:
        return f"{type(self.message).__name__} to {self.cell.ref.address}"


class LocalSend(LocalAsk):
    """A message of this system that waits for room: its future is resolved when it is in the mailbox."""

    expects: ClassVar[bool] = False

    def accepted(self) -> None:
        self.expires_at = math.inf
        super().answer(None)

    def answer(self, reply: Message | None) -> None:
        return

    def out_of_time(self, why: str = "") -> AskError:
        return Overloaded(f"{self.what}: no room in time")


class FromLink(Envelope):
    """A message told over a link."""

    type_id: int
    body: bytes

    def open(self) -> Message:
        if self.message is None:
            self.message = decode(self.type_id, self.body)
        return self.message


class LinkCall(FromLink):
    """A message over a link that its sender may take back: it is among the link's `calls` until it is answered."""

    cell: Cell
    link: Link
    corr: int
    taken: bool = False
    task: asyncio.Task[object] | None = None
    expects: ClassVar[bool] = True
    can_wait: ClassVar[bool] = True

    def take(self) -> None:
        self.taken = True

    def give_back(self) -> None:
        self.taken = False

    def begin(self, task: asyncio.Task[object]) -> None:
        self.task = task

    @property
    def is_wanted(self) -> bool:
        return self.corr in self.link.calls

    def fail(self, error: Answer | AskError) -> None:
        if self.link.calls.pop(self.corr, None) is not None:
            self._send(Kind.ERROR, 0, encode_error(error))

    def _send(self, kind: int, type_id: int, body: bytes) -> None:
        """Back to where it came from; when it is followed, with what caused the answer."""
        if self.trace is not None:
            trace = cause.get()
            if trace is not None and trace is not NOT_FOLLOWED:
                kind, body = with_cause(kind, body, trace)
        self.link.send(kind, type_id, 0, 0, self.corr, 0, body)

    def discard(self) -> None:
        self.link.calls.pop(self.corr, None)

    def cancel(self) -> None:
        """Whoever sent it no longer waits, or its link has ended."""
        if self.link.calls.pop(self.corr, None) is not None:
            self.cell.cancel(self)


class RemoteAsk(LinkCall):
    """A request over a link."""

    def answer(self, reply: Message | None) -> None:
        if self.link.calls.pop(self.corr, None) is None:
            self.cell.system.unawaited += 1
            return
        message = reply if reply is not None else Done()
        body = encode(message)
        if len(body) > FRAME_MAX:
            error = InternalError(f"the answer has {len(body)} bytes, more than a frame may ({FRAME_MAX})")
            self._send(Kind.ERROR, 0, encode_error(error))
        elif self.trace is None:
            self.link.send(REPLY, message.type_id, 0, 0, self.corr, 0, body)
        else:
            self._send(Kind.REPLY, message.type_id, body)


class RemoteSend(LinkCall):
    """A message over a link whose sender waits for room."""

    expects: ClassVar[bool] = False

    def accepted(self) -> None:
        self.expires_at = math.inf
        if self.link.calls.pop(self.corr, None) is not None:
            self.link.send(Kind.ACCEPTED, 0, 0, 0, self.corr, 0, b"")


class Opening(LinkCall):
    """A message that opens a stream."""

    credit: int = 0
    outlet: Outlet | None = None
    can_wait: ClassVar[bool] = False

    def take_outlet(self) -> Outlet:
        if self.outlet is None:
            self.link.calls.pop(self.corr, None)
            self.outlet = Outlet(self.link, self.corr, self.credit, self.cell.system)
        return self.outlet

    def answer(self, reply: Message | None) -> None:
        if self.outlet is None and reply is None:
            self.fail(BadRequest(f"{self.cell.ref.address} has no such stream"))
        elif self.outlet is None:
            raise TypeError(f"a stream is answered by a generator or through ctx.outlet(), not with {reply!r}")

    def fail(self, error: Answer | AskError) -> None:
        self.take_outlet().end(error)


def settle(waiting: object, future: asyncio.Future[Any], outcome: object) -> None:
    """Resolve the future of an asker that has not left; `waiting` is what it would have called at its leaving."""
    future.remove_done_callback(waiting)  # type: ignore[arg-type]
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
