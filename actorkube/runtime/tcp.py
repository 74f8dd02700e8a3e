"""Links over TCP: one connection per peer and lane, length-prefixed frames, all frames of a loop turn in one write.

Either side may dial; a link carries both directions, so whoever has connected to us can be reached without an
address. Both sides prove that they know the cluster's key before any other frame is looked at. Garbage, an oversized
frame or a wrong proof closes that one connection, with a reason in the log.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import hmac
import os
import socket
from collections.abc import Mapping
from typing import cast

import msgspec

from actorkube.runtime.link import Link, Transport
from actorkube.runtime.system import System
from actorkube.runtime.wire import Inbox, Outbox
from protocols.frame import FRAME_MAX, WIRE_VERSION, Hello, Kind
from protocols.message import Lane, table_digest

HANDSHAKE_TIMEOUT_S = 3.0
HANDSHAKE_FRAME_MAX = 1024
PING_PERIOD_S = 3.0
SILENCE_MAX_S = 10.0
DIAL_BACKOFF_FIRST_S = 0.02
DIAL_BACKOFF_MOST_S = 1.0


class TcpTransport(Transport):
    """`book` says where systems listen; `listen` are bound sockets that this system accepts on."""

    def __init__(
        self, *, key: bytes, book: Mapping[str, tuple[str, int]] | None = None, listen: tuple[socket.socket, ...] = ()
    ) -> None:
        self.book = dict(book or {})
        self.key = key
        self.incarnation = int.from_bytes(os.urandom(7), "big")
        self._listen = listen
        self._servers: list[asyncio.Server] = []
        self._links: dict[tuple[str, Lane], TcpLink] = {}  # the one to send on
        self._all: dict[TcpLink, None] = {}
        self._dials: dict[asyncio.Task[None], None] = {}
        self._down: dict[tuple[str, Lane], tuple[float, float]] = {}  # not to be dialled before, last back-off
        self.system: System

    async def start(self, system: System) -> None:
        self.system = system
        for listener in self._listen:
            self._servers.append(await system.loop.create_server(lambda: TcpLink(self, None), sock=listener))

    def link(self, peer: str, lane: Lane) -> Link | None:
        link = self._links.get((peer, lane))
        if link is not None or peer not in self.book:
            return link
        if self._down.get((peer, lane), (0.0, 0.0))[0] > self.system.loop.time():
            return None
        link = TcpLink(self, peer, lane)
        self._links[(peer, lane)] = link
        dial = self.system.loop.create_task(self._dial(link))
        self._dials[dial] = None
        dial.add_done_callback(lambda task: self._dials.pop(task, None))
        return link

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for dial in list(self._dials):
            dial.cancel()
        links = list(self._all)
        for link in links:
            link.close()
        await asyncio.gather(*(link.closed for link in links))

    async def _dial(self, link: TcpLink) -> None:
        host, port = self.book[link.peer]
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self.system.loop.create_connection(lambda: link, host, port)
        except (OSError, TimeoutError) as error:
            link.fail(f"cannot connect to {host}:{port}: {error}")

    # -- what links report ----------------------------------------------------------------------------------------

    def connected(self, link: TcpLink) -> None:
        self._all[link] = None

    def opened(self, link: TcpLink) -> None:
        key = (link.peer, link.lane)
        self._down.pop(key, None)
        known = self._links.get(key)
        # A second connection of the same process is only listened to; one of a newer process replaces the old.
        if known is None or (known is not link and known.opened_by not in (None, link.opened_by)):
            self._links[key] = link

    def ended(self, link: TcpLink, *, was_open: bool) -> None:
        key = (link.peer, link.lane)
        self._all.pop(link, None)
        if self._links.get(key) is link:
            del self._links[key]
            if not was_open:
                before = self._down.get(key, (0.0, DIAL_BACKOFF_FIRST_S / 2))[1]
                wait = min(before * 2, DIAL_BACKOFF_MOST_S)
                self._down[key] = (self.system.loop.time() + wait, wait)
        self.system.link_lost(link, sent=was_open)


class State(enum.Enum):
    DIALLING = 0
    GREETING = 1  # connected; waiting for the other side's hello and proof
    OPEN = 2
    CLOSED = 3


class TcpLink(Link, asyncio.BufferedProtocol):
    """One connection. Frames sent before it is open wait in the bounded outbox."""

    def __init__(self, transport: TcpTransport, peer: str | None, lane: Lane = Lane.BULK) -> None:
        super().__init__(peer or "")
        self.lane = lane
        self.closed: asyncio.Future[None] = transport.system.loop.create_future()
        self.opened_by: int | None = None  # the peer's incarnation
        self._transport = transport
        self._system = transport.system
        self._dialled = peer is not None
        self._state = State.DIALLING
        self._nonce = os.urandom(16)
        self._inbox = Inbox(HANDSHAKE_FRAME_MAX)
        self._outbox = Outbox()
        self._socket: asyncio.Transport | None = None
        self._flush_due = False
        self._receiving = False
        self._paused = False
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        if self._state is State.CLOSED or not self._outbox.put(kind, type_id, target, sender, corr, number, body):
            return False
        if not self._flush_due and not self._receiving and self._state is State.OPEN:
            self._flush_due = True
            self._system.loop.call_soon(self._flush)
        return True

    def close(self) -> None:
        """Planned: what is queued is still written."""
        self._flush()
        if self._socket is not None:
            self._socket.close()

    def fail(self, reason: str) -> None:
        if self._state is State.CLOSED:
            return
        self._system.log.debug("link failed", peer=self.peer, reason=reason)
        if self._socket is not None:
            self._socket.abort()
        else:
            self._end()

    # -- asyncio.BufferedProtocol ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        self._socket.set_write_buffer_limits(high=256 * 1024)
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._state = State.GREETING
        self._transport.connected(self)
        self._heard_at = self._system.loop.time()
        self._timer = self._system.loop.call_later(HANDSHAKE_TIMEOUT_S, self._greeting_late)
        hello = Hello(
            WIRE_VERSION, self._system.name, self._transport.incarnation, self.lane, table_digest(), self._nonce
        )
        self._write_now(Kind.HELLO, msgspec.msgpack.encode(hello))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._inbox.room()

    def buffer_updated(self, nbytes: int) -> None:
        self._heard_at = self._system.loop.time()
        self._receiving = True
        try:
            for frame in self._inbox.received(nbytes):
                self._on_frame(*frame)
                if self._state is State.CLOSED:
                    return
        except ValueError as error:
            self._refuse(str(error))
        finally:
            self._receiving = False
        self._flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    # -- frames ---------------------------------------------------------------------------------------------------

    def _on_frame(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> None:
        if self._state is State.OPEN:
            if kind == Kind.PING:
                self.send(Kind.PONG, 0, 0, 0, 0, 0, b"")
            elif kind != Kind.PONG:
                self._system.on_frame(self, kind, type_id, target, sender, corr, number, body)
        elif kind == Kind.HELLO:
            self._on_hello(body)
        elif kind == Kind.PROOF:
            self._on_proof(body)
        else:
            raise ValueError(f"frame of kind {kind} before the handshake")

    def _on_hello(self, body: bytes) -> None:
        try:
            hello = msgspec.msgpack.decode(body, type=Hello)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a hello: {error}") from error
        if hello.version != WIRE_VERSION or hello.table != table_digest():
            raise ValueError(f"{hello.system} speaks another version (wire {hello.version}, ours {WIRE_VERSION})")
        if self._dialled and hello.system != self.peer:
            raise ValueError(f"{hello.system} answers where {self.peer} was expected")
        self.peer = hello.system
        self.lane = Lane(hello.lane) if not self._dialled else self.lane
        self.opened_by = hello.incarnation
        self._write_now(Kind.PROOF, self._proof(hello.nonce, self._system.name, dialled=self._dialled))

    def _on_proof(self, body: bytes) -> None:
        if self.opened_by is None:
            raise ValueError("a proof before the hello")
        if not hmac.compare_digest(body, self._proof(self._nonce, self.peer, dialled=not self._dialled)):
            raise ValueError(f"{self.peer} does not know the cluster's key")
        self._state = State.OPEN
        self._inbox.frame_max = FRAME_MAX
        self._transport.opened(self)
        self._arm_ping()
        self._flush()

    def _proof(self, nonce: bytes, system: str, *, dialled: bool) -> bytes:
        """Bound to the prover's name and role, so that a proof cannot be reflected."""
        return hmac.new(self._transport.key, nonce + bytes([dialled]) + system.encode(), hashlib.sha256).digest()

    def _refuse(self, reason: str) -> None:
        address = self._socket.get_extra_info("peername") if self._socket is not None else None
        self._system.log.warning("connection closed", peer=self.peer or str(address), reason=reason)
        if self._socket is not None:
            self._socket.abort()

    # -- writing --------------------------------------------------------------------------------------------------

    def _write_now(self, kind: Kind, body: bytes) -> None:
        """Handshake frames go past the outbox, which may hold frames that must wait."""
        box = Outbox()
        box.put(kind, 0, 0, 0, 0, 0, body)
        assert self._socket is not None
        for chunk in box.take():
            self._socket.write(chunk)

    def _flush(self) -> None:
        self._flush_due = False
        if self._state is not State.OPEN or self._paused or self._socket is None or not self._outbox.size:
            return
        for chunk in self._outbox.take():
            self._socket.write(chunk)

    # -- time -----------------------------------------------------------------------------------------------------

    def _greeting_late(self) -> None:
        if self._state is not State.OPEN:
            self.fail("no handshake in time")

    def _arm_ping(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._system.loop.call_later(PING_PERIOD_S, self._ping)

    def _ping(self) -> None:
        silence_s = self._system.loop.time() - self._heard_at
        if silence_s > SILENCE_MAX_S:
            self.fail(f"silent for {silence_s:.0f} s")
            return
        if silence_s >= PING_PERIOD_S:
            self.send(Kind.PING, 0, 0, 0, 0, 0, b"")
        self._arm_ping()

    def _end(self) -> None:
        if self._state is State.CLOSED:
            return
        was_open = self._state is State.OPEN
        self._state = State.CLOSED
        if self._timer is not None:
            self._timer.cancel()
        self._transport.ended(self, was_open=was_open)
        if not self.closed.done():
            self.closed.set_result(None)
