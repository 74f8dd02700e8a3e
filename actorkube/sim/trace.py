"""What happened, as lines: always hashed, the last ones kept, all of them when recording.

Two runs did the same exactly when their hashes are equal; two recordings say where they parted.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Sequence

from actorkube.runtime.wire import Frame
from protocols.frame import Kind
from protocols.message import name_of
from protocols.trace import TRACED

LAST_LINES = 40
FIN = 0  # a frame kind of the simulation only: the sender has closed, in order behind what it sent
KIND_NAMES = {FIN: "FIN"} | {int(kind): kind.name for kind in Kind}
_frame = struct.Struct("<dqBHIIII")

# Time, loop steps, where, and what: a sentence, or a frame that arrived.
Entry = tuple[float, int, str, str | Frame]


class Trace:
    def __init__(self, *, record: bool = False) -> None:
        self.count = 0
        self._entries: deque[Entry] = deque(maxlen=None if record else LAST_LINES)
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, now: float, steps: int, what: str) -> None:
        self.count += 1
        self._entries.append((now, steps, "", what))
        self._hash.update(f"{now!r} {steps} {what}".encode())

    def frame(self, now: float, steps: int, where: str, frame: Frame) -> None:
        """A frame arrived. Hashed as numbers and bytes; it becomes a line only when somebody looks."""
        self.count += 1
        self._entries.append((now, steps, where, frame))
        self._hash.update(_frame.pack(now, steps, *frame[:6]) + where.encode() + frame[6])

    @property
    def lines(self) -> list[str]:
        return [_text(entry) for entry in self._entries]

    @property
    def hash(self) -> str:
        return self._hash.copy().hexdigest()


def packet_name(frame: Frame) -> str:
    """The class of the message inside, or the kind of frame (ERROR, CREDIT, ...)."""
    return name_of(frame[1]) if frame[1] else KIND_NAMES[frame[0] & ~TRACED]


def _text(entry: Entry) -> str:
    now, steps, where, what = entry
    if isinstance(what, tuple):
        kind, _, target, sender, corr, number, body = what
        addressed = f"{KIND_NAMES[kind & ~TRACED]} to {target:08x} from {sender:08x} corr {corr} number {number}"
        digest = hashlib.blake2b(body, digest_size=4).hexdigest()
        what = f"{where} {packet_name(what)} ({addressed}, {len(body)} bytes {digest})"
    return f"{now:.6f} {steps} {what}"


def first_difference(one: Sequence[str], other: Sequence[str], context: int = 3) -> str | None:
    """Where two recordings part, with the lines before; None when they say the same."""
    ones, others = list(one), list(other)
    if ones == others:
        return None
    shared = min(len(ones), len(others))
    place = next((place for place in range(shared) if ones[place] != others[place]), shared)
    before = [f"  {line}" for line in ones[max(0, place - context) : place]]
    parted = [f"- {_line(ones, place)}", f"+ {_line(others, place)}"]
    return "\n".join([f"line {place + 1}:", *before, *parted])


def _line(lines: list[str], place: int) -> str:
    return lines[place] if place < len(lines) else "(the end)"
