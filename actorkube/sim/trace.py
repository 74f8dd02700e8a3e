"""What happened, entry by entry: always hashed, the last ones kept, and given to whoever listens.

Two runs did the same exactly when their hashes are equal; two recordings (actorkube/sim/recording.py) say where they
parted. Entries become lines only when somebody looks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

import msgspec

from protocols.frame import Frame, Kind
from protocols.message import name_of
from protocols.trace import TRACED

LAST_LINES = 40
BATCH = 256
FIN = 0  # a frame kind of the simulation only: the sender has closed, in order behind what it sent
KIND_NAMES = {FIN: "FIN"} | {int(kind): kind.name for kind in Kind}

# Time, loop steps, where, and what: a sentence, or a frame that arrived.
Entry: TypeAlias = tuple[float, int, str, str | Frame]

encode = msgspec.msgpack.Encoder().encode


class Trace:
    """`keep` keeps all entries. Listeners are handed each batch of entries and its bytes (a MessagePack array)."""

    def __init__(self, *, keep: bool = False) -> None:
        self.listeners: list[Callable[[Sequence[Entry], bytes], None]] = []
        self.batch = BATCH  # entries that are hashed together; the hash does not depend on it
        self._keep = keep
        self._kept: list[Entry] = []
        self._new: list[Entry] = []
        self._count = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, now: float, steps: int, what: str) -> None:
        self.add((now, steps, "", what))

    def add(self, entry: Entry) -> None:
        new = self._new
        new.append(entry)
        if len(new) >= self.batch:
            self.flush()

    def flush(self) -> None:
        new, self._new = self._new, []
        if not new:
            return
        self._count += len(new)
        encoded = encode(new)
        # Without the array's own header, so that it does not matter where one batch ends.
        self._hash.update(encoded[_array_header_size(len(new)) :])
        self._kept = self._kept + new if self._keep else (self._kept + new)[-LAST_LINES:]
        for listener in self.listeners:
            listener(new, encoded)

    @property
    def count(self) -> int:
        return self._count + len(self._new)

    @property
    def entries(self) -> list[Entry]:
        """All of them if they are kept, otherwise the last ones."""
        kept = self._kept + self._new
        return kept if self._keep else kept[-LAST_LINES:]

    @property
    def lines(self) -> list[str]:
        return [line(entry) for entry in self.entries]

    @property
    def hash(self) -> str:
        self.flush()
        return self._hash.copy().hexdigest()


def _array_header_size(count: int) -> int:
    """Of an array in MessagePack."""
    return 1 if count < 16 else 3 if count < 65536 else 5


def packet_name(frame: Frame) -> str:
    """The class of the message inside, or the kind of frame (ERROR, CREDIT, ...)."""
    return name_of(frame[1]) if frame[1] else KIND_NAMES[frame[0] & ~TRACED]


def line(entry: Entry) -> str:
    now, steps, where, what = entry
    if not isinstance(what, str):
        kind, _, target, sender, corr, number, body = what
        addressed = (
            f"{KIND_NAMES.get(kind & ~TRACED, kind)} to {target:08x} from {sender:08x} corr {corr} number {number}"
        )
        digest = hashlib.blake2b(body, digest_size=4).hexdigest()
        what = f"{where} {packet_name(what)} ({addressed}, {len(body)} bytes {digest})"
    return f"{now:.6f} {steps} {what}"


class Difference(NamedTuple):
    """Where two traces part: what both say before, what the one says there, and what the other."""

    number: int
    before: list[Entry]
    one: Entry | None
    other: Entry | None

    def __str__(self) -> str:
        before = [f"  {line(entry)}" for entry in self.before]
        ones, others = ("(the end)" if entry is None else line(entry) for entry in (self.one, self.other))
        return "\n".join([f"entry {self.number}:", *before, f"- {ones}", f"+ {others}"])


def first_difference(one: Iterable[Entry], other: Iterable[Entry], context: int = 3) -> Difference | None:
    """Where two traces part, with what came before; None when they say the same."""
    before: list[Entry] = []
    for number, (mine, theirs) in enumerate(zip_longest(one, other), 1):
        if mine != theirs:
            return Difference(number, before, mine, theirs)
        before = [*before, mine][-context:]
    return None
