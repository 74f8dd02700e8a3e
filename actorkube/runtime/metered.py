"""A cell that measures: of every eighth turn, how deep the mailbox was, how long messages waited and were handled.

A system without metrics has plain cells, which only test whether they should count. The clock is read once or twice a
sampled turn, not for each message: a turn's time is divided by the messages that it handled. Handlers that are tasks
are timed one by one, every eighth of them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Coroutine
from types import CoroutineType
from typing import Any

from actorkube.runtime.cell import Cell
from actorkube.runtime.envelope import Envelope
from actorkube.runtime.histogram import Log2

SAMPLED_MASK = 7  # one of eight

_clock = time.perf_counter


class MeteredCell(Cell):
    """What it knows, it keeps through all restarts of its actor."""

    handled: dict[int, int]

    def __init__(self, *arguments: Any) -> None:
        self.waiting = Log2()
        self.handling = Log2()
        self.found = Log2()  # messages that a turn found waiting
        self._turns = 0
        self._tasks_begun = 0
        self._woken_at = 0.0  # when the first message came to an empty mailbox
        self._watched = 0  # how many messages will have been handled with the one that is watched; 0: none is
        self._watched_since = 0.0
        super().__init__(*arguments)
        self.handled = defaultdict(int)

    @property
    def handled_total(self) -> int:
        return sum(self.handled.values())

    def may_handle_at_once(self) -> bool:
        return False  # it would not be counted as a turn

    def wake(self) -> None:
        if not (self._turns + 1) & SAMPLED_MASK and not self.scheduled and self.depth == 1:
            self._woken_at = _clock()
        super().wake()

    def _drain(self) -> None:
        self._turns += 1
        if self._turns & SAMPLED_MASK:
            super()._drain()
        else:
            self._drain_timed()
        if self._watched and self.handled_total >= self._watched:
            self.waiting.time(_clock() - self._watched_since)
            self._watched = 0

    def _drain_timed(self) -> None:
        handled, tasks = self.handled_total, self._tasks_begun
        began = _clock()
        self.found.count(self.depth)
        if self._woken_at:
            self.waiting.time(began - self._woken_at)
            self._woken_at = 0.0
        super()._drain()
        at_once = (self.handled_total - handled) - (self._tasks_begun - tasks)
        if at_once > 0:
            self.handling.time((_clock() - began) / at_once, at_once)
        if self.depth and not self._watched:  # tasks are in the way: when will the last one that waits be handled?
            self._watched, self._watched_since = self.handled_total + self.depth, began

    def _run(self, envelope: Envelope, coro: CoroutineType[Any, Any, Any]) -> Coroutine[Any, Any, None]:
        self._tasks_begun += 1
        if self._tasks_begun & SAMPLED_MASK:
            return super()._run(envelope, coro)
        return self._run_timed(envelope, coro)

    async def _run_timed(self, envelope: Envelope, coro: CoroutineType[Any, Any, Any]) -> None:
        began = _clock()
        try:
            await super()._run(envelope, coro)
        finally:
            self.handling.time(_clock() - began)
