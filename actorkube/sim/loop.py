"""A deterministic asyncio loop: time is a number that jumps to the next timer, and nothing from outside gets in.

Order: `call_soon` is first in, first out, and timers of one instant fire in the order in which they were set. Only
steps of tasks that are ready in the same turn may be put in another order, because asyncio promises nothing there.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import itertools
import math
import weakref
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any, TypeVarTuple

from actorkube.sim.clock import Clock
from actorkube.sim.errors import Deadlock, OutOfSteps, OutOfTime, RealWorld
from actorkube.sim.garbage import GC_STEPS
from actorkube.sim.policies import Policy
from actorkube.sim.tasks import Domain, SimFuture, SimHandle, SimTask, State, domain

Ts = TypeVarTuple("Ts")

CANCELLED_TIMERS_MAX = 10_000
TASKS_SWEPT_FIRST = 1_000
ASYNCIO = str(Path(asyncio.__file__).parent)
INF = math.inf
DEAD = State.DEAD  # a member of an enum is looked up anew at each use


class SimLoop(asyncio.BaseEventLoop):
    """`policy` orders the steps of ready tasks. A run ends with an error after `steps_max` callbacks, after
    `instant_steps_max` callbacks that took no time, or when nothing is left that could ever happen."""

    at_once_max = 0  # no ask is handled without a turn: another order of things is what is to be tried (see System)

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        steps_max: int = 50_000_000,
        instant_steps_max: int = 1_000_000,
    ) -> None:
        super().__init__()
        self.births = itertools.count(1)
        self.steps = 0
        self.end_at = INF
        self.check: Callable[[], None] | None = None  # called about every `check_steps` callbacks; may raise
        self.check_steps = 8
        self._ran: set[Domain | None] | None = None  # whose callbacks have run since the last check, if asked for
        self.on_unhandled: Callable[[dict[str, Any]], None] | None = None
        self.failure: BaseException | None = None  # ends the run at the end of this turn
        self.now = 0.0  # the world's time
        self.clocked = False  # some host's clock does not run at the world's rate
        self._policy = policy
        self._steps_max = steps_max
        self._instant_steps_max = instant_steps_max
        self._instant_began = 0
        self._check_at = 0
        self._gc_at = GC_STEPS
        self._queue: list[SimHandle] = []
        self._timers: list[tuple[float, int, SimHandle]] = []
        self._cancelled_timers = 0
        self._tasks: list[weakref.ref[SimTask]] = []  # asyncio keeps them too, but with those of all other loops
        self._tasks_max = TASKS_SWEPT_FIRST  # then those that are done are dropped
        self._graves: list[SimTask] = []
        self._generators: dict[int, Domain | None] = {}

    # -- what asyncio asks of a loop ------------------------------------------------------------------------------

    def time(self) -> float:
        """What the clock of the host shows that asks."""
        return self._time_of(domain.get()) if self.clocked else self.now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if context is None:
            context = contextvars.copy_context()
        handle = SimHandle(self.now, callback, args, self, context, context.get(domain))
        self._queue.append(handle)
        return handle  # type: ignore[return-value]  # all that is asked of one

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        if context is None:
            context = contextvars.copy_context()
        owner = context.get(domain)
        own_now = self._time_of(owner) if self.clocked else self.now
        return self._set(SimHandle(own_now + delay, callback, args, self, context, owner))

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """`when` is by the clock of the host that the timer belongs to."""
        if context is None:
            context = contextvars.copy_context()
        return self._set(SimHandle(when, callback, args, self, context, context.get(domain)))

    def _set(self, timer: SimHandle) -> asyncio.TimerHandle:
        when = timer.due_at
        if self.clocked and (clock := timer.clock) is not None and not clock.is_true:
            when = clock.due(when)
        heappush(self._timers, (when, next(self.births), timer))
        return timer  # type: ignore[return-value]  # all that is asked of one

    def _time_of(self, owner: Domain | None) -> float:
        clock = owner.clock if owner is not None else None
        return self.now if clock is None or clock.is_true else clock.time(self.now)

    def create_future(self) -> SimFuture:
        return SimFuture(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: contextvars.Context | None = None) -> SimTask:
        if self.is_closed():
            coro.close()
            raise RuntimeError("this simulation is over")
        task = SimTask(coro, loop=self, context=context, name=name)
        self._tasks.append(weakref.ref(task))
        if len(self._tasks) >= self._tasks_max:
            self._tasks = [weakref.ref(living) for living in self._living()]
            self._tasks_max = 2 * len(self._tasks) + TASKS_SWEPT_FIRST
        return task

    def _living(self) -> list[SimTask]:
        """Tasks that are not done, the oldest first."""
        known = [task() for task in self._tasks]
        return [task for task in known if task is not None and not task.done()]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.on_unhandled is not None and not self.is_closed():
            self.on_unhandled(context)

    def note_cancelled(self) -> None:
        """A handle is: those that are due late are swept out now and then."""
        self._cancelled_timers += 1
        if self._cancelled_timers > CANCELLED_TIMERS_MAX and self._cancelled_timers * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].is_cancelled]
            heapify(self._timers)
            self._cancelled_timers = 0

    # An abandoned async generator is closed by a task of the domain that began it; a dead domain's is not closed.
    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        self._generators[id(agen)] = domain.get()

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        owner = self._generators.pop(id(agen), None)
        if self.is_closed() or (owner is not None and owner.state is DEAD):
            return
        context = contextvars.copy_context()
        context.run(domain.set, owner)
        self.create_task(agen.aclose(), context=context)

    # -- the world's time, and the hosts' -------------------------------------------------------------------------

    def at(self, when: float, callback: Any, args: tuple[Any, ...], context: contextvars.Context) -> SimHandle:
        """As `call_at`, but by the world's time: for what no host does, such as packets and faults."""
        timer = SimHandle(when, callback, args, self, context, context.get(domain), False)
        heappush(self._timers, (when, next(self.births), timer))
        return timer

    def later(self, delay: float, callback: Any, *args: Any, context: contextvars.Context) -> SimHandle:
        return self.at(self.now + delay, callback, args, context)

    def set_rate(self, clock: Clock, rate: float) -> None:
        """The clock runs at that rate from now on, and the timers that follow it with it."""
        clock.set_rate(rate, self.now)
        self.clocked = self.clocked or not clock.is_true
        self._timers = [
            (max(self.now, clock.due(timer.due_at)) if timer.clock is clock else when, birth, timer)
            for when, birth, timer in self._timers
        ]
        heapify(self._timers)

    # -- running --------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Turns, until the loop is told to stop. In each runs what was ready when it began; when nothing is, whatever
        the next instant brings."""
        while not self._stopping:  # type: ignore[attr-defined]
            ran = self._ran
            if turn := self._queue:
                self._queue = []
            else:
                turn = self._jump()
            if len(turn) > 1 and self._policy is not None:
                _order_steps(turn, self._policy)
            for handle in turn:
                if handle.is_cancelled:
                    continue
                owner = handle.owner
                if owner is not None and owner.state:
                    owner.set_aside(handle)
                    continue
                self.steps += 1
                if ran is not None:
                    ran.add(owner)
                try:
                    handle.context.run(handle.callback, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self.call_exception_handler({"message": f"exception in {handle!r}", "exception": error})
            if self.steps >= self._check_at:
                self._look_after()
            if self.failure is not None:
                failure, self.failure = self.failure, None
                raise failure

    def note_who_runs(self) -> set[Domain | None]:
        """From the next turn on, whose callbacks have run since the last check: always the same set, for checks."""
        if self._ran is None:
            self._ran = set()
        return self._ran

    def _jump(self) -> list[SimHandle]:
        """Move time to the next timer that still counts; all that are due then."""
        timers = self._timers
        while timers:
            when, birth, first = heappop(timers)
            owner = first.owner
            if not (first.is_cancelled or (owner is not None and owner.state is DEAD)):
                break
        else:
            raise Deadlock(self._waiting())
        if when > self.end_at or when == INF:
            heappush(timers, (when, birth, first))
            raise self._stuck(when)
        if when > self.now:
            self.now = when
            self._instant_began = self.steps
        due = [first]
        while timers and timers[0][0] <= when:
            due.append(heappop(timers)[2])
        return due

    def _stuck(self, when: float) -> Exception:
        """Why nothing more happens: it would have been at `when`."""
        if when == INF:
            return Deadlock(self._waiting())
        self.now = self.end_at
        return OutOfTime(f"not done after {self.end_at} simulated seconds; waiting: {self._waiting()}")

    def _look_after(self) -> None:
        """What need not be done at each turn: invariants, garbage, bounds."""
        steps = self.steps
        self._check_at = steps + self.check_steps
        if self.check is not None:
            self.check()
        if self._ran is not None:
            self._ran.clear()
        if steps >= self._gc_at:
            self._gc_at = steps + GC_STEPS
            gc.collect()
        if steps > self._steps_max:
            raise OutOfSteps(f"more than {self._steps_max} steps at {self.now} s")
        if steps - self._instant_began > self._instant_steps_max:
            raise OutOfSteps(f"{self._instant_steps_max} steps at {self.now} s without time going on: a busy loop")

    def _waiting(self) -> str:
        lines = [f"{task.get_name()} at {_where(task)}" for task in self._living() if not _is_over(task.domain)]
        return "; ".join(lines) or "no task"

    # -- domains --------------------------------------------------------------------------------------------------

    def resume(self, owner: Domain) -> None:
        owner.state = State.RUNNING
        held, owner.held = owner.held, []
        self._queue.extend(held)

    def bury(self, owner: Domain) -> None:
        """Nothing of the domain runs any more, not even the `finally` clauses of its coroutines."""
        owner.state = State.DEAD
        owner.held.clear()
        self._graves.extend([task for task in self._living() if task.domain is owner])

    def close(self) -> None:
        """Drop everything. Coroutines are closed here, when nothing they do can be seen any more."""
        if self.is_closed():
            return
        living = self._living()
        self._queue.clear()
        self._timers.clear()
        super().close()
        for task in [*self._graves, *living]:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            _close_coroutine(task.get_coro())
        self._graves.clear()


def _order_steps(turn: list[SimHandle], policy: Policy) -> None:
    places = [
        place for place, handle in enumerate(turn) if isinstance(getattr(handle.callback, "__self__", None), SimTask)
    ]
    if len(places) > 1:
        steps = [turn[place] for place in places]
        policy.order(steps)
        for place, step in zip(places, steps, strict=True):
            turn[place] = step


def _is_over(owner: Domain | None) -> bool:
    return owner is not None and owner.state is DEAD


def _where(task: SimTask) -> str:
    """The innermost line that the task waits in, but for those of asyncio itself."""
    waits: Any = task.get_coro()
    where = "its end"
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "ag_frame", None)
        if frame is None:
            break
        if where == "its end" or not frame.f_code.co_filename.startswith(ASYNCIO):
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        waits = getattr(waits, "cr_await", None) or getattr(waits, "ag_await", None)
    return where


def _close_coroutine(coro: Any) -> None:
    if inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
        # It was to await what it was given, and never began: nobody else will close that.
        for given in [value for value in coro.cr_frame.f_locals.values() if inspect.iscoroutine(value)]:
            _close_coroutine(given)
    for _ in range(100):
        try:
            coro.close()
        except BaseException:  # what it raises or still awaits concerns nobody now
            continue
        return


def _refused(name: str) -> Callable[..., Any]:
    def refuse(self: SimLoop, *args: Any, **kwargs: Any) -> Any:
        raise RealWorld(f"loop.{name} is not possible in a simulation: it has no real I/O, threads or processes")

    return refuse


for _name in (
    *("run_in_executor", "set_default_executor", "call_soon_threadsafe", "add_signal_handler", "getaddrinfo"),
    *("getnameinfo", "add_reader", "remove_reader", "add_writer", "remove_writer", "create_connection"),
    *("create_server", "create_unix_connection", "create_unix_server", "create_datagram_endpoint", "start_tls"),
    *("connect_accepted_socket", "connect_read_pipe", "connect_write_pipe", "subprocess_exec", "subprocess_shell"),
    *("sendfile", "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_sendall", "sock_sendto", "sock_connect"),
    *("sock_accept", "sock_sendfile"),
):
    setattr(SimLoop, _name, _refused(_name))
