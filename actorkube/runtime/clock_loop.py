"""An asyncio loop of real sockets, files, threads and processes, whose time is the user's: the shell around `Clock`.

asyncio asks its selector to wait whenever nothing is ready; here the selector asks the clock first. Before time moves,
everything must have settled: no callback is ready, no socket has data, no job of the executor runs, no TLS handshake is
under way, and nobody holds the clock (`real_time`) because he waits for something of the real world.

asyncio's own loop is the base, because uvloop's clock cannot be replaced. It relies on these private names of asyncio
(3.11 to 3.13): `_selector`, `_scheduled`, `_ready`, `_clock_resolution`, `_make_ssl_transport`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from actorkube.runtime.clock import Arrived, Clock, Jump
from actorkube.runtime.due import owner_of
from actorkube.runtime.settled import SETTLE_WITHIN_S, NotSettled, name_some

HANDSHAKE_HOLD_S = 1.0  # who connects and says nothing does not stop the time for longer
JOB_HOLD_S = 60.0
OWNERS_MAX = 1000

Events = list[tuple[selectors.SelectorKey, int]]


class Passed(NamedTuple):
    """What a move of the clock has brought: where it is now, and whose timers fired on the way, how often."""

    now: float
    seconds: float
    fired: dict[str, int]


class _Waiter:
    """Somebody who waits for a goal or for quiet, and for how long; `busy` says what else he waits for."""

    __slots__ = ("busy", "future", "until", "within_s")

    def __init__(self, loop: ClockLoop, within_s: float, busy: Callable[[], list[str]]) -> None:
        self.future: asyncio.Future[None] = loop.create_future()
        self.within_s = within_s
        self.busy = busy
        self.renew(time.monotonic())

    def renew(self, real: float) -> None:
        self.until = real + self.within_s


class ClockLoop(asyncio.SelectorEventLoop):
    """`epoch`: the wall clock's time (seconds since 1970) at the loop's time 0, which is where it begins.

    `pause`, `run_at`, `advance`, `step` and `quiet` are called on the loop's own thread.
    """

    def __init__(self, epoch: float | None = None) -> None:
        self.epoch = time.time() if epoch is None else epoch
        self.clock = Clock(time.monotonic())
        self._holds: dict[object, tuple[str, float]] = {}  # what for, and until when in real time
        self._moving = asyncio.Lock()
        self._arrival: _Waiter | None = None
        self._fired: Counter[str] = Counter()
        self._quiet: dict[_Waiter, None] = {}
        self._patience = math.inf  # when, in real time, the first of those who wait is told what is still busy
        super().__init__(_Selector(self))

    # -- time ---------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.clock.now

    @property
    def wall(self) -> float:
        """Seconds since 1970 by this clock."""
        return self.epoch + self.clock.now

    def pause(self) -> None:
        self.run_at(0.0)

    def run_at(self, rate: float) -> None:
        """So many virtual seconds in a real one. Raises ValueError. An advance that is under way ends where it is."""
        real = time.monotonic()
        self.clock.set_rate(rate, real)
        if self._arrival is not None:
            self.clock.give_up(real)
            self._arrived()

    async def advance(self, seconds: float, within_s: float = SETTLE_WITHIN_S) -> Passed:
        """Let so much time pass, from timer to timer, everything settled before the next and at the end.

        Raises NotSettled when time does not move for `within_s` real seconds; the clock stays where it got to.
        """
        async with self._moving:
            return await self._go_to(self.clock.now + seconds, within_s)

    async def step(self, within_s: float = SETTLE_WITHIN_S) -> Passed:
        """Pause, and go to the next timer. Without any, nothing passes. Raises NotSettled."""
        async with self._moving:
            self.pause()
            await self.quiet(within_s=within_s)
            when = self._next_timer()
            return await self._go_to(self.clock.now if when == math.inf else when, within_s)

    async def quiet(self, busy: Callable[[], list[str]] = list, within_s: float = SETTLE_WITHIN_S) -> None:
        """Returns when nothing is ready and `busy()`, asked whenever that is so, is false. Raises NotSettled."""
        waiter = _Waiter(self, within_s, busy)
        self._quiet[waiter] = None
        self._set_patience()
        try:
            await waiter.future
        finally:
            del self._quiet[waiter]
            self._set_patience()

    def busy(self) -> list[str]:
        """What keeps the time from moving right now, by name."""
        holds = [f"{what} ({time.monotonic() - until:+.1f} s)" for what, until in self._holds.values()]
        ready = [f"{_name(handle)} is ready" for handle in list(self._ready)[:5]]  # type: ignore[attr-defined]
        return holds + ready

    def next_due(self) -> tuple[float, str] | None:
        """In how many seconds the next timer is due, and whose it is."""
        waiting: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        live = [handle for handle in waiting if not handle.cancelled()]
        if not live:
            return None
        first = min(live, key=asyncio.TimerHandle.when)
        return max(0.0, first.when() - self.clock.now), owner_of(first)

    async def _go_to(self, goal: float, within_s: float) -> Passed:
        began = self.clock.now
        self._fired = Counter()
        self._arrival = _Waiter(self, within_s, list)
        self._set_patience()
        self.clock.go_to(goal)
        try:
            await self._arrival.future
        finally:
            self._arrival = None
            self._set_patience()
            if self.clock.goal is not None:
                self.clock.give_up(time.monotonic())
        return Passed(self.clock.now, self.clock.now - began, dict(self._fired.most_common()))

    # -- what holds the clock -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def hold(self, what: str, at_most_s: float) -> Iterator[None]:
        """Time stands still meanwhile, for so many real seconds at most."""
        release = self._hold(what, at_most_s)
        try:
            yield
        finally:
            release()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        release = self._hold(f"a thread runs {getattr(func, '__qualname__', func)}", JOB_HOLD_S)
        future.add_done_callback(lambda _: release())
        return future

    def _make_ssl_transport(self, *args: Any, **kwargs: Any) -> Any:
        protocol = super()._make_ssl_transport(*args, **kwargs)  # type: ignore[misc]
        waiter = kwargs.get("waiter")
        if waiter is not None and not waiter.done():
            release = self._hold("a TLS handshake", HANDSHAKE_HOLD_S)
            waiter.add_done_callback(lambda _: release())
        return protocol

    def _hold(self, what: str, at_most_s: float) -> Callable[[], None]:
        token = object()
        self._holds[token] = (what, time.monotonic() + at_most_s)

        def release() -> None:
            self._holds.pop(token, None)

        return release

    def _held_for(self, real: float) -> float:
        """Real seconds until nobody holds the clock, at the latest."""
        for token, (_, until) in list(self._holds.items()):
            if until <= real:
                del self._holds[token]
        return max((until - real for _, until in self._holds.values()), default=0.0)

    # -- waiting ------------------------------------------------------------------------------------------------------

    @property
    def _clock_resolution(self) -> float:
        """asyncio fires what is due before now plus this: exactly what is due."""
        return math.ulp(self.clock.now)

    @_clock_resolution.setter
    def _clock_resolution(self, resolution: float) -> None:
        return

    def idle(self, poll: Callable[[float | None], Events]) -> Events:
        """Nothing is ready: wait for what comes from outside; or return with the time moved, or waiters told."""
        while True:
            events = poll(0)
            real = time.monotonic()
            wait_s = self._held_for(real)
            if events or self._impatient(real):
                return self._come(events)
            if not wait_s:
                if self._say_quiet():
                    return []
                decision = self.clock.decide(real, self._next_timer())
                if isinstance(decision, Jump):
                    self._jumped(decision.to, real)
                    return []
                if isinstance(decision, Arrived):
                    self._arrived()
                    return []
                wait_s = decision.real_s
            wait_s = min(wait_s, max(0.0, self._patience - real))
            events = poll(None if wait_s == math.inf else wait_s)
            if events:
                return self._come(events)

    def _come(self, events: Events) -> Events:
        if not self._holds:
            self.clock.catch_up(time.monotonic(), self._next_timer())
        return events

    def check_patience(self) -> None:
        """Asked also when the loop never comes to rest."""
        if self._patience < math.inf:
            self._impatient(time.monotonic())

    def _next_timer(self) -> float:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return scheduled[0].when() if scheduled else math.inf

    def _jumped(self, to: float, real: float) -> None:
        """Whoever moves the clock hears whose timers fire now."""
        if self._arrival is None:
            return
        self._arrival.renew(real)
        self._set_patience()
        for handle in _due(self._scheduled, to):  # type: ignore[attr-defined]
            name = owner_of(handle)
            if name in self._fired or len(self._fired) < OWNERS_MAX:
                self._fired[name] += 1

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.future.done():
            self._arrival.future.set_result(None)

    def _say_quiet(self) -> bool:
        """Whether somebody who waited for quiet was told of it."""
        told = [waiter for waiter in self._quiet if not waiter.future.done() and not waiter.busy()]
        for waiter in told:
            waiter.future.set_result(None)
        return bool(told)

    # -- patience -----------------------------------------------------------------------------------------------------

    def _waiters(self) -> list[_Waiter]:
        waiters = [self._arrival, *self._quiet] if self._arrival is not None else list(self._quiet)
        return [waiter for waiter in waiters if not waiter.future.done()]

    def _set_patience(self) -> None:
        self._patience = min((waiter.until for waiter in self._waiters()), default=math.inf)

    def _impatient(self, real: float) -> bool:
        """Whether somebody who has waited for too long was told what is still busy."""
        if real < self._patience:
            return False
        late = [waiter for waiter in self._waiters() if waiter.until <= real]
        for waiter in late:
            waiter.future.set_exception(NotSettled(f"not settled: {name_some(self.busy() + waiter.busy())}"))
        self._set_patience()
        return bool(late)


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: ClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Events:
        if timeout is not None and timeout <= 0:
            self._loop.check_patience()
            return super().select(0)
        return self._loop.idle(super().select)


def _due(heap: list[asyncio.TimerHandle], at: float) -> Iterator[asyncio.TimerHandle]:
    """Those of a heap that are due then, without a look at the others."""
    places = [0]
    while places:
        place = places.pop()
        if place < len(heap) and heap[place].when() <= at:
            if not heap[place].cancelled():
                yield heap[place]
            places += [2 * place + 1, 2 * place + 2]


def _name(handle: asyncio.Handle) -> str:
    callback: Any = handle._callback  # type: ignore[attr-defined]
    owner = getattr(callback, "__self__", None)
    return owner.get_name() if isinstance(owner, asyncio.Task) else getattr(callback, "__qualname__", repr(callback))
