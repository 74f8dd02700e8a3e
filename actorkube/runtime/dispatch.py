"""How one actor's messages come in and are handled: a cell (cell.py) is this, and the actor's life.

A turn drains up to 128 messages, signals first. A synchronous handler costs no task. A coroutine handler becomes a
task, and while `concurrency` of them run, the mailbox waits; so an actor with concurrency 1 is never re-entered. What
an actor may never need (mailbox, context, tasks, timers) is made when it is first needed.

A message that was told here and that nobody follows, as most are, is handled in the loop of `_drain` itself: `receive`
is the third Python call after `tell` and `_drain`. Everything else takes the way through `handle`.
"""

from __future__ import annotations

import contextvars
import enum
import functools
import math
from collections import deque
from collections.abc import Callable, Hashable
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from actorkube.runtime.actor import LATER, Actor, Ref
from actorkube.runtime.envelope import WITHDRAWN, Envelope, Signal, Tick
from actorkube.runtime.mailbox import Box, Loss, Mailbox, open_box
from actorkube.runtime.tracing import Span, cause
from actorkube.runtime.work import Work
from protocols.address import Address
from protocols.errors import Answer, AskError, BadRequest, Unknown
from protocols.message import Message, UnknownMessage
from protocols.trace import TraceContext

if TYPE_CHECKING:
    from actorkube.runtime.branch import Branch, Terms
    from actorkube.runtime.monitors import Watch
    from actorkube.runtime.system import System
    from actorkube.runtime.timer import Timer

E = TypeVar("E", Answer, AskError)

TURN_MESSAGES_MAX = 128
UNOPENED = Box(Address("", ""), Mailbox())
UNOPENED.limit = 0
UNBORN = Actor()  # until there is an instance


