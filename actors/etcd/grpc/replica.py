"""The replica set as its door sees it: asks whoever leads, follows when that changes, and repeats what did not happen,
and what only reads whatever happened.

No task and no coroutine for an ask: two functions, of which one is called. A real etcd forwards to its leader, so a
client may call any member; so do we.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from actorkube.runtime import Context, Ref
from actors.etcd.commands import only_reads
from actors.etcd.grpc.status import NO_LEADER, Refused, refused
from protocols.errors import Answer, AskError, NotSent, Overloaded, Unknown
from protocols.etcd import NotLeader, Status, StatusResponse
from protocols.message import Request

R = TypeVar("R")
ATTEMPT_S = 2.0  # how long one replica may take for what only reads
PAUSE_S = 0.02  # while nobody leads


class Replica:
    """`revision` and `term` are the newest that were heard of; `cluster` is a restored store's number, or 0."""

    def __init__(self, ctx: Context, local: str) -> None:
        self._ctx = ctx
        self.local: Ref = ctx.ref(local)
        self.leader: Ref = self.local
        self.revision = 0
        self.term = 0
        self.cluster = 0

    def ask(
        self, request: Request[R], then: Callable[[R], None], otherwise: Callable[[Refused], None], timeout_s: float
    ) -> None:
        _Asking(self, self._ctx, request, then, otherwise, timeout_s)

    def ask_here(
        self, request: Request[R], then: Callable[[R], None], otherwise: Callable[[Refused], None], timeout_s: float
    ) -> None:
        """The member here, whoever leads."""

        def answered(future: asyncio.Future[R]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                then(future.result())
            elif isinstance(error, Answer | AskError):
                otherwise(refused(error))
            else:
                raise error

        self._ctx.ask(self.local, request, timeout_s).add_done_callback(answered)

    def asked(self, request: Request[R], timeout_s: float) -> asyncio.Future[R]:
        """The same, to be awaited. Raises Refused."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def then(answer: R) -> None:
            if not future.done():
                future.set_result(answer)

        def otherwise(refusal: Refused) -> None:
            if not future.done():
                future.set_exception(refusal)

        self.ask(request, then, otherwise, timeout_s)
        return future

    async def status(self) -> StatusResponse:
        """This member's own. Raises an AskError."""
        status = await self._ctx.ask(self.local, Status())
        self.term = max(self.term, status.term)
        self.cluster = status.cluster
        self.saw(status.revision)
        return status

    def saw(self, revision: int) -> None:
        if revision > self.revision:
            self.revision = revision

    def follow(self, leader: str) -> bool:
        """Whether there is another to ask at once."""
        found = self._ctx.ref(leader) if leader else self.local
        changed = found != self.leader
        self.leader = found
        return changed


class _Asking(Generic[R]):
    __slots__ = ("_ctx", "_loop", "_otherwise", "_reads", "_replica", "_request", "_then", "_until")

    def __init__(
        self,
        replica: Replica,
        ctx: Context,
        request: Request[R],
        then: Callable[[R], None],
        otherwise: Callable[[Refused], None],
        timeout_s: float,
    ) -> None:
        self._replica = replica
        self._ctx = ctx
        self._request = request
        self._then = then
        self._otherwise = otherwise
        self._reads = only_reads(request)
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + timeout_s
        self._ask()

    def _ask(self) -> None:
        left_s = self._until - self._loop.time()
        if left_s <= 0:
            self._otherwise(NO_LEADER)
            return
        if self._reads:
            left_s = min(left_s, ATTEMPT_S)
        self._ctx.ask(self._replica.leader, self._request, left_s).add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._then(future.result())
        elif isinstance(error, NotLeader):
            if self._replica.follow(str(error.details.get("leader") or "")):
                self._ask()
            else:
                self._again()
        elif isinstance(error, NotSent) and not isinstance(error, Overloaded):
            self._replica.follow("")
            self._again()
        elif isinstance(error, Answer | AskError):
            if isinstance(error, Unknown):
                self._replica.follow("")
                if self._reads and self._loop.time() + PAUSE_S < self._until:
                    self._again()
                    return
            self._otherwise(refused(error))
        else:
            raise error

    def _again(self) -> None:
        self._loop.call_later(PAUSE_S, self._ask)
