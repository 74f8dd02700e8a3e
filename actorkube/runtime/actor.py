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
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from actorkube.runtime.group import SHUTDOWN_S, ChildLike, Restarting
from actorkube.runtime.mailbox import Mailbox
from actorkube.runtime.timer import Timer
from actorkube.runtime.tracing import Span, answer_cause, cause
from protocols.address import Address, actor_id
from protocols.errors import BadRequest
from protocols.message import Message, Request, Streaming
from protocols.trace import TraceContext

if TYPE_CHECKING:
    from actorkube.runtime.cell import Cell
    from actorkube.runtime.disk import Disk
    from actorkube.runtime.envelope import Envelope
    from actorkube.runtime.link import Link
    from actorkube.runtime.log import Log
    from actorkube.runtime.reply import ReplyHandle
    from actorkube.runtime.stream import Outlet, Stream
    from actorkube.runtime.supervisor import Supervision

R = TypeVar("R")


class _Later:
    """The answer will come through a ReplyHandle or an Outlet."""


LATER: Final = _Later()
"""What `receive` returns when the answer will come through a ReplyHandle or an Outlet."""


class Actor:
    """State, a mailbox, and `receive`.

    `receive` returns: a message (the reply); None (`Done`, for an ask); LATER (answered through a ReplyHandle or an
    Outlet); a coroutine (run as a task, its result is the reply); an async generator (the items of a stream).
    Raising an `Answer` refuses the request. Any other exception crashes the actor; its supervisor starts a new one.
    """

    __slots__ = ("ctx",)  # so that an actor without a state of its own has no dict

    mailbox: ClassVar[Mailbox] = Mailbox()
    concurrency: ClassVar[int] = 1
    cancellable: ClassVar[bool] = True  # a handler's task is cancelled when nobody waits for its answer any more
    begins_traces: ClassVar[bool] = True  # by what it does of its own accord; heartbeats explain nothing
    traps_exits: ClassVar[bool] = False  # the end of a linked actor is a message (Exited), not a crash
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

    def live_checks(self) -> Mapping[str, bool]:
        """Checks of /livez, by name: false where only starting it anew would help."""
        return {}

    def ready_checks(self) -> Mapping[str, bool]:
        """Further checks, of /readyz: whether it does what it is there for by now."""
        return {}

    def exposition(self, page: str) -> Callable[[], bytes] | None:
        """What Prometheus reads of it, besides what is measured of every actor: gathered now, and written down by what
        is returned, which is called in a thread. `page`: "", or a further one of its kind, such as "resources".
        """
        return None

    async def on_handover(self) -> Message | None:
        """Another instance takes this one's place (`System.replace`): what must it know? None: it starts afresh.

        Runs when what was begun has been handled, in place of `on_stop`.
        """
        return None

    async def on_takeover(self, state: Message) -> None:
        """In place of `on_start`: go on with what the instance before has handed over. By default, starts as ever.

        Its timers run on (`ctx.timers`). One that is set here takes the place of the one with its key, or, without a
        key, of one that says the same: so what `on_start` sets is not there twice.
        """
        await self.on_start()

    async def on_stop(self) -> None:
        """Runs at a planned stop, not after a crash."""


class Ref:
    """A name for an actor, here or elsewhere. Cheap, comparable, valid before and after the actor lives."""

    __slots__ = ("actor_id", "address", "cell", "link")

    def __init__(self, address: Address, number: int | None = None) -> None:
        self.address = address
        self.actor_id = actor_id(address.actor) if number is None else number
        self.cell: Cell | None = None  # who was reached by it last, in whatever system: valid while at home there
        self.link: Link | None = None  # that carried the last tell to it: valid while at home in the sending system

    def __repr__(self) -> str:
        return f"<{self.address}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.address == self.address

    def __hash__(self) -> int:
        return self.actor_id


class Kept:
    """What an actor gets when it first asks for it."""

    __slots__ = ("disk", "log", "random")

    def __init__(self) -> None:
        self.random: random.Random | None = None
        self.log: Log | None = None
        self.disk: Disk | None = None


