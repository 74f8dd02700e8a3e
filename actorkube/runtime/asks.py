"""Asks and sends that wait for their outcome: one dict entry each, of the link that brings it, or of their system.

One shared timer watches their deadlines.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from actorkube.runtime.actor import Ref
from actorkube.runtime.envelope import LocalAsk, settle
from actorkube.runtime.link import Link
from actorkube.runtime.waits import NOTED_MAX, Waits
from protocols.address import Address
from protocols.errors import AskError, DeadlineExceeded, Unknown
from protocols.frame import Kind, Row
from protocols.message import Message, UnknownMessage, decode, decoder_for

EXPLAINED_MAX = 16  # of the asks that run out of time in one moment
NEXT_TO_EACH_OTHER_S = 0.01  # nested asks run out of time one shortly after the other


class Pending(msgspec.Struct, eq=False):
    """An ask or a send over a link that waits for its outcome. Its future calls it when it is cancelled."""

    corr: int
    future: asyncio.Future[Any]
    link: Link
    expires_at: float
    request: type[Message]
    ref: Ref
    sender: Ref | None

    def settle(self, outcome: object) -> None:
        """An error is raised by the future; anything else is its result."""
        if self.link.asks.pop(self.corr, None) is not None:
            settle(self, self.future, outcome)

    fail = settle

    def answered(self, type_id: int, body: bytes) -> None:
        try:
            answer = decode(type_id, body)
        except (UnknownMessage, msgspec.MsgspecError) as error:
            self.fail(Unknown(f"{self.what}: the answer does not decode: {error}"))
            return
        del self.link.asks[self.corr]  # from here on as `settle`: a call or two less for each answer
        future = self.future
        future.remove_done_callback(self)
        if not future.done():
            future.set_result(answer)

    def expire(self, why: str = "") -> None:
        self.settle(DeadlineExceeded(f"{self.what}: no answer in time{why}"))
        self._take_back()

    def __call__(self, future: asyncio.Future[Any]) -> None:
        """The asker has cancelled its future."""
        if self.link.asks.pop(self.corr, None) is not None:
            self._take_back()

    @property
    def is_here(self) -> bool:
        return False

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
    """All of one system. `waits` is who waits for whom just now; `ahead` hears of asks that will have run out of time
    in `ahead_s`; of those that never had twice as much, it does not hear.

    What is asked over a link is in the link's own table: its end costs what was asked over it, and its answers reach
    nobody else's questions. `here` are the asks of actors in this system.
    """

    ahead_s = 0.25

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        waits: Callable[[], Waits],
        ahead: Callable[[list[Ask]], None] | None = None,
    ) -> None:
        self.here: dict[LocalAsk, LocalAsk] = {}
        self._links: dict[Link, None] = {}  # over which somebody may wait for something
        self.circles: deque[tuple[float, str]] = deque(maxlen=NOTED_MAX)  # found lately, and when
        self._waits = waits
        self._ahead = ahead
        self._ahead_timer: asyncio.TimerHandle | None = None
        self._loop = loop
        self._context = context
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def __iter__(self) -> Iterator[Ask]:
        """Those that are under way, in an order that is the same whenever the world is simulated anew."""
        return itertools.chain(self.here.values(), *(link.asks.values() for link in self._links))

    def expect(self, ask: Pending) -> None:
        link = ask.link
        ask.future.add_done_callback(ask)
        link.asks[ask.corr] = ask
        if not link.is_asked:
            link.is_asked = True
            self._links[link] = None
        if ask.expires_at < self._timer_at:
            self._arm(ask.expires_at)

    def expect_here(self, ask: LocalAsk) -> None:
        ask.future.add_done_callback(ask)
        self.here[ask] = ask
        if ask.expires_at < self._timer_at:
            self._arm(ask.expires_at)

    def answered(self, link: Link, answers: Iterable[Row]) -> int:
        """Answers that came over a link together, as `Pending.answered` without its calls: there are many.

        Returns how many of them nobody waits for.
        """
        waiting, unawaited, known = link.asks, 0, -1
        read: Callable[[bytes], Message]
        for type_id, _target, _sender, corr, _number, body in answers:
            pending = waiting.get(corr)
            if pending is None:
                unawaited += 1
                continue
            try:
                if type_id != known:
                    read, known = decoder_for(type_id).decode, type_id
                answer = read(body)
            except (ValueError, RecursionError):  # of msgspec, all of them, and UnknownMessage
                pending.answered(type_id, body)
                continue
            del waiting[corr]
            future = pending.future
            future.remove_done_callback(pending)
            if not future.done():
                future.set_result(answer)
        return unawaited

    def lost(self, link: Link, error: AskError) -> None:
        """No answer will come over that link."""
        for pending in list(link.asks.values()):
            pending.settle(error)
        self._links.pop(link, None)
        link.is_asked = False

    def forget(self, error: AskError) -> None:
        """No answer will come any more."""
        for ask in list(self):
            ask.fail(error)
        self._arm(math.inf)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = None if when == math.inf else self._loop.call_at(when, self._expire, context=self._context)
        if self._ahead is not None:
            self._arm_ahead(when - self.ahead_s)

    def _arm_ahead(self, when: float) -> None:
        if self._ahead_timer is not None:
            self._ahead_timer.cancel()
            self._ahead_timer = None
        if self._loop.time() + self.ahead_s <= when < math.inf:
            self._ahead_timer = self._loop.call_at(when, self._look_ahead, context=self._context)

    def _look_ahead(self) -> None:
        assert self._ahead is not None
        soon = self._timer_at + NEXT_TO_EACH_OTHER_S
        late = itertools.islice((ask for ask in self if ask.expires_at <= soon), EXPLAINED_MAX)
        self._ahead(list(late))

    def _expire(self) -> None:
        now = self._loop.time()
        late = [ask for ask in self if ask.expires_at <= now]
        if late:
            self._end(late)
        self._forget_links()
        self._arm(min((ask.expires_at for ask in self), default=math.inf))

    def _end(self, late: list[Ask]) -> None:
        waits = self._waits()
        reasons = [waits.why(ask) for ask in late[:EXPLAINED_MAX]]  # all of them, before the first one ends
        for ask, why in itertools.zip_longest(late, reasons, fillvalue=""):
            ask.expire(why)  # type: ignore[union-attr]

    def _forget_links(self) -> None:
        """Whoever is asked over one that has ended is refused at once, and waits for nothing there."""
        for link in [link for link in self._links if not link.asks]:
            del self._links[link]
            link.is_asked = False
