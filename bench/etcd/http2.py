"""Just enough of a gRPC client to load an etcd: many calls under way on a connection, and nothing that a bench can do
without. It costs a tenth of a gRPC library's time, so the etcd has what is left of the machine.

Header blocks are the same few bytes for every call of a method, and those of answers are not looked at: an answer with
a message is a success, one without is an error (gRPC: "trailers only"). What goes out is bounded by the callers.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import cast

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WINDOW_MAX = 2**31 - 1
FRAME_MAX = 16_384
FIRST_INDEX = 62  # of HPACK's dynamic table: the newest entry
_head = struct.Struct(">HBBBI")  # length in 16 + 8 bits, type, flags, stream


class Failed(Exception):
    """The call was answered with an error, or the connection ended."""


class Call:
    """One call. `on_message` is given each message of the answer; `done` is resolved with the last one."""

    __slots__ = ("buffer", "done", "on_message")

    def __init__(self, done: asyncio.Future[bytes], on_message: Callable[[bytes], None] | None) -> None:
        self.done = done
        self.on_message = on_message
        self.buffer = b""


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return _head.pack(len(body) >> 8, len(body) & 0xFF, kind, flags, stream) + body


class Http2(asyncio.Protocol):
    def __init__(self, authority: str) -> None:
        self._authority = authority.encode()
        self._calls: dict[int, Call] = {}
        self._next = 1
        self._table: list[bytes] = []  # what we have put into the peer's dynamic table, oldest first
        self._received = b""
        self._uncredited = 0
        self._out: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self.lost = False

    @classmethod
    async def connect(cls, host: str, port: int) -> Http2:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: cls(f"{host}:{port}"), host, port)
        return client

    def call(
        self, path: str, request: bytes, on_message: Callable[[bytes], None] | None = None
    ) -> asyncio.Future[bytes]:
        """A call with one request. With `on_message` the request side stays open, as a watch's does."""
        future: asyncio.Future[bytes] = self._loop.create_future()
        if self.lost:
            future.set_exception(Failed("the connection has ended"))
            return future
        stream, self._next = self._next, self._next + 2
        self._calls[stream] = Call(future, on_message)
        message = b"\0" + len(request).to_bytes(4, "big") + request
        end = 0 if on_message else END_STREAM
        self._write(frame(HEADERS, END_HEADERS, stream, self._headers(path)))
        for at in range(0, len(message), FRAME_MAX):
            last = at + FRAME_MAX >= len(message)
            self._write(frame(DATA, end if last else 0, stream, message[at : at + FRAME_MAX]))
        return future

    def close(self) -> None:
        self._transport.close()

    # -- sending --------------------------------------------------------------------------------------------------

    def _headers(self, path: str) -> bytes:
        fields = (
            (b"\x44", path.encode()),
            (b"\x41", self._authority),
            (b"\x5f", b"application/grpc"),
            (b"\x40\x02te", b"trailers"),
        )
        return b"\x83\x86" + b"".join([self._field(name, value) for name, value in fields])

    def _field(self, name: bytes, value: bytes) -> bytes:
        """Spelt out the first time, when it enters the peer's table; an index afterwards."""
        entry = name + bytes([len(value)]) + value
        if entry in self._table:
            return bytes([0x80 | (FIRST_INDEX + len(self._table) - 1 - self._table.index(entry))])
        self._table.append(entry)
        return entry

    def _write(self, data: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if not self.lost:
            self._transport.write(b"".join(self._out))
        self._out = []

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        window = struct.pack(">HI", 4, WINDOW_MAX)  # SETTINGS_INITIAL_WINDOW_SIZE
        credit = struct.pack(">I", WINDOW_MAX - 65535)
        self._transport.write(PREFACE + frame(SETTINGS, 0, 0, window) + frame(WINDOW_UPDATE, 0, 0, credit))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for call in self._calls.values():
            if not call.done.done():
                call.done.set_exception(Failed("the connection has ended"))
        self._calls.clear()

    def data_received(self, data: bytes) -> None:
        data = self._received + data
        start = 0
        while start + 9 <= len(data):
            high, low, kind, flags, stream = _head.unpack_from(data, start)
            end = start + 9 + (high << 8 | low)
            if end > len(data):
                break
            self._on_frame(kind, flags, stream, data[start + 9 : end])
            start = end
        self._received = data[start:]

    def _on_frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA:
            self._on_data(stream, body)
        elif (kind == HEADERS and flags & END_STREAM) or kind == RST_STREAM:
            self._on_end(stream)
        elif kind == SETTINGS and not flags & ACK:
            self._write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._write(frame(PING, ACK, 0, body))

    def _on_data(self, stream: int, body: bytes) -> None:
        self._uncredited += len(body)
        if self._uncredited > 1 << 20:
            self._write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._uncredited)))
            self._uncredited = 0
        call = self._calls.get(stream)
        if call is None:
            return
        call.buffer += body
        if call.on_message is not None:
            while len(call.buffer) >= 5 and len(call.buffer) >= 5 + (size := int.from_bytes(call.buffer[1:5], "big")):
                call.on_message(call.buffer[5 : 5 + size])
                call.buffer = call.buffer[5 + size :]

    def _on_end(self, stream: int) -> None:
        call = self._calls.pop(stream, None)
        if call is None or call.done.done():
            return
        if call.buffer:
            call.done.set_result(call.buffer[5:])
        else:
            call.done.set_exception(Failed("answered with an error"))
