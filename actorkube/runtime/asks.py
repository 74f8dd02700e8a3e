"""Asks that wait for an answer: one dict entry each, and one shared timer that watches their deadlines."""

from __future__ import annotations

import asyncio
import contextvars
import math
from typing import Any

import msgspec

from actorkube.runtime.actor import Ref
from actorkube.runtime.link import Link
from protocols.errors import Answer, AskError, DeadlineExceeded, Unknown
from protocols.message import Message, UnknownMessage, decode


class Pending:
    """An ask that waits for its answer; `link` is None when the actor is in this system."""

    __slots__ = ("expires_at", "future", "link", "ref", "request")

    def __init__(
        self,
        future: asyncio.Future[Any],
        link: Link | None,
        expires_at: float,
        request: type[Message],
        ref: Ref,
    ) -> None:
        self.future = future
        self.link = link
        self.expires_at = expires_at
        self.request = request
        self.ref = ref

    @property
    def what(self) -> str:
        return f"{self.request.__name__} to {self.ref.address}"


class Asks:
    """The table of one system, by correlation id."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        self.pending: dict[int, Pending] = {}
        self._loop = loop
        self._context = context
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def expect(self, corr: int, pending: Pending) -> None:
        self.pending[corr] = pending
        if pending.expires_at < self._timer_at:
            self._arm(pending.expires_at)

    def answered(self, corr: int, type_id: int, body: bytes) -> None:
        """An answer came over a link. A late one is nobody's: its asker has been told DeadlineExceeded."""
        pending = self.pending.pop(corr, None)
        if pending is None:
            return
        if pending.link is not None:
            pending.link.asks.pop(corr, None)
        if pending.future.done():
            return
        try:
            pending.future.set_result(decode(type_id, body))
        except (UnknownMessage, msgspec.MsgspecError) as error:
            pending.future.set_exception(Unknown(f"{pending.what}: the answer does not decode: {error}"))

    def failed(self, corr: int, error: Answer | AskError) -> bool:
        """Whether there was such an ask."""
        pending = self.pending.get(corr)
        if pending is not None:
            self.fail(corr, pending, error)
        return pending is not None

    def fail(self, corr: int, pending: Pending, error: Answer | AskError) -> None:
        self.pending.pop(corr, None)
        if pending.link is not None:
            pending.link.asks.pop(corr, None)
        if not pending.future.done():
            pending.future.set_exception(error)

    def forget(self, error: AskError) -> None:
        """No answer will come any more."""
        for corr, pending in list(self.pending.items()):
            self.fail(corr, pending, error)
        self._arm(math.inf)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = None if when == math.inf else self._loop.call_at(when, self._expire, context=self._context)

    def _expire(self) -> None:
        now = self._loop.time()
        for corr, pending in list(self.pending.items()):
            if pending.expires_at <= now:
                self.fail(corr, pending, DeadlineExceeded(f"{pending.what}: no answer in time"))
        self._arm(min((p.expires_at for p in self.pending.values()), default=math.inf))
