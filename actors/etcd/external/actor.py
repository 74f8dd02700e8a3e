"""The store of a cluster that lives on a real etcd: whoever asks it need not know that it is no replica of ours.

One connection for calls, and one for each watch, to one of the endpoints; one that fails, or leaves a call unanswered
for long, is left for the next. No write is repeated here: what is not known to have failed is `Unknown`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

from actorkube.runtime import Actor, Mailbox
from actors.etcd.external import convert
from actors.etcd.external.address import Endpoint, ExternalAddress
from actors.etcd.external.channel import Channel, Failed, Lost
from actors.etcd.external.failures import ended, failure
from actors.etcd.grpc.messages import DecodeError, message
from actors.etcd.grpc.status import NO_LEADER
from protocols.errors import Answer, AskError, BadRequest, Unknown
from protocols.etcd import (
    Compact,
    Compare,
    LeaseGrant,
    LeaseGranted,
    NotLeader,
    Op,
    Range,
    RangeResponse,
    Status,
    StatusResponse,
    Txn,
    TxnResponse,
    WatchKeys,
    WatchResponse,
)
from protocols.message import Done, Message

CONNECT_S = 1.5
SLOW_S = 1.0  # who leaves a call unanswered for so long is left
COMPACT_EVERY_S = 300.0  # as kube-apiserver
COMPACTED_KEY = b"compact_rev_key"  # kube-apiserver's: of several servers on one etcd, one compacts
KV, WATCH, LEASE, MAINTENANCE = (f"/etcdserverpb.{service}/" for service in ("KV", "Watch", "Lease", "Maintenance"))
_RANGE_RESPONSE = message("etcdserverpb.RangeResponse")
_TXN_RESPONSE = message("etcdserverpb.TxnResponse")
_WATCH_RESPONSE = message("etcdserverpb.WatchResponse")
_LEASE_REQUEST, _LEASE_RESPONSE = message("etcdserverpb.LeaseGrantRequest"), message("etcdserverpb.LeaseGrantResponse")
_COMPACT_REQUEST, _COMPACT_RESPONSE = (
    message("etcdserverpb.CompactionRequest"),
    message("etcdserverpb.CompactionResponse"),
)
_STATUS_REQUEST, _STATUS_RESPONSE = message("etcdserverpb.StatusRequest"), message("etcdserverpb.StatusResponse")


class CompactNow(Message):
    """A timer's tick: what was superseded before the last tick is history that nobody asks for any more."""


