"""When the scheduler is to look again, though nothing happens: the earliest of the times that somebody waits for."""

from __future__ import annotations

from collections.abc import Iterable

from actorkube.runtime import Context, Timer
from protocols.scheduler import SchedulerDue


class Alarm:
    """Sends its actor SchedulerDue, once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._timer: Timer | None = None
        self._at = 0.0

    def rang(self) -> None:
        self._timer = None

    def set(self, dues: Iterable[float | None]) -> None:
        """An earlier one that is set already stays: it will be set again then."""
        due = min((at for at in dues if at is not None), default=None)
        if due is None or (self._timer is not None and self._at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = due
        self._timer = self._ctx.after(max(0.0, due - self._ctx.now), SchedulerDue())
