"""What runs on the simulated loop: handles, futures and tasks, and the domains that they belong to.

Whatever runs, runs in a context, and a context may belong to a `Domain`: a simulated host. Callbacks and tasks inherit
it, so a whole host can be stopped between two callbacks: those of a dead domain are dropped, those of a paused one are
kept until it resumes. No `finally` of a dead domain's coroutines runs before the loop is closed, as after a kill.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from actorkube.sim.clock import Clock
    from actorkube.sim.loop import SimLoop


class State(enum.IntEnum):
    RUNNING = 0
    PAUSED = 1
    DEAD = 2


class Domain:
    """What lives, pauses and dies together."""

    def __init__(self, name: str, clock: Clock | None = None) -> None:
        self.name = name
        self.clock = clock  # which its timers follow; without one, the world's
        self.state = State.RUNNING
        self.held: list[SimHandle] = []  # came due while paused

    def set_aside(self, handle: SimHandle) -> None:
        if self.state is State.PAUSED:
            self.held.append(handle)


domain: contextvars.ContextVar[Domain | None] = contextvars.ContextVar("domain", default=None)


class SimHandle(msgspec.Struct, eq=False):
    """A callback, due now or at a time, and the domain that it belongs to: what asyncio knows as a TimerHandle.

    A struct, because each step of a simulation needs one: it is made in half the time that a class takes.
    """

    due_at: float
    callback: Any
    args: tuple[Any, ...]
    loop: SimLoop
    context: contextvars.Context
    owner: Domain | None
    is_clocked: bool = True  # due by the clock of its owner; False: by the world's time
    is_cancelled: bool = False

    @property
    def clock(self) -> Clock | None:
        """By which its time is meant; None: the world's."""
        return self.owner.clock if self.is_clocked and self.owner is not None else None

    def when(self) -> float:
        return self.due_at

    def cancelled(self) -> bool:
        return self.is_cancelled

    def cancel(self) -> None:
        if not self.is_cancelled:
            self.is_cancelled = True
            self.callback, self.args = None, ()  # it may stay in the loop's queue for a long time
            self.loop.note_cancelled()

    def __repr__(self) -> str:
        return f"<{getattr(self.callback, '__qualname__', self.callback)}() due at {self.due_at}>"


class SimFuture(asyncio.Future[Any]):
    """Hashed by birth number, not by address: a set of them has the same order in every process."""

    def __init__(self, *, loop: SimLoop) -> None:
        self.birth = next(loop.births)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.birth


class SimTask(asyncio.Task[Any]):
    def __init__(
        self, coro: Coroutine[Any, Any, Any], *, loop: SimLoop, context: contextvars.Context | None, name: str | None
    ) -> None:
        self.birth = next(loop.births)
        self.priority: float | None = None  # where tasks have one (actorkube/sim/policies.py)
        self.domain = domain.get() if context is None else context.get(domain)
        super().__init__(coro, loop=loop, name=name or f"task {self.birth}", context=context)

    def __hash__(self) -> int:
        return self.birth
