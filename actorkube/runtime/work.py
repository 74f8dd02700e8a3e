"""What an actor has beside its mailbox: tasks, streams that it feeds, timers, answers it owes, messages put aside.

Most actors of a large system have none of it at any time, so it is made when it is first needed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Coroutine, Hashable
from typing import TYPE_CHECKING, Any

from actorkube.runtime.deadline import deadline
from actorkube.runtime.envelope import Envelope, Opening
from actorkube.runtime.mailbox import Loss
from actorkube.runtime.reply import TakenReply
from actorkube.runtime.stream import Outlet
from actorkube.runtime.tracing import cause
from protocols.errors import Answer, AskError, BadRequest, Overloaded
from protocols.message import Message

if TYPE_CHECKING:
    from actorkube.runtime.cell import Rare
    from actorkube.runtime.dispatch import Dispatch
    from actorkube.runtime.timer import Timer

OUTLETS_SWEPT_FIRST = 16


class Work:
    """One actor's."""

    __slots__ = ("_cell", "_sweep_at", "outlets", "owed", "rare", "stash", "tasks", "timers")

    def __init__(self, cell: Dispatch) -> None:
        self._cell = cell
        # With the message that a task handles, unless it is of the background or of a life that is over.
        self.tasks: dict[asyncio.Task[object], tuple[Envelope | None, Coroutine[Any, Any, object]]] = {}
        self.outlets: dict[Outlet, None] = {}
        self.timers: dict[Hashable, Timer] = {}
        self.owed: dict[TakenReply, None] = {}
        self.stash: list[Envelope] = []
        self.rare: Rare | None = None
        self._sweep_at = OUTLETS_SWEPT_FIRST

    def handle(self, envelope: Envelope, coro: Coroutine[Any, Any, object], inner: Coroutine[Any, Any, object]) -> None:
        """A coroutine handler: what it asks on the way has the deadline of its message."""
        envelope.begin(self._spawn(coro, envelope.expires_at, inner, envelope))

    def background(self, coro: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:
        return self._spawn(self._guard(coro), math.inf, coro, name=f"{self._cell.ref.address}:{name}")

    def feed(self, outlet: Outlet, items: AsyncGenerator[Message, None]) -> None:
        task = self._spawn(pump := self._pump(outlet, items), math.inf, pump)
        outlet.on_closed = task.cancel  # type: ignore[assignment]

    def open_outlet(self, envelope: Envelope) -> Outlet:
        if not isinstance(envelope, Opening):
            raise BadRequest("this message opens a stream: it is not told or asked")
        if len(self.outlets) >= self._sweep_at:  # those that are closed are forgotten now and then
            self.outlets = {known: None for known in self.outlets if not known.closed}
            self._sweep_at = 2 * len(self.outlets) + OUTLETS_SWEPT_FIRST
        outlet = envelope.take_outlet()
        self.outlets[outlet] = None
        return outlet

    def take_reply(self, envelope: Envelope) -> TakenReply:
        envelope.take()
        reply = TakenReply(self, envelope)
        if envelope.expects:
            self.owed[reply] = None
        return reply

    def answered(self, reply: TakenReply) -> None:
        self.owed.pop(reply, None)
        if self.rare is not None:
            self._cell.note_idle()

    def put_aside(self, envelope: Envelope) -> None:
        if len(self.stash) >= self._cell.actor.mailbox.stash:
            full = Overloaded(f"{self._cell.ref.address} has put aside as many messages as it may")
            self._cell.box.lose(envelope, Loss.REFUSED, full)
            return
        envelope.take()
        told = Envelope(envelope.message, envelope.sender, None, math.inf)  # a tick is one no more
        self.stash.append(told if envelope.is_free else envelope)

    def unstash(self) -> None:
        """What was put aside waits again, in its order, before all else."""
        stashed, self.stash = self.stash, []
        if stashed:
            for envelope in stashed:
                envelope.give_back()
            self._cell.box.put_back(stashed)
            self._cell.wake()

    def end(self, error: AskError, begun: AskError, *, keep_timers: bool = False) -> None:
        """Streams end with `error`; whoever asked for what was begun is told `begun`."""
        if not keep_timers:
            for timer in list(self.timers.values()):
                timer.cancel()
        for task, (envelope, coro) in list(self.tasks.items()):
            self.tasks[task] = (None, coro)
            if envelope is not None:
                envelope.fail(begun)
            task.cancel()
        for outlet in list(self.outlets):
            outlet.on_closed = None
            outlet.end(error)
        for reply in list(self.owed):
            reply.fail(begun)
        self.outlets.clear()

    def handling(self) -> list[asyncio.Task[object]]:
        """Tasks that handle a message."""
        return [task for task, (envelope, _) in self.tasks.items() if envelope is not None]

    async def ended(self, within_s: float) -> None:
        """Returns when no task runs any more, or when the time is over: then whoever looks at the log is told."""
        tasks = [task for task in self.tasks if task is not asyncio.current_task()]
        if not tasks:
            return
        _, stuck = await asyncio.wait(tasks, timeout=within_s)
        if stuck:
            names = sorted(task.get_name() for task in stuck)
            self._cell.system.log.error("tasks do not end", actor=str(self._cell.ref.address), tasks=names)

    def _spawn(
        self,
        coro: Coroutine[Any, Any, object],
        expires_at: float,
        inner: Coroutine[Any, Any, object],
        envelope: Envelope | None = None,
        name: str | None = None,
    ) -> asyncio.Task[object]:
        cell = self._cell
        context = cell.context.copy()
        context.run(deadline.set, expires_at)
        if cell.system.tracing:
            context.run(cause.set, cell.system.tracer.following(cell))
        task = cell.system.loop.create_task(coro, name=name, context=context)
        self.tasks[task] = (envelope, inner)
        task.add_done_callback(self._done, context=cell.context)
        return task

    def _done(self, task: asyncio.Task[object]) -> None:
        envelope, inner = self.tasks.pop(task)
        inner.close()  # the task may have been cancelled before it began
        if envelope is not None:
            self._cell.task_ended(envelope, cancelled=task.cancelled())

    async def _guard(self, coro: Coroutine[Any, Any, object]) -> object:
        try:
            return await coro
        except Exception as error:
            self._cell.crash(error)
            return None

    async def _pump(self, outlet: Outlet, items: AsyncGenerator[Message, None]) -> None:
        error: Answer | AskError | None = None
        try:
            async for item in items:
                await outlet.put(item)
        except (Answer, AskError) as refusal:
            error = refusal
        except Exception as bug:
            self._cell.crash(bug)
        finally:
            await items.aclose()
            outlet.on_closed = None
            outlet.end(error)
            self.outlets.pop(outlet, None)
