"""Timers: a tick is a message to oneself, so that it is handled in its turn, and never while another is handled."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from typing import TYPE_CHECKING

from actorkube.runtime.envelope import Tick
from protocols.address import Address
from protocols.message import Message

if TYPE_CHECKING:
    from actorkube.runtime.cell import Cell


class Timer:
    """A scheduled message to oneself. A periodic tick is skipped while the one before it still waits unread.

    After `cancel`, and after `restart` until its new time, no tick is handled, not even one that waits in the mailbox
    already. A crash cancels all timers of the actor. A periodic timer keeps its beat: it is due at its start plus n
    periods, however long its actor or the loop was busy; beats that were missed are not made up for.
    """

    __slots__ = ("_cell", "_due_at", "_handle", "_message", "_period_s", "_waiting", "cause", "key")

    def __init__(
        self, cell: Cell, message: Message, delay_s: float, period_s: float | None, key: Hashable | None = None
    ) -> None:
        self.key = key if key is not None else self
        self._cell = cell
        self._message = message
        self._period_s = period_s
        self._waiting: Tick | None = None
        self._due_at = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self.cause = cell.system.tracer.ticking(cell) if cell.system.tracing else None  # of its (first) tick
        self._start(delay_s)

    @property
    def message(self) -> Message:
        return self._message

    @property
    def period_s(self) -> float | None:
        """None: it ticks once."""
        return self._period_s

    @property
    def left_s(self) -> float:
        """Until it is due next; 0 where nothing is due but a tick that waits already."""
        return 0.0 if self._handle is None else max(0.0, self._due_at - self._cell.system.loop.time())

    @property
    def address(self) -> Address:
        return self._cell.ref.address

    @property
    def tick(self) -> str:
        """What it sends, by name."""
        return type(self._message).__name__

    @property
    def is_active(self) -> bool:
        """Whether a tick may still come."""
        return self._handle is not None or self._waiting is not None

    @property
    def saying(self) -> tuple[str, bool]:
        """Equal for timers that say the same, as often."""
        return repr(self._message), self._period_s is None

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._waiting is not None:
            self._cell.cancel(self._waiting)
            self._waiting = None
        if self._cell.timers.get(self.key) is self:
            del self._cell.timers[self.key]

    def restart(self, delay_s: float | None = None) -> None:
        """Begin again from now, also after it has ticked or was cancelled; a periodic one by default with its period.

        It replaces another timer of the same key.
        """
        if delay_s is None:
            if self._period_s is None:
                raise ValueError("a one-shot timer is restarted with a delay")
            delay_s = self._period_s
        self.cancel()
        self._start(delay_s)

    def took(self) -> None:
        """Its tick is taken from the mailbox."""
        self._waiting = None
        if self._handle is None and (timers := self._cell.timers).get(self.key) is self:
            del timers[self.key]

    def _start(self, delay_s: float) -> None:
        cell, loop = self._cell, self._cell.system.loop
        timers = cell.timers
        other = timers.get(self.key)
        if other is not None:
            other.cancel()
        timers[self.key] = self
        self._due_at = loop.time() + delay_s
        self._handle = loop.call_at(self._due_at, self._fire, context=cell.context)

    def _fire(self) -> None:
        if self._period_s is None:
            self._handle = None
        else:
            self._due_at = self._next_beat(self._period_s)
            self._handle = self._cell.system.loop.call_at(self._due_at, self._fire, context=self._cell.context)
        if self._waiting is None:
            self._waiting = Tick(self._message, None, None, math.inf, self)
            self._cell.tick(self._waiting)
            self.cause = None

    def _next_beat(self, period_s: float) -> float:
        now = self._cell.system.loop.time()
        beat = self._due_at + period_s
        if beat > now or period_s <= 0:
            return max(beat, now)
        return beat + period_s * ((now - beat) // period_s + 1)


def replace_equal(carried: Collection[Timer], timers: Iterable[Timer]) -> None:
    """A new instance may set anew what was handed over to it (its `on_takeover` calls `on_start`, say): what it has set
    takes the place of one, without a key as well, that says the same and is as periodic."""
    known = dict.fromkeys(carried)
    set_anew = Counter(timer.saying for timer in timers if timer.key is timer and timer not in known)
    for timer in carried:
        if timer.key is timer and set_anew[timer.saying]:
            set_anew[timer.saying] -= 1
            timer.cancel()