class ExternalEtcd(Actor):
    mailbox = Mailbox(capacity=16_384)
    concurrency = 16_384
    begins_traces = False

    def __init__(self, address: ExternalAddress) -> None:
        self._address = address
        self._context: ssl.SSLContext | None = address.context()
        self._at = 0  # of the endpoints
        self._channel: Channel | None = None
        self._connecting: asyncio.Task[object] | None = None
        self._trouble = ""
        self._revision_before = 0
        self._compactions = 0

    async def on_start(self) -> None:
        self.ctx.every(COMPACT_EVERY_S, CompactNow())
        self.ctx.background(self._close_at_the_end(), "connection to etcd")

    def receive(self, message: Message) -> object:
        match message:
            case Txn():
                return self._txn(message)
            case Range():
                return self._range(message)
            case WatchKeys():
                return self._watch(message)
            case LeaseGrant():
                return self._grant(message)
            case Compact():
                return self._compact(message)
            case Status():
                return self._status()
            case CompactNow():
                return self._compact_history()
        raise BadRequest(f"a store on a real etcd is not asked {type(message).__name__}")

    # -- what is asked --------------------------------------------------------------------------------------------

    async def _txn(self, asked: Txn) -> TxnResponse:
        return convert.to_txn(await self._call(f"{KV}Txn", convert.from_txn(asked), _TXN_RESPONSE))

    async def _range(self, asked: Range) -> RangeResponse:
        return convert.to_range(await self._call(f"{KV}Range", convert.from_range(asked), _RANGE_RESPONSE))

    async def _grant(self, asked: LeaseGrant) -> LeaseGranted:
        request = _LEASE_REQUEST(TTL=asked.ttl_s, ID=asked.lease)
        granted = await self._call(f"{LEASE}LeaseGrant", request, _LEASE_RESPONSE)
        return LeaseGranted(granted.ID, granted.TTL)

    async def _compact(self, asked: Compact) -> Done:
        request = _COMPACT_REQUEST(revision=asked.revision, physical=asked.physical)
        await self._call(f"{KV}Compact", request, _COMPACT_RESPONSE)
        return Done()

    async def _status(self) -> StatusResponse:
        """Of the member that is asked; members are called by their numbers."""
        said = await self._call(f"{MAINTENANCE}Status", _STATUS_REQUEST(), _STATUS_RESPONSE)
        return StatusResponse(
            f"{said.header.member_id:x}",
            f"{said.leader:x}" if said.leader else "",
            said.raftTerm,
            said.header.revision,
            said.raftIndex,
            said.raftAppliedIndex,
            said.version,
            said.dbSize,
            said.dbSizeInUse,
            errors=tuple(said.errors),
        )

    async def _watch(self, keys: WatchKeys) -> AsyncIterator[WatchResponse]:
        """Its connection is its own: if the reader is slow, nothing is read from it, and etcd waits with the rest."""
        channel = await self._open()
        try:
            number, incoming = channel.begin(f"{WATCH}Watch")
            channel.send(number, convert.from_watch(keys).SerializeToString())
            while (data := await incoming.next()) is not None:
                response = decoded(_WATCH_RESPONSE, data)
                if response.canceled:
                    raise ended(response)
                if not response.created:
                    yield convert.to_watch(response)
                elif keys.start_revision:  # the answer names the present, although what was before follows
                    yield WatchResponse(keys.start_revision - 1)
                else:
                    yield WatchResponse(response.header.revision)
        except (Failed, Lost) as error:
            self._suspect(channel)
            raise failure(error) from None
        finally:
            channel.close()

    # -- history --------------------------------------------------------------------------------------------------

    async def _compact_history(self) -> None:
        """As kube-apiserver does it: who wins the transaction on one key compacts, and the others wait for a turn."""
        try:
            turn = await self._txn(compaction_turn(self._compactions, self._revision_before))
            version, before = self._compactions + 1, self._revision_before
            if not turn.succeeded:
                kvs = turn.responses[0].kvs
                version = kvs[0].version if kvs else 0
            elif before:
                await self._compact(Compact(before))
                self.ctx.log.info("compacted", revision=before)
            self._compactions, self._revision_before = version, turn.revision
        except (Answer, AskError) as error:
            self.ctx.log.info("etcd is not compacted", error=str(error))

    # -- connections ----------------------------------------------------------------------------------------------

    async def _call(self, path: str, request: Any, response: Any) -> Any:
        channel = await self._connected()
        began = self.ctx.now
        try:
            return decoded(response, await channel.call(path, request.SerializeToString()))
        except (Failed, Lost) as error:
            if isinstance(error, Lost) or error.text == NO_LEADER.text:
                self._leave(channel)
            raise failure(error) from None
        except asyncio.CancelledError:
            if self.ctx.now - began >= SLOW_S:
                self._leave(channel)
            raise

    async def _connected(self) -> Channel:
        """Raises NotLeader. Whoever comes while a connection is being made waits for that one."""
        if self._channel is None or not self._channel.is_usable:
            if self._connecting is None or self._connecting.done():
                self._connecting = self.ctx.background(self._connect(), "connect to etcd")
            await asyncio.shield(self._connecting)
        if self._channel is None:
            raise NotLeader(f"no etcd answers: {self._trouble}")
        return self._channel

    async def _connect(self) -> None:
        """To the first of the endpoints that can be reached."""
        self._channel, troubles = None, []
        for _ in self._address.endpoints:
            endpoint = self._endpoint
            try:
                self._channel = await Channel.open(endpoint, self._context, CONNECT_S)
                return
            except OSError as error:
                troubles.append(f"{endpoint}: {error}")
                self._at += 1
        self._trouble = "; ".join(troubles)

    async def _open(self) -> Channel:
        """A connection of a watch's own, where calls go, too. Raises NotLeader."""
        await self._connected()
        try:
            return await Channel.open(self._endpoint, self._context, CONNECT_S)
        except OSError as error:
            self._at += 1
            raise NotLeader(f"no etcd answers at {self._endpoint}: {error}") from None

    @property
    def _endpoint(self) -> Endpoint:
        return self._address.endpoints[self._at % len(self._address.endpoints)]

    def _suspect(self, channel: Channel) -> None:
        """A watch there broke off: whoever is called next is called elsewhere."""
        if self._channel is not None and self._channel.endpoint == channel.endpoint:
            self._leave(self._channel)

    def _leave(self, channel: Channel) -> None:
        if self._channel is channel:
            self._channel = None
            self._at += 1
            channel.retire()

    async def _close_at_the_end(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if self._channel is not None:
                self._channel.close()


def decoded(response: Any, data: bytes) -> Any:
    """Raises Unknown: what etcd has done is not known from an answer that makes no sense."""
    try:
        return response.FromString(data)
    except DecodeError as error:
        raise Unknown(f"etcd's answer does not decode: {error}") from None


def compaction_turn(compactions: int, revision: int) -> Txn:
    """Succeeds for the first who asks after so many compactions."""
    return Txn(
        (Compare(COMPACTED_KEY, "version", "=", compactions),),
        (Op("put", COMPACTED_KEY, b"%d" % revision),),
        (Op("range", COMPACTED_KEY),),
    )
