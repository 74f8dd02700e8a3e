"""The server's side of one SPDY connection: bytes in, events out; what is to be sent waits in `output`.

The client opens streams; the server answers each, then both send data until both have said FIN, or one has reset it.
An error of the protocol ends the whole session, with GOAWAY. Nothing here waits: who takes the events slowly must feed
the bytes slowly.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import NamedTuple

from actors.apiserver.spdy import frames
from actors.apiserver.spdy.frames import Control, Data, FrameReader
from actors.apiserver.spdy.header_block import HeaderReader, HeaderWriter

STREAMS_MAX = 256
DATA_BYTES_MAX = 64 * 1024  # of one event, and of one frame that we send
_SYN_STREAM_BYTES = 10  # before its headers: two numbers, priority and slot


class Opened(NamedTuple):
    stream: int
    headers: dict[str, str]


class Received(NamedTuple):
    stream: int
    data: bytes


class Ended(NamedTuple):
    """The client sends nothing more on this stream; it may still read."""

    stream: int


class Aborted(NamedTuple):
    """The client has reset the stream: it neither sends nor reads any more."""

    stream: int


class Closed(NamedTuple):
    """The session is over: the client goes, or has broken the protocol (`error`). No event comes after this one."""

    error: str = ""


Event = Opened | Received | Ended | Aborted | Closed


class _Half(enum.Flag):
    """Which sides of a stream are still open."""

    THEIRS = enum.auto()
    OURS = enum.auto()


class Session:
    def __init__(self) -> None:
        self._reader = FrameReader()
        self._headers_in, self._headers_out = HeaderReader(), HeaderWriter()
        self._streams: dict[int, _Half] = {}
        self._last = 0
        self._output = bytearray()
        self.closed = False  # nothing is taken or sent any more

    def receive(self, data: bytes) -> Iterator[Event]:
        """Take the events one by one: what is sent between two of them is sent in that order."""
        if self.closed:
            return
        try:
            for frame in self._reader.feed(data):
                yield from self._on_data(frame) if isinstance(frame, Data) else self._on_control(frame)
                if self.closed:
                    return
        except ValueError as error:
            self.go_away(frames.GOAWAY_PROTOCOL_ERROR)
            yield Closed(str(error))

    def output(self) -> bytes:
        """What is to be sent, once."""
        taken = bytes(self._output)
        self._output.clear()
        return taken

    def is_open(self, stream: int) -> bool:
        """Whether we may still send on it."""
        return _Half.OURS in self._streams.get(stream, _Half(0))

    def reply(self, stream: int) -> None:
        """The stream is wanted. A client waits for this."""
        block = self._headers_out.write({})
        self._send(Control(frames.SYN_REPLY, 0, frames.pack(stream) + block))

    def send(self, stream: int, data: bytes, last: bool = False) -> None:
        """On a stream that the client has reset it is dropped."""
        if not self.is_open(stream):
            return
        for start in range(0, len(data), DATA_BYTES_MAX):
            self._send(Data(stream, 0, data[start : start + DATA_BYTES_MAX]))
        if last:
            self._send(Data(stream, frames.FLAG_FIN, b""))
            self._end(stream, _Half.OURS)

    def reset(self, stream: int, status: int = frames.CANCEL) -> None:
        if self._streams.pop(stream, None) is not None:
            self._reset(stream, status)

    def go_away(self, status: int = frames.GOAWAY_OK) -> None:
        """Nothing more is taken or sent."""
        if not self.closed:
            self._send(Control(frames.GOAWAY, 0, frames.pack(self._last, status)))
            self.closed = True
            self._streams.clear()

    def check(self) -> None:
        assert len(self._streams) <= STREAMS_MAX
        assert all(stream % 2 and stream <= self._last for stream in self._streams)
        assert all(self._streams.values()), "a stream with both sides ended is forgotten"

    # -- what comes -----------------------------------------------------------------------------------------------

    def _on_control(self, frame: Control) -> Iterator[Event]:
        """Settings, window updates and later headers say nothing to us; unknown frames are passed over (2.2.1)."""
        if frame.version != frames.VERSION:
            raise ValueError(f"a frame of SPDY/{frame.version}")
        match frame.type:
            case frames.SYN_STREAM:
                yield from self._on_syn_stream(frame)
            case frames.RST_STREAM:
                stream, _ = frames.numbers(frame.payload, 2)
                if self._streams.pop(frames.stream_of(stream), None) is not None:
                    yield Aborted(frames.stream_of(stream))
            case frames.HEADERS:
                stream = frames.stream_of(*frames.numbers(frame.payload, 1))
                self._headers_in.read(frame.payload[4:])  # or those after it could not be read
                yield from self._ended(stream, frame.flags)
            case frames.PING:
                (id,) = frames.numbers(frame.payload, 1)
                if id % 2:  # ours would be even
                    self._send(Control(frames.PING, 0, frames.pack(id)))
            case frames.GOAWAY:
                self.closed = True
                self._streams.clear()
                yield Closed()

    def _on_syn_stream(self, frame: Control) -> Iterator[Event]:
        first, _ = frames.numbers(frame.payload, 2)
        stream = frames.stream_of(first)
        headers = self._headers_in.read(frame.payload[_SYN_STREAM_BYTES:])
        if not stream % 2 or stream <= self._last:
            raise ValueError(f"stream {stream} cannot be opened: a client's are odd, each above the one before")
        self._last = stream
        if len(self._streams) >= STREAMS_MAX:
            self._reset(stream, frames.REFUSED_STREAM)
            return
        self._streams[stream] = _Half.THEIRS | _Half.OURS
        yield Opened(stream, headers)
        yield from self._ended(stream, frame.flags)

    def _on_data(self, frame: Data) -> Iterator[Event]:
        """Data on a stream that is over may have been under way when it ended: it is dropped."""
        if frame.stream > self._last or not frame.stream % 2:
            raise ValueError(f"data on stream {frame.stream}, which was never opened")
        if _Half.THEIRS not in self._streams.get(frame.stream, _Half(0)):
            return
        for start in range(0, len(frame.payload), DATA_BYTES_MAX):
            yield Received(frame.stream, frame.payload[start : start + DATA_BYTES_MAX])
        yield from self._ended(frame.stream, frame.flags)

    def _ended(self, stream: int, flags: int) -> Iterator[Event]:
        if flags & frames.FLAG_FIN and _Half.THEIRS in self._streams.get(stream, _Half(0)):
            self._end(stream, _Half.THEIRS)
            yield Ended(stream)

    def _end(self, stream: int, half: _Half) -> None:
        left = self._streams[stream] & ~half
        if left:
            self._streams[stream] = left
        else:
            del self._streams[stream]

    def _reset(self, stream: int, status: int) -> None:
        self._send(Control(frames.RST_STREAM, 0, frames.pack(stream, status)))

    def _send(self, frame: frames.Frame) -> None:
        self._output += frames.encode(frame)
