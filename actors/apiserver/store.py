"""The API server's client of the store: finds the leader, repeats what may be repeated, and never guesses.

Reads are repeated until somebody answers; a write whose answer was lost is sent again too, which writes.py makes safe.
Only when time runs out in the middle of that, or others wrote in between, does the caller hear `Unknown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from actorkube.runtime import Context, Ref, Stream
from actorkube.runtime.deadline import deadline
from actorkube.runtime.probe import probe
from actors.apiserver.causes import Causes
from actors.apiserver.keys import ROOT, ROOT_END
from actors.apiserver.values import new_mark, value_of
from actors.apiserver.writes import Committed, Refused, Write, refusal, settle, transaction
from protocols.errors import (
    AskError,
    InternalError,
    NotSent,
    RequestEntityTooLarge,
    ServiceUnavailable,
    Unknown,
)
from protocols.etcd import (
    Compacted,
    EtcdAnswer,
    KeyValue,
    LeaseGrant,
    NotLeader,
    Range,
    TooLarge,
    Txn,
    WatchKeys,
    WatchResponse,
)
from protocols.message import Request

R = TypeVar("R")

ANSWER_WITHIN_S = 10.0  # how long a request keeps trying when its caller set no shorter deadline
ATTEMPT_S = 2.0  # how long one replica may take; a leader that was cut off answers nobody
_BACKOFF_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_PAGE_KEYS = 500
_PROBE = b"/registry/health"


class Store:
    def __init__(self, ctx: Context, replicas: Sequence[str], causes: Causes | None = None) -> None:
        self._ctx = ctx
        self._causes = causes or Causes()
        self._replicas: list[Ref] = [ctx.ref(address) for address in replicas]
        self._leader = self._replicas[0]
        self._answered_by = self._leader
        self.on_leader_moved: Callable[[], None] = lambda: None

    async def commit(self, write: Write) -> Committed | Refused:
        """Raises Unknown when it may or may not have happened, another StatusError when it did not."""
        value = value_of(write.body, new_mark(self._ctx.random)) if write.body is not None else None
        self._causes.expect(write.key, value)
        response, doubt = await self._ask_until_answered(transaction(write, value))
        if response.succeeded:
            return Committed(write.body, response.revision)
        refused = refusal(write, response)
        if not doubt:
            return refused
        settled = settle(write, value, refused, response.revision)
        probe("api server: a write whose answer was lost had happened", isinstance(settled, Committed))
        return settled

    async def revision(self) -> int:
        """A revision that includes every write that was acknowledged before this call."""
        response, _ = await self._ask_until_answered(Range(_PROBE))
        return response.revision

    async def load(self) -> tuple[list[KeyValue], int]:
        """Everything below the root, as of one revision. Raises Compacted when that took too long."""
        kvs: list[KeyValue] = []
        key, revision = ROOT, 0
        while True:
            request = Range(key, ROOT_END, limit=_PAGE_KEYS, revision=revision)
            page, _ = await self._ask_until_answered(request)
            kvs += page.kvs
            revision = revision or page.revision
            if not page.more:
                return kvs, revision
            key = page.kvs[-1].key + b"\0"

    def watch(self, start_revision: int) -> Stream[WatchResponse]:
        """All keys, also foreign ones: the stream must reach every revision that `revision()` may answer.

        The leader is asked: another replica hears of a commit only with the next message from it.
        """
        return self._ctx.stream(self._answered_by, WatchKeys(b"\0", b"\0", start_revision), window=256)

    async def grant_lease(self, ttl_s: int) -> int:
        response, _ = await self._ask_until_answered(LeaseGrant(ttl_s))
        return response.lease

    def _try_another(self) -> None:
        at = self._replicas.index(self._leader) if self._leader in self._replicas else -1
        self._leader = self._replicas[(at + 1) % len(self._replicas)]

    async def _ask_until_answered(self, request: Request[R]) -> tuple[R, bool]:
        """The answer, and whether an earlier attempt may have happened too. Raises StatusErrors, Unknown, Compacted."""
        loop = asyncio.get_running_loop()
        until = min(loop.time() + ANSWER_WITHIN_S, deadline.get())
        attempts, doubt = 0, False
        while True:
            try:
                left_s = max(0.001, until - loop.time())
                answer = await self._ctx.ask(self._leader, request, min(ATTEMPT_S, left_s))
                self._note_leader()
                return answer, doubt
            except NotLeader as refusal:
                probe("api server: a replica does not lead")
                trouble: Exception = refusal
                self._follow(str(refusal.details.get("leader") or ""))
            except Compacted:
                raise
            except EtcdAnswer as refusal:
                raise _refused(refusal, doubt and isinstance(request, Txn)) from None
            except AskError as error:
                trouble, doubt = error, doubt or not isinstance(error, NotSent)
                self._try_another()
            pause_s = self._pause_s(attempts)
            attempts += 1
            if loop.time() + pause_s >= until:
                probe("api server: the store does not answer in time")
                raise _given_up(request, doubt, trouble)
            await self._ctx.sleep(pause_s)

    def _follow(self, leader: str) -> None:
        if not leader or self._ctx.ref(leader) == self._leader:
            self._try_another()
        else:
            self._leader = self._ctx.ref(leader)

    def _note_leader(self) -> None:
        if self._answered_by != self._leader:
            self._answered_by = self._leader
            self.on_leader_moved()

    def _pause_s(self, attempts: int) -> float:
        """The first attempts visit each replica at once; then it waits, longer each time, for an election to end."""
        if attempts < len(self._replicas):
            return 0.0
        step = min(attempts - len(self._replicas), len(_BACKOFF_S) - 1)
        return _BACKOFF_S[step] * (0.5 + self._ctx.random.random())


def _refused(refusal: EtcdAnswer, doubt: bool) -> Exception:
    """As Kubernetes passes on what etcd says; an earlier attempt of what is refused now may have happened."""
    if doubt:
        return Unknown(f"the store refuses now; the write may have happened ({refusal})")
    if isinstance(refusal, TooLarge):
        return RequestEntityTooLarge(refusal.etcd_text)
    return InternalError(refusal.etcd_text)


def _given_up(request: Request[R], doubt: bool, trouble: Exception) -> Exception:
    if doubt and isinstance(request, Txn):
        return Unknown(f"the store did not answer in time; the write may have happened ({trouble})")
    return ServiceUnavailable(f"the store is not available: {trouble}")
