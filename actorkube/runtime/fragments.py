"""Large frames travel in parts, so that small ones need not wait for them: pure, both directions.

One large frame at a time: so what a peer can make us keep is one frame. What must not overtake it waits behind it:
frames between the same two actors, frames about the same question or stream, and all kinds that say something about
everything before them (that an actor has ended, say).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from protocols.frame import FRAME_MAX, FREE, HEADER, HEADER_SIZE, KIND_BITS, PART_BYTES, PARTED, Frame, Kind
from protocols.trace import TRACED

PASS_BYTES_MAX = 1024 * 1024  # more does not pass before the next part has left
_KIND_MASK = (1 << KIND_BITS) - 1
_PART_KINDS = frozenset(kind | mark for kind in PARTED for mark in (0, TRACED))
_FREE_KINDS = frozenset(kind | mark for kind in FREE for mark in (0, TRACED))


class Slow:
    """Large frames that wait to leave, and what waits behind them."""

    def __init__(self) -> None:
        self._waiting: deque[Frame] = deque()
        self._keys: Counter[object] = Counter()  # of those that wait
        self._parts: Iterator[bytes] | None = None  # of the first one
        self._passed = 0  # bytes since the last part

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def takes(self, kind: int, target: int, sender: int, corr: int, length: int) -> bool:
        """Whether such a frame has to wait behind those that are here. If not, it passes them."""
        if kind not in _FREE_KINDS or corr in self._keys or (target, sender) in self._keys:
            return True
        self._passed += HEADER_SIZE + length
        return self._passed > PASS_BYTES_MAX

    def add(self, frame: Frame) -> int:
        """Returns by how much it is longer in parts than as one frame."""
        self._waiting.append(frame)
        self._keys.update(_keys(frame))
        size = HEADER_SIZE + len(frame[6])
        return -(-size // PART_BYTES) * HEADER_SIZE if is_large(frame[0], frame[6]) else 0

    def next(self) -> bytes:
        """A part of a large frame, or a whole one that waited behind it; something must wait."""
        self._passed = 0
        frame = self._waiting[0]
        if not is_large(frame[0], frame[6]):
            self._leave()
            return whole(frame)
        if self._parts is None:
            self._parts = _parts(frame)
        part = next(self._parts)
        if HEADER.unpack_from(part)[5] == 0:
            self._parts = None
            self._leave()
        return part

    def _leave(self) -> None:
        self._keys -= Counter(_keys(self._waiting.popleft()))

    def clear(self) -> None:
        self._waiting.clear()
        self._keys.clear()
        self._parts = None


class Assembly:
    """The large frame that a peer is just sending in parts."""

    def __init__(self) -> None:
        self._got = bytearray()
        self._missing = 0

    def add(self, missing: int, part: bytes) -> Frame | None:
        """A part, after which so many bytes are `missing`: the frame, when it is complete. Raises ValueError."""
        if self._got and missing + len(part) != self._missing:
            raise ValueError(f"a part with {missing} bytes to come, where {self._missing - len(part)} were due")
        if not part or len(self._got) + len(part) + missing > HEADER_SIZE + FRAME_MAX:
            raise ValueError(
                f"a part of {len(part)} bytes, and {missing} to come: empty, or more than a frame may have"
            )
        self._got += part
        self._missing = missing
        return None if missing else self._frame()

    def _frame(self) -> Frame:
        got, self._got = self._got, bytearray()
        if len(got) < HEADER_SIZE:
            raise ValueError("parts that are less than a header")
        length, word, target, sender, corr, number = HEADER.unpack_from(got)
        kind = word & _KIND_MASK
        if length != len(got) - HEADER_SIZE or kind not in _PART_KINDS:
            raise ValueError(f"a frame of kind {kind} and {length} bytes in parts of {len(got) - HEADER_SIZE}")
        return kind, word >> KIND_BITS, target, sender, corr, number, bytes(memoryview(got)[HEADER_SIZE:])


def is_large(kind: int, body: bytes) -> bool:
    """It goes in parts."""
    return len(body) > 4 * PART_BYTES and kind in _PART_KINDS


def whole(frame: Frame) -> bytes:
    kind, type_id, target, sender, corr, number, body = frame
    return HEADER.pack(len(body), kind | type_id << KIND_BITS, target, sender, corr, number) + body


def _parts(frame: Frame) -> Iterator[bytes]:
    kind, type_id, target, sender, corr, number, body = frame
    view, at, part = memoryview(body), 0, PART_BYTES - HEADER_SIZE
    begin = HEADER.pack(len(body), kind | type_id << KIND_BITS, target, sender, corr, number)
    while at < len(view):
        piece = view[at : at + part]
        at += len(piece)
        yield b"".join((HEADER.pack(len(begin) + len(piece), Kind.PART, 0, 0, 0, len(view) - at), begin, piece))
        begin, part = b"", PART_BYTES


def _keys(frame: Frame) -> list[object]:
    _, _, target, sender, corr, _, _ = frame
    return [key for key, is_one in ((corr, corr), ((target, sender), target)) if is_one]
