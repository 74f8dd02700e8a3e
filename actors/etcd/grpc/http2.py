"""HTTP/2 (RFC 9113) as far as gRPC needs it, for either end, without I/O: bytes in, events and bytes out.

What a peer may cost is bounded: header blocks, frames, streams, bytes of unfinished requests, and frames that make work
and ask nothing (pings, settings, resets: a bucket that refills with time). Whoever goes beyond, or says what makes no
sense, is told why in a GOAWAY, and the connection is over; what makes no sense within one stream ends that stream.

What is sent waits in its stream for the peer's two windows, so a reader that is slow in one stream delays no other.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple, TypeAlias

from actors.etcd.grpc.fields import FIELDS_BYTES_MAX, Fields, Reader

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, _, STREAM_CLOSED, FRAME_SIZE_ERROR = range(7)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, _, ENHANCE_YOUR_CALM = 7, 8, 9, 10, 11
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT, INITIAL_WINDOW, MAX_FRAME, MAX_HEADER_LIST = range(1, 7)

FRAME_MAX = 16_384
WINDOW_DEFAULT, WINDOW_MAX = 65_535, 2**31 - 1
STREAM_WINDOW = 4 << 20
CONNECTION_WINDOW = 16 << 20
STREAMS_MAX = 4_096
BLOCK_BYTES_MAX = FIELDS_BYTES_MAX
WORK_MAX, WORK_PER_S = 2_000.0, 500.0  # frames that make work and ask nothing
_head = struct.Struct(">HBBBI")  # length in 16 + 8 bits, type, flags, stream
_number = struct.Struct(">I")
_setting = struct.Struct(">HI")


class Headers(NamedTuple):
    """`opens`: the first of its stream; else trailers, or a client's answer."""

    stream: int
    fields: Fields
    end: bool
    opens: bool


class Data(NamedTuple):
    stream: int
    data: bytes
    end: bool


class Reset(NamedTuple):
    """The peer does not want the stream any more, or has broken it."""

    stream: int
    code: int


class Ended(NamedTuple):
    """Nothing more will come, and what is still to be sent ends with a GOAWAY. `code` NO_ERROR: the peer leaves."""

    code: int
    why: str


Event: TypeAlias = Headers | Data | Reset | Ended


class Broken(Exception):
    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class _Stream:
    __slots__ = ("ends", "receives", "sends", "trailers", "uncredited", "waiting", "waiting_bytes", "window")

    def __init__(self, window: int) -> None:
        self.window = window  # what the peer allows us
        self.uncredited = 0
        self.receives = self.sends = True
        self.waiting: deque[memoryview] = deque()  # views: what is cut is not copied
        self.waiting_bytes = 0
        self.ends = False  # after what waits
        self.trailers = b""


