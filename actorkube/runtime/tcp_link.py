"""A link over sockets: one connection at a time, and a planned change from one to the next that loses nothing.

The change (new certificates, make before break): whoever dialled the link dials a successor. Once it is open, each
side writes MOVED as the last frame on the old connection and goes on on the new one; each side reads the old one up to
MOVED before it looks at what the new one has brought. So the order holds across the change, nothing is sent twice, and
an end without MOVED is the end of the link, as without a change: a suffix is lost, never the middle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from actorkube.runtime.connection import Connection
from actorkube.runtime.fragments import Assembly
from actorkube.runtime.link import Link, Traffic
from actorkube.runtime.refusals import Reason, Refused
from actorkube.runtime.wire import BIG_BODY, Outbox
from protocols.frame import Kind
from protocols.message import Lane

if TYPE_CHECKING:
    from actorkube.runtime.tcp import TcpTransport

WRITE_BYTES = 64 * 1024  # given to the operating system in one call; more than it takes waits, and pauses us


class TcpLink(Link):
    """Frames that are sent before the first connection is open wait in the bounded outbox."""

    def __init__(self, owner: TcpTransport, peer: str, lane: Lane, number: int, *, dialled: bool) -> None:
        super().__init__(peer)
        self.lane = lane
        self.number = number  # chosen by the dialler; both sides know the link by it
        self.dialled = dialled
        self.opened_by: int | None = None  # the peer's incarnation, once open
        self.ended = False
        self.guest: str | None = None  # at the other end
        self.unix = False
        self._owner = owner
        self._loop = owner.system.loop
        self._unflushed = owner.unflushed
        self._outbox = Outbox(owner.settings.high_water, owner.settings.outbox_max, self._flush_later, self._not_taken)
        self.assembly = Assembly()
        self._outbox.due = True  # a flush comes without being asked for: when the link opens
        self.send = self._outbox.put  # type: ignore[method-assign]  # one call less for each frame
        self._reading: deque[Connection] = deque()  # the first is read, the last is written
        self._write: Callable[[bytes], None] | None = None  # of the last
        self._write_all: Callable[[list[bytes]], None]
        self._paused = False
        self._flush_is_owed = False
        self._waiting: list[asyncio.Future[None]] = []
        self._bytes_sent = 0
        self._received_before = (0, 0)  # frames and bytes of connections that have done their work
        self._silent_s = 0.0
        self._renew_until: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- sending --------------------------------------------------------------------------------------------------

    def send(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        return self._outbox.put(kind, type_id, target, sender, corr, number, body)

    def writable(self) -> bool:
        return self._outbox.size <= self._outbox.high

    async def room(self) -> None:
        while not self.ended and not self.writable():
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            await waiter

    def turn_begins(self) -> None:
        """Frames are handed over now: nothing that is said meanwhile asks for a flush of its own."""
        if not self._outbox.due:
            self._outbox.due = self._flush_is_owed = True

    def turn_ends(self) -> None:
        """The actors that were woken by the frames have had their turn: what these said leaves now.

        What tasks and futures say that were woken, leaves behind them in the next turn, in one write.
        """
        owed, self._flush_is_owed = self._flush_is_owed, False
        if self._outbox.size:
            self.flush()
        elif owed:
            self._outbox.due = False
            if not self._owner.flush_is_due:
                self._owner.flush_soon()

    def _flush_later(self) -> None:
        self._unflushed.append(self)
        if not self._owner.flush_is_due:
            self._owner.flush_soon()

    def flush(self) -> None:
        if self._paused or self._write is None:
            return  # stays due: whoever resumes flushes
        outbox = self._outbox
        outbox.due = False
        size = outbox.size
        if outbox.size > BIG_BODY:
            self._flush_much()
        elif outbox.size:
            self._write(outbox.take())
        self._bytes_sent += size - outbox.size
        if self._waiting:
            self._wake()

    def _flush_much(self) -> None:
        while self._outbox.size and not self._paused:
            self._write_all(self._outbox.chunks(WRITE_BYTES))
        self._outbox.due = self._paused

    def _not_taken(self) -> None:
        if self._outbox.overflowed and not self.ended:
            unread = Refused(Reason.UNREAD, f"{self.peer} does not read: {self._outbox.size} bytes wait for it")
            self._loop.call_soon(self.fail, unread)

    def _wake(self) -> None:
        if self.ended or self._outbox.size <= self._owner.settings.low_water:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()

    def traffic(self) -> Traffic:
        frames, size = self._received()
        return Traffic(self._outbox.frames, self._bytes_sent, frames, size, 0 if self.ended else self._outbox.size)

    def _received(self) -> tuple[int, int]:
        frames, size = self._received_before
        for connection in self._reading:
            frames += connection.inbox.frames
            size += connection.inbox.bytes
        return frames, size

    # -- connections ----------------------------------------------------------------------------------------------

    @property
    def serials(self) -> list[str]:
        """Of the certificates that the peer has shown."""
        return [connection.serial for connection in self._reading]

    @property
    def _outdated(self) -> bool:
        """Whether we have newer certificates than those that the present connection was made with."""
        identity = self._reading[-1].identity
        return identity is not None and identity is not self._owner.identity

    def opened(self, connection: Connection, incarnation: int) -> None:
        """A connection of this link has greeted: its first, or a successor."""
        self.opened_by = incarnation
        if self._reading:
            self._reading[-1].move()
            connection.hold()
        else:
            self._tick_later()
        self._reading.append(connection)
        self._write, self._write_all, self._paused = connection.write, connection.write_all, False
        self.advance()
        self.flush()
        if self._outdated:
            self.renew()

    def advance(self) -> None:
        """Where the peer has moved on and so have we, the old connection has done its work."""
        while len(self._reading) > 1 and self._reading[0].moved:
            done = self._reading.popleft()
            done.close()
            frames, size = self._received_before
            self._received_before = (frames + done.inbox.frames, size + done.inbox.bytes)
            self._reading[0].release()
        if len(self._reading) == 1 and not self._outdated:
            self._renew_until = None

    def renew(self) -> None:
        """Go over to a connection made with the present certificates, within `renew_s`; or end."""
        if not self._reading or self._reading[-1].identity is None:
            return
        if self._renew_until is None:
            self._renew_until = self._loop.time() + self._owner.settings.renew_s
        if self.dialled:
            self._owner.dial(self, successor=True)
        else:
            self.send(Kind.RENEW, 0, 0, 0, 0, 0, b"")

    def pause(self, connection: Connection) -> None:
        if self._reading and connection is self._reading[-1]:
            self._paused = self._outbox.due = True

    def resume(self, connection: Connection) -> None:
        if self._reading and connection is self._reading[-1]:
            self._paused = False
            self.flush()

    def hear(self, hears: bool) -> None:
        """Whether what the peer says is read; otherwise it waits on its side."""
        for connection in self._reading:
            connection.hear(hears)

    def disconnected(self, connection: Connection) -> None:
        if connection in self._reading or not self._reading:
            self.end()

    # -- ends -----------------------------------------------------------------------------------------------------

    def fail(self, refusal: Refused) -> None:
        """Give the peer up."""
        if not self.ended:
            self._owner.count(refusal, self.peer, self)
            for connection in self._reading:
                if connection.socket is not None:
                    connection.socket.abort()
            self.end()

    def close(self) -> None:
        """Planned: what is queued is still written."""
        self.flush()
        for connection in self._reading:
            connection.close()

    def end(self) -> None:
        """Tell whoever waits. What was sent and not read by the peer may be lost."""
        if self.ended:
            return
        self.ended = self._paused = True
        self._outbox.close()
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._reading:
            connection.close()
        self._wake()
        self._owner.ended(self, was_open=self.opened_by is not None)

    # -- time -----------------------------------------------------------------------------------------------------

    def _tick_later(self) -> None:
        self._timer = self._loop.call_later(self._owner.settings.ping_s, self._tick)

    def _tick(self) -> None:
        """Every `ping_s`: is the peer there, are its certificates good, has it come over to the new ones?"""
        refusal = self._silence() or self._certificates()
        if refusal is not None:
            self.fail(refusal)
            return
        if self._silent_s:
            self.send(Kind.PING, 0, 0, 0, 0, 0, b"")
        if self._outdated:
            self.renew()
        self._tick_later()

    def _silence(self) -> Refused | None:
        heard = any(connection.heard for connection in self._reading)
        for connection in self._reading:
            connection.heard = False
        self._silent_s = 0.0 if heard else self._silent_s + self._owner.settings.ping_s
        if self._silent_s <= self._owner.settings.silence_s:
            return None
        return Refused(Reason.SILENCE, f"silent for {self._silent_s:.0f} s")

    def _certificates(self) -> Refused | None:
        if self._renew_until is not None and self._loop.time() > self._renew_until:
            renew_s = self._owner.settings.renew_s
            return Refused(Reason.NOT_RENEWED, f"made no connection with new certificates within {renew_s} s")
        if any(connection.valid_until <= self._owner.system.now for connection in self._reading):
            return Refused(Reason.EXPIRED, f"the certificate of {self.peer} has expired")
        return None
