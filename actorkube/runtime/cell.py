"""One actor's place in its system: the dispatch of its messages, its tasks, and what a crash does.

Dispatch drains up to 128 messages in one loop turn, signals first. A synchronous handler costs no task. A coroutine
handler becomes a task, and while `concurrency` of them run, the mailbox waits; so an actor with concurrency 1 is never
re-entered. What an actor may never need (mailbox, context, tasks, timers) is made when it is first needed.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import math
from collections import deque
from collections.abc import Callable, Hashable
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from actorkube.runtime.actor import LATER, Actor, Context, Ref
from actorkube.runtime.envelope import WITHDRAWN, Envelope, Signal, Tick
from actorkube.runtime.group import SHUTDOWN_S
from actorkube.runtime.mailbox import Box, Loss, Mailbox, open_box
from actorkube.runtime.tracing import Span, cause
from actorkube.runtime.work import Work
from protocols.address import Address
from protocols.errors import Answer, AskError, BadRequest, Terminated, Unknown
from protocols.message import Message, UnknownMessage
from protocols.trace import TraceContext

if TYPE_CHECKING:
    from actorkube.runtime.monitors import Watch
    from actorkube.runtime.system import System
    from actorkube.runtime.timer import Timer
    from actorkube.runtime.tree import Branch

E = TypeVar("E", Answer, AskError)

TURN_MESSAGES_MAX = 128
UNOPENED = Box(Address("", ""), Mailbox())
UNOPENED.limit = 0
UNBORN = Actor()  # until there is an instance


class State(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


class Cell:
    __slots__ = (
        "_box",
        "_branches",
        "_concurrency",
        "_context",
        "_idle",
        "_in_flight",
        "_receive",
        "_scheduled",
        "_signals",
        "_work",
        "actor",
        "branch",
        "crashes",
        "current",
        "error",
        "factory",
        "gone",
        "handled",
        "lives",
        "ref",
        "shutdown_s",
        "state",
        "system",
        "turn_now",
    )

    def __init__(
        self, system: System, ref: Ref, factory: Callable[[], Actor], branch: Branch, shutdown_s: float = SHUTDOWN_S
    ) -> None:
        self.system = system
        self.ref = ref
        self.factory = factory
        self.branch = branch  # the group that supervises it
        self.shutdown_s = shutdown_s
        self.state = State.STARTING
        self.actor = UNBORN
        self.current: Envelope | None = None
        self.turn_now: float | None = None  # what `ctx.now` says while `current` is handled
        self.lives = 0  # instances so far
        self.error: BaseException | None = None  # what ended the last instance, when that was a crash
        self.gone: asyncio.Future[None] | None = None  # resolved when an actor that is killed has ended
        self.crashes = 0
        self.handled: dict[int, int] | None = None  # by message number, where metrics are on
        self._branches: dict[Branch, None] | None = None
        self._context: contextvars.Context | None = None
        self._box = UNOPENED
        self._receive: Callable[[Message], object] | None = None  # when the actor has become another
        self._signals: deque[Signal] | None = None
        self._work: Work | None = None
        self._concurrency = 1
        self._in_flight = 0
        self._scheduled = False
        self._idle: asyncio.Future[None] | None = None  # who drains waits for it

    @property
    def name(self) -> str:
        return self.ref.address.actor

    @property
    def restarts(self) -> int:
        return max(0, self.lives - 1)

    # -- what is made when it is needed ---------------------------------------------------------------------------

    @property
    def context(self) -> contextvars.Context:
        """All that the actor does runs in its own context: a deadline of whoever woke it up is not its deadline."""
        if self._context is None:
            self._context = self.system.context.copy()
        return self._context

    @property
    def box(self) -> Box:
        if self._box is UNOPENED:
            self._box = open_box(self.ref.address, self.actor.mailbox)
        return self._box

    @property
    def branches(self) -> dict[Branch, None]:
        """The groups of its children, in the order of their start."""
        if self._branches is None:
            self._branches = {}
        return self._branches

    @property
    def work(self) -> Work:
        if self._work is None:
            self._work = Work(self)
        return self._work

    @property
    def timers(self) -> dict[Hashable, Timer]:
        return self.work.timers

    # -- for those who look on ------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self._box) + len(self._box.lobby) + (len(self._signals) if self._signals else 0)

    @property
    def running(self) -> int:
        """How many messages are being handled by tasks."""
        return self._in_flight

    @property
    def losses(self) -> dict[str, int]:
        """How many messages were not handled since the actor was first started, by reason (`Loss`)."""
        return {loss.value: count for loss, count in self._box.losses.items()}

    def busy(self) -> list[str]:
        """What there is to do now; an actor that starts again later (its supervisor backs off) has nothing to do."""
        if self.state is State.STARTING:
            return [f"{self.ref.address} starts"]
        if self.state is State.STOPPED:
            return []
        reasons = [f"{self.depth} messages wait"] if self.depth else []
        if self._in_flight:
            reasons.append(f"{self._in_flight} requests are being handled")
        reasons += [self.actor.busy()] if self.actor.busy() else []
        return [f"{self.ref.address}: {reason}" for reason in reasons]

    # -- life -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make an instance, run on_start, then open the mailbox. Does not raise: a failure is a crash."""
        self.state = State.STARTING
        self.error = None
        try:
            self.new_instance()
        except Exception as error:
            self.crash(error)
            return
        if getattr(self.actor.on_start, "__func__", None) is Actor.on_start:
            self.open()
        else:
            self.work.background(self._start(), "on_start")

    def new_instance(self) -> None:
        self.lives += 1
        self.actor = self.factory()
        self.actor.ctx = Context(self, self.restarts)
        self._receive = None
        self._concurrency = self.actor.concurrency
        if self._box is not UNOPENED and self._box.settings is not self.actor.mailbox:
            self._box = self._box.moved_to(open_box(self.ref.address, self.actor.mailbox))

    async def _start(self) -> None:
        await self.actor.on_start()
        self.open()

    def open(self) -> None:
        if self.state is State.STARTING:
            self.state = State.RUNNING
            if self._box or self._signals:
                self.wake()
            self.system.tree.started(self)

    def crash(self, error: BaseException) -> None:
        """The actor is broken: everything it was doing ends, its supervisor decides what follows.

        The mailbox is kept for the next instance, and what was put aside comes back to its front.
        """
        if self.state is State.STOPPED:
            return
        self.state = State.STOPPED
        self.crashes += 1
        self.error = error
        self.system.log.bind(actor=str(self.ref.address)).error("actor crashed", error=repr(error), exc_info=error)
        crashed = Unknown(f"{self.ref.address} crashed")
        self._end_work(crashed, crashed)
        self.system.crashed(self, error)

    def halt_now(self) -> bool:
        """Where nothing needs to be waited for: do what `stop` does. Returns whether it was so."""
        healthy = self.state is State.RUNNING
        has_tasks = self._work is not None and bool(self._work.tasks)
        if has_tasks or (healthy and getattr(self.actor.on_stop, "__func__", None) is not Actor.on_stop):
            return False
        self.state = State.STOPPED
        self._end_work_stopped()
        return True

    async def stop(self) -> None:
        """A healthy actor learns of it by on_stop; tasks end. The mailbox is kept: `retire` refuses what waits."""
        if self.state is State.RUNNING:
            self.state = State.STOPPED
            try:
                async with asyncio.timeout(self.shutdown_s):
                    await self.actor.on_stop()
            except Exception as error:
                self.actor.ctx.log.error("on_stop failed", error=repr(error))
        await self.halt()

    async def halt(self) -> None:
        """End at once; the mailbox is kept for the next instance."""
        self.state = State.STOPPED
        await self.end_instance()

    def retire(self) -> None:
        """There will be no next instance, as far as anybody knows: whoever waits is told."""
        self.state = State.STOPPED
        stopped = Terminated(f"{self.ref.address} stopped")
        self._box.refuse_all(stopped)
        self.note_idle()
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)

    async def drain(self, drain_s: float) -> None:
        """Nothing comes in any more. Returns when all that waits has been handled, or when the time is over."""
        self.box.close()
        if self._is_idle():
            return
        self._idle = self.system.loop.create_future()
        await asyncio.wait([self._idle], timeout=drain_s)
        self._idle = None

    def _is_idle(self) -> bool:
        """Nothing waits, nothing is being handled, no answer is owed."""
        owes = self._work is not None and bool(self._work.owed)
        return not (self._box or self._signals or self._in_flight or owes)

    def note_idle(self) -> None:
        """Something has ended: perhaps who drains waited for it."""
        if self._idle is not None and not self._idle.done() and self._is_idle():
            self._idle.set_result(None)

    async def end_instance(self) -> None:
        """For another one to take its place: what it does besides handling messages ends."""
        self._end_work_stopped()
        if self._work is not None:
            await self._work.ended(self.shutdown_s)

    def _end_work_stopped(self) -> None:
        self._end_work(Terminated(f"{self.ref.address} stopped"), Unknown(f"{self.ref.address} stopped"))

    def _end_work(self, error: AskError, begun: AskError) -> None:
        """Streams end with `error`; whoever asked for what was `begun` is told that instead."""
        self._in_flight = 0
        if self._work is not None:
            self._work.end(error, begun)
            self._work.unstash()

    # -- mailbox --------------------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> None:
        box = self._box
        if len(box) < box.limit:
            box.append(envelope)
        elif not self._admit(envelope):
            return
        if not self._scheduled:
            self.wake()

    def offer(self, envelope: Envelope) -> None:
        """A `send`: as `deliver`, and its sender is told when it is in the mailbox."""
        if self._admit(envelope):
            envelope.accepted()
            self.wake()

    def _admit(self, envelope: Envelope) -> bool:
        try:
            return self.box.admit(envelope)
        except (UnknownMessage, msgspec.MsgspecError) as error:
            self._refuse_malformed(envelope, error)
        except Exception as error:  # of the mailbox's key, which is the actor's own
            envelope.fail(Unknown(f"{self.ref.address} crashed"))
            self.crash(error)
        return False

    def signal(self, message: Message, watch: Watch | None = None) -> None:
        """A message of the system: never dropped, handled before all that waits, if its watch lasts until then."""
        if self._signals is None:
            self._signals = deque()
        signal = Signal(message, watch)
        if self.system.tracing:
            signal.trace = self.system.tracer.outgoing(None)
        self._signals.append(signal)
        self.wake()

    def tick(self, tick: Tick) -> None:
        if self.system.tracing:
            tick.trace = tick.timer.cause or self.system.tracer.root(self)
        self.box.add_free(tick)
        self.wake()

    def cancel(self, envelope: Envelope) -> None:
        """Whoever sent it does not wait for it any more."""
        task = envelope.task
        if task is not None:
            if self.actor.cancellable:
                task.cancel()
        elif self._work is not None and envelope in self._work.stash:
            self._work.stash.remove(envelope)
            self._box.losses[Loss.WITHDRAWN] += 1
        elif not envelope.taken:
            self._box.withdraw(envelope)

    def wake(self) -> None:
        """There may be something to handle: in the next loop turn."""
        if not self._scheduled and self.state is State.RUNNING:
            self._scheduled = True
            self.system.loop.call_soon(self._drain, context=self.context)

    def _drain(self) -> None:
        self._scheduled = False
        self.turn_now = None
        now = self.system.loop.time()
        budget = TURN_MESSAGES_MAX
        box = self._box
        while budget and self._in_flight < self._concurrency and self.state is State.RUNNING:
            if self._signals:
                signal = self._signals.popleft()
                if not signal.counts():
                    continue
                envelope: Envelope = signal
            elif box:
                envelope = box.popleft()
            else:
                break
            budget -= 1
            self._handle(envelope, now)
        if box.lobby:
            box.fill()
        if (self._box or self._signals) and self._in_flight < self._concurrency:
            self.wake()
        elif self._idle is not None:
            self.note_idle()

    def _handle(self, envelope: Envelope, now: float) -> None:
        if envelope.expires_at <= now and not self._is_due(envelope):
            return
        message = envelope.message
        if message is None:
            try:
                message = envelope.open()
            except (UnknownMessage, msgspec.MsgspecError) as error:
                self._refuse_malformed(envelope, error)
                return
        if self.handled is not None:
            self.handled[message.type_id] += 1
        self.current = envelope
        span = None if envelope.trace is None else self._begin_span(message, envelope.trace)
        try:
            result = (self._receive or self.actor.receive)(message)
            if result is not None or envelope.expects:
                self._finish(envelope, result)
        except Answer as answer:
            envelope.fail(_noted(span, answer))
        except Exception as error:
            envelope.fail(_noted(span, Unknown(f"{self.ref.address} crashed")))
            self.crash(error)
        finally:
            self.current = None
            if span is not None:
                self.system.tracer.left(span)

    def _begin_span(self, message: Message, trace: Span | TraceContext) -> Span:
        return self.system.tracer.handle(self.ref.address, type(message).__name__, trace)

    def _is_due(self, envelope: Envelope) -> bool:
        """It is a tick, or nobody waits for it any more: then it is dropped undecoded."""
        if envelope.expires_at == WITHDRAWN:
            self._box.took_withdrawn()
        elif isinstance(envelope, Tick):
            self._box.took_free()
            envelope.timer.took()
            envelope.expires_at = math.inf
            return True
        else:
            self._box.losses[Loss.EXPIRED] += 1
            self.system.expired += 1
            envelope.discard()
        return False

    def _refuse_malformed(self, envelope: Envelope, error: Exception) -> None:
        log = self.system.log.bind(actor=str(self.ref.address))
        log.warning("message does not decode", error=str(error), sender=str(envelope.sender))
        self.box.losses[Loss.MALFORMED] += 1
        envelope.fail(BadRequest(f"the message does not decode: {error}"))

    def _finish(self, envelope: Envelope, result: object) -> None:
        if result is LATER:
            envelope.take()
        elif type(result) is CoroutineType:
            self._in_flight += 1
            if envelope.trace is not None and isinstance(span := cause.get(), Span):
                span.is_task = True
            self.work.handle(envelope, self._run(envelope, result), result)
        elif type(result) is AsyncGeneratorType:
            self.work.feed(self.work.open_outlet(envelope), result)
        elif envelope.expects:
            self._answer(envelope, result)

    def _answer(self, envelope: Envelope, result: object) -> None:
        """Raises TypeError for what cannot travel, in every world alike."""
        if envelope.taken or result is LATER:
            return
        if not (result is None or isinstance(result, Message)):
            raise TypeError(f"a request is answered with a message, not with {result!r}")
        envelope.answer(result)

    def become(self, receive: Callable[[Message], object]) -> None:
        self._receive = receive

    # -- tasks and callbacks --------------------------------------------------------------------------------------

    def guarded(self, callback: Callable[[], None]) -> None:
        if self.state is State.STOPPED:
            return
        try:
            callback()
        except Exception as error:
            self.crash(error)

    def task_ended(self, envelope: Envelope, *, cancelled: bool) -> None:
        """The task of a coroutine handler has ended."""
        if cancelled:
            envelope.fail(Unknown(f"{self.ref.address} stopped"))
        self._in_flight -= 1
        if not self._scheduled and self.state is State.RUNNING:
            self._drain()

    async def _run(self, envelope: Envelope, coro: CoroutineType[Any, Any, Any]) -> None:
        span = cause.get() if envelope.trace is not None else None
        try:
            result = await coro
            if envelope.expects:
                self._answer(envelope, result)
        except Answer as answer:
            envelope.fail(_noted(span, answer))
        except AskError as error:
            envelope.fail(_noted(span, Unknown(f"{type(error).__name__}: {error}")))
        except Exception as error:
            envelope.fail(_noted(span, Unknown(f"{self.ref.address} crashed")))
            self.crash(error)
        finally:
            if isinstance(span, Span):
                self.system.tracer.end(span)


def _noted(span: Span | TraceContext | None, error: E) -> E:
    """A span says how its message failed."""
    if isinstance(span, Span):
        span.error = f"{type(error).__name__}: {error}"
    return error
