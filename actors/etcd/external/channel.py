"""A connection to an etcd: calls and streams over one socket, in one write a loop turn.

What a call's failure means is told apart: `Failed` is etcd's own word, `Lost` says that none came, and whether the
request can have arrived. A stream whose reader is slow is not read from the socket, so it has a connection of its own.
Where something is waited for, a peer that says nothing is pinged, and given up when it does not answer that either.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from typing import cast
from urllib.parse import unquote_to_bytes

from actors.etcd.external.address import Endpoint
from actors.etcd.grpc import fields, http2
from actors.etcd.grpc.framing import Unframer, framed
from actors.etcd.grpc.status import Code, Refused

ANSWER_BYTES_MAX = 64 << 20  # of one message: a page of 500 objects of 128 KiB
WAITING_BYTES_MAX = 64 << 20  # of requests that etcd does not read
READ_AHEAD_BYTES = 8 << 20  # of a stream that nobody takes from
CALLS_PER_CONNECTION = 1 << 29  # then its stream numbers are used up
SILENCE_S = 3.0  # of etcd, while it is waited for: then it is pinged, and after as long again given up


class Failed(Exception):
    """The call was answered, with a code and a sentence."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text or f"gRPC status {code}")
        self.code = code
        self.text = text


class Lost(Exception):
    """No answer will come. `sent`: the request may have arrived."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class Incoming:
    """What comes in one stream of the connection: messages, then perhaps an end."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._unframer = Unframer(ANSWER_BYTES_MAX)
        self._messages: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._end: Exception | None = None
        self._over = False
        self.bytes = 0  # that wait to be taken

    def feed(self, data: bytes) -> None:
        try:
            messages = self._unframer.feed(data)
        except Refused as refused:
            self.end(Failed(refused.code, refused.text))
            return
        for message in messages:
            self._messages.append(message)
            self.bytes += len(message)
            self._channel.waiting_bytes += len(message)
        self._news.set()

    def end(self, error: Exception | None) -> None:
        if not self._over:
            self._over, self._end = True, error
            self._news.set()

    async def next(self) -> bytes | None:
        """The next message, None at the end. Raises Failed, Lost."""
        while not self._messages:
            if self._over:
                if self._end is not None:
                    raise self._end
                return None
            self._news.clear()
            await self._news.wait()
        message = self._messages.popleft()
        self.bytes -= len(message)
        self._channel.taken(len(message))
        return message


