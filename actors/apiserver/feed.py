"""Keeps the watch cache fed from the store, and lets requests wait until it has seen what they must see.

One stream carries all changes. When it ends it is taken up again after the last revision seen, at another replica if
need be; only when those revisions are compacted is everything read anew. Reads that must be current ask the store for
its revision (one question for all that wait at the moment) and then wait for the cache to reach it. Where nobody else
writes, there is no acknowledged write that this server has not heard of, and no need to ask.
"""

from __future__ import annotations

import asyncio
import heapq

from actorkube.runtime import Context, Stream
from actorkube.runtime.tracing import Span, because
from actors.apiserver.cache import Cache
from actors.apiserver.causes import Causes
from actors.apiserver.encryption.sealing import CannotDecrypt
from actors.apiserver.store import Store
from protocols.errors import Answer, AskError, ServiceUnavailable
from protocols.etcd import Compacted, WatchResponse
from protocols.trace import TraceContext

_RETRY_S = 0.05
_UNREADABLE_PAUSE_S = 5.0
_STALL_S = 1.0  # a stream that is this late while somebody waits for it is opened anew, elsewhere
_VISIBLE_WITHIN_S = 10.0


class Feed:
    def __init__(self, ctx: Context, store: Store, cache: Cache, causes: Causes | None = None) -> None:
        self._ctx = ctx
        self._store = store
        self._cache = cache
        self._causes = causes or Causes()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap by revision
        self._tickets = 0
        self._round: asyncio.Future[int] | None = None  # the next question's answer
        self._round_cause: Span | TraceContext | None = None  # that of who asks first
        self._asked = asyncio.Event()
        self._loaded = asyncio.Event()
        self._reopen = asyncio.Event()

    def start(self) -> None:
        self._store.on_leader_moved = self._reopen.set
        self._ctx.background(self._follow(), "feed")
        self._ctx.background(self._answer_rounds(), "read-index")

    async def loaded(self) -> None:
        await self._loaded.wait()

    async def confirm(self) -> None:
        """Wait until the cache holds every write that was acknowledged before this call."""
        if self._store.sole_writer:
            await self.reached(self._store.newest)
            return
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
            self._round_cause = self._ctx.cause
            self._asked.set()
        revision = await asyncio.shield(self._round)
        await self.reached(revision)

    async def reached(self, revision: int) -> None:
        """Wait until the cache has this revision. Raises ServiceUnavailable when it does not get there."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _VISIBLE_WITHIN_S
        while self._cache.revision < revision:
            if loop.time() >= until:
                raise ServiceUnavailable(f"the watch cache has not reached revision {revision} of the store")
            future: asyncio.Future[None] = loop.create_future()
            self._tickets += 1
            heapq.heappush(self._waiting, (revision, self._tickets, future))
            timer = loop.call_later(_STALL_S, self._give_up_waiting, future)
            try:
                await future
            finally:
                timer.cancel()

    def _give_up_waiting(self, future: asyncio.Future[None]) -> None:
        self._reopen.set()
        if not future.done():
            future.set_result(None)

    async def _answer_rounds(self) -> None:
        """One question to the store at a time; who comes while it is under way waits for the next one."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._round = self._round, None
            assert waiting is not None
            try:
                with because(self._round_cause):
                    waiting.set_result(await self._store.revision())
            except (Answer, AskError) as error:
                waiting.set_exception(error)
                waiting.exception()  # everybody who waited may be gone

    async def _follow(self) -> None:
        await self._load()
        while True:
            try:
                await self._store.revision()  # finds the leader
                await self._read_stream()
            except Compacted:
                await self._load()
            except (Answer, AskError) as error:
                self._ctx.log.info("the store's event stream ended", error=str(error))
                await self._ctx.sleep(_RETRY_S)
            except CannotDecrypt as error:
                await self._report(error)

    async def _load(self) -> None:
        while True:
            try:
                kvs, revision = await self._store.load()
                break
            except (Answer, AskError) as error:
                self._ctx.log.info("waiting for the store", error=str(error))
                await self._ctx.sleep(_RETRY_S)
            except CannotDecrypt as error:
                await self._report(error)
        self._cache.load(kvs, revision)
        self._release(revision)
        self._loaded.set()

    async def _report(self, error: CannotDecrypt) -> None:
        """Nothing is served that lacks something: it waits until somebody has given it the right keys."""
        self._ctx.log.error("the store cannot be read", error=str(error), hint="see --encryption-provider-config")
        await self._ctx.sleep(_UNREADABLE_PAUSE_S)

    async def _read_stream(self) -> None:
        """Apply events until the stream ends, stalls while somebody waits for it, or another replica leads."""
        self._reopen.clear()
        async with self._store.watch(self._cache.revision + 1) as stream:
            closing = self._ctx.background(self._close_when_asked(stream), "reopen")
            try:
                async for sealed in stream:
                    response = self._store.opened(sealed)
                    self._release(response.revision)  # to go on after this turn, and before watchers are told
                    self._causes.happened(response.events)
                    self._cache.apply(response.events, response.revision)
            finally:
                closing.cancel()

    async def _close_when_asked(self, stream: Stream[WatchResponse]) -> None:
        await self._reopen.wait()
        self._ctx.log.info("opening another event stream: the store's leader moved, or the stream stalls")
        stream.close()

    def _release(self, revision: int) -> None:
        while self._waiting and self._waiting[0][0] <= revision:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
