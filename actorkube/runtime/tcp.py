"""Links over TCP and unix sockets: one per peer and lane, length-prefixed frames, all frames of a turn in one write.

Either side may dial; a link carries both directions, so whoever has connected to us can be reached without an
address. Both sides prove that they know the cluster's key before any other frame is looked at. What is refused, and
what ends, has a reason from a fixed set: counted in `refused`, logged as a sentence, told to the other side.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from actorkube.runtime.connection import Connection, nonce
from actorkube.runtime.greeting import Greeting, Self
from actorkube.runtime.identity import Identity, meaning
from actorkube.runtime.link import Census, Link, Transport
from actorkube.runtime.refusals import Reason, Refused
from actorkube.runtime.settings import Settings
from actorkube.runtime.system import System
from actorkube.runtime.tcp_link import TcpLink
from protocols.frame import Hello
from protocols.message import Lane

Endpoint = tuple[str, int] | str  # as getsockname() says it: (host, port) over TCP, a path for a unix socket


class Down(NamedTuple):
    """A peer that could not be reached: when to try again (loop time), and what that pause was drawn from."""

    until: float
    pause_s: float
    backoff_s: float


class TcpTransport(Transport):
    """`book` says where systems listen; `listen` are bound sockets (TCP or unix) that this system accepts on.

    With an `identity`, what goes over TCP is under mutual TLS, and the certificates take the place of the key. Unix
    sockets are for processes of one user; they prove the key. Systems named in `here` (and those that the book finds by
    a path) live on this host: nobody who calls over the network is believed to be one of them.
    """

    def __init__(
        self,
        *,
        key: bytes,
        book: Mapping[str, Endpoint] | None = None,
        listen: tuple[socket.socket, ...] = (),
        identity: Identity | None = None,
        here: Collection[str] = (),
        settings: Settings | None = None,
    ) -> None:
        self.book: dict[str, Endpoint] = dict(book or {})
        self.key = key
        self._here = frozenset(here)
        self.identity = identity
        self.settings = settings or Settings()
        self.user = os.getuid()
        self.refused: Counter[Reason] = Counter()
        self._unsaid: Counter[Reason] = Counter()
        self._silent_until: dict[Reason, float] = {}
        self._openings: Counter[str] = Counter()  # by peer
        self.incarnation = int.from_bytes(os.urandom(7), "big")
        self._listen = listen
        self._servers: list[asyncio.Server] = []
        self._links: dict[tuple[str, Lane], TcpLink] = {}  # the one to send on
        self._all: dict[TcpLink, None] = {}
        self._connections: dict[Connection, None] = {}
        self._dials: dict[TcpLink, asyncio.Task[None]] = {}
        self._watch_timer: asyncio.TimerHandle | None = None
        self._last_link = 0
        self._down: dict[tuple[str, Lane], Down] = {}
        self._unheard: frozenset[str] = frozenset()
        self._random: random.Random
        self.system: System

    async def start(self, system: System) -> None:
        self.system = system
        self._random = random.Random(f"{system.seed}/links")
        for listener in self._listen:
            self._servers.append(await self._serve(listener))
        self._watch_later()

    def link(self, peer: str, lane: Lane) -> Link | None:
        link = self._links.get((peer, lane))
        if link is not None or peer not in self.book:
            return link
        down = self._down.get((peer, lane))
        if down is not None and down.until > self.system.loop.time():
            return None
        self._last_link += 1
        link = TcpLink(self, peer, lane, self._last_link, dialled=True)
        self._use((peer, lane), link)
        self._all[link] = None
        self.dial(link)
        return link

    def census(self) -> Census:
        return Census(list(self._all), self._openings, {reason.value: count for reason, count in self.refused.items()})

    def peers(self) -> list[str]:
        return list(self.book)

    def cut(self, unheard: Collection[str]) -> None:
        """As a network does that parts: what is under way on a connection waits, and arrives late if that is healed
        before `silence_s`; then the link ends. New connections are refused until it is healed."""
        self._unheard = frozenset(unheard)
        for link in self._all:
            link.hear(link.peer not in self._unheard)
        self._down = {key: down for key, down in self._down.items() if key[0] in self._unheard}

    async def stop(self) -> None:
        if self._watch_timer is not None:
            self._watch_timer.cancel()
        for server in self._servers:
            server.close()
        for dial in list(self._dials.values()):
            dial.cancel()
        for link in list(self._all):
            link.close()
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.closed for connection in connections))
        for link in list(self._all):
            link.end()

    @property
    def waits(self) -> dict[str, float]:
        """Peers that cannot be reached, and how long each is left alone after the last attempt, in seconds."""
        return {peer: down.pause_s for (peer, _), down in self._down.items()}

    def count(self, refusal: Refused, peer: str) -> None:
        """Every one is counted; each reason is said once in `say_every_s`, with how many of it were not said before."""
        self.refused[refusal.reason] += 1
        now = self.system.loop.time()
        if now < self._silent_until.get(refusal.reason, 0.0):
            self._unsaid[refusal.reason] += 1
            return
        self._silent_until[refusal.reason] = now + self.settings.say_every_s
        unsaid = self._unsaid.pop(refusal.reason, 0)
        more = {"unsaid": unsaid} if unsaid else {}
        say = self.system.log.debug if refusal.reason is Reason.UNREACHABLE else self.system.log.warning
        say("connection closed", peer=peer, reason=str(refusal), label=refusal.reason.value, **more)

    # -- dialling and accepting -----------------------------------------------------------------------------------

    def dial(self, link: TcpLink, *, successor: bool = False) -> None:
        if link not in self._dials and link.peer in self.book:
            dial = self._dials[link] = self.system.loop.create_task(self._dial(link, successor))
            dial.add_done_callback(lambda task: self._dials.pop(link, None))

    async def _dial(self, link: TcpLink, successor: bool) -> None:
        loop, endpoint = self.system.loop, self.book[link.peer]
        identity = None if isinstance(endpoint, str) else self.identity
        connection = Connection(self, link, identity=identity, successor=successor)
        try:
            async with asyncio.timeout(self.settings.handshake_s):
                if isinstance(endpoint, str):
                    await loop.create_unix_connection(lambda: connection, endpoint)
                else:
                    await loop.create_connection(lambda: connection, *endpoint)
        except (OSError, TimeoutError) as error:
            self._unreachable(link, f"cannot connect to {endpoint}: {error}")

    async def _serve(self, listener: socket.socket) -> asyncio.Server:
        loop = self.system.loop
        if listener.family != socket.AF_UNIX:
            return await loop.create_server(lambda: Connection(self, identity=self.identity), sock=listener)
        # The path outlives us, as the listening socket does: whoever made it removes it.
        keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        return await loop.create_unix_server(lambda: Connection(self), sock=listener, **keep)

    def _unreachable(self, link: TcpLink, sentence: str) -> None:
        self.count(Refused(Reason.UNREACHABLE, sentence), link.peer)
        if link.opened_by is None:
            link.end()

    # -- what connections report ----------------------------------------------------------------------------------

    def greeting(self, connection: Connection) -> Greeting:
        link = connection.link
        who = Self(self.system.name, self.incarnation)

        key = self.key if connection.identity is None else b""

        def acceptable(name: str) -> None:
            self._check_name(connection, name)

        if link is None:
            return Greeting(who, key, nonce(), acceptable=acceptable)
        return Greeting(
            who,
            key,
            nonce(),
            acceptable=acceptable,
            expected=link.peer,
            lane=link.lane,
            link=link.number,
            successor=connection.successor,
        )

    def connected(self, connection: Connection) -> None:
        """Raises Refused when too many others are greeting already."""
        self._connections[connection] = None
        greeting = sum(other.link is None for other in self._connections)
        if connection.link is None and greeting > self.settings.greetings_max:
            raise Refused(Reason.CROWD, f"{self.settings.greetings_max} connections are greeting already")

    def _check_name(self, connection: Connection, name: str) -> None:
        """Who lives on this host is not believed from elsewhere, nor is a guest who is in our book."""
        if name in self._unheard:
            raise Refused(Reason.CUT, f"{name} is cut off from {self.system.name}")
        if not connection.unix and (name in self._here or isinstance(self.book.get(name), str)):
            raise Refused(Reason.PLACE, f"{name} lives on this host, and calls over the network")
        if connection.identity is None or connection.tls is None:
            return
        is_guest = connection.identity.check(connection.tls.certificate(), name, dialled=connection.link is not None)
        if is_guest and (name in self.book or name == self.system.name):
            raise Refused(Reason.PLACE, f"{name} is one of the cluster's own, and calls as a guest")

    def found(self, connection: Connection, peer: Hello) -> TcpLink:
        """Whose connection it is, now that the peer is known. Raises Refused."""
        if connection.link is not None:
            if connection.link.ended:
                raise Refused(Reason.SUCCESSOR, f"the link to {peer.system} has ended while it was to be gone on with")
            return connection.link
        if not peer.successor:
            link = TcpLink(self, peer.system, Lane(peer.lane), peer.link, dialled=False)
            self._all[link] = None
            return link
        for link in self._all:
            if (link.peer, link.opened_by, link.number) == (peer.system, peer.incarnation, peer.link):
                if not link.dialled:
                    return link
        raise Refused(Reason.SUCCESSOR, f"{peer.system} would go on with a link that is not there")

    def opened(self, connection: Connection, link: TcpLink, peer: Hello) -> None:
        key = (link.peer, link.lane)
        self._down.pop(key, None)
        self._openings[link.peer] += 1
        known = self._links.get(key)
        # A second link of the same process is only listened to; one of a newer process replaces the old.
        if known is None or (known is not link and known.opened_by not in (None, peer.incarnation)):
            self._use(key, link)
        link.opened(connection, peer.incarnation)
        if link.peer in self._unheard:  # it greeted before it was cut off
            link.hear(False)

    def disconnected(self, connection: Connection, error: Exception | None) -> None:
        self._connections.pop(connection, None)
        link = connection.link
        if link is None:
            return
        if error is not None and not connection.opened:
            self.count(Refused(meaning(error), f"the greeting broke off: {error}"), link.peer)
        link.disconnected(connection)

    def ended(self, link: TcpLink, *, was_open: bool) -> None:
        key = (link.peer, link.lane)
        self._all.pop(link, None)
        if self._links.get(key) is link:
            del self._links[key]
            link.home = None
            if not was_open:
                self._back_off(key)
        self.system.link_lost(link, sent=was_open)

    def _use(self, key: tuple[str, Lane], link: TcpLink) -> None:
        """From now on, this is the one to send on."""
        before = self._links.get(key)
        if before is not None:
            before.home = None
        self._links[key] = link
        link.home = self.system

    def _back_off(self, key: tuple[str, Lane]) -> None:
        down, settings = self._down.get(key), self.settings
        backoff_s = settings.backoff_first_s if down is None else min(down.backoff_s * 2, settings.backoff_most_s)
        pause_s = backoff_s * self._random.uniform(0.5, 1.0)
        self._down[key] = Down(self.system.loop.time() + pause_s, pause_s, backoff_s)

    # -- certificates ---------------------------------------------------------------------------------------------

    def renew(self, identity: Identity) -> None:
        """Go over to other certificates, without losing a message.

        Connections that are made from now on use them; every link goes over to such a connection within `renew_s`,
        or ends, as does at once the link of a peer whose certificate is revoked. Raises OSError when they cannot be
        read: then nothing changes.
        """
        if self.identity is None:
            raise ValueError("links without certificates cannot go over to some")
        identity.load()
        self.identity = identity
        for link in list(self._all):
            if any(serial in identity.revoked for serial in link.serials):
                link.fail(Refused(Reason.REVOKED, f"the certificate of {link.peer} is revoked"))
            else:
                link.renew()

    def _watch_later(self) -> None:
        if self.identity is not None:
            self._watch_timer = self.system.loop.call_later(self.settings.ping_s, self._watch)

    def _watch(self) -> None:
        """Certificates are files: where they are replaced, links go over to the new ones. Old ones we replace."""
        assert self.identity is not None
        try:
            self.identity.renew_due(self.system.now)
            fresh = self.identity.fresh()
            if fresh is not None:
                self.renew(fresh)
        except OSError as error:  # half replaced: the next look will find the other half
            self.system.log.warning("certificates cannot be read", error=str(error))
        self._watch_later()