class Channel(asyncio.Protocol):
    def __init__(self, endpoint: Endpoint, *, tls: bool) -> None:
        self.endpoint = endpoint
        self.closed = False
        self.waiting_bytes = 0  # of messages that nobody has taken yet
        self._heard_at = 0.0
        self._silence: asyncio.TimerHandle | None = None
        self._http = http2.Connection(client=True)
        self._incoming: dict[int, Incoming] = {}
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()  # resolved when the socket is closed
        self._scheme = b"https" if tls else b"http"
        self._blocks: dict[str, bytes] = {}
        self._calls = 0
        self._retired = False
        self._flush_is_due = False
        self._reading = True
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, endpoint: Endpoint, context: ssl.SSLContext | None, within_s: float) -> Channel:
        """Raises OSError, also when it takes too long."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within_s):
                _, channel = await loop.create_connection(
                    lambda: cls(endpoint, tls=context is not None), endpoint.host, endpoint.port, ssl=context
                )
        except TimeoutError:
            raise OSError(f"no connection within {within_s} s") from None
        return channel

    @property
    def is_usable(self) -> bool:
        return not self.closed and not self._retired and self._calls < CALLS_PER_CONNECTION

    # -- calls ----------------------------------------------------------------------------------------------------

    async def call(self, path: str, request: bytes) -> bytes:
        """Raises Failed, Lost. Cancelled, it tells etcd that nobody waits any more."""
        number, incoming = self.ask(path, request)
        try:
            answer = await incoming.next()
            if answer is None:
                raise Failed(Code.INTERNAL, "an answer without a message")
            if await incoming.next() is not None:
                raise Failed(Code.INTERNAL, "more than one answer")
            return answer
        finally:
            self.drop(number)

    def ask(self, path: str, request: bytes) -> tuple[int, Incoming]:
        """A stream in which etcd alone says more. Raises Lost. To be ended by `drop`."""
        number, incoming = self.begin(path)
        self._http.data(number, framed(request), end=True)
        self._flush_soon()
        return number, incoming

    def send(self, number: int, message: bytes) -> None:
        self._http.data(number, framed(message))
        self._flush_soon()

    def drop(self, number: int) -> None:
        """Nobody takes what still comes in that stream."""
        incoming = self._incoming.pop(number, None)
        if incoming is not None:
            self._http.reset(number)  # of a stream that is over, it says nothing
            self._flush_soon()
            self.taken(incoming.bytes)
        if self._retired and not self._incoming:
            self.close()

    def retire(self) -> None:
        """Close when the calls that are under way are over."""
        self._retired = True
        if not self._incoming:
            self.close()

    def close(self) -> None:
        self.closed = True
        self._transport.close()
        self._fail_all("the connection was closed")

    def taken(self, size: int) -> None:
        """So many bytes of messages wait no more: there may be room for others."""
        self.waiting_bytes -= size
        if not self._reading and self.waiting_bytes < READ_AHEAD_BYTES // 2 and not self.closed:
            self._heard_at = self._loop.time()
            self._reading = True
            self._transport.resume_reading()

    def begin(self, path: str) -> tuple[int, Incoming]:
        """A stream in which both sides may say more. Raises Lost. To be ended by `drop`."""
        if self.closed:
            raise Lost("the connection has ended", sent=False)
        if self._http.waiting_bytes + self._transport.get_write_buffer_size() > WAITING_BYTES_MAX:
            raise Lost(f"{self.endpoint} does not read what it is asked", sent=False)
        if len(self._incoming) >= self._http.peer_streams_max:
            raise Lost(f"{len(self._incoming)} calls are under way, and {self.endpoint} takes no more", sent=False)
        if not self._incoming:
            self._heard_at = self._loop.time()
        self._calls += 1
        number = self._http.open(self._block(path))
        self._incoming[number] = incoming = Incoming(self)
        return number, incoming

    def _block(self, path: str) -> bytes:
        block = self._blocks.get(path)
        if block is None:
            block = self._blocks[path] = fields.write(
                (
                    (b":method", b"POST"),
                    (b":scheme", self._scheme),
                    (b":path", path.encode()),
                    (b":authority", str(self.endpoint).encode()),
                    (b"te", b"trailers"),
                    (b"content-type", b"application/grpc"),
                    (b"hasleader", b"true"),  # a member that is cut off from the others is to say so, not to be silent
                )
            )
        return block

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard_at = self._loop.time()
        self._look()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._silence is not None:
            self._silence.cancel()
        self.gone.set_result(None)
        self._fail_all(f"the connection to {self.endpoint} ended{f': {exc}' if exc else ''}")

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        for event in self._http.receive(data, self._loop.time()):
            self._on_event(event)
        self._flush_soon()
        if self._reading and self.waiting_bytes > READ_AHEAD_BYTES:
            self._reading = False
            self._transport.pause_reading()

    def _on_event(self, event: http2.Event) -> None:
        if isinstance(event, http2.Ended):
            if event.code:
                self._flush()
                self.close()
            else:
                self.retire()  # it leaves, and answers what it has begun
            return
        incoming = self._incoming.get(event.stream)
        if incoming is None:
            return
        if isinstance(event, http2.Data):
            incoming.feed(event.data)
            if event.end:
                incoming.end(Failed(Code.INTERNAL, "an answer without trailers"))
        elif isinstance(event, http2.Reset):
            incoming.end(Lost(f"reset by etcd ({event.code})", sent=event.code != http2.REFUSED_STREAM))
        elif event.end:
            incoming.end(_verdict(event.fields))
        elif event.fields.get(b":status") != b"200":
            incoming.end(Failed(Code.UNKNOWN, f"answered with HTTP status {event.fields.get(b':status', b'')!r}"))

    def _look(self) -> None:
        """Is somebody there? Nobody need be while nothing is waited for, or is heard while we do not read."""
        silent_s = self._loop.time() - self._heard_at if self._incoming and self._reading else 0.0
        if silent_s > 2 * SILENCE_S:
            self._transport.abort()
            return
        if silent_s > SILENCE_S:
            self._http.ping()
            self._flush_soon()
        self._silence = self._loop.call_later(SILENCE_S / 2, self._look)

    def _fail_all(self, why: str) -> None:
        for incoming in self._incoming.values():
            incoming.end(Lost(why, sent=True))

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if not self._transport.is_closing() and (out := self._http.take_output()):
            self._transport.write(out)


def _verdict(trailers: fields.Fields) -> Failed | None:
    """What a call's last words say; None: it went well."""
    status = trailers.get(b"grpc-status", b"")
    if status == b"0":
        return None
    text = unquote_to_bytes(trailers.get(b"grpc-message", b"")).decode(errors="replace")
    if not status.isdigit() or len(status) > 3:
        return Failed(Code.UNKNOWN, text or f"an answer without a status: HTTP {trailers.get(b':status', b'')!r}")
    return Failed(int(status), text)
