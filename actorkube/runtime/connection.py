"""One socket of a link, from its greeting to its end: an asyncio protocol around the pure parts (Greeting, Inbox).

Whatever is wrong with what it reads ends this connection, with a reason that is counted, logged and told to the peer,
and harms nobody else.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from actorkube.runtime.greeting import Greeting
from actorkube.runtime.identity import Identity, meaning
from actorkube.runtime.refusals import Reason, Refused
from actorkube.runtime.tls import TlsStream
from actorkube.runtime.wire import KINDS, Handler, Inbox, own_frame
from protocols.frame import BATCH_BYTES_MAX, BATCHED, FRAME_MAX, Kind, decode_rows

if TYPE_CHECKING:
    from actorkube.runtime.tcp import TcpTransport
    from actorkube.runtime.tcp_link import TcpLink

GREETING_FRAME_MAX = 1024
SENTENCE_MAX = 512
_ucred = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class Connection(asyncio.BufferedProtocol):
    """`link` is None on the side that was called, until the greeting has told whose connection this is."""

    def __init__(
        self,
        owner: TcpTransport,
        link: TcpLink | None = None,
        *,
        identity: Identity | None = None,
        successor: bool = False,
    ) -> None:
        self.link = link
        self.successor = successor
        self.identity = identity  # what this connection was made under; None: without TLS
        self.tls: TlsStream | None = None
        self.valid_until = math.inf  # the peer's certificate, seconds since the epoch
        self.serial = ""
        self.guest: str | None = None  # whose certificate the peer shows; None: one of the cluster's own
        self.opened = False
        self.moved = False  # the peer goes on writing on the successor
        self.heard = False  # since the last time that the link has looked
        self.closed: asyncio.Future[None] = owner.system.loop.create_future()
        self.socket: asyncio.Transport | None = None
        self.write: Callable[[bytes], None]
        self.write_all: Callable[[list[bytes]], None]
        self._owner = owner
        self._busy_wait = owner.busy_wait
        self._over = False  # refused or given up: nothing that still comes is looked at
        self._held = False
        self._deaf = False
        self._timer: asyncio.TimerHandle | None = None
        self._greeting: Greeting
        handlers: list[Handler] = [self._on_early] * KINDS
        handlers[Kind.HELLO], handlers[Kind.PROOF], handlers[Kind.REFUSED] = (
            self._on_hello,
            self._on_proof,
            self._on_refused,
        )
        self.inbox = Inbox(GREETING_FRAME_MAX, handlers)
        if identity is None:
            self.get_buffer = self.inbox.room  # type: ignore[method-assign]  # a call less for each read

    @property
    def unix(self) -> bool:
        raw = self.socket.get_extra_info("socket") if self.socket is not None else None
        return raw is not None and raw.family == socket.AF_UNIX

    def refuse(self, refusal: Refused) -> None:
        """Count it, log it, tell the peer, hang up."""
        if self._over:
            return
        self._owner.count(refusal, self.name, self._carried)
        if self.identity is None or (self.tls is not None and self.tls.ready):
            self.write(own_frame(Kind.REFUSED, str(refusal).encode()[:SENTENCE_MAX]))
        self.close()

    def close(self) -> None:
        """What was written still goes out, for a while; nothing is read any more."""
        self._over = True
        if self.socket is not None and not self.closed.done():
            self.socket.close()
            self._arm(self._owner.settings.linger_s, self.socket.abort)

    def hold(self) -> None:
        """What comes waits: the connection before this one is not read to its end yet."""
        self._held = True
        assert self.socket is not None
        self.socket.pause_reading()

    def release(self) -> None:
        self._held = False
        if self.socket is not None and not self._over and not self._deaf:
            self.socket.resume_reading()
            self._deliver()

    def hear(self, hears: bool) -> None:
        """Whether anything is read at all: a fault stops that."""
        self._deaf = not hears
        if self.socket is None or self._over or self.closed.done():
            return
        if self._deaf:
            self.socket.pause_reading()
        elif not self._held:
            self.socket.resume_reading()
            self._deliver()

    def move(self) -> None:
        """The last thing that is written here."""
        self.write(own_frame(Kind.MOVED))

    @property
    def _carried(self) -> TcpLink | None:
        """The link that ends with this connection: one that was to go on here has another still."""
        return None if self.successor and not self.opened else self.link

    @property
    def name(self) -> str:
        """The peer's name, or where it called from."""
        called = self._greeting.called if self.socket is not None else ""
        if called or self.link is not None or self.socket is None:
            return called or (self.link.peer if self.link is not None else "")
        return str(self.socket.get_extra_info("peername") or "a unix socket")

    # -- asyncio.BufferedProtocol ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.socket = cast(asyncio.Transport, transport)
        self.socket.set_write_buffer_limits(high=0)  # so uvloop writes at once, and not behind its next look at sockets
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.write, self.write_all = self.socket.write, self.socket.writelines
        self._greeting = self._owner.greeting(self)
        self._arm(self._owner.settings.handshake_s, self._late)
        try:
            self._owner.connected(self)
            self._check_user(raw)
            self._begin()
        except OSError as error:
            self._failed(error)
        except Refused as refusal:
            self.refuse(refusal)

    def get_buffer(self, sizehint: int) -> memoryview:
        assert self.tls is not None
        return self.tls.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.heard = True
        self._busy_wait.heard()
        if self.tls is not None:
            self._decrypt(self.tls, nbytes)
            return
        self.inbox.add(nbytes)
        if not self._held:
            self._deliver()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.closed.done():
            return
        self.closed.set_result(None)
        self._owner.disconnected(self, None if self._over else exc or ConnectionError("the other side hung up"))
        self._over = True

    def pause_writing(self) -> None:
        if self.link is not None:
            self.link.pause(self)

    def resume_writing(self) -> None:
        if self.link is not None:
            self.link.resume(self)

    # -- TLS ------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.identity is None:
            self._greet()
            return
        called = self.link is None
        context = self.identity.for_callers if called else self.identity.for_calls
        self.tls = TlsStream(context, called=called)
        if not called:
            self.tls.greet()
            self.write(self.tls.outgoing())

    def _decrypt(self, tls: TlsStream, nbytes: int) -> None:
        if self._over:
            return
        tls.received(nbytes)
        try:
            if not tls.ready and not self._shake_hands(tls):
                return
            while count := tls.read(self.inbox.room()):
                self.inbox.add(count)
                if not self._held:
                    self._deliver()
                if not tls.is_more_there:
                    return
        except ssl.SSLError as error:
            self._failed(error)

    def _shake_hands(self, tls: TlsStream) -> bool:
        """Whether TLS is up now."""
        if not tls.greet():
            self.write(tls.outgoing())
            return False
        shown = tls.certificate()
        self.valid_until = ssl.cert_time_to_seconds(str(shown["notAfter"]))
        self.serial = str(shown["serialNumber"])
        self.write, self.write_all = tls.writers(self.write)
        self._greet()
        return True

    def _failed(self, error: OSError) -> None:
        """TLS does not come about, or breaks off; the alert tells the other side why."""
        if not self._over:
            reason = meaning(error) if isinstance(error, ssl.SSLError) else Reason.TLS
            self._owner.count(Refused(reason, f"TLS failed: {error}"), self.name, self._carried)
            if self.tls is not None and self.socket is not None:
                self.socket.write(self.tls.outgoing())
            self.close()

    def _greet(self) -> None:
        self.write(own_frame(Kind.HELLO, self._greeting.hello()))

    # -- frames ---------------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        if self._over:
            return
        system, link = self._owner.system, self.link
        if link is not None:
            link.turn_begins()
        corked = system.cork()
        try:
            self.inbox.deliver()
        except Refused as refusal:
            self.refuse(refusal)
        except ValueError as error:
            self.refuse(Refused(Reason.NONSENSE, str(error)))
        finally:
            if corked:
                system.uncork()
            if link is not None:
                link.turn_ends()

    def _on_early(self, *frame: object) -> None:
        raise Refused(Reason.GARBAGE, "a frame before the handshake, or garbage")

    def _on_hello(self, _link: object, _1: int, _2: int, _3: int, _4: int, _5: int, body: bytes) -> None:
        self.write(own_frame(Kind.PROOF, self._greeting.on_hello(body)))

    def _on_proof(self, _link: object, _1: int, _2: int, _3: int, _4: int, _5: int, body: bytes) -> None:
        peer = self._greeting.on_proof(body)
        link = self._owner.found(self, peer)
        if self._timer is not None:
            self._timer.cancel()
        self.opened = True
        self.link = self.inbox.link = link
        self.inbox.frame_max = FRAME_MAX
        self.inbox.handlers = self._open_handlers()
        self._owner.opened(self, link, peer)

    def _open_handlers(self) -> list[Handler]:
        handlers: list[Handler] = list(self._owner.system.handlers)
        handlers[Kind.PING] = self._on_ping
        handlers[Kind.PONG] = self._on_pong
        handlers[Kind.RENEW] = self._on_renew
        handlers[Kind.MOVED] = self._on_moved
        handlers[Kind.REFUSED] = self._on_refused
        handlers[Kind.BATCH] = self._on_batch
        handlers[Kind.PART] = self._on_part
        return handlers

    def _on_batch(self, link: TcpLink, kind: int, _1: int, _2: int, _3: int, _4: int, body: bytes) -> None:
        if kind not in BATCHED or len(body) > BATCH_BYTES_MAX:
            raise ValueError(f"a batch of {len(body)} bytes with frames of kind {kind}")
        rows = decode_rows(body)
        self.inbox.frames += len(rows) - 1
        self._owner.system.on_batch(link, kind, rows)

    def _on_part(self, link: TcpLink, _1: int, _2: int, _3: int, _4: int, missing: int, body: bytes) -> None:
        frame = link.assembly.add(missing, body)
        if frame is None:
            self.inbox.frames -= 1  # not yet one
        else:
            kind, type_id, target, sender, corr, number, body = frame
            self.inbox.handlers[kind](link, type_id, target, sender, corr, number, body)

    def _on_ping(self, link: TcpLink, *_: object) -> None:
        link.send(Kind.PONG, 0, 0, 0, 0, 0, b"")

    def _on_pong(self, *_: object) -> None:
        return

    def _on_renew(self, link: TcpLink, *_: object) -> None:
        link.renew()

    def _on_moved(self, link: TcpLink, *_: object) -> None:
        self.moved = True
        self.inbox.handlers = [self._on_early] * KINDS
        link.advance()

    def _on_refused(self, _link: object, _1: int, _2: int, _3: int, _4: int, _5: int, body: bytes) -> None:
        if self._over:
            return  # said often, it counts once
        sentence = body[:SENTENCE_MAX].decode(errors="replace")
        self._owner.count(Refused(Reason.BY_PEER, f"refused by the other side: {sentence}"), self.name, self._carried)
        self.close()

    # -- the socket -----------------------------------------------------------------------------------------------

    def _check_user(self, raw: socket.socket | None) -> None:
        if raw is None or raw.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
            return
        _, user, _ = _ucred.unpack(raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _ucred.size))
        if user != self._owner.user:
            raise Refused(Reason.USER, f"a process of user {user} is at the other end, not of {self._owner.user}")

    def _arm(self, after_s: float, callback: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._owner.system.loop.call_later(after_s, callback)  # type: ignore[arg-type]

    def _late(self) -> None:
        self.refuse(Refused(Reason.LATE, f"no greeting within {self._owner.settings.handshake_s} s"))


def nonce() -> bytes:
    return os.urandom(16)
