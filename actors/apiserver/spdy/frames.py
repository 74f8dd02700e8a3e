"""SPDY/3.1's frames: eight bytes, which say what it is and how long, and then its payload (draft 3.1, 2.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN = 0x01
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 3, 5  # statuses of RST_STREAM
GOAWAY_OK, GOAWAY_PROTOCOL_ERROR = 0, 1
PAYLOAD_BYTES_MAX = 1024 * 1024
_HEADER_BYTES = 8
_CONTROL = 1 << 31
_STREAM = _CONTROL - 1
_HEADER = struct.Struct(">II")


class Control(NamedTuple):
    """`version` may be another one than ours: what that means is the session's to say."""

    type: int
    flags: int
    payload: bytes
    version: int = VERSION


class Data(NamedTuple):
    stream: int
    flags: int
    payload: bytes


Frame = Control | Data


class FrameReader:
    """Bytes in, whole frames out; holds at most one frame that is not whole yet."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises ValueError for a frame that is too large."""
        self._buffer += data
        while len(self._buffer) >= _HEADER_BYTES:
            first, second = _HEADER.unpack_from(self._buffer)
            flags, length = second >> 24, second & 0xFF_FFFF
            if length > PAYLOAD_BYTES_MAX:
                raise ValueError(f"a frame of {length} bytes, where {PAYLOAD_BYTES_MAX} are the most")
            end = _HEADER_BYTES + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER_BYTES:end])
            del self._buffer[:end]
            if first & _CONTROL:
                yield Control(first & 0xFFFF, flags, payload, (first >> 16) & 0x7FFF)
            else:
                yield Data(first, flags, payload)


def encode(frame: Frame) -> bytes:
    first = _CONTROL | frame.version << 16 | frame.type if isinstance(frame, Control) else frame.stream & _STREAM
    return _HEADER.pack(first, frame.flags << 24 | len(frame.payload)) + frame.payload


def numbers(payload: bytes, count: int) -> tuple[int, ...]:
    """The first `count` numbers of 32 bits. Raises ValueError."""
    if len(payload) < 4 * count:
        raise ValueError(f"a frame of {len(payload)} bytes is too short")
    return struct.unpack_from(f">{count}I", payload)


def pack(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def stream_of(number: int) -> int:
    return number & _STREAM
