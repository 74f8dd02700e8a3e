"""Busy waiting: a loop whose peers answer within moments stays awake for the next word instead of going to sleep.

To sleep and be woken takes longer than a short exchange does itself, in virtual machines many times as long. So, as
Erlang's schedulers do (`+sbwt`), a loop looks at its sockets again and again for a while before it sleeps; but only
where that has paid lately, so that who hears little, or shares too few processors, does not wait at others' cost.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from time import monotonic

TRUST_MAX = 16
TRUSTED = 8  # in so many short gaps more than long ones, weighed, waiting is worth it
DOUBT = 4  # to have waited in vain costs what several good waits save
SLEPT = 2  # who sleeps hears later than who is awake: a gap of so many windows would have been one within


class Rhythm:
    """Whether the next word will come soon, told by how soon the last ones came: times in, a judgement out."""

    __slots__ = ("_last", "_soon_s", "_trust")

    def __init__(self, window_s: float) -> None:
        self._soon_s = SLEPT * window_s
        self._last = -1e9
        self._trust = 0

    def beat(self, now: float) -> bool:
        """Something was heard. Returns whether to wait for more."""
        if now - self._last < self._soon_s:
            if self._trust < TRUST_MAX:
                self._trust += 1
        elif self._trust:
            self._trust = max(0, self._trust - DOUBT)
        self._last = now
        return self._trust >= TRUSTED


class BusyWait:
    """One system's. `window_s`: for how long after a word the next one is waited for; 0: not at all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context, window_s: float) -> None:
        self._loop = loop
        self._context = context
        self._window_s = window_s
        self._rhythm = Rhythm(window_s)
        self._until = 0.0
        self.is_awake = False

    def heard(self) -> None:
        now = monotonic()
        if self._rhythm.beat(now):
            self._until = now + self._window_s
            if not self.is_awake:
                self.is_awake = True
                self._loop.call_soon(self._stay_awake, context=self._context)

    def _stay_awake(self) -> None:
        """The loop polls its sockets between two calls of this, and does not block while one is due."""
        if monotonic() < self._until:
            self._loop.call_soon(self._stay_awake, context=self._context)
        else:
            self.is_awake = False


def window(loop: asyncio.AbstractEventLoop, wanted_s: float, cpus: int) -> float:
    """How long a loop may busy-wait: not one whose time is not real, nor where its peer needs the same processor."""
    return wanted_s if cpus > 1 and getattr(loop, "epoch", None) is None else 0.0


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