class Context:
    """An actor's hands: messages, time, chance, disk, tasks. Valid from `on_start` to the end of `on_stop`."""

    __slots__ = ("_cell", "_kept")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._kept: Kept | None = None

    @property
    def _incarnation(self) -> int:
        """How many instances there were before."""
        return self._cell.lives - 1

    @property
    def self_ref(self) -> Ref:
        return self._cell.ref

    @property
    def log(self) -> Log:
        kept = self._keep()
        if kept.log is None:
            kept.log = self._cell.system.log.bind(actor=str(self.self_ref.address))
        return kept.log

    # -- messages -------------------------------------------------------------------------------------------------

    def ref(self, address: str) -> Ref:
        return self._cell.system.ref(address)

    def tell(self, ref: Ref, message: Message) -> None:
        """Send and forget: at most once, in order per pair while a link lasts. Never blocks, never raises."""
        self._cell.system.tell(ref, message, self._cell)

    def ask(self, ref: Ref, request: Request[R], timeout_s: float = 5.0) -> asyncio.Future[R]:
        """Await the reply. Raises an Answer (refused) or an AskError (what is known when nobody answered).

        The time to live travels with the request and is never longer than what is left of the request being handled.
        """
        return self._cell.system.ask(ref, request, timeout_s, self._cell)

    async def send(self, ref: Ref, message: Message, timeout_s: float = 5.0) -> None:
        """Returns when the message is in the receiver's mailbox; waits for room where its policy is `backpressure`.

        Raises an AskError. Overloaded, NotSent, Terminated: it is not there. Unknown, DeadlineExceeded: it may be.
        A cancelled send is taken back unless it was accepted already.
        """
        await self._cell.system.send(ref, message, timeout_s, self._cell)

    def stream(self, ref: Ref, request: Streaming[R], window: int = 64) -> Stream[R]:
        """Open a stream; at most `window` items are under way or buffered. Close it, or use it with `async with`."""
        return self._cell.system.stream(ref, request, window, self._cell)

    @property
    def sender(self) -> Ref | None:
        """Who sent the message being handled; valid in the synchronous part of `receive`."""
        return self._current().sender

    def reply_handle(self) -> ReplyHandle:
        """Take over the answer of the request being handled; return LATER."""
        cell = self._cell  # not by `_current` and `work`: it is done for most requests
        return (cell._work or cell.work).take_reply(cell.current or self._current())

    def outlet(self) -> Outlet:
        """The producing end of the stream being opened by the message being handled; return LATER."""
        outlet = self._cell.work.open_outlet(self._current())
        outlet.guard = self._cell.guarded
        return outlet

    def stash(self) -> object:
        """Put the message being handled aside until `unstash`: `return self.ctx.stash()`. Its deadline goes on.

        At most `mailbox.stash` messages are kept; more are refused. A crash brings them back to the mailbox.
        """
        self._cell.work.put_aside(self._current())
        return LATER

    def unstash(self) -> None:
        """All that was put aside is handled next, in its order."""
        self._cell.work.unstash()

    def become(self, receive: Callable[[Message], object]) -> None:
        """From the next message on, `receive` handles messages; `become(self.receive)` goes back. A crash goes back."""
        self._cell.become(receive)

    def _current(self) -> Envelope:
        envelope = self._cell.current
        if envelope is None:
            raise RuntimeError("no message is being handled: use it in the synchronous part of receive")
        return envelope

    # -- time, chance, disk ---------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the epoch; virtual in simulation; never goes back.

        In the synchronous part of `receive` it stands still, so that a handler is a function of message, state and now.
        """
        system = self._cell.system
        if self._cell.current is None:
            return system.now
        if system.turn_now is None:
            system.turn_now = system.now
        return system.turn_now

    @property
    def random(self) -> random.Random:
        """Chance of this actor's own, by the system's seed."""
        kept = self._kept or self._keep()
        if kept.random is None:
            kept.random = random.Random(f"{self._cell.system.seed}/{self.self_ref.address}/{self._incarnation}")
        return kept.random

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    @property
    def disk(self) -> Disk:
        """This actor's own directory."""
        kept = self._keep()
        if kept.disk is None:
            kept.disk = self._cell.system.disk(self._cell.name)
        return kept.disk

    def _keep(self) -> Kept:
        if self._kept is None:
            self._kept = Kept()
        return self._kept

    def after(self, delay_s: float, message: Message, key: Hashable | None = None) -> Timer:
        """One tick. A timer replaces the one with the same key."""
        return Timer(self._cell, message, delay_s, None, key)

    def every(self, period_s: float, message: Message, key: Hashable | None = None) -> Timer:
        """A tick each period, the first after one period."""
        return Timer(self._cell, message, period_s, period_s, key)

    @property
    def timers(self) -> list[Timer]:
        """Those that may still tick, in the order in which they were set; also those that were handed over."""
        return list(self._cell.timers.values())

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
        return self._cell.system.tree.spawn_alone(self._cell, factory, name, supervision, restart, shutdown_s)

    def spawn_group(self, children: Sequence[ChildLike], supervision: Supervision | None = None) -> list[Ref]:
        """Start children, and groups of them, in order under one supervisor: each when the one before has started."""
        return self._cell.system.tree.spawn(self._cell, children, supervision)

    async def kill(self, child: Ref) -> None:
        """Stop a child for good, and its children before it. Returns when it has ended, also if it had before."""
        await self._cell.system.tree.kill_child(self._cell, child)

    def stop(self) -> None:
        """End by one's own will, at the end of this loop turn: `on_stop` runs, and a permanent child is restarted."""
        self._cell.system.loop.call_soon(self._cell.system.tree.finished, self._cell, context=self._cell.system.context)

    # -- the ends of others ---------------------------------------------------------------------------------------

    def watch(self, ref: Ref) -> None:
        """Be told, by one `Down`, when nobody is at that address any more, or when it cannot be reached.

        It may be there or not, here or in another system. A restart by its supervisor is not an end.
        """
        self._cell.system.monitors.watch(self._cell, ref)

    def unwatch(self, ref: Ref) -> None:
        """No Down comes any more, not even one that waits in the mailbox."""
        self._cell.system.monitors.unwatch(self._cell, ref)

    def link(self, ref: Ref) -> None:
        """Live and die together: a crash or restart of either, or the loss of the link between their systems, crashes
        the other one; an actor that `traps_exits` gets an `Exited` instead. A planned stop just ends the link."""
        self._cell.system.monitors.link(self._cell, ref)

    def unlink(self, ref: Ref) -> None:
        self._cell.system.monitors.unlink(self._cell, ref)

    # -- names across systems -------------------------------------------------------------------------------------

    def register(self, name: str) -> bool:
        """Take a name that one actor in all linked systems has at most. False: somebody else has it.

        Two who take it while they cannot reach each other both have it, until they can: then one gets a `NameLost`.
        """
        return self._cell.system.names.register(name, self.self_ref.address.actor)

    def unregister(self, name: str) -> None:
        self._cell.system.leave(name, self.self_ref.address.actor, unique=True)

    def lookup(self, name: str) -> Ref | None:
        """Who has the name, as far as this system has heard."""
        return self._cell.system.lookup(name)

    def join(self, group: str) -> None:
        """Be a member of a group of that name, in all linked systems, until this actor leaves or ends."""
        self._cell.system.names.join(group, self.self_ref.address.actor)

    def leave(self, group: str) -> None:
        self._cell.system.leave(group, self.self_ref.address.actor, unique=False)

    def members(self, group: str) -> list[Ref]:
        """Who has joined, as far as this system has heard; sorted by address."""
        return self._cell.system.members(group)

    # -- tasks ----------------------------------------------------------------------------------------------------

    def background(self, coro: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:
        """A task that belongs to the actor: cancelled at its stop; when it crashes, the actor crashes."""
        return self._cell.work.background(coro, name)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run at the end of this loop turn: the place to do once what many messages asked for."""
        context = self._cell.context
        if self._cell.system.tracing:
            context = context.copy()
            context.run(cause.set, self._cell.system.tracer.following(self._cell))
        self._cell.system.loop.call_soon(self._cell.guarded, callback, context=context)

    @property
    def is_last(self) -> bool:
        """Whether nothing else waits for this actor, so that what many messages asked for may be done at once.

        Never in simulation (another order of things is to be tried), nor where somebody follows or measures turns.
        """
        cell = self._cell
        return bool(cell.system.at_once_max) and not (cell.inbox or cell.system.tracing)

    def flush(self) -> None:
        """What was said until now leaves, and not at the end of this loop turn: before work that takes long."""
        self._cell.system.transport.flush()

    # -- causes ---------------------------------------------------------------------------------------------------

    @property
    def cause(self) -> Span | TraceContext | None:
        """What the running code acts for; keep it, to act for it later. None: nothing that is followed."""
        return self._cell.system.tracer.following(self._cell) if self._cell.system.tracing else None

    @property
    def timer_cause(self) -> TraceContext | None:
        """As `cause`, for what is done when some time has passed; None also at the end of a long row of timers."""
        return self._cell.system.tracer.ticking(self._cell) if self._cell.system.tracing else None

    def keep_answer_cause(self, answered: asyncio.Future[Any]) -> None:
        """Remember in this task why that ask got its answer: `because_of_answer` (tracing.py) acts for it."""
        if self._cell.system.tracing:
            answer_cause.set(self._cell.system.tracer.answer_cause(answered))

    def span(self, what: str, cause: Span | TraceContext | None = None) -> AbstractContextManager[Span | None]:
        """Do a piece of work with a name of its own, for that cause: `with ctx.span("bind web-1", kept): ...`"""
        if cause is not None:
            self._cell.system.tracer.wake()  # somebody else follows it
        elif not self._cell.system.tracing:
            return nullcontext()
        return self._cell.system.tracer.span(self.self_ref.address, what, cause)