class State(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


STARTING, RUNNING = State.STARTING, State.RUNNING  # a member of an enum is looked up anew at each use


class Dispatch:
    __slots__ = (
        *("_context", "_in_flight", "_receive", "_ref", "_work", "actor", "current", "factory", "group", "home"),
        *("inbox", "lives", "name", "scheduled", "state", "system"),
    )
    handled: dict[int, int] | None = None  # by message number, where metrics are on

    def __init__(
        self,
        system: System,
        name: str,
        factory: Callable[[], Actor],
        group: Branch | Terms,
        home: System | None = None,
    ) -> None:
        """All of a cell, in one call: there may be very many."""
        self.system = system
        self.name = name
        self.factory = factory
        self.group = group  # that supervises it
        self.home = home  # its system, while messages reach it there
        self.state = STARTING
        self.actor = UNBORN
        self.lives = 0  # instances so far
        self.inbox = UNOPENED  # `box`, if it has been opened
        self.scheduled = False
        self.current: Envelope | None = None
        self._receive: Callable[[Message], object] | None = None  # of the instance, or what it has become
        self._ref: Ref | None = None
        self._context: contextvars.Context | None = None
        self._work: Work | None = None
        self._in_flight = 0

    def __repr__(self) -> str:
        return f"<{self.ref.address}>"

    def crash(self, error: BaseException) -> None:
        raise NotImplementedError

    # -- what is made when it is needed ---------------------------------------------------------------------------

    @property
    def ref(self) -> Ref:
        if self._ref is None:
            self._ref = Ref(Address(self.system.name, self.name))
        return self._ref

    @property
    def context(self) -> contextvars.Context:
        """All that the actor does runs in its own context: a deadline of whoever woke it up is not its deadline."""
        if self._context is None:
            self._context = self.system.context.copy()
        return self._context

    @property
    def box(self) -> Box:
        if self.inbox is UNOPENED:
            self.inbox = open_box(self.ref.address, self.actor.mailbox)
        return self.inbox

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
        box = self.inbox
        return len(box) + len(box.lobby) + (len(box.signals) if box.signals else 0)

    @property
    def running(self) -> int:
        """How many messages are being handled by tasks."""
        return self._in_flight

    @property
    def losses(self) -> dict[str, int]:
        """How many messages were not handled since the actor was first started, by reason (`Loss`)."""
        return {loss.value: count for loss, count in self.inbox.losses.items()}

    def is_idle(self) -> bool:
        """Nothing waits, nothing is being handled, no answer is owed."""
        owes = self._work is not None and bool(self._work.owed)
        return not (self.inbox or self.inbox.signals or self._in_flight or owes)

    def note_idle(self) -> None:
        """Something has ended: perhaps who drains waited for it."""

    # -- coming in ------------------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> None:
        box = self.inbox
        if len(box) < box.limit:
            box.append(envelope)
        elif not self._admit(envelope):
            return
        if not self.scheduled:
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
        box = self.box
        if box.signals is None:
            box.signals = deque()
        trace = self.system.tracer.outgoing(None) if self.system.tracing else None
        box.signals.append(Signal(message, None, trace, math.inf, watch))
        self.wake()

    def tick(self, tick: Tick) -> None:
        """In the actor's context. Where nothing is before it, it is handled at once: that spares a turn of the loop."""
        if self.system.tracing:
            tick.trace = tick.timer.cause or self.system.tracer.root(self)
        if not self.may_handle_at_once():
            tick.expires_at = 0.0  # whether it still counts is looked at when its turn comes
            self.box.add_free(tick)
            self.wake()
            return
        tick.timer.took()
        self.handle_at_once(tick)

    def may_handle_at_once(self) -> bool:
        """Nothing is before a message that comes now. (Where turns are counted, a message has its turn: metered.py.)"""
        inbox = self.inbox
        return not (
            self.scheduled
            or inbox
            or inbox.signals
            or inbox.closed
            or self._in_flight >= self.actor.concurrency
            or self.state is not RUNNING
        )

    def handle_at_once(self, envelope: Envelope) -> None:
        """In the actor's context: a turn of its own for a message that is decoded, and that nobody waits for."""
        self.system.turn_now = None
        if envelope.trace is not None:
            self.handle(envelope, 0.0)
            return
        self.current = envelope
        try:
            result = (self._receive or self._bind())(envelope.message)  # type: ignore[arg-type]
            if result is not None:
                self._finish(envelope, result)
        except Answer:
            pass  # a refusal of what nobody asked
        except Exception as error:
            self.crash(error)
        finally:
            self.current = None

    def cancel(self, envelope: Envelope) -> None:
        """Whoever sent it does not wait for it any more."""
        task = envelope.task
        if task is not None:
            if self.actor.cancellable:
                task.cancel()
        elif self._work is not None and envelope in self._work.stash:
            self._work.stash.remove(envelope)
            self.inbox.losses[Loss.WITHDRAWN] += 1
        elif not envelope.taken:
            self.inbox.withdraw(envelope)

    # -- being handled --------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be something to handle: in the next loop turn."""
        if not self.scheduled and self.state is RUNNING:
            self.scheduled = True
            self.system.awake += 1
            corked = self.system.corked
            if corked is not None:
                corked.append(self)  # type: ignore[arg-type]  # a cell is all that this is ever a part of
            else:
                self.system.loop.call_soon(self._drain, context=self._context or self.context)

    def _drain(self) -> None:
        if self.scheduled:
            self.scheduled = False
            self.system.awake -= 1
            self.system.at_once = self.system.at_once_max
        self.system.turn_now = None
        now = self.system.loop.time()
        budget, concurrency = TURN_MESSAGES_MAX, self.actor.concurrency
        box, handled = self.inbox, self.handled
        try:
            while budget and self._in_flight < concurrency and self.state is RUNNING:
                if box.signals:
                    signal = box.signals.popleft()
                    if signal.counts():
                        budget -= 1
                        self.handle(signal, now)
                    continue
                if not box:
                    break
                envelope = box.popleft()
                budget -= 1
                if type(envelope) is not Envelope or envelope.trace is not None:
                    self.handle(envelope, now)
                    continue
                message: Message = envelope.message  # type: ignore[assignment]  # it was told here: it is decoded
                if handled is not None:
                    handled[message.type_id] += 1
                self.current = envelope
                try:
                    result = (self._receive or self._bind())(message)
                    if result is not None:
                        self._finish(envelope, result)
                except Answer:
                    pass  # a refusal of what nobody asked
                except Exception as error:
                    self.current = None
                    self.crash(error)
        finally:
            self.current = None
        if box.lobby:
            box.fill()
        if (self.inbox or self.inbox.signals) and self._in_flight < concurrency:
            self.wake()
        elif box.closed:
            self.note_idle()

    @property
    def is_free(self) -> bool:
        """Nothing is before a message that would be delivered now."""
        inbox = self.inbox
        waits = inbox or inbox.signals or not inbox.limit
        return not waits and self._in_flight < self.actor.concurrency and self.state is RUNNING

    def _bind(self) -> Callable[[Message], object]:
        """A method is bound once, not for each message."""
        self._receive = self.actor.receive
        return self._receive

    def handle(self, envelope: Envelope, now: float) -> None:
        """In the actor's context. `now` is loop time."""
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
            result: Any = (self._receive or self._bind())(message)
            if envelope.expects and _is_message(type(result)) and not envelope.taken:
                envelope.answer(result)
            elif result is not None or envelope.expects:
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
            self.inbox.took_withdrawn()
        elif isinstance(envelope, Tick):
            self.inbox.took_free()
            envelope.timer.took()
            envelope.expires_at = math.inf
            return True
        else:
            self.inbox.losses[Loss.EXPIRED] += 1
            self.system.expired += 1
            envelope.discard()
        return False

    def _refuse_malformed(self, envelope: Envelope, error: Exception) -> None:
        log = self.system.log.bind(actor=str(self.ref.address))
        log.warning("message does not decode", error=str(error), sender=str(envelope.sender))
        self.box.losses[Loss.MALFORMED] += 1
        envelope.fail(BadRequest(f"the message does not decode: {error}"))

    def _finish(self, envelope: Envelope, result: Any) -> None:
        kind = type(result)
        if result is None or _is_message(kind):
            if envelope.expects and not envelope.taken:
                envelope.answer(result)
        elif kind is CoroutineType:
            self._in_flight += 1
            if envelope.trace is not None and isinstance(span := cause.get(), Span):
                span.is_task = True
            self.work.handle(envelope, self._run(envelope, result), result)
        elif result is LATER:
            self._owe(envelope)
        elif kind is AsyncGeneratorType:
            self.work.feed(self.work.open_outlet(envelope), result)
        elif envelope.expects:
            self._answer(envelope, result)

    def _owe(self, envelope: Envelope) -> None:
        """Also when the handler has taken no reply handle, its asker is told when the actor ends."""
        if envelope.taken:
            return
        if envelope.expects and envelope.is_wanted:
            self.work.take_reply(envelope)
        envelope.take()

    def _answer(self, envelope: Envelope, result: Any) -> None:
        """Raises TypeError for what cannot travel, in every world alike."""
        if envelope.taken:
            return
        if result is LATER:
            self._owe(envelope)
            return
        if not (result is None or _is_message(type(result))):
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
        if not self.scheduled and self.state is RUNNING:
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


# Remembered for each class: a struct's class is slow to ask.
_is_message: Callable[[type], bool] = functools.cache(lambda kind: issubclass(kind, Message))


def _noted(span: Span | TraceContext | None, error: E) -> E:
    """A span says how its message failed."""
    if isinstance(span, Span):
        span.error = f"{type(error).__name__}: {error}"
    return error
