"""One actor's place in its system, and its life: its instances, what a crash does, how it ends.

How its messages come in and are handled is in dispatch.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from actorkube.runtime.actor import Actor, Context
from actorkube.runtime.branch import Branch
from actorkube.runtime.dispatch import RUNNING, STARTING, UNBORN, UNOPENED, Dispatch, State
from actorkube.runtime.group import SHUTDOWN_S
from actorkube.runtime.mailbox import open_box
from protocols.errors import AskError, Terminated, Unknown

if TYPE_CHECKING:
    pass

__all__ = ["Cell", "State"]

NO_CHILDREN: dict[Cell | Branch, None] = {}


class Rare:
    """What most actors never have."""

    __slots__ = ("children", "crashes", "error", "gone", "idle", "shutdown_s")

    def __init__(self) -> None:
        self.crashes = 0
        self.error: BaseException | None = None  # what ended the last instance, when that was a crash
        self.gone: asyncio.Future[None] | None = None  # resolved when an actor that is killed has ended
        self.idle: asyncio.Future[None] | None = None  # who drains waits for it
        self.children: dict[Cell | Branch, None] = {}  # the groups of its children, in the order of their start
        self.shutdown_s = SHUTDOWN_S


class Cell(Dispatch):
    __slots__ = ()

    @property
    def rare(self) -> Rare:
        if self.work.rare is None:
            self.work.rare = Rare()
        return self.work.rare

    @property
    def _rare(self) -> Rare | None:
        """If there is some of it."""
        return None if self._work is None else self._work.rare

    @property
    def restarts(self) -> int:
        return max(0, self.lives - 1)

    @property
    def crashes(self) -> int:
        return 0 if (rare := self._rare) is None else rare.crashes

    @property
    def children(self) -> dict[Cell | Branch, None]:
        return NO_CHILDREN if (rare := self._rare) is None else rare.children

    @property
    def shutdown_s(self) -> float:
        return SHUTDOWN_S if (rare := self._rare) is None else rare.shutdown_s

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
        if self.lives:
            self.state = STARTING
            self.rare.error = None
        try:
            self.new_instance()
        except Exception as error:
            self.crash(error)
            return
        if type(self.actor).on_start is Actor.on_start:
            self.open()
        else:
            self.work.background(self._start(), "on_start")

    def new_instance(self) -> None:
        self.lives += 1  # also when there will be no instance
        actor = self.actor = self.factory()
        actor.ctx = Context(self)
        self._receive = None
        if self.inbox is not UNOPENED and self.inbox.settings is not actor.mailbox:
            self.inbox = self.inbox.moved_to(open_box(self.ref.address, actor.mailbox))

    async def _start(self) -> None:
        await self.actor.on_start()
        self.open()

    def open(self) -> None:
        if self.state is STARTING:
            self.state = RUNNING
            if self.inbox or self.inbox.signals:
                self.wake()
            if isinstance(self.group, Branch):  # else it is alone, and nobody waits for it
                self.system.tree.started(self.group, self.name)

    def crash(self, error: BaseException) -> None:
        """The actor is broken: everything it was doing ends, its supervisor decides what follows.

        The mailbox is kept for the next instance, and what was put aside comes back to its front.
        """
        if self.state is State.STOPPED:
            return
        self.state = State.STOPPED
        self.rare.crashes += 1
        self.rare.error = error
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
        self.actor = UNBORN  # whoever keeps a ref keeps the cell, but not what the actor knew
        self._receive = None
        self.inbox.refuse_all(Terminated(f"{self.ref.address} stopped"))
        self.note_idle()
        if (rare := self._rare) is not None and (gone := rare.gone) is not None and not gone.done():
            gone.set_result(None)

    async def drain(self, drain_s: float) -> None:
        """Nothing comes in any more. Returns when all that waits has been handled, or when the time is over."""
        self.box.close()
        if self.is_idle():
            return
        idle = self.rare.idle = self.system.loop.create_future()
        await asyncio.wait([idle], timeout=drain_s)
        self.rare.idle = None

    def note_idle(self) -> None:
        if (rare := self._rare) is None or (idle := rare.idle) is None:
            return
        if not idle.done() and self.is_idle():
            idle.set_result(None)

    async def end_instance(self, *, keep_timers: bool = False) -> None:
        """For another one to take its place: what it does besides handling messages ends."""
        self._end_work_stopped(keep_timers=keep_timers)
        if self._work is not None:
            await self._work.ended(self.shutdown_s)

    def _end_work_stopped(self, *, keep_timers: bool = False) -> None:
        stopped, begun = Terminated(f"{self.ref.address} stopped"), Unknown(f"{self.ref.address} stopped")
        self._end_work(stopped, begun, keep_timers=keep_timers)

    def _end_work(self, error: AskError, begun: AskError, *, keep_timers: bool = False) -> None:
        """Streams end with `error`; whoever asked for what was `begun` is told that instead."""
        self._in_flight = 0
        if self._work is not None:
            self._work.end(error, begun, keep_timers=keep_timers)
            self._work.unstash()
