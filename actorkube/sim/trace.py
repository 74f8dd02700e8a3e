"""What happened, as lines: always hashed, the last ones kept, all of them when recording.

Two runs did the same exactly when their hashes are equal; two recordings say where they parted.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence

LAST_LINES = 40


class Trace:
    def __init__(self, *, record: bool = False) -> None:
        self.lines: deque[str] = deque(maxlen=None if record else LAST_LINES)
        self.count = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, line: str, body: bytes = b"") -> None:
        self.count += 1
        self.lines.append(line)
        self._hash.update(line.encode())
        self._hash.update(body)

    @property
    def hash(self) -> str:
        return self._hash.copy().hexdigest()


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
