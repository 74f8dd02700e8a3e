"""Bytes to frames and frames to bytes, without I/O.

Small frames of one loop turn are joined into one write; a body of 8 KiB or more is written as it is, because joining
would copy it (measured: 3 times the CPU at 10 KiB). Small frames of one kind in a row become one batch (frame.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actorkube.runtime.fragments import Slow, is_large
from actorkube.runtime.refusals import Reason, Refused
from protocols.frame import BATCHED, HEADER, HEADER_SIZE, KIND_BITS, Kind, Row, encode_rows
from protocols.trace import TRACED

BUFFER_SIZE = 128 * 1024  # more than a batch, so that none of ours needs a larger one
BIG_BODY = 8 * 1024
BATCHED_BODY = BIG_BODY  # a frame with a body of less may go into a batch
BATCH_BYTES = 64 * 1024  # a batch that has reached it takes no more
BATCH_ROWS_MIN = 4  # fewer frames travel by themselves: a batch would not be worth its making
FORGET_AFTER = 4096  # parts that were taken are let go of, but not one by one
KINDS = 1 << KIND_BITS
KIND_MASK = KINDS - 1
BATCH = int(Kind.BATCH)

# Called with (link, type_id, target, sender, corr, number, body); raises ValueError when the frame makes no sense.
Handler = Callable[[Any, int, int, int, int, int, bytes], object]

_unpack = HEADER.unpack_from
_pack = HEADER.pack
_is_batched = [kind in BATCHED for kind in range(KINDS)]  # the hash of an enum's member is a call in Python
_new_work = frozenset(kind | mark for kind in (Kind.TELL, Kind.ASK, Kind.STREAM) for mark in (0, TRACED))


class Inbox:
    """Collects received bytes and hands over whole frames, each to the handler of its kind.

    `frame_max` bounds a body before it is buffered. `handlers` (one for every kind from 0 to 255) and `link` may be
    exchanged by a handler: the next frame goes to the new one.
    """

    def __init__(self, frame_max: int, handlers: Sequence[Handler], link: Any = None) -> None:
        self.frame_max = frame_max
        self.handlers = handlers
        self.link = link
        self.frames = 0  # handed over
        self.bytes = 0  # received
        self._buffer = bytearray(BUFFER_SIZE)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0

    def room(self, sizehint: int = -1) -> memoryview:
        """Where to receive the next bytes; never empty."""
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > BUFFER_SIZE:  # a large frame has passed: give its memory back
                self._replace(bytearray(BUFFER_SIZE))
            return self._view
        elif self._end == len(self._buffer):
            self._make_room()
        return self._view[self._end :]

    def add(self, count: int) -> None:
        """So many bytes were written into `room`."""
        self._end += count
        self.bytes += count

    def deliver(self) -> None:
        """Hand over the frames that are complete. Raises Refused at a body larger than `frame_max`."""
        buffer, view = self._buffer, self._view
        start, last = self._start, self._end - HEADER_SIZE
        while start <= last:
            length, word, target, sender, corr, number = _unpack(buffer, start)
            if length > self.frame_max:
                raise Refused(
                    Reason.OVERSIZE, f"a frame of {length} bytes exceeds the bound of {self.frame_max}, or is garbage"
                )
            begin = start + HEADER_SIZE
            start = begin + length
            if start > self._end:
                return
            self._start = start
            self.frames += 1
            kind, body = word & KIND_MASK, view[begin:start]
            if kind == BATCH:  # it is taken apart at once, so its bytes need not be copied before that
                self.handlers[kind](self.link, word >> KIND_BITS, target, sender, corr, number, body)
            else:
                self.handlers[kind](self.link, word >> KIND_BITS, target, sender, corr, number, body.tobytes())

    def _make_room(self) -> None:
        """Move what is left to the front, of a larger buffer when a frame, or what has to wait, needs one."""
        left = self._buffer[self._start : self._end]
        size = max(BUFFER_SIZE, HEADER_SIZE + len(left))
        if len(left) >= HEADER_SIZE:
            size = max(size, HEADER_SIZE + _unpack(left)[0])
        buffer = bytearray(size)
        buffer[: len(left)] = left
        self._replace(buffer)
        self._start, self._end = 0, len(left)

    def _replace(self, buffer: bytearray) -> None:
        self._buffer, self._view = buffer, memoryview(buffer)


class Outbox:
    """Frames that wait to be written, bounded in bytes by two marks.

    Above `high` new work (tell, ask, stream) is refused. What is owed to the peer (answers, items, credit, ends) is
    still taken, because leaving it out would tear a hole into what was promised; above `most` nothing is, and whoever
    owns the outbox must give the peer up. `flush_due` is called at the first frame since `due` was last set to False,
    `refused` when a frame is not taken.
    """

    def __init__(
        self,
        high: int,
        most: int,
        flush_due: Callable[[], object] = lambda: None,
        refused: Callable[[], object] = lambda: None,
    ) -> None:
        self.size = 0
        self.frames = 0  # taken so far
        self.due = False  # a flush will come
        self.high = high
        self._most = most
        self._flush_due = flush_due
        self._refused = refused
        self._parts: list[bytes] = []
        self._first = 0  # of the parts that are not taken yet
        self._slow = Slow()
        self._rows: list[Row] = []  # the last frames, all of one kind that can be batched
        self._rows_kind = 0
        self._rows_start = 0  # the size without them
        self._rows_end = 0  # the size at which the batch is full

    @property
    def overflowed(self) -> bool:
        return self.size > self._most

    def put(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        size = self.size
        if size > self.high and (size > self._most or kind in _new_work):
            self._refused()
            return False
        length = len(body)
        was_empty = not size
        self.size = size = size + HEADER_SIZE + length
        if kind == self._rows_kind and length < BATCHED_BODY and size < self._rows_end:
            self._rows.append((type_id, target, sender, corr, number, body))
        elif was_empty and length < BATCHED_BODY and _is_batched[kind]:
            self._rows_kind, self._rows_start, self._rows_end = kind, 0, BATCH_BYTES
            self._rows.append((type_id, target, sender, corr, number, body))
        else:
            self._put_other(kind, type_id, target, sender, corr, number, body)
        if not self.due:
            self.due = True
            self._flush_due()
        return True

    def _put_other(
        self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes
    ) -> None:
        """It begins a batch, or stands alone."""
        start = self.size - HEADER_SIZE - len(body)
        if self._rows:
            start += self._close_batch(start)
        if is_large(kind, body) or (self._slow and self._slow.takes(kind, target, sender, corr, len(body))):
            self.size += self._slow.add((kind, type_id, target, sender, corr, number, body))
            self.frames += 1
            self._rows_kind = 0
            return
        if _is_batched[kind] and len(body) < BATCHED_BODY and not self._slow:
            self._rows_kind, self._rows_start, self._rows_end = kind, start, start + BATCH_BYTES
            self._rows.append((type_id, target, sender, corr, number, body))
        else:
            self._rows_kind = 0
            self._add(kind, type_id, target, sender, corr, number, body)

    def _add(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> None:
        self.frames += 1
        self._parts.append(_pack(len(body), kind | type_id << KIND_BITS, target, sender, corr, number))
        if body:
            self._parts.append(body)

    def _close_batch(self, end: int) -> int:
        """Make the frames of the batch, which reaches up to the size `end`. Returns by how much this has changed."""
        rows, self._rows, kind, self._rows_kind = self._rows, [], self._rows_kind, 0
        if len(rows) < BATCH_ROWS_MIN:
            for row in rows:
                self._add(kind, *row)
            return 0
        body = encode_rows(rows)
        self.frames += len(rows)
        self._parts += (_pack(len(body), Kind.BATCH | kind << KIND_BITS, 0, 0, 0, 0), body)
        change = HEADER_SIZE + len(body) - (end - self._rows_start)
        self.size += change
        return change

    def take(self) -> bytes:
        """Everything, joined: for a few small frames, the usual case."""
        if len(self._rows) == 1 and not self._parts:
            return self._take_one()
        if self._rows:
            self._close_batch(self.size)
        parts, first, self._parts, self._first, self.size = self._parts, self._first, [], 0, 0
        slow = []
        while self._slow:
            slow.append(self._slow.next())
        return b"".join((parts[first:] if first else parts) + slow)

    def _take_one(self) -> bytes:
        """A question and its answer are alone, most often."""
        type_id, target, sender, corr, number, body = self._rows.pop()
        kind, self._rows_kind, self.size = self._rows_kind, 0, 0
        self.frames += 1
        return _pack(len(body), kind | type_id << KIND_BITS, target, sender, corr, number) + body

    def chunk(self) -> bytes:
        """The next of what waits (something must): small frames joined, a big body as it is, or part of a large one."""
        if self._rows:
            self._close_batch(self.size)
        if not self._parts:  # between whole frames
            chunk = self._slow.next()
            self.size -= len(chunk)
            return chunk
        parts, first = self._parts, self._first
        end, length = first + 1, len(parts[first])
        while end < len(parts) and len(parts[end]) < BIG_BODY and length < BIG_BODY:
            length += len(parts[end])
            end += 1
        chunk = b"".join(parts[first:end]) if end > first + 1 else parts[first]
        self.size -= length
        self._first = end
        if end == len(parts) or end > FORGET_AFTER:
            self._parts, self._first = parts[end:], 0
        return chunk

    def chunks(self, most: int) -> list[bytes]:
        """So many of them that they have `most` bytes together, or all: for one call of the operating system."""
        chunks = []
        while self.size and most > 0:
            chunk = self.chunk()
            chunks.append(chunk)
            most -= len(chunk)
        return chunks

    def close(self) -> None:
        """Takes no more frames, and forgets those that wait."""
        self._parts, self._first, self._rows, self._rows_kind = [], 0, [], 0
        self._slow.clear()
        self.size = self._most + 1


def own_frame(kind: Kind, body: bytes = b"") -> bytes:
    """One frame of the connection's own, which goes past the outbox."""
    return _pack(len(body), kind, 0, 0, 0, 0) + body
