"""Busy waiting: a loop whose peers answer within moments stays awake for the next word instead of going to sleep.

To sleep and be woken takes longer than a short exchange does itself, in virtual machines many times as long. So, as
Erlang's schedulers do (`+sbwt`), a loop looks at its sockets again and again for a while before it sleeps; but only
where words come that soon, and no more where that was in vain: whose peer needs the same processor, keeps it waiting.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from time import monotonic

REST_LEAST, REST_FIRST, REST_MOST = 1, 8, 1024  # words in a row that come soon, before waiting is tried (again)
WORTH_IT = 4  # words that were waited for make up for one that did not come


class Rhythm:
    """Whether to wait for the next word, told by how the last ones came: times in, a judgement out.

    `window_s`: what soon is. Where waiting was in vain, more words than before must come soon until it is tried again.
    """

    __slots__ = ("_heard", "_last", "_left", "_rest", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._last = -1e9
        self._rest = REST_FIRST
        self._left = REST_FIRST
        self._heard = 0  # since a wait was in vain

    def woken(self, now: float) -> bool:
        """A word has come to who slept. Returns whether to wait for the next one."""
        soon = now - self._last < self._window_s
        self._last = now
        self._left = self._left - 1 if soon else self._rest
        return self._left <= 0

    def heard(self, now: float) -> None:
        """A word has come to who waited."""
        self._last = now
        self._heard += 1

    def in_vain(self) -> None:
        """No word has come to who waited."""
        worth_it = self._heard >= WORTH_IT
        self._rest = max(self._rest // 2, REST_LEAST) if worth_it else min(self._rest * 2, REST_MOST)
        self._left, self._heard = self._rest, 0


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
        """Something was read."""
        now = monotonic()
        if self.is_awake:
            self._rhythm.heard(now)
            self._until = now + self._window_s
        elif self._rhythm.woken(now):
            self._until = now + self._window_s
            self.is_awake = True
            self._loop.call_soon(self._stay_awake, context=self._context)

    def _stay_awake(self) -> None:
        """The loop polls its sockets between two calls of this, and does not block while one is due."""
        if monotonic() < self._until:
            self._loop.call_soon(self._stay_awake, context=self._context)
        else:
            self.is_awake = False
            self._rhythm.in_vain()


def window(loop: asyncio.AbstractEventLoop, wanted_s: float, cpus: int) -> float:
    """How long a loop may busy-wait: not one whose time is not real, nor where its peer needs the same processor."""
    return wanted_s if cpus > 1 and getattr(loop, "epoch", None) is None else 0.0


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
