"""The API server's client of the store: finds the leader, repeats what may be repeated, and never guesses.

Reads are repeated until somebody answers; a write whose answer was lost is sent again too, which writes.py makes safe.
Only when time runs out in the middle of that, or others wrote in between, does the caller hear `Unknown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from operator import is_
from typing import TypeVar

import msgspec

from actorkube.runtime import Context, Ref, Stream
from actorkube.runtime.deadline import deadline
from actorkube.runtime.probe import probe
from actors.apiserver.causes import Causes
from actors.apiserver.encryption.sealing import CannotDecrypt, Encryption
from actors.apiserver.keys import ROOT, ROOT_END
from actors.apiserver.values import new_mark, value_of
from actors.apiserver.writes import Claim, Committed, Refused, Write, refusal, settle, transaction
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
    Compare,
    EtcdAnswer,
    Event,
    KeyValue,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseNotFound,
    NotLeader,
    Op,
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
    def __init__(
        self,
        ctx: Context,
        replicas: Sequence[str],
        causes: Causes | None = None,
        encryption: Encryption | None = None,
        *,
        sole_writer: bool = False,
    ) -> None:
        """`encryption`: what is sealed on the way to the store, and opened on the way back. `sole_writer`: nobody else
        writes to it."""
        self.sole_writer = sole_writer
        self.newest = 0  # the newest revision that an answer has told of
        self._encryption = encryption or Encryption()
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
        for charge in write.charges:
            self._causes.expect(charge.key, charge.value)
        sealed = self._encryption.seal(write.key, value) if value is not None else None
        if write.claims:
            write = msgspec.structs.replace(write, claims=tuple(map(self._stored_claim, write.claims)))
        response, doubt = await self._ask_until_answered(transaction(write, sealed))
        if response.succeeded:
            return Committed(write.body, response.revision)
        refused = refusal(write, response)
        if not doubt:
            return refused
        settled = settle(write, value, self._opened_refusal(refused), response.revision)
        probe("api server: a write whose answer was lost had happened", isinstance(settled, Committed))
        return settled

    def _stored_claim(self, claim: Claim) -> Claim:
        if not claim.body:
            return claim
        return Claim(claim.key, body=self._encryption.seal(claim.key, value_of(claim.body, new_mark(self._ctx.random))))

    async def create_all(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Store keys and bodies, all if none of the keys exists, else none. At most 128, a transaction's bound."""
        absent = tuple(Compare(key, "mod", "=", 0) for key, _ in pairs)
        seal, chance = self._encryption.seal, self._ctx.random
        puts = tuple(Op("put", key, seal(key, value_of(body, new_mark(chance)))) for key, body in pairs)
        await self._ask_until_answered(Txn(absent, puts))

    async def revision(self) -> int:
        """A revision that includes every write that was acknowledged before this call."""
        response, _ = await self._ask_until_answered(Range(_PROBE))
        return response.revision

    async def load(self) -> tuple[list[KeyValue], int]:
        """Everything below the root, as of one revision. Raises Compacted when that took too long, CannotDecrypt."""
        kvs: list[KeyValue] = []
        key, revision = ROOT, 0
        while True:
            request = Range(key, ROOT_END, limit=_PAGE_KEYS, revision=revision)
            page, _ = await self._ask_until_answered(request)
            kvs += map(self._opened, page.kvs)
            revision = revision or page.revision
            if not page.more:
                return kvs, revision
            key = page.kvs[-1].key + b"\0"

    def watch(self, start_revision: int) -> Stream[WatchResponse]:
        """All keys, also foreign ones: the stream must reach every revision that `revision()` may answer.

        The leader is asked: another replica hears of a commit only with the next message from it.
        """
        return self._ctx.stream(self._answered_by, WatchKeys(b"\0", b"\0", start_revision), window=256)

    def opened(self, response: WatchResponse) -> WatchResponse:
        """Events as they were before they were sealed. Raises CannotDecrypt."""
        events = tuple([self._opened_event(event) for event in response.events])
        if all(map(is_, events, response.events)):
            return response
        return msgspec.structs.replace(response, events=events)

    def is_stale(self, key: bytes) -> bool:
        """Whether what is stored there should be written anew, because keys have changed."""
        return self._encryption.is_stale(key)

    def _opened_event(self, event: Event) -> Event:
        if event.type == "put":
            kv = self._opened(event.kv)
            return event if kv is event.kv else msgspec.structs.replace(event, kv=kv)
        self._encryption.forget(event.kv.key)
        return event

    def _opened(self, kv: KeyValue) -> KeyValue:
        value = self._encryption.open(kv.key, kv.value)
        return kv if value is kv.value else msgspec.structs.replace(kv, value=value)

    def _opened_refusal(self, refused: Refused) -> Refused:
        if refused.current is None:
            return refused
        try:
            return msgspec.structs.replace(refused, current=self._opened(refused.current))
        except CannotDecrypt as error:
            raise InternalError(f"Internal error occurred: {error}") from None

    async def grant_lease(self, ttl_s: int) -> int:
        response, _ = await self._ask_until_answered(LeaseGrant(ttl_s))
        return response.lease

    async def keep_alive(self, lease: int) -> None:
        """Raises LeaseNotFound."""
        await self._ask_until_answered(LeaseKeepAlive(lease))

    async def put(self, key: bytes, value: bytes, lease: int) -> None:
        """A key of the server's own, whatever is there, for as long as the lease lives."""
        await self._ask_until_answered(Txn((), (Op("put", key, value, lease=lease),)))

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
                self.newest = max(self.newest, getattr(answer, "revision", 0))
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
    if isinstance(refusal, LeaseNotFound):
        return refusal  # whoever uses a lease takes a new one
    return InternalError(refusal.etcd_text)


def _given_up(request: Request[R], doubt: bool, trouble: Exception) -> Exception:
    if doubt and isinstance(request, Txn):
        return Unknown(f"the store did not answer in time; the write may have happened ({trouble})")
    return ServiceUnavailable(f"the store is not available: {trouble}")
