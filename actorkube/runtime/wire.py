"""Bytes to frames and frames to bytes, without I/O.

Small frames of one loop turn are joined into one write; a body of 8 KiB or more is written as it is, because joining
would copy it (measured: 3 times the CPU at 10 KiB).
"""

from __future__ import annotations

from collections.abc import Iterator

from protocols.frame import HEADER, HEADER_SIZE, pack_header

BUFFER_SIZE = 64 * 1024
BIG_BODY = 8 * 1024
OUTBOX_MAX = 32 * 1024 * 1024

Frame = tuple[int, int, int, int, int, int, bytes]


class Inbox:
    """Collects received bytes and yields whole frames. `frame_max` bounds a body before it is buffered."""

    def __init__(self, frame_max: int) -> None:
        self.frame_max = frame_max
        self._buffer = bytearray(BUFFER_SIZE)
        self._start = 0
        self._end = 0

    def room(self) -> memoryview:
        """Where to receive the next bytes; never empty."""
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > BUFFER_SIZE:
                self._buffer = bytearray(BUFFER_SIZE)  # a large frame has passed: give its memory back
        elif self._end == len(self._buffer):
            self._make_room()
        return memoryview(self._buffer)[self._end :]

    def received(self, count: int) -> Iterator[Frame]:
        """Frames that are complete now. Raises ValueError at a body larger than `frame_max`."""
        self._end += count
        while self._end - self._start >= HEADER_SIZE:
            length, kind, _, type_id, target, sender, corr, number = HEADER.unpack_from(self._buffer, self._start)
            if length > self.frame_max:
                raise ValueError(f"a frame of {length} bytes exceeds the bound of {self.frame_max}, or is garbage")
            begin = self._start + HEADER_SIZE
            if self._end - begin < length:
                return
            self._start = begin + length
            yield kind, type_id, target, sender, corr, number, bytes(memoryview(self._buffer)[begin : self._start])

    def _make_room(self) -> None:
        """Move what is left to the front, of a larger buffer when a frame needs it."""
        left = self._buffer[self._start : self._end]
        size = BUFFER_SIZE
        if len(left) >= HEADER_SIZE:
            size = max(size, HEADER_SIZE + HEADER.unpack_from(left)[0])
        buffer = bytearray(size)
        buffer[: len(left)] = left
        self._buffer, self._start, self._end = buffer, 0, len(left)


class Outbox:
    """Frames that wait to be written, bounded in bytes."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []

    def put(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        if self.size > OUTBOX_MAX:
            return False
        self._parts.append(pack_header(kind, type_id, target, sender, corr, number, len(body)))
        if body:
            self._parts.append(body)
        self.size += HEADER_SIZE + len(body)
        return True

    def take(self) -> Iterator[bytes]:
        """Everything, as few chunks; afterwards the outbox is empty."""
        parts, self._parts, size, self.size = self._parts, [], self.size, 0
        if size <= BIG_BODY:
            yield b"".join(parts)
            return
        small: list[bytes] = []
        for part in parts:
            if len(part) < BIG_BODY:
                small.append(part)
                continue
            if small:
                yield b"".join(small)
                small = []
            yield part
        if small:
            yield b"".join(small)
