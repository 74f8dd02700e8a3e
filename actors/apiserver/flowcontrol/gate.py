"""The gate that requests pass, whether over REST or by message (door.py): they wait here for their seats, or are sent
away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from actorkube.runtime import Context
from actors.apiserver.access.attributes import Attributes
from actors.apiserver.cache import Cache, Watcher
from actors.apiserver.callers import Caller
from actors.apiserver.flowcontrol.defaults import LEVELS, SCHEMAS
from actors.apiserver.flowcontrol.dump import dump
from actors.apiserver.flowcontrol.levels import SEATS, Flow, Levels, Place, seats_of_list
from actors.apiserver.flowcontrol.queueset import Waiting
from actors.apiserver.schema.resources import Resource
from actors.apiserver.selectors import select
from protocols.errors import Expired, TooManyRequests

WAIT_S = 15.0  # a quarter of the time in which a request is answered, as in Kubernetes
_ADJUST_EVERY_S = 10.0
_CHANGES = 256
_HELD = ("attach", "exec", "log", "portforward", "proxy")  # they last as long as their client wants


class Extent(NamedTuple):
    """How much a list or watch goes through: `limit` objects (0: all), or all of them in any case where it selects. A
    watch that does not list first goes through none."""

    limit: int = 0
    selects: bool = False
    lists_first: bool = False


class Pass(Place):
    """One request's way: `enter`, be served, `leave`. Watches leave when they have begun, and once more."""

    __slots__ = ("_gate", "_is_in", "news")

    def __init__(self, gate: Gate, flow: Flow, seats: int, arrived_at: float) -> None:
        super().__init__(flow, seats, arrived_at)
        self._gate = gate
        self._is_in = True
        self.news: asyncio.Event | None = None  # set when it starts, where it has waited

    @property
    def headers(self) -> list[tuple[str, str]]:
        return _headers(self.flow)

    async def enter(self) -> None:
        """Returns when the request may be served. Raises TooManyRequests where it may not, or has waited too long."""
        if self.started_at is not None:
            return
        if not self._is_in:
            raise self._gate.refusal(self.flow)
        self.news = asyncio.Event()
        reason = "cancelled"
        try:
            async with asyncio.timeout(WAIT_S):
                await self.news.wait()
        except TimeoutError:
            if self.started_at is None:
                reason = "time-out"
                raise self._gate.refusal(self.flow) from None
        finally:
            if self.started_at is None:
                self._is_in = False
                self._gate.give_up(self, reason)

    def leave(self) -> None:
        if self._is_in:
            self._is_in = False
            self._gate.finish(self)

    def refuse(self) -> None:
        self._is_in = False


class Gate:
    """`admit` each request that is to be served. `run` for as long as there are any."""

    def __init__(self, context: Context, cache: Cache, seats: int = SEATS) -> None:
        self._context = context
        self._cache = cache
        self._clock = asyncio.get_running_loop().time
        self.levels = Levels(self._clock(), seats)
        self._watchers: list[Watcher] = []
        self._stale = False

    async def run(self) -> None:
        while True:
            await self._context.sleep(_ADJUST_EVERY_S)
            self._wake(self.levels.adjust(self._clock()))

    def follow(self) -> None:
        """From now on what is stored counts; until then only what is mandatory."""
        for watcher in self._watchers:
            watcher.close()
        self._watchers = [
            self._cache.of(where).watch(select(where), self._cache.revision, self._changed)
            for where in (SCHEMAS, LEVELS)
        ]
        self._stale = False
        for watcher in self._watchers:
            watcher.take(_CHANGES)  # nothing yet: from here on it calls
        self._configure()

    def admit(
        self, caller: Caller, asked: Attributes, resource: Resource | None, extent: Callable[[], Extent]
    ) -> Pass | None:
        """The request's pass, good once its `enter` returns; None for what is held open, which is not counted. `extent`
        is asked for of lists and watches."""
        if asked.subresource in _HELD:
            return None
        if self._stale:
            self._catch_up()
        flow = self.levels.flow_of(caller, asked)
        seats = 1
        if resource is not None and (asked.verb == "list" or asked.verb == "watch"):
            seats = self._seats_of(asked, resource, extent(), flow.schema.level.request_seats_max)
        way = Pass(self, flow, seats, self._clock())
        reason, started = self.levels.arrive(way)
        if reason is not None:
            way.refuse()
        if started:
            self._wake(started)
        return way

    def flow_headers(self, caller: Caller, asked: Attributes) -> list[tuple[str, str]]:
        """Of what is refused before it is admitted; nothing for what is held open."""
        return [] if asked.subresource in _HELD else _headers(self.levels.flow_of(caller, asked))

    def metrics(self) -> bytes:
        from actors.apiserver.flowcontrol.exposition import render  # prometheus-client: only who is asked pays for it

        return render(self.levels)

    def dump(self, what: str) -> str | None:
        return dump(what, self.levels)

    def finish(self, place: Place) -> None:
        if started := self.levels.finish(place, self._clock()):
            self._wake(started)

    def give_up(self, place: Place, reason: str) -> None:
        self._wake(self.levels.give_up(place, reason, self._clock()))

    def refusal(self, flow: Flow) -> TooManyRequests:
        """In Kubernetes' words."""
        seconds = flow.schema.level.retry_after.dropped(int(self._clock()))
        return TooManyRequests("Too many requests, please try again later.", {"retryAfterSeconds": seconds})

    def _seats_of(self, asked: Attributes, resource: Resource, extent: Extent, seats_max: int) -> int:
        stored = len(self._cache.of(resource.storage).items)
        if stored <= 100 or asked.name or (asked.verb == "watch" and not extent.lists_first):
            return 1
        return seats_of_list(stored, extent.limit, extent.selects, seats_max)

    def _catch_up(self) -> None:
        self._stale = False
        try:
            for watcher in self._watchers:
                while watcher.take(_CHANGES):
                    pass
        except Expired:
            self.follow()
        else:
            self._configure()

    def _configure(self) -> None:
        stored: dict[str, list[Any]] = {
            where: [item.object() for item in self._cache.of(where).items.values()] for where in (SCHEMAS, LEVELS)
        }
        self._wake(self.levels.configure(stored[SCHEMAS], stored[LEVELS], self._clock()))

    def _wake(self, started: Iterable[Waiting]) -> None:
        for way in started:
            assert isinstance(way, Pass)
            if way.news is not None:
                way.news.set()

    def _changed(self) -> None:
        self._stale = True


def _headers(flow: Flow) -> list[tuple[str, str]]:
    """By which a client sees where its request belonged."""
    return [
        ("X-Kubernetes-PF-FlowSchema-UID", flow.schema.uid),
        ("X-Kubernetes-PF-PriorityLevel-UID", flow.schema.level.uid),
    ]
