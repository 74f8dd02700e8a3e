"""A long body, written in pieces that TLS and the socket take without copying the whole of it again and again.

The parts are joined while they are written, some at a time, and only as fast as the client reads: to a client that
reads slowly, or not at all, a list of a hundred megabytes is owed in references to what is in memory anyway.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter

PIECE_BYTES = 64 * 1024

Piece: TypeAlias = bytes | memoryview


class Parts(Payload):
    """What the parts are, one after the other."""

    def __init__(self, parts: Sequence[Piece]) -> None:
        super().__init__(b"")
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))
        self._size = self._ends[-1] if parts else 0

    def __len__(self) -> int:
        return self._size or 0

    def whole(self) -> bytes:
        return b"".join(self._parts)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.whole().decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        start = 0
        while start < len(self._parts):
            written = self._ends[start - 1] if start else 0
            stop = max(start + 1, bisect_right(self._ends, written + PIECE_BYTES))
            await _write(writer, b"".join(self._parts[start:stop]))
            start = stop


async def _write(writer: Any, piece: bytes) -> None:
    """One part may be long in itself."""
    if len(piece) <= PIECE_BYTES:
        await writer.write(piece)
        return
    view = memoryview(piece)
    for at in range(0, len(piece), PIECE_BYTES):
        await writer.write(view[at : at + PIECE_BYTES])
