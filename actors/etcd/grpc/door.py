"""The door to one replica for etcd's clients: an actor beside it that serves etcd's v3 API over gRPC, and in JSON.

It asks whoever leads for what only a leader may answer, and the member here for everything else: any member's door
may be called for anything, as with etcd.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from actorkube.runtime import Actor
from actors.etcd.grpc.access import Access
from actors.etcd.grpc.auth import AuthService
from actors.etcd.grpc.calls import Method
from actors.etcd.grpc.cluster import Cluster
from actors.etcd.grpc.election import Elections
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.kv import Kv
from actors.etcd.grpc.lease import Leases
from actors.etcd.grpc.lock import Locks
from actors.etcd.grpc.maintenance import Maintenance
from actors.etcd.grpc.pages import Page, Pages
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.server import Peer
from actors.etcd.grpc.status import Refused, refused
from actors.etcd.grpc.turns import Turns
from actors.etcd.grpc.watch import Watches
from actors.etcd.grpc.web import Arrival, WebPeer
from protocols.errors import Answer, AskError
from protocols.etcd_members import member_id
from protocols.message import Done, Message, Request

LOOK_S = 0.5  # how often the member here is asked for its term, and whether anybody leads
LEADERLESS_S = 3.0  # for so long nobody may lead before those who want to know are told
BACKLOG = 1024


class IsOpen(Request[Done]):
    """Answered when clients can connect."""


class Look(Message):
    """A timer's tick."""


@dataclass(frozen=True)
class DoorConfig:
    """`member` is the name of the replica beside it, `address` its actor; `client_urls` where the doors of all are.

    `listener` is a socket that listens; with `certificate` (files of certificate and key) clients speak TLS, and with
    `client_ca` (a file) they must have a certificate of that authority.
    """

    member: str
    address: str
    cluster_id: int
    listener: socket.socket
    client_urls: Mapping[str, str] = field(default_factory=dict)
    certificate: tuple[str, str] | None = None
    client_ca: str = ""


class Door(Actor):
    """`closed` counts the connections that were closed for what their clients did, by the reason."""

    begins_traces = False

    def __init__(self, config: DoorConfig) -> None:
        self._config = config
        self._leaderless_since: float | None = None
        self.closed: Counter[str] = Counter()
        self.connections: set[Arrival | Peer | WebPeer] = set()
        self.methods: Mapping[bytes, Method]
        self.pages: Mapping[str, Page]

    async def on_start(self) -> None:
        config = self._config
        self._replica = Replica(self.ctx, config.address)
        header = Header(config.cluster_id, member_id(config.member), self._replica)
        self._access = access = Access(self.ctx, self._replica)
        self._watches = Watches(self.ctx, self._replica, header, self.background, access)
        turns = Turns(self.ctx, self._replica, access, self.background)
        self.methods = {
            **Kv(self._replica, header, access).methods(),
            **self._watches.methods(),
            **Leases(self._replica, header, access).methods(),
            **Cluster(self._replica, header, config.client_urls, access).methods(),
            **Maintenance(self.ctx, self._replica, header, access).methods(),
            **AuthService(self._replica, header, access).methods(),
            **Locks(turns, header).methods(),
            **Elections(turns, header, self._watches.streams).methods(),
        }
        self.pages = Pages(self.ctx, self._replica, header, self.closed).all()
        await self._look()  # so that no answer is given without the store's number and term
        server = await asyncio.get_running_loop().create_server(
            lambda: Arrival(self), sock=config.listener.dup(), ssl=tls_of(config), backlog=BACKLOG
        )
        self.ctx.background(self._keep_open(server), "etcd's API")
        self.ctx.every(LOOK_S, Look())
        self.ctx.log.info("etcd's API is open", address=str(config.listener.getsockname()))

    async def _keep_open(self, server: asyncio.Server) -> None:
        """Until this instance ends, also by a crash: the next one finds nobody at its socket."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for peer in list(self.connections):
                peer.leave()

    async def receive(self, message: Message) -> None:
        match message:
            case Look():
                await self._look()
            case IsOpen():
                pass
            case _:
                super().receive(message)

    async def _look(self) -> None:
        try:
            status = await self._replica.status()
        except AskError:
            return
        if status.auth_version != self._access.auth.version:
            await self._access.refresh()
        now = self.ctx.now
        if status.leader:
            self._leaderless_since = None
        elif self._leaderless_since is None:
            self._leaderless_since = now
        elif now - self._leaderless_since >= LEADERLESS_S:
            self._watches.nobody_leads()

    # -- server.House ---------------------------------------------------------------------------------------------

    def background(self, coro: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:
        return self.ctx.background(coro, name)

    def refusal(self, error: Answer | AskError) -> Refused:
        return refused(error)

    def note(self, why: str) -> None:
        self.ctx.log.info("a client's connection is closed", why=why)


def tls_of(config: DoorConfig) -> ssl.SSLContext | None:
    if config.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*config.certificate)
    context.set_alpn_protocols(["http/1.1", "h2"])  # who can both asks for pages; gRPC offers only the second
    if config.client_ca:
        context.load_verify_locations(config.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def cluster_id(members: Iterable[str]) -> int:
    """The number by which etcd's clients know the cluster that those members began, not 0."""
    return int.from_bytes(hashlib.sha256("\n".join(sorted(members)).encode()).digest()[:8], "big") >> 1 or 1
