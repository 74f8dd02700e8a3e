"""Asks and sends that wait for their outcome: one dict entry each; one shared timer watches their deadlines."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from actorkube.runtime.actor import Ref
from actorkube.runtime.envelope import LocalAsk, settle
from actorkube.runtime.link import Link
from actorkube.runtime.waits import NOTED_MAX, Waits
from protocols.address import Address
from protocols.errors import Answer, AskError, DeadlineExceeded, Unknown
from protocols.frame import Kind
from protocols.message import Message, UnknownMessage, decode

EXPLAINED_MAX = 16  # of the asks that run out of time in one moment


class Pending:
    """An ask or a send over a link that waits for its outcome. Its future calls it when it is cancelled."""

    __slots__ = ("_asks", "corr", "expires_at", "future", "link", "ref", "request", "sender")

    def __init__(
        self,
        asks: Asks,
        corr: int,
        future: asyncio.Future[Any],
        link: Link,
        expires_at: float,
        request: type[Message],
        ref: Ref,
        sender: Ref | None = None,
    ) -> None:
        self._asks = asks
        self.corr = corr
        self.future = future
        self.link = link
        self.expires_at = expires_at
        self.request = request
        self.ref = ref
        self.sender = sender
        link.asks[corr] = None
        future.add_done_callback(self)

    def settle(self, outcome: object) -> None:
        """An error is raised by the future; anything else is its result."""
        if self._asks.pending.pop(self.corr, None) is not None:
            self.link.asks.pop(self.corr, None)
            settle(self, self.future, outcome)

    fail = settle

    def expire(self, why: str = "") -> None:
        self.settle(DeadlineExceeded(f"{self.what}: no answer in time{why}"))
        self._take_back()

    def __call__(self, future: asyncio.Future[Any]) -> None:
        """The asker has cancelled its future."""
        if self._asks.pending.pop(self.corr, None) is not None:
            self.link.asks.pop(self.corr, None)
            self._take_back()

    def _take_back(self) -> None:
        self.link.send(Kind.CANCEL, 0, self.ref.actor_id, 0, self.corr, 0, b"")

    @property
    def address(self) -> Address:
        return self.ref.address

    @property
    def request_name(self) -> str:
        return self.request.__name__

    @property
    def what(self) -> str:
        return f"{self.request.__name__} to {self.ref.address}"


Ask = Pending | LocalAsk


class Asks:
    """The table of one system, by correlation id. `waits` is who waits for whom just now."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, context: contextvars.Context, waits: Callable[[], Waits]
    ) -> None:
        self.pending: dict[int | LocalAsk, Ask] = {}  # by correlation id; a local ask by itself
        self.circles: deque[tuple[float, str]] = deque(maxlen=NOTED_MAX)  # found lately, and when
        self._waits = waits
        self._loop = loop
        self._context = context
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def expect(self, ask: Pending) -> None:
        self.pending[ask.corr] = ask
        if ask.expires_at < self._timer_at:
            self._arm(ask.expires_at)

    def expect_here(self, ask: LocalAsk) -> None:
        ask.future.add_done_callback(ask)
        self.pending[ask] = ask
        if ask.expires_at < self._timer_at:
            self._arm(ask.expires_at)

    def answered(self, corr: int, type_id: int, body: bytes) -> None:
        """An answer came over the link that carried the question."""
        pending = self.pending.get(corr)
        if not isinstance(pending, Pending):
            return
        try:
            pending.settle(decode(type_id, body))
        except (UnknownMessage, msgspec.MsgspecError) as error:
            pending.settle(Unknown(f"{pending.what}: the answer does not decode: {error}"))

    def accepted(self, corr: int) -> None:
        pending = self.pending.get(corr)
        if isinstance(pending, Pending):
            pending.settle(None)

    def failed(self, corr: int, error: Answer | AskError) -> bool:
        """Whether there was such an ask."""
        pending = self.pending.get(corr)
        if isinstance(pending, Pending):
            pending.settle(error)
            return True
        return False

    def forget(self, error: AskError) -> None:
        """No answer will come any more."""
        for ask in list(self.pending.values()):
            ask.fail(error)
        self._arm(math.inf)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = None if when == math.inf else self._loop.call_at(when, self._expire, context=self._context)

    def _expire(self) -> None:
        now = self._loop.time()
        late = [ask for ask in self.pending.values() if ask.expires_at <= now]
        waits = self._waits()
        reasons = [waits.why(ask) for ask in late[:EXPLAINED_MAX]]  # all of them, before the first one ends
        for ask, why in itertools.zip_longest(late, reasons, fillvalue=""):
            ask.expire(why)  # type: ignore[union-attr]
        self._arm(min((ask.expires_at for ask in self.pending.values()), default=math.inf))
