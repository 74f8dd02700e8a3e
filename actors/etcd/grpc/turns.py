"""Whose turn it is below a name: what etcd's locks and elections have in common.

Whoever wants a turn has a key there, named after its lease; the key that was made first has it. Who waits watches only
the key just before its own, so one that goes wakes one. A watch may be late, and says only when to look again: whether
the turn has come is read from whoever leads.

etcd serves this by a client of its own within, which keeps the words of a refusal and loses its code: UNKNOWN.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from actorkube.runtime import Context, Stream
from actors.etcd.commands import as_user
from actors.etcd.grpc.access import Access
from actors.etcd.grpc.calls import CALL_S, Call
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused, refused
from protocols.errors import Answer, AskError
from protocols.etcd import Compacted, Compare, LeaseGrant, Op, Range, Txn, TxnResponse, WatchKeys, WatchResponse
from protocols.message import Request

R = TypeVar("R")
LEASE_S = 60  # of a lease for who names none, as etcd
WINDOW = 16  # items that a watch may have in hand
PAUSE_S = 0.02  # before a member that has ended a watch is asked again

Background = Callable[[Coroutine[Any, Any, object], str], "asyncio.Task[object]"]


class Place(NamedTuple):
    """A key in the line: the revision that made it, what it says, whether none is older; all that as of `revision`."""

    prefix: bytes
    key: bytes
    lease: int
    created: int
    value: bytes
    is_first: bool
    revision: int


class Turns:
    def __init__(self, ctx: Context, replica: Replica, access: Access, background: Background) -> None:
        self.ctx = ctx
        self.replica = replica
        self.access = access
        self.background = background

    def of(self, call: Call) -> Caller:
        """Raises Refused."""
        try:
            return Caller(self, self.access.user(call), call.limit_s)
        except Refused as error:
            raise without_code(error) from error


class Caller:
    """Who it is, is known when it comes: its token may end while it waits. What it asks is asked in its name, and
    raises Refused."""

    def __init__(self, turns: Turns, user: str, limit_s: float | None) -> None:
        self._turns = turns
        self._user = user
        self._limit_s = limit_s

    async def asked(self, request: Request[R]) -> R:
        named: Request[Any] = as_user(self._user, request) if self._user else request
        try:
            answer: R = await self._turns.replica.asked(named, CALL_S)
        except Refused as error:
            raise without_code(error) from error
        return answer

    # -- the line -------------------------------------------------------------------------------------------------

    async def place(self, name: bytes, lease: int, value: bytes = b"") -> Place:
        """At the end of the line, or where that lease already is. Who goes away meanwhile leaves it."""
        taken: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._turns.background(self._take(name, lease, value, taken), "a place in a line")
        try:
            return await asyncio.shield(taken)
        except asyncio.CancelledError:
            taken.add_done_callback(self._leave_at_once)
            raise

    async def _take(self, name: bytes, lease: int, value: bytes, taken: asyncio.Future[Place]) -> None:
        try:
            taken.set_result(await self._take_place(name, lease, value))
        except Refused as refusal:
            taken.set_exception(refusal)

    async def _take_place(self, name: bytes, lease: int, value: bytes) -> Place:
        if lease == 0:
            unguessed = self._turns.ctx.random.getrandbits(63) or 1  # which no client has from another store
            lease = (await self.asked(LeaseGrant(LEASE_S, unguessed))).lease
        prefix = name + b"/"
        key = prefix + f"{lease:x}".encode()
        first, own = Op("range", prefix, range=first_of(prefix)), Op("range", key)
        put = Op("put", key, value, lease=lease)
        done = await self.asked(Txn((Compare(key, "create", "=", 0),), (put, first), (own, first)))
        created = done.revision
        if not done.succeeded:
            [there] = done.responses[0].kvs
            created, value = there.create_revision, there.value
        is_first = done.responses[1].kvs[0].create_revision == created
        return Place(prefix, key, lease, created, value, is_first, done.revision)

    async def turn(self, place: Place, lost: Refused) -> int:
        """Waits until nobody is before it: the revision at which that was so. Whoever does not wait for it, or is
        refused meanwhile, leaves the line. Raises `lost` when the key has gone by then."""
        if place.is_first:
            return place.revision
        try:
            async with asyncio.timeout(self._limit_s):
                await self._none_is_before(place)
                held = await self.asked(Range(place.key))
        except asyncio.CancelledError:
            self._turns.background(self._leave_quietly(place), "a place in a line")
            raise
        except TimeoutError as error:
            await self._leave_quietly(place)
            raise Refused(Code.DEADLINE_EXCEEDED, "context deadline exceeded") from error
        except Refused:
            await self._leave_quietly(place)
            raise
        if not held.kvs or held.kvs[0].create_revision != place.created:
            raise lost
        return held.revision

    async def _none_is_before(self, place: Place) -> None:
        end = end_of(place.prefix)
        before = Range(place.prefix, end, 1, sort_by="create", descending=True, max_create_revision=place.created - 1)
        while (found := await self.asked(before)).kvs:
            keys = WatchKeys(found.kvs[0].key, start_revision=found.revision + 1, no_put=True, user=self._user)
            async with self.watching(keys) as stream:
                async for response in stream:
                    if response.events:
                        break

    async def put(self, key: bytes, created: int, lease: int, value: bytes) -> TxnResponse:
        """Into the key that was made at that revision, and no other."""
        return await self.asked(Txn((Compare(key, "create", "=", created),), (Op("put", key, value, lease=lease),)))

    async def leave(self, key: bytes, created: int) -> TxnResponse:
        return await self.asked(Txn((Compare(key, "create", "=", created),), (Op("delete", key),)))

    async def _leave_quietly(self, place: Place) -> None:
        with contextlib.suppress(Refused):  # then the end of its lease does it
            await self.leave(place.key, place.created)

    def _leave_at_once(self, taken: asyncio.Future[Place]) -> None:
        if not taken.exception():
            self._turns.background(self._leave_quietly(taken.result()), "a place in a line")

    # -- what goes on there ---------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def watching(self, keys: WatchKeys) -> AsyncIterator[Stream[WatchResponse]]:
        """It ends early where the store has forgotten that revision, or the member here is away: look again."""
        try:
            async with self._turns.ctx.stream(self._turns.replica.local, keys, WINDOW) as stream:
                yield stream
        except Compacted:
            return
        except Answer as error:
            raise without_code(refused(error)) from error
        except AskError:
            await asyncio.sleep(PAUSE_S)

    def watch_keys(self, key: bytes, range_end: bytes, start_revision: int) -> WatchKeys:
        return WatchKeys(key, range_end, start_revision, user=self._user)


def first_of(prefix: bytes) -> Range:
    """Whose turn it is."""
    return Range(prefix, end_of(prefix), 1, sort_by="create")


def end_of(prefix: bytes) -> bytes:
    """Of all keys that begin so. A prefix ends with a slash."""
    return prefix[:-1] + b"0"


def without_code(refusal: Refused) -> Refused:
    return Refused(Code.UNKNOWN, refusal.text)