class Connection:
    def __init__(self, *, client: bool) -> None:
        self._client = client
        self._streams: dict[int, _Stream] = {}
        self._reader = Reader()
        self._received = b""
        self._preface = b"" if client else PREFACE
        self._greeted = False  # the peer's settings have come
        self._highest = 0  # of the streams that were opened, by whoever opens them
        self._block: tuple[int, bool, bytearray] | None = None  # a header block that goes on
        self._window = WINDOW_DEFAULT
        self._uncredited = 0
        self._peer_window, self._peer_frame_max = WINDOW_DEFAULT, FRAME_MAX
        self._work, self._work_at = WORK_MAX, 0.0
        self._out: list[bytes] = []
        self._blocked: dict[int, None] = {}  # streams with something that waits
        self.waiting_bytes = 0  # for the peer's windows
        self.peer_streams_max = WINDOW_MAX
        self.ended = False
        self._greet()

    def _greet(self) -> None:
        settings = {INITIAL_WINDOW: STREAM_WINDOW, MAX_HEADER_LIST: FIELDS_BYTES_MAX, MAX_CONCURRENT: STREAMS_MAX}
        if self._client:
            settings[ENABLE_PUSH] = 0
            self._out.append(PREFACE)
        self._frame(SETTINGS, 0, 0, b"".join([_setting.pack(*pair) for pair in settings.items()]))
        self._frame(WINDOW_UPDATE, 0, 0, _number.pack(CONNECTION_WINDOW - WINDOW_DEFAULT))

    @property
    def streams(self) -> int:
        return len(self._streams)

    def waiting(self, stream: int) -> int:
        """Bytes that were given to a stream and wait for the peer's windows."""
        found = self._streams.get(stream)
        return found.waiting_bytes if found is not None else 0

    # -- what goes out --------------------------------------------------------------------------------------------

    def take_output(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def open(self, block: bytes) -> int:
        """A client begins a call."""
        self._highest = number = self._highest + 2 if self._highest else 1
        self._streams[number] = _Stream(self._peer_window)
        self.headers(number, block)
        return number

    def headers(self, number: int, block: bytes) -> None:
        stream = self._streams.get(number)
        if stream is not None and stream.sends:
            self._frame(HEADERS, END_HEADERS, number, block)

    def answer(self, number: int, block: bytes, data: bytes, trailers: bytes) -> None:
        """A whole answer at once: what most calls get."""
        stream = self._streams.get(number)
        if stream is None or not stream.sends:
            return
        size = len(data)
        if size <= self._peer_frame_max and size <= stream.window and size <= self._window and not stream.waiting:
            self._window -= size
            pack = _head.pack
            head = pack(len(block) >> 8, len(block) & 255, HEADERS, END_HEADERS, number)
            body = pack(size >> 8, size & 255, DATA, 0, number)
            tail = pack(len(trailers) >> 8, len(trailers) & 255, HEADERS, END_HEADERS | END_STREAM, number)
            self._out.append(b"".join((head, block, body, data, tail, trailers)))
            self._sent_all(number, stream)
            return
        self.headers(number, block)
        self.data(number, data)
        self.end(number, trailers)

    def data(self, number: int, data: bytes, *, end: bool = False) -> None:
        stream = self._streams.get(number)
        if stream is None or not stream.sends or stream.ends:
            return
        if data:
            stream.waiting.append(memoryview(data))
            stream.waiting_bytes += len(data)
            self.waiting_bytes += len(data)
        stream.ends = end
        self._send(number, stream)

    def end(self, number: int, trailers: bytes) -> None:
        """After what waits."""
        stream = self._streams.get(number)
        if stream is None or not stream.sends or stream.ends:
            return
        stream.ends, stream.trailers = True, trailers
        self._send(number, stream)

    def ping(self) -> None:
        """Whoever is there answers."""
        self._frame(PING, 0, 0, bytes(8))

    def reset(self, number: int, code: int = CANCEL) -> None:
        if number in self._streams:
            self._forget(number)
            self._frame(RST_STREAM, 0, number, _number.pack(code))

    def leave(self, code: int = NO_ERROR, why: str = "") -> None:
        """Say that this end begins nothing new."""
        if not self.ended:
            self.ended = True
            last = 0 if self._client else self._highest
            self._frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + why.encode()[:200])

    def _send(self, number: int, stream: _Stream) -> None:
        """As much as the windows allow; of a stream that has said all, nothing more."""
        if not stream.sends:
            self._blocked.pop(number, None)
            return
        while stream.waiting:
            room = min(stream.window, self._window, self._peer_frame_max)
            if room <= 0:
                self._blocked[number] = None
                return
            data = stream.waiting.popleft()
            if len(data) > room:
                stream.waiting.appendleft(data[room:])
                data = data[:room]
            size = len(data)
            stream.window -= size
            self._window -= size
            stream.waiting_bytes -= size
            self.waiting_bytes -= size
            last = stream.ends and not stream.waiting and not stream.trailers
            self._frame(DATA, END_STREAM if last else 0, number, data)
            if last:
                self._sent_all(number, stream)
                return
        self._blocked.pop(number, None)
        if stream.ends:
            if stream.trailers:
                self._frame(HEADERS, END_HEADERS | END_STREAM, number, stream.trailers)
            else:
                self._frame(DATA, END_STREAM, number, b"")
            self._sent_all(number, stream)

    def _sent_all(self, number: int, stream: _Stream) -> None:
        stream.sends = False
        if stream.receives and not self._client:
            self._frame(RST_STREAM, 0, number, _number.pack(NO_ERROR))  # answered before all was said
            self._forget(number)
        elif not stream.receives:
            self._forget(number)

    def _forget(self, number: int) -> None:
        stream = self._streams.pop(number)
        self.waiting_bytes -= stream.waiting_bytes
        self._blocked.pop(number, None)

    def _frame(self, kind: int, flags: int, stream: int, body: bytes | memoryview) -> None:
        self._out.append(_head.pack(len(body) >> 8, len(body) & 255, kind, flags, stream) + body)

    # -- what comes in --------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Never raises. After an `Ended` nothing is read any more."""
        events: list[Event] = []
        if self.ended:
            return events
        try:
            self._receive(self._received + data if self._received else data, now, events)
        except Broken as error:
            self.leave(error.code, str(error))
            events.append(Ended(error.code, str(error)))
        return events

    def _receive(self, data: bytes, now: float, events: list[Event]) -> None:
        at, size = 0, len(data)
        if self._preface:
            at = self._read_preface(data)
            if not at:
                return
        unpack = _head.unpack_from
        while size - at >= 9:
            high, low, kind, flags, stream = unpack(data, at)
            length = high << 8 | low
            if length > FRAME_MAX:
                raise Broken(FRAME_SIZE_ERROR, f"a frame of {length} bytes, more than {FRAME_MAX}")
            end = at + 9 + length
            if end > size:
                break
            self._on_frame(kind, flags, stream & WINDOW_MAX, data[at + 9 : end], now, events)
            at = end
            if self.ended:
                return
        self._received = data[at:]

    def _read_preface(self, data: bytes) -> int:
        if not data.startswith(PREFACE[: len(data)]):
            raise Broken(PROTOCOL_ERROR, "this is no HTTP/2")
        if len(data) < len(PREFACE):
            self._received = data
            return 0
        self._preface = b""
        return len(PREFACE)

    def _on_frame(self, kind: int, flags: int, number: int, body: bytes, now: float, events: list[Event]) -> None:
        if self._block is not None and (kind != CONTINUATION or number != self._block[0]):
            raise Broken(PROTOCOL_ERROR, "a header block is interrupted")
        if not self._greeted:
            if kind != SETTINGS or flags & ACK:
                raise Broken(PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._greeted = True
        if kind == DATA:
            self._on_data(flags, number, body, now, events)
        elif kind == HEADERS:
            self._on_headers(flags, number, body, events)
        elif kind == WINDOW_UPDATE:
            self._on_window_update(number, body, events)
        elif kind == CONTINUATION:
            self._on_continuation(flags, body, events, now)
        else:
            self._count_work(now)
            self._on_other(kind, flags, number, body, events)

    def _on_other(self, kind: int, flags: int, number: int, body: bytes, events: list[Event]) -> None:
        if kind == SETTINGS:
            self._on_settings(flags, number, body)
        elif kind == PING:
            if number or len(body) != 8:
                raise Broken(PROTOCOL_ERROR if number else FRAME_SIZE_ERROR, "a PING that is none")
            if not flags & ACK:
                self._frame(PING, ACK, 0, body)
        elif kind == RST_STREAM:
            if len(body) != 4:
                raise Broken(FRAME_SIZE_ERROR, "a RST_STREAM that is none")
            self._must_be_known(number, "RST_STREAM")
            if number in self._streams:
                self._forget(number)
                events.append(Reset(number, _number.unpack(body)[0]))
        elif kind == GOAWAY:
            if number or len(body) < 8:
                raise Broken(PROTOCOL_ERROR, "a GOAWAY that is none")
            events.append(Ended(NO_ERROR, body[8:].decode(errors="replace") or "the other end leaves"))
        elif kind == PUSH_PROMISE:
            raise Broken(PROTOCOL_ERROR, "a PUSH_PROMISE, which nobody may send")
        elif kind == PRIORITY and (not number or len(body) != 5):
            raise Broken(PROTOCOL_ERROR if not number else FRAME_SIZE_ERROR, "a PRIORITY that is none")

    def _on_headers(self, flags: int, number: int, body: bytes, events: list[Event]) -> None:
        if not number or (not self._client and not number & 1):
            raise Broken(PROTOCOL_ERROR, f"HEADERS of stream {number}, which is not the peer's to open")
        if flags & PADDED:
            body = _unpadded(body)
        if flags & PRIORITIZED:
            if len(body) < 5:
                raise Broken(FRAME_SIZE_ERROR, "HEADERS without the priority that they announce")
            body = body[5:]
        end = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._on_block(number, end, body, events)
        else:
            self._block = (number, end, bytearray(body))

    def _on_continuation(self, flags: int, body: bytes, events: list[Event], now: float) -> None:
        if self._block is None:
            raise Broken(PROTOCOL_ERROR, "a CONTINUATION of nothing")
        self._count_work(now)
        number, end, block = self._block
        block += body
        if len(block) > BLOCK_BYTES_MAX:
            raise Broken(ENHANCE_YOUR_CALM, f"a header block of more than {BLOCK_BYTES_MAX} bytes")
        if flags & END_HEADERS:
            self._block = None
            self._on_block(number, end, bytes(block), events)

    def _on_block(self, number: int, end: bool, block: bytes, events: list[Event]) -> None:
        try:
            fields = self._reader.read(block)
        except ValueError as error:
            raise Broken(COMPRESSION_ERROR, str(error)) from error
        stream = self._streams.get(number)
        if stream is None:
            if number <= self._highest:
                return  # of a stream that is over on this side
            if self._client:
                raise Broken(PROTOCOL_ERROR, f"an answer in stream {number}, in which nothing was asked")
            self._highest = number
            if len(self._streams) >= STREAMS_MAX:
                self._frame(RST_STREAM, 0, number, _number.pack(REFUSED_STREAM))
                return
            stream = self._streams[number] = _Stream(self._peer_window)
            stream.receives = not end
            events.append(Headers(number, fields, end, True))
            return
        if not stream.receives or not (end or self._client):
            raise Broken(PROTOCOL_ERROR, f"HEADERS in stream {number} that are not expected there")
        events.append(Headers(number, fields, end, False))
        if end:
            self._received_all(number, stream)

    def _received_all(self, number: int, stream: _Stream) -> None:
        stream.receives = False
        if not stream.sends:
            self._forget(number)
        elif self._client:  # answered before all was said
            self.reset(number, NO_ERROR)

    def _on_data(self, flags: int, number: int, body: bytes, now: float, events: list[Event]) -> None:
        size, end = len(body), bool(flags & END_STREAM)
        self._uncredited += size
        if self._uncredited * 2 > CONNECTION_WINDOW:
            self._frame(WINDOW_UPDATE, 0, 0, _number.pack(self._uncredited))
            self._uncredited = 0
        if not size and not end:
            self._count_work(now)
        if flags & PADDED:
            body = _unpadded(body)
        stream = self._streams.get(number)
        if stream is None or not stream.receives:
            self._must_be_known(number, "DATA")
            if stream is not None:
                raise Broken(STREAM_CLOSED, f"DATA in stream {number}, which has ended")
            self._count_work(now)
            return
        stream.uncredited += size
        if stream.uncredited > STREAM_WINDOW:
            raise Broken(FLOW_CONTROL_ERROR, f"more DATA in stream {number} than its window allows")
        if stream.uncredited * 2 > STREAM_WINDOW and not end:
            self._frame(WINDOW_UPDATE, 0, number, _number.pack(stream.uncredited))
            stream.uncredited = 0
        events.append(Data(number, body, end))
        if end:
            self._received_all(number, stream)

    def _on_window_update(self, number: int, body: bytes, events: list[Event]) -> None:
        more = _number.unpack(body)[0] & WINDOW_MAX if len(body) == 4 else -1
        if more < 0:
            raise Broken(FRAME_SIZE_ERROR, "a WINDOW_UPDATE that is none")
        if not number:
            self._window += more
            if not more or self._window > WINDOW_MAX:
                raise Broken(FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR, f"a window that grows by {more}")
            self._unblock()
            return
        self._must_be_known(number, "WINDOW_UPDATE")
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.window += more
        if not more or stream.window > WINDOW_MAX:
            self.reset(number, FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR)
            events.append(Reset(number, FLOW_CONTROL_ERROR))
        else:
            self._send(number, stream)

    def _unblock(self) -> None:
        for number in list(self._blocked):
            if self._window <= 0:
                return
            self._send(number, self._streams[number])

    def _on_settings(self, flags: int, number: int, body: bytes) -> None:
        if number or len(body) % 6 or (flags & ACK and body):
            raise Broken(PROTOCOL_ERROR if number else FRAME_SIZE_ERROR, "SETTINGS that are none")
        if flags & ACK:
            return
        for name, value in _setting.iter_unpack(body):
            self._set(name, value)
        self._frame(SETTINGS, ACK, 0, b"")
        self._unblock()

    def _set(self, name: int, value: int) -> None:
        if name == INITIAL_WINDOW:
            if value > WINDOW_MAX:
                raise Broken(FLOW_CONTROL_ERROR, f"windows of {value} bytes")
            grown, self._peer_window = value - self._peer_window, value
            for number, stream in list(self._streams.items()):
                stream.window += grown
                if stream.window > WINDOW_MAX:
                    raise Broken(FLOW_CONTROL_ERROR, f"windows of {stream.window} bytes")
                if stream.waiting:
                    self._send(number, stream)
        elif name == MAX_FRAME:
            if not FRAME_MAX <= value < 1 << 24:
                raise Broken(PROTOCOL_ERROR, f"frames of {value} bytes")
            self._peer_frame_max = min(value, 1 << 20)
        elif name == MAX_CONCURRENT:
            self.peer_streams_max = value
        elif name == ENABLE_PUSH and value > 1:
            raise Broken(PROTOCOL_ERROR, f"ENABLE_PUSH of {value}")

    def _must_be_known(self, number: int, what: str) -> None:
        """A stream that is over is no error: what was under way when it ended."""
        if not number or number > self._highest or not number & 1:
            raise Broken(PROTOCOL_ERROR, f"{what} of stream {number}, which nobody has opened")

    def _count_work(self, now: float) -> None:
        if self._client:
            return  # whom we call is not a stranger: etcd measures round trips with pings, as fast as they come back
        self._work = min(WORK_MAX, self._work + (now - self._work_at) * WORK_PER_S) - 1
        self._work_at = now
        if self._work < 0:
            raise Broken(ENHANCE_YOUR_CALM, "too many frames that make work and ask nothing")


def _unpadded(body: bytes) -> bytes:
    if not body or body[0] >= len(body):
        raise Broken(PROTOCOL_ERROR, "more padding than there is room for")
    return body[1 : len(body) - body[0]]
