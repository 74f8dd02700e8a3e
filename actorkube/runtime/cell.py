"""One actor's place in its system: its mailbox, the dispatch of its messages, its tasks, and what a crash does.

Dispatch drains up to 128 messages in one loop turn. A synchronous handler costs no task. A coroutine handler becomes a
task, and while `concurrency` of them run, the mailbox waits; so an actor with concurrency 1 is never re-entered.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any

import msgspec

from actorkube.runtime.actor import LATER, Actor, Context, Mailbox, Ref, Timer
from actorkube.runtime.group import SHUTDOWN_S
from actorkube.runtime.reply import NO_REPLY, ReplyHandle
from actorkube.runtime.stream import Outlet
from actorkube.runtime.tracing import Span, cause
from protocols.errors import Answer, AskError, BadRequest, Overloaded, Terminated, Unknown
from protocols.message import Message, UnknownMessage, decode
from protocols.trace import TraceContext

if TYPE_CHECKING:
    from actorkube.runtime.link import Link
    from actorkube.runtime.system import System
    from actorkube.runtime.tree import Branch

TURN_MESSAGES_MAX = 128

# When the request that a task works for runs out of time (loop time): asks made on the way inherit it.
deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=math.inf)


class State(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


class Envelope:
    """A message in a mailbox, still encoded when it came over a link, and how its answer gets back."""

    __slots__ = (
        "body",
        "corr",
        "credit",
        "expires_at",
        "link",
        "message",
        "outlet",
        "reply",
        "sender",
        "span",
        "timer",
        "trace",
        "type_id",
    )

    def __init__(
        self,
        message: Message | None,
        sender: Ref | None = None,
        reply: ReplyHandle = NO_REPLY,
        expires_at: float = math.inf,
        type_id: int = 0,
        body: bytes = b"",
    ) -> None:
        self.message = message
        self.sender = sender
        self.reply = reply
        self.expires_at = expires_at
        self.type_id = type_id
        self.body = body
        self.timer: Timer | None = None
        self.link: Link | None = None  # set for a stream request
        self.corr = 0
        self.credit = 0
        self.outlet: Outlet | None = None
        self.trace: Span | TraceContext | None = None  # its cause, when it is followed
        self.span: Span | None = None  # while it is handled

    def take_reply(self) -> ReplyHandle:
        reply, self.reply = self.reply, NO_REPLY
        return reply

    def take_outlet(self, system: System) -> Outlet:
        if self.link is None:
            raise BadRequest("this message opens a stream: it is not told or asked")
        if self.outlet is None:
            self.outlet = Outlet(self.link, self.corr, self.credit, system)
        return self.outlet

    def fail(self, error: Answer | AskError) -> None:
        if self.span is not None:
            self.span.error = f"{type(error).__name__}: {error}"
        if self.link is not None:
            outlet = self.outlet or Outlet(self.link, self.corr, self.credit)
            outlet.end(error)
        else:
            self.reply.fail(error)


class Cell:
    def __init__(
        self, system: System, ref: Ref, factory: Callable[[], Actor], branch: Branch, shutdown_s: float = SHUTDOWN_S
    ) -> None:
        self.system = system
        self.ref = ref
        self.factory = factory
        self.branch = branch  # the group that supervises it
        self.branches: dict[Branch, None] = {}  # the groups of its children, in the order of their start
        self.shutdown_s = shutdown_s
        self.state = State.STARTING
        self.current: Envelope | None = None
        # All that the actor does runs in its own context: a deadline of whoever woke it up is not its deadline.
        self.context = system.context.copy()
        self.timers: dict[Timer, None] = {}
        self.lives = 0  # instances so far
        self.error: BaseException | None = None  # what ended the last instance, when that was a crash
        self.gone: asyncio.Future[None] | None = None  # resolved when an actor that is killed has ended
        self.handled: dict[int, int] | None = None  # by message number, where metrics are on
        self.dropped = 0
        self.expired = 0
        self.crashes = 0
        self._mailbox: deque[Envelope] = deque()
        self._tasks: dict[asyncio.Task[object], tuple[Envelope, CoroutineType[Any, Any, Any]] | None] = {}
        self._outlets: dict[Outlet, None] = {}
        self._in_flight = 0
        self._scheduled = False
        self._capacity = Mailbox().capacity  # until there is an instance that says otherwise
        self._concurrency = 1

    @property
    def name(self) -> str:
        return self.ref.address.actor

    @property
    def restarts(self) -> int:
        return max(0, self.lives - 1)

    # -- life -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make an instance, run on_start, then open the mailbox. Does not raise: a failure is a crash."""
        self.state = State.STARTING
        self.error = None
        self.lives += 1
        try:
            self._new_actor()
        except Exception as error:
            self.crash(error)
            return
        if type(self.actor).on_start is Actor.on_start:
            self._open()
        else:
            self._spawn(self._start(), math.inf)

    def _new_actor(self) -> None:
        self.actor = self.factory()
        self.actor.ctx = Context(self, self.restarts)
        self._capacity = self.actor.mailbox.capacity
        self._concurrency = self.actor.concurrency

    async def _start(self) -> None:
        try:
            await self.actor.on_start()
        except Exception as error:
            self.crash(error)
            return
        self._open()

    def _open(self) -> None:
        if self.state is State.STARTING:
            self.state = State.RUNNING
            self._schedule()
            self.system.tree.started(self)

    def crash(self, error: BaseException) -> None:
        """The actor is broken: everything it was doing ends, its supervisor decides what follows."""
        if self.state is State.STOPPED:
            return
        self.state = State.STOPPED
        self.crashes += 1
        self.error = error
        self.system.log.bind(actor=str(self.ref.address)).error("actor crashed", error=repr(error), exc_info=error)
        for task in list(self._tasks):
            task.cancel()
        self._end_timers_and_outlets(Unknown(f"{self.ref.address} crashed"))
        self.system.crashed(self, error)

    def halt_now(self) -> bool:
        """Where nothing needs to be waited for: do what `stop` does. Returns whether it was so."""
        healthy = self.state is State.RUNNING
        if self._tasks or (healthy and type(self.actor).on_stop is not Actor.on_stop):
            return False
        self.state = State.STOPPED
        self._end_timers_and_outlets(Terminated(f"{self.ref.address} stopped"))
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
        await self._end_tasks()

    def retire(self) -> None:
        """There will be no next instance, as far as anybody knows: whoever waits is told."""
        self.state = State.STOPPED
        self._refuse_waiting()
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)

    async def _end_tasks(self) -> None:
        tasks = [t for t in self._tasks if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=self.shutdown_s)
            if stuck:
                names = sorted(task.get_name() for task in stuck)
                self.system.log.error("tasks do not end", actor=str(self.ref.address), tasks=names)
        self._end_timers_and_outlets(Terminated(f"{self.ref.address} stopped"))

    def _end_timers_and_outlets(self, error: AskError) -> None:
        for timer in list(self.timers):
            timer.cancel()
        for outlet in list(self._outlets):
            outlet.on_closed = None
            outlet.end(error)
        self._outlets.clear()
        self._in_flight = 0

    def _refuse_waiting(self) -> None:
        while self._mailbox:
            self._mailbox.popleft().fail(Terminated(f"{self.ref.address} stopped"))

    # -- for those who look on ------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self._mailbox)

    @property
    def running(self) -> int:
        """How many messages are being handled by tasks."""
        return self._in_flight

    @property
    def losses(self) -> dict[str, int]:
        """How many messages were not handled, by reason."""
        return {"refused": self.dropped, "expired": self.expired}

    def busy(self) -> list[str]:
        """What there is to do now; an actor that starts again later (its supervisor backs off) has nothing to do."""
        if self.state is State.STARTING:
            return [f"{self.ref.address} starts"]
        if self.state is State.STOPPED:
            return []
        reasons = [f"{len(self._mailbox)} messages wait"] if self._mailbox else []
        if self._in_flight:
            reasons.append(f"{self._in_flight} requests are being handled")
        reasons += [self.actor.busy()] if self.actor.busy() else []
        return [f"{self.ref.address}: {reason}" for reason in reasons]

    # -- mailbox --------------------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> None:
        if len(self._mailbox) >= self._capacity:
            self.dropped += 1
            envelope.fail(Overloaded(f"the mailbox of {self.ref.address} is full"))
            return
        self._mailbox.append(envelope)
        if not self._scheduled:
            self._schedule()

    def tick(self, message: Message, timer: Timer) -> None:
        """A timer's message: one per timer at most, so it needs no bound and is never dropped."""
        envelope = Envelope(message)
        envelope.timer = timer
        if self.system.tracing:
            envelope.trace = timer.cause or self.system.tracer.root()
        self._mailbox.append(envelope)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self.state is State.RUNNING:
            self._scheduled = True
            self.system.loop.call_soon(self._drain, context=self.context)

    def _drain(self) -> None:
        self._scheduled = False
        budget = TURN_MESSAGES_MAX
        mailbox = self._mailbox
        while mailbox and budget and self._in_flight < self._concurrency and self.state is State.RUNNING:
            budget -= 1
            self._handle(mailbox.popleft())
        if mailbox and self._in_flight < self._concurrency:
            self._schedule()

    def _handle(self, envelope: Envelope) -> None:
        if envelope.expires_at <= self.system.loop.time():
            self.expired += 1
            self.system.expired += 1  # nobody waits any more: it is dropped undecoded
            return
        if envelope.timer is not None and not envelope.timer.read():
            return
        try:
            message = envelope.message or decode(envelope.type_id, envelope.body)
        except (UnknownMessage, msgspec.MsgspecError) as error:
            self.actor.ctx.log.warning("message does not decode", error=str(error), sender=str(envelope.sender))
            envelope.fail(BadRequest(f"the message does not decode: {error}"))
            return
        if self.handled is not None:
            self.handled[message.type_id] += 1
        self.current = envelope
        if envelope.trace is not None:
            envelope.span = self.system.tracer.handle(str(self.ref.address), type(message).__name__, envelope.trace)
        try:
            self._finish(envelope, self.actor.receive(message))
        except Answer as answer:
            envelope.fail(answer)
        except Exception as error:
            envelope.fail(Unknown(f"{self.ref.address} crashed"))
            self.crash(error)
        finally:
            self.current = None
            if envelope.span is not None:
                self.system.tracer.left(envelope.span)

    def _finish(self, envelope: Envelope, result: object) -> None:
        if envelope.outlet is not None:
            self._outlets = {o: None for o in self._outlets if not o.closed}
            self._outlets[envelope.outlet] = None
        if result is LATER:
            return
        if type(result) is CoroutineType:
            self._in_flight += 1
            if envelope.span is not None:
                envelope.span.is_task = True
            task = self._spawn(self._run(envelope, result), envelope.expires_at)
            self._tasks[task] = (envelope, result)
        elif type(result) is AsyncGeneratorType:
            outlet = envelope.take_outlet(self.system)
            self._outlets[outlet] = None
            self._pump_task(outlet, result)
        else:
            self._answer(envelope, result)

    def _answer(self, envelope: Envelope, result: object) -> None:
        """Raises TypeError for what cannot travel, in every world alike."""
        if envelope.link is not None:
            if envelope.outlet is None and result is None:
                envelope.fail(BadRequest(f"{self.ref.address} has no such stream"))
            elif envelope.outlet is None:
                raise TypeError(f"a stream is answered by a generator or through ctx.outlet(), not with {result!r}")
        elif envelope.reply is not NO_REPLY and result is not LATER:
            if not (result is None or isinstance(result, Message)):
                raise TypeError(f"a request is answered with a message, not with {result!r}")
            envelope.reply.send(result)

    # -- tasks ----------------------------------------------------------------------------------------------------

    def background(self, coro: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:
        task = self._spawn(self._guard(coro), math.inf)
        task.set_name(f"{self.ref.address}:{name}")
        task.add_done_callback(lambda _: coro.close())  # an actor may be stopped before its task has begun
        return task

    def guarded(self, callback: Callable[[], None]) -> None:
        if self.state is State.STOPPED:
            return
        try:
            callback()
        except Exception as error:
            self.crash(error)

    def _spawn(self, coro: Coroutine[Any, Any, object], expires_at: float) -> asyncio.Task[object]:
        context = self.context.copy()
        context.run(deadline.set, expires_at)
        if self.system.tracing:
            context.run(cause.set, self.system.tracer.following(self))
        task = self.system.loop.create_task(coro, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[object]) -> None:
        handling = self._tasks.pop(task, None)
        if handling is not None and task.cancelled():  # perhaps before its first step
            envelope, coro = handling
            coro.close()
            envelope.fail(Unknown(f"{self.ref.address} stopped"))

    async def _guard(self, coro: Coroutine[Any, Any, object]) -> object:
        try:
            return await coro
        except Exception as error:
            self.crash(error)
            return None

    async def _run(self, envelope: Envelope, coro: CoroutineType[Any, Any, Any]) -> None:
        try:
            self._answer(envelope, await coro)
        except Answer as answer:
            envelope.fail(answer)
        except AskError as error:
            envelope.fail(Unknown(f"{type(error).__name__}: {error}"))
        except asyncio.CancelledError:
            envelope.fail(Unknown(f"{self.ref.address} stopped"))
            raise
        except Exception as error:
            envelope.fail(Unknown(f"{self.ref.address} crashed"))
            self.crash(error)
        finally:
            if envelope.span is not None:
                self.system.tracer.end(envelope.span)
            if self.state is State.RUNNING:
                self._in_flight -= 1
                self._schedule()

    def _pump_task(self, outlet: Outlet, items: AsyncGenerator[Message, None]) -> None:
        task = self._spawn(self._pump(outlet, items), math.inf)
        outlet.on_closed = task.cancel  # type: ignore[assignment]

    async def _pump(self, outlet: Outlet, items: AsyncGenerator[Message, None]) -> None:
        error: Answer | AskError | None = None
        try:
            async for item in items:
                await outlet.put(item)
        except (Answer, AskError) as refusal:
            error = refusal
        except Exception as bug:
            self.crash(bug)
        finally:
            await items.aclose()
            outlet.on_closed = None
            outlet.end(error)
            self._outlets.pop(outlet, None)
