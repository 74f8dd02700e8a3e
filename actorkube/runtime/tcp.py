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
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from actorkube.runtime.actor import Ref
from actorkube.runtime.busy_wait import BusyWait, processors, window
from actorkube.runtime.connection import Connection, nonce
from actorkube.runtime.greeting import Greeting, Self
from actorkube.runtime.identity import Identity, meaning
from actorkube.runtime.link import Address, Census, Link, Transport
from actorkube.runtime.refusals import Reason, Refused
from actorkube.runtime.settings import Settings
from actorkube.runtime.system import System
from actorkube.runtime.tcp_link import TcpLink
from protocols.address import Address as ActorAddress
from protocols.frame import Hello
from protocols.message import Lane

Endpoint = tuple[str, int] | str  # as getsockname() says it: (host, port) over TCP, a path for a unix socket


class Down(NamedTuple):
    """A peer that could not be reached: when to try again (loop time), and what that pause was drawn from."""

    until: float
    pause_s: float
    backoff_s: float
    why: str


class TcpTransport(Transport):
    """`book` says where systems listen; `listen` are bound sockets (TCP or unix) that this system accepts on.

    With an `identity`, what goes over TCP is under mutual TLS, and the certificates take the place of the key. Unix
    sockets are for processes of one user; they prove the key. Systems named in `here` (and those that the book finds by
    a path) live on this host: nobody who calls over the network is believed to be one of them. No guest has a name that
    is `reserved`, or in the book.
    """

    sees_all = False

    def __init__(
        self,
        *,
        key: bytes,
        book: Mapping[str, Endpoint] | None = None,
        listen: tuple[socket.socket, ...] = (),
        identity: Identity | None = None,
        here: Collection[str] = (),
        reserved: Callable[[str], bool] = lambda name: False,
        settings: Settings | None = None,
    ) -> None:
        self.book: dict[str, Endpoint] = dict(book or {})
        self._learned: dict[str, Endpoint] = {}  # as others say
        self.key = key
        self._here = frozenset(here)
        self._reserved = reserved
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
        self.unflushed: deque[TcpLink] = deque()
        self.flush_is_due = False  # `flush` will be called in this loop turn, or the next
        self._watch_timer: asyncio.TimerHandle | None = None
        self._last_link = 0
        self._down: dict[tuple[str, Lane], Down] = {}
        self._unheard: frozenset[str] = frozenset()
        self._random: random.Random
        self.busy_wait: BusyWait
        self.system: System

    async def start(self, system: System) -> None:
        self.system = system
        self._random = random.Random(f"{system.seed}/links")
        busy_wait_s = window(system.loop, self.settings.busy_wait_s, processors())
        self.busy_wait = BusyWait(system.loop, system.context, busy_wait_s)
        for listener in self._listen:
            self._servers.append(await self._serve(listener))
        self._watch_later()

    def link(self, peer: str, lane: Lane) -> Link | None:
        link = self._links.get((peer, lane))
        if link is not None or self._endpoint(peer) is None:
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

    def why_not(self, peer: str, lane: Lane) -> str:
        down = self._down.get((peer, lane))
        if self._endpoint(peer) is None:
            return "is not known: it is not in the book, and has not connected"
        return f"cannot be reached: {down.why}" if down is not None and down.why else super().why_not(peer, lane)

    def flush_soon(self) -> None:
        """Behind all that is to be done in this loop turn."""
        self.flush_is_due = True
        self.system.loop.call_soon(self._flush_in_turn)

    def _flush_in_turn(self) -> None:
        self.flush_is_due = False
        self.flush()

    def flush(self) -> None:
        unflushed = self.unflushed
        try:
            while unflushed:
                unflushed.popleft().flush()
        finally:
            if unflushed and not self.flush_is_due:
                self.flush_soon()

    def census(self) -> Census:
        return Census(list(self._all), self._openings, {reason.value: count for reason, count in self.refused.items()})

    def peers(self) -> list[str]:
        return [*self.book, *self._learned]

    def addresses(self) -> dict[str, Address]:
        own = next((name for listener in self._listen if _is_for_others(name := listener.getsockname())), None)
        known = {**self._learned, **self.book, **({self.system.name: own} if own is not None else {})}
        return {name: (at, 0) if isinstance(at, str) else (at[0], at[1]) for name, at in known.items()}

    def learn(self, peer: str, address: Address, teller: str) -> None:
        """A guest is not believed, and a path only who lives on this host."""
        links = [link for link in self._all if link.peer == teller]
        if (
            not self.settings.connect_all
            or peer == self.system.name
            or not links
            or any(link.guest is not None for link in links)
        ):
            return
        host, port = address
        if host and (port or any(link.unix for link in links)):
            self._learned[peer] = (host, port) if port else host

    def unlearn(self, peer: str) -> None:
        self._learned.pop(peer, None)

    def _endpoint(self, peer: str) -> Endpoint | None:
        return self.book.get(peer) or self._learned.get(peer)

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

    def count(self, refusal: Refused, peer: str, link: TcpLink | None = None) -> None:
        """Every one is counted; each reason is said once in `say_every_s`, with how many of it were not said before.

        Whoever waits for something over the link will be told.
        """
        if link is not None:
            link.fate = str(refusal)
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
        if link not in self._dials and self._endpoint(link.peer) is not None:
            dial = self._dials[link] = self.system.loop.create_task(self._dial(link, successor))
            dial.add_done_callback(lambda task: self._dials.pop(link, None))

    async def _dial(self, link: TcpLink, successor: bool) -> None:
        loop, endpoint = self.system.loop, self._endpoint(link.peer)
        if endpoint is None:  # it was unlearned since
            self._unreachable(link, f"nobody knows {link.peer} any more")
            return
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
        self.count(Refused(Reason.UNREACHABLE, sentence), link.peer, None if link.opened_by else link)
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
        """Who lives on this host is not believed from elsewhere, nor is a guest who has the name of one of us."""
        if name in self._unheard:
            raise Refused(Reason.CUT, f"{name} is cut off from {self.system.name}")
        if not connection.unix and (name in self._here or isinstance(self.book.get(name), str)):
            raise Refused(Reason.PLACE, f"{name} lives on this host, and calls over the network")
        if connection.identity is None or connection.tls is None:
            return
        shown, dialled = connection.tls.certificate(), connection.link is not None
        connection.guest = connection.identity.check(shown, name, dialled=dialled)
        if connection.guest is not None and self._is_own(name):
            raise Refused(Reason.PLACE, f"{name} is one of the cluster's own, and calls as a guest")

    def _is_own(self, name: str) -> bool:
        return name in self.book or name == self.system.name or self._reserved(name)

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
        link.guest, link.unix = connection.guest, connection.unix
        if link.guest is not None:
            link.names[0] = Ref(ActorAddress(link.peer, ""))  # only who is one of us may ask as nobody
        link.opened(connection, peer.incarnation)
        if link.peer in self._unheard:  # it greeted before it was cut off
            link.hear(False)

    def disconnected(self, connection: Connection, error: Exception | None) -> None:
        self._connections.pop(connection, None)
        link = connection.link
        if link is None:
            return
        if error is not None and not connection.opened:
            self.count(Refused(meaning(error), f"the greeting broke off: {error}"), link.peer, link)
        link.disconnected(connection)

    def ended(self, link: TcpLink, *, was_open: bool) -> None:
        key = (link.peer, link.lane)
        self._all.pop(link, None)
        if self._links.get(key) is link:
            del self._links[key]
            link.home = None
            if not was_open:
                self._back_off(key, link.fate)
        self.system.link_lost(link, sent=was_open)

    def _use(self, key: tuple[str, Lane], link: TcpLink) -> None:
        """From now on, this is the one to send on."""
        before = self._links.get(key)
        if before is not None:
            before.home = None
        self._links[key] = link
        link.home = self.system

    def _back_off(self, key: tuple[str, Lane], why: str) -> None:
        down, settings = self._down.get(key), self.settings
        backoff_s = settings.backoff_first_s if down is None else min(down.backoff_s * 2, settings.backoff_most_s)
        pause_s = backoff_s * self._random.uniform(0.5, 1.0)
        self._down[key] = Down(self.system.loop.time() + pause_s, pause_s, backoff_s, why)

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
        self._end_revoked(identity)
        for link in list(self._all):
            link.renew()

    def _end_revoked(self, identity: Identity) -> None:
        for link in list(self._all):
            is_revoked = link.guest is not None and identity.revoked_guests.covers(link.guest, link.peer)
            if is_revoked or any(serial in identity.revoked for serial in link.serials):
                link.fail(Refused(Reason.REVOKED, f"the certificate of {link.peer} is revoked"))

    def guests(self) -> dict[str, list[str]]:
        """Who is linked to us now, by the systems' names."""
        links = sorted({(link.guest, link.peer) for link in self._all if link.guest is not None})
        found: dict[str, list[str]] = {}
        for guest, peer in links:
            found.setdefault(guest, []).append(peer)
        return found

    def _watch_later(self) -> None:
        if self.identity is not None:
            self._watch_timer = self.system.loop.call_later(self.settings.ping_s, self._watch)

    def look_at_certificates(self) -> None:
        """They are files: where they are replaced, links go over to the new ones. Old ones we replace.

        Raises OSError where they cannot be read.
        """
        if self.identity is None:
            return
        self.identity.renew_due(self.system.now)
        before, fresh = self.identity, self.identity.fresh()
        if fresh is None:
            return
        if fresh.has_certificates_of(before):
            self.identity = fresh
            self._end_revoked(fresh)
        else:
            self.renew(fresh)

    def _watch(self) -> None:
        try:
            self.look_at_certificates()
        except OSError as error:  # half replaced: the next look will find the other half
            self.system.log.warning("certificates cannot be read", error=str(error))
        self._watch_later()


def _is_for_others(endpoint: Endpoint) -> bool:
    """Not where it listens on all addresses: which of them others can use is not known here."""
    return isinstance(endpoint, str) or endpoint[0] not in ("0.0.0.0", "::")
