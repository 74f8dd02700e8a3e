"""What a user of the framework writes against: `Actor`, and the `Context` through which it touches the world.

An actor handles one message at a time. A plain (synchronous) handler runs to completion without a task; a handler
that returns a coroutine is run as a task, and at most `concurrency` of them run at once. Everything that differs
between the three worlds (time, chance, disk, network) is reached through `ctx`, so the same class runs in one
process, over TCP and in simulation.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeVar

from actorkube.runtime.group import SHUTDOWN_S, Child, ChildLike, Restarting
from actorkube.runtime.tracing import Span, cause
from protocols.address import Address, actor_id
from protocols.errors import BadRequest
from protocols.message import Message, Request, Streaming
from protocols.trace import TraceContext

if TYPE_CHECKING:
    from actorkube.runtime.cell import Cell, Envelope
    from actorkube.runtime.disk import Disk
    from actorkube.runtime.reply import ReplyHandle
    from actorkube.runtime.stream import Outlet, Stream
    from actorkube.runtime.supervisor import Supervision

R = TypeVar("R")


class _Later:
    """The answer will come through a ReplyHandle or an Outlet."""


LATER: Final = _Later()


class Mailbox(NamedTuple):
    """Messages beyond `capacity` are refused: an ask with Overloaded, a tell is dropped and counted."""

    capacity: int = 1024


class Actor:
    """State, a mailbox, and `receive`.

    `receive` returns: a message (the reply); None (`Done`, for an ask); LATER (answered through a ReplyHandle or an
    Outlet); a coroutine (run as a task, its result is the reply); an async generator (the items of a stream).
    Raising an `Answer` refuses the request. Any other exception crashes the actor; its supervisor starts a new one.
    """

    mailbox: ClassVar[Mailbox] = Mailbox()
    concurrency: ClassVar[int] = 1
    ctx: Context

    async def on_start(self) -> None:
        """Runs before the first message; messages wait. Failing here counts as a crash."""

    def receive(self, message: Message) -> object:
        """What no actor of this class handles is refused, not answered with a crash: a peer may send anything."""
        raise BadRequest(f"{type(self).__name__} does not receive {type(message).__name__}")

    def busy(self) -> str:
        """What it has still to do now, besides messages and asks that wait; "" when only time or others can cause more.

        Who wants everybody to have settled (a test) looks at it.
        """
        return ""

    async def on_stop(self) -> None:
        """Runs at a planned stop, not after a crash."""


class Ref:
    """A name for an actor, here or elsewhere. Cheap, comparable, valid before and after the actor lives."""

    __slots__ = ("actor_id", "address")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.actor_id = actor_id(address.actor)

    def __repr__(self) -> str:
        return f"<{self.address}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.address == self.address

    def __hash__(self) -> int:
        return self.actor_id


class Timer:
    """A scheduled message to oneself. A periodic tick is skipped while the one before it still waits unread.

    After `cancel` no tick is handled, not even one that waits in the mailbox already; a crash cancels all timers.
    """

    __slots__ = ("_cancelled", "_cell", "_handle", "_message", "_period_s", "_waiting", "cause")

    def __init__(self, cell: Cell, message: Message, delay_s: float, period_s: float | None) -> None:
        self._cell = cell
        self._message = message
        self._period_s = period_s
        self._waiting = False
        self._cancelled = False
        self.cause = cell.system.tracer.ticking(cell) if cell.system.tracing else None  # of its (first) tick
        self._handle = cell.system.loop.call_later(delay_s, self._fire, context=cell.context)
        cell.timers[self] = None

    @property
    def address(self) -> Address:
        return self._cell.ref.address

    @property
    def tick(self) -> str:
        """What it sends, by name."""
        return type(self._message).__name__

    def cancel(self) -> None:
        self._cancelled = True
        self._handle.cancel()
        self._cell.timers.pop(self, None)

    def read(self) -> bool:
        """The tick is taken from the mailbox: whether it still counts."""
        self._waiting = False
        if self._period_s is None:
            self._cell.timers.pop(self, None)
        return not self._cancelled

    def _fire(self) -> None:
        if self._period_s is not None:
            self._handle = self._cell.system.loop.call_later(self._period_s, self._fire, context=self._cell.context)
        if not self._waiting:
            self._waiting = True
            self._cell.tick(self._message, self)
            self.cause = None


class Context:
    """An actor's hands: messages, time, chance, disk, tasks. Valid from `on_start` to the end of `on_stop`."""

    def __init__(self, cell: Cell, incarnation: int) -> None:
        self._cell = cell
        self._system = cell.system
        self.self_ref = cell.ref
        self.random = random.Random(f"{self._system.seed}/{cell.ref.address}/{incarnation}")
        self.log = self._system.log.bind(actor=str(cell.ref.address))
        self._disk: Disk | None = None

    # -- messages -------------------------------------------------------------------------------------------------

    def ref(self, address: str) -> Ref:
        return self._system.ref(address)

    def tell(self, ref: Ref, message: Message) -> None:
        """Send and forget: at most once, in order per pair while a link lasts. Never blocks, never raises."""
        self._system.tell(ref, message, self._cell)

    def ask(self, ref: Ref, request: Request[R], timeout_s: float = 5.0) -> asyncio.Future[R]:
        """Await the reply. Raises an Answer (refused) or an AskError (what is known when nobody answered).

        The time to live travels with the request and is never longer than what is left of the request being handled.
        """
        return self._system.ask(ref, request, timeout_s, self._cell)

    def stream(self, ref: Ref, request: Streaming[R], window: int = 64) -> Stream[R]:
        """Open a stream; at most `window` items are under way or buffered. Close it, or use it with `async with`."""
        return self._system.stream(ref, request, window, self._cell)

    @property
    def sender(self) -> Ref | None:
        """Who sent the message being handled; valid in the synchronous part of `receive`."""
        return self._current().sender

    def reply_handle(self) -> ReplyHandle:
        """Take over the answer of the request being handled; return LATER."""
        return self._current().take_reply()

    def outlet(self) -> Outlet:
        """The producing end of the stream being opened by the message being handled; return LATER."""
        outlet = self._current().take_outlet(self._system)
        outlet.guard = self._cell.guarded
        return outlet

    def _current(self) -> Envelope:
        envelope = self._cell.current
        if envelope is None:
            raise RuntimeError("no message is being handled: use it in the synchronous part of receive")
        return envelope

    # -- time, chance, disk ---------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the epoch; virtual in simulation; never goes back."""
        return self._system.now

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    @property
    def disk(self) -> Disk:
        """This actor's own directory."""
        if self._disk is None:
            self._disk = self._system.disk(self.self_ref.address.actor)
        return self._disk

    def after(self, delay_s: float, message: Message) -> Timer:
        return Timer(self._cell, message, delay_s, None)

    def every(self, period_s: float, message: Message) -> Timer:
        return Timer(self._cell, message, period_s, period_s)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # -- children -------------------------------------------------------------------------------------------------

    def spawn(
        self,
        factory: Callable[[], Actor],
        name: str,
        supervision: Supervision | None = None,
        *,
        restart: Restarting = "permanent",
        shutdown_s: float = SHUTDOWN_S,
    ) -> Ref:
        """Start a child, which is named `this/name` and ends before this actor stops or restarts.

        When its supervisor gives up restarting it, that is a crash of this actor.
        """
        return self.spawn_group([Child(name, factory, restart, shutdown_s)], supervision)[0]

    def spawn_group(self, children: Sequence[ChildLike], supervision: Supervision | None = None) -> list[Ref]:
        """Start children, and groups of them, in order under one supervisor: each when the one before has started."""
        return self._system.tree.spawn(self._cell, children, supervision)

    async def kill(self, child: Ref) -> None:
        """Stop a child for good, and its children before it. Returns when it has ended, also if it had before."""
        await self._system.tree.kill_child(self._cell, child)

    # -- tasks ----------------------------------------------------------------------------------------------------

    def background(self, coro: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:
        """A task that belongs to the actor: cancelled at its stop; when it crashes, the actor crashes."""
        return self._cell.background(coro, name)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run at the end of this loop turn: the place to do once what many messages asked for."""
        context = self._cell.context
        if self._system.tracing:
            context = context.copy()
            context.run(cause.set, self._system.tracer.following(self._cell))
        self._system.loop.call_soon(self._cell.guarded, callback, context=context)

    # -- causes ---------------------------------------------------------------------------------------------------

    @property
    def cause(self) -> Span | TraceContext | None:
        """What the running code acts for; keep it, to act for it later. None: nothing that is followed."""
        return self._system.tracer.following(self._cell) if self._system.tracing else None

    def span(self, what: str, cause: Span | TraceContext | None = None) -> AbstractContextManager[Span | None]:
        """Do a piece of work with a name of its own, for that cause: `with ctx.span("bind web-1", kept): ...`"""
        if not self._system.tracing:
            return nullcontext()
        return self._system.tracer.span(str(self.self_ref.address), what, cause)
